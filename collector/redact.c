#include "collector/redact.h"

#include <ctype.h>

#include "lib/base/cleanup.h"
#include "lib/base/utf8.h"

#define BLANK "***"
#define WORD(text)                                                                                 \
    { "" text "", sizeof(text) - 1 }

static bool ends_a_value(char c) {
    return isspace((unsigned char)c) || c == '"' || c == '\'' || c == ',' || c == ';' || c == '&' ||
           c == ')' || c == '}';
}

static bool ends_an_authority(char c) {
    return ends_a_value(c) || c == '/' || c == '?' || c == '#';
}

static size_t run(struct klx_sv s, bool (*ends)(char c)) {
    size_t n = 0;
    while (n < s.n && !ends(s.p[n])) {
        n++;
    }
    return n;
}

static struct klx_sv skip(struct klx_sv s, size_t n) {
    return klx_sv_n(s.p + n, s.n - n);
}

/* What of s, which follows "://", is "user:password@". */
static size_t userinfo(struct klx_sv s) {
    size_t n = run(s, ends_an_authority);
    while (n > 0 && s.p[n - 1] != '@') {
        n--;
    }
    return n;
}

/* ": ", "=", '":"'; 0 when nothing is assigned. */
static size_t separators(struct klx_sv s) {
    size_t n = 0;
    bool assigns = false;
    while (n < s.n && (s.p[n] == ':' || s.p[n] == '=' || s.p[n] == ' ' || s.p[n] == '"')) {
        assigns = assigns || s.p[n] == ':' || s.p[n] == '=';
        n++;
    }
    return assigns ? n : 0;
}

/* "password: " at the beginning of s, with what separates it from its value; 0: none. */
static size_t secret_word(struct klx_sv s) {
    static const struct klx_sv words[] = {
        WORD("password"),   WORD("passwd"),      WORD("token"),        WORD("secret"),
        WORD("apikey"),     WORD("api-key"),     WORD("api_key"),      WORD("access-key"),
        WORD("access_key"), WORD("private_key"), WORD("authorization")
    };
    for (size_t i = 0; i < KLX_COUNT(words); i++) {
        struct klx_sv word = words[i];
        if (s.n > word.n && (s.p[0] | 0x20) == word.p[0] &&
            klx_sv_eq_nocase(klx_sv_n(s.p, word.n), word)) {
            size_t gap = separators(skip(s, word.n));
            return gap > 0 ? word.n + gap : 0;
        }
    }
    static const struct klx_sv schemes[] = { WORD("bearer "), WORD("basic ") };
    for (size_t i = 0; i < KLX_COUNT(schemes); i++) {
        if (s.n > schemes[i].n && klx_sv_eq_nocase(klx_sv_n(s.p, schemes[i].n), schemes[i])) {
            return schemes[i].n;
        }
    }
    return 0;
}

/* Appends what stands at the beginning of s; how much of it was taken. */
static size_t take(struct klx_buf *out, struct klx_sv s) {
    if (klx_sv_starts(s, KLX_SV("://"))) {
        size_t n = userinfo(skip(s, 3));
        klx_buf_add_str(out, n > 0 ? "://" BLANK "@" : "://");
        return 3 + n;
    }
    size_t n = secret_word(s);
    if (n == 0) {
        klx_buf_add_char(out, s.p[0]);
        return 1;
    }
    klx_buf_add(out, s.p, n);
    struct klx_sv value = skip(s, n);
    size_t again = secret_word(value); /* "Authorization: Bearer …" */
    if (again == 0) {
        klx_buf_add_str(out, BLANK);
        return n + run(value, ends_a_value);
    }
    return n;
}

/* Whether a word above, or "://", may begin with these two letters. */
static bool may_begin(char first, char second) {
    static const char *const seconds[256] = {
        [':'] = "/", ['p'] = "ar",  ['P'] = "ar",  ['t'] = "o",  ['T'] = "o",  ['s'] = "e",
        ['S'] = "e", ['a'] = "pcu", ['A'] = "pcu", ['b'] = "ea", ['B'] = "ea",
    };
    const char *all = seconds[(unsigned char)first];
    return all != NULL && second != '\0' &&
           strchr(all, isalpha((unsigned char)second) ? tolower((unsigned char)second) : second) !=
               NULL;
}

/* Most of a text, which is copied as it is. */
static size_t harmless(struct klx_sv s) {
    size_t n = 0;
    while (n + 1 < s.n && !may_begin(s.p[n], s.p[n + 1])) {
        n++;
    }
    return n + 1 < s.n ? n : s.n;
}

static void redact(struct klx_buf *out, struct klx_sv text) {
    struct klx_sv rest = text;
    while (rest.n > 0) {
        size_t n = harmless(rest);
        klx_buf_add(out, rest.p, n);
        rest = skip(rest, n);
        if (rest.n > 0) {
            rest = skip(rest, take(out, rest));
        }
    }
}

struct klx_sv klx_redact(struct klx_arena *a, struct klx_sv text, size_t bytes_max) {
    struct klx_buf safe KLX_CLEANUP(klx_buf_release), line KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&safe, 2 * KLX_REDACT_BYTES_MAX);
    klx_buf_init(&line, bytes_max + 1);
    redact(&safe, klx_sv_utf8_prefix(text, KLX_REDACT_BYTES_MAX));
    klx_utf8_line(&line, klx_buf_sv(&safe), bytes_max);
    return klx_arena_dup(a, klx_buf_sv(&line));
}

static bool has_secret(struct klx_sv text) {
    struct klx_sv rest = skip(text, harmless(text));
    while (rest.n > 0) {
        if (secret_word(rest) > 0 ||
            (klx_sv_starts(rest, KLX_SV("://")) && userinfo(skip(rest, 3)) > 0)) {
            return true;
        }
        rest = skip(rest, 1);
        rest = skip(rest, harmless(rest));
    }
    return false;
}

struct klx_sv klx_redact_lines(struct klx_arena *a, struct klx_sv text) {
    struct klx_sv looked_at = klx_sv_utf8_prefix(text, KLX_REDACT_BYTES_MAX);
    if (!has_secret(looked_at)) {
        return looked_at;
    }
    struct klx_buf safe KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&safe, 2 * KLX_REDACT_BYTES_MAX);
    redact(&safe, looked_at);
    return klx_arena_dup(a, klx_buf_sv(&safe));
}
