#include "sinks/core/secret_url.h"

#include <ctype.h>

#include "lib/base/cleanup.h"
#include "lib/base/url.h"

#define CUT_MARK "…"
#define SECRETS_MAX 32 /* parts of one URL; those of a longer query hide with their target */

static bool starts_nocase(struct klx_sv s, struct klx_sv prefix) {
    return s.n >= prefix.n && klx_sv_eq_nocase(klx_sv_n(s.p, prefix.n), prefix);
}

static struct klx_sv from(struct klx_sv s, size_t at) {
    return klx_sv_n(s.p + at, s.n - at);
}

static bool has_space_or_control(struct klx_sv s) {
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

static bool has_any(struct klx_sv s, const char *characters) {
    for (const char *c = characters; *c != '\0'; c++) {
        if (klx_sv_find(s, *c) < s.n) {
            return true;
        }
    }
    return false;
}

/* Stricter than libcurl where the two could see different hosts. */
static const char *take_parts(struct klx_sv rest, struct klx_secret_url *u) {
    size_t slash = klx_sv_find(rest, '/');
    struct klx_sv authority = klx_sv_n(rest.p, slash);
    if (has_any(authority, "@\\?#")) {
        return "has a host that is not acceptable: only a name and a port may stand there";
    }
    u->host = klx_url_host(authority, NULL);
    u->target = from(rest, slash);
    u->query = u->target;
    u->path = klx_sv_cut(&u->query, '?');
    if (u->host.n == 0) {
        return "has no host";
    }
    if (has_any(u->target, "#")) {
        return "has a fragment (#), which is no part of an address that is posted to";
    }
    return NULL;
}

const char *klx_secret_url_parse(struct klx_sv url, struct klx_secret_url *ret) {
    struct klx_secret_url u = { 0 };
    size_t scheme = 0;
    if (has_space_or_control(url)) {
        return "holds a space, a line end or a control character: it must be the URL alone";
    }
    if (starts_nocase(url, KLX_SV("https://"))) {
        u.https = true;
        scheme = strlen("https://");
    } else if (starts_nocase(url, KLX_SV("http://"))) {
        scheme = strlen("http://");
    } else {
        return "is not a URL that begins with https://";
    }
    const char *problem = take_parts(from(url, scheme), &u);
    if (problem == NULL && !u.https && !klx_url_is_loopback(u.host)) {
        problem = "is http: the URL is a credential and is sent over https only (http is for "
                  "loopback)";
    }
    if (problem == NULL) {
        *ret = u;
    }
    return problem;
}

struct klx_sv klx_secret_url_parameter(const struct klx_secret_url *u, struct klx_sv name) {
    struct klx_sv rest = u->query;
    while (rest.n > 0) {
        struct klx_sv value = klx_sv_cut(&rest, '&');
        if (klx_sv_eq(klx_sv_cut(&value, '='), name)) {
            return value;
        }
    }
    return klx_sv(NULL);
}

/* How much of the answer's beginning is the secret: all of it, or what is left of the answer when it is cut off in there. */
static size_t hit_bytes(struct klx_sv answer, struct klx_sv secret) {
    if (secret.n < KLX_HIDE_BYTES_MIN) {
        return 0;
    }
    if (klx_sv_starts(answer, secret)) {
        return secret.n;
    }
    return answer.n >= KLX_HIDE_BYTES_MIN && klx_sv_starts(secret, answer) ? answer.n : 0;
}

/* `whole` hides however short it is. */
static void redact(struct klx_buf *out, struct klx_sv answer, struct klx_sv whole,
                   const struct klx_sv *secrets, size_t n) {
    while (answer.n > 0) {
        size_t longest = whole.n > 0 && klx_sv_starts(answer, whole) ? whole.n : 0;
        for (size_t i = 0; i < n; i++) {
            size_t hit = hit_bytes(answer, secrets[i]);
            longest = hit > longest ? hit : longest;
        }
        if (longest > 0) {
            klx_buf_add_str(out, CUT_MARK);
        } else {
            klx_buf_add_char(out, answer.p[0]);
        }
        answer = from(answer, longest > 0 ? longest : 1);
    }
}

void klx_hide_secrets(struct klx_buf *out, struct klx_sv answer, const struct klx_sv *secrets,
                      size_t n) {
    redact(out, answer, klx_sv(NULL), secrets, n);
}

static struct klx_sv last_segment(struct klx_sv path) {
    size_t at = path.n;
    while (at > 0 && path.p[at - 1] != '/') {
        at--;
    }
    return from(path, at);
}

static unsigned digit(char c) {
    return (unsigned)(isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10);
}

static void add_decoded(struct klx_buf *out, struct klx_sv text) {
    for (size_t i = 0; i < text.n; i++) {
        bool code = text.p[i] == '%' && i + 2 < text.n && isxdigit((unsigned char)text.p[i + 1]) &&
                    isxdigit((unsigned char)text.p[i + 2]);
        klx_buf_add_char(out, code ? (char)(digit(text.p[i + 1]) << 4 | digit(text.p[i + 2]))
                                   : text.p[i]);
        i += code ? 2 : 0;
    }
}

static bool is_no_secret(struct klx_sv name) {
    return klx_sv_eq(name, KLX_SV("api-version")) || klx_sv_eq(name, KLX_SV("sp")) ||
           klx_sv_eq(name, KLX_SV("sv"));
}

struct secrets {
    struct klx_sv items[SECRETS_MAX];
    size_t n;
};

static void add_secret(struct secrets *s, struct klx_sv text) {
    if (s->n < SECRETS_MAX) {
        s->items[s->n++] = text;
    }
}

/* `decoded` has room for all of them: it does not move while views of it are held. */
static void add_values(struct secrets *s, struct klx_sv query, struct klx_buf *decoded) {
    while (query.n > 0) {
        struct klx_sv value = klx_sv_cut(&query, '&');
        struct klx_sv name = klx_sv_cut(&value, '=');
        size_t begin = decoded->len;
        if (is_no_secret(name)) {
            continue;
        }
        add_decoded(decoded, value);
        add_secret(s, value);
        add_secret(s, klx_sv_n(decoded->data + begin, decoded->len - begin));
    }
}

void klx_secret_url_redact(struct klx_buf *out, struct klx_sv answer, struct klx_sv url) {
    struct klx_buf decoded KLX_CLEANUP(klx_buf_release);
    struct klx_secret_url u = { 0 };
    struct secrets s = { .n = 0 };
    const char *problem = klx_secret_url_parse(url, &u);
    klx_buf_init(&decoded, u.query.n + 1);
    if (problem == NULL) {
        klx_buf_reserve(&decoded, u.query.n + 1);
        add_secret(&s, u.target);
        add_secret(&s, u.path);
        add_secret(&s, u.query);
        add_secret(&s, last_segment(u.path));
        add_values(&s, u.query, &decoded);
        redact(out, answer, u.target.n > 1 ? u.target : klx_sv(NULL), s.items, s.n);
    } else {
        klx_buf_add_sv(out, answer);
    }
}
