#include "lib/base/json_text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/json.h"

#define DEPTH_MAX 64

struct reading {
    const char *p, *end;
    bool spaces;  /* outside of strings */
    bool foreign; /* bytes past ASCII */
};

static bool is_space(char c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static void skip_spaces(struct reading *r) {
    while (r->p < r->end && is_space(*r->p)) {
        r->spaces = true;
        r->p++;
    }
}

static bool take(struct reading *r, char c) {
    if (r->p == r->end || *r->p != c) {
        return false;
    }
    r->p++;
    return true;
}

static bool skip_word(struct reading *r, const char *word, size_t n) {
    if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0) {
        return false;
    }
    r->p += n;
    return true;
}

static size_t skip_digits(struct reading *r) {
    const char *from = r->p;
    while (r->p < r->end && is_digit(*r->p)) {
        r->p++;
    }
    return (size_t)(r->p - from);
}

static bool skip_number(struct reading *r) {
    (void)take(r, '-');
    bool zero = r->p < r->end && *r->p == '0';
    size_t whole = skip_digits(r);
    if (whole == 0 || (zero && whole > 1)) {
        return false;
    }
    if (take(r, '.') && skip_digits(r) == 0) {
        return false;
    }
    if (take(r, 'e') || take(r, 'E')) {
        (void)(take(r, '+') || take(r, '-'));
        return skip_digits(r) > 0;
    }
    return true;
}

static bool skip_escape(struct reading *r) {
    if (r->p == r->end) {
        return false;
    }
    char c = *r->p++;
    if (c != 'u') {
        return c != '\0' && strchr("\"\\/bfnrt", c) != NULL;
    }
    for (int i = 0; i < 4; i++, r->p++) {
        bool hex = r->p < r->end && (is_digit(*r->p) || (*r->p >= 'a' && *r->p <= 'f') ||
                                     (*r->p >= 'A' && *r->p <= 'F'));
        if (!hex) {
            return false;
        }
    }
    return true;
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Whether one of eight bytes is what a string may not hold as it is, ends it, or is past ASCII. */
static bool is_special(uint64_t eight) {
    uint64_t quote = eight ^ EACH('"'), backslash = eight ^ EACH('\\');
    uint64_t found = ((quote - EACH(1)) & ~quote) | ((backslash - EACH(1)) & ~backslash) |
                     (eight - EACH(0x20)) | eight;
    return (found & EACH(0x80)) != 0;
}

/* Most of a text is strings, and most of those are plain. */
static void skip_plain(struct reading *r) {
    uint64_t eight = 0;
    while (r->end - r->p >= (ptrdiff_t)sizeof(eight)) {
        memcpy(&eight, r->p, sizeof(eight));
        if (is_special(eight)) {
            return;
        }
        r->p += sizeof(eight);
    }
}

/* Behind the quote. */
static bool skip_string(struct reading *r) {
    while (r->p < r->end) {
        skip_plain(r);
        if (r->p == r->end) {
            return false;
        }
        unsigned char c = (unsigned char)*r->p++;
        if (c == '"') {
            return true;
        }
        if (c < 0x20 || (c == '\\' && !skip_escape(r))) {
            return false;
        }
        r->foreign = r->foreign || c >= 0x80;
    }
    return false;
}

static bool skip_scalar(struct reading *r) {
    switch (r->p < r->end ? *r->p : '\0') {
    case '"':
        r->p++;
        return skip_string(r);
    case 't':
        return skip_word(r, "true", 4);
    case 'f':
        return skip_word(r, "false", 5);
    case 'n':
        return skip_word(r, "null", 4);
    default:
        return skip_number(r);
    }
}

static bool skip_key(struct reading *r) {
    skip_spaces(r);
    if (!take(r, '"') || !skip_string(r)) {
        return false;
    }
    skip_spaces(r);
    return take(r, ':');
}

/* Without recursion: what is open stands in `closers`. */
static bool skip_value(struct reading *r) {
    char closers[DEPTH_MAX];
    size_t depth = 0;
    bool done = false; /* a value has just ended */
    for (;;) {
        skip_spaces(r);
        if (done) {
            if (depth == 0) {
                return true;
            }
            if (take(r, closers[depth - 1])) {
                depth--;
                continue;
            }
            if (!take(r, ',') || (closers[depth - 1] == '}' && !skip_key(r))) {
                return false;
            }
            done = false;
        } else if (r->p < r->end && (*r->p == '{' || *r->p == '[')) {
            if (depth == DEPTH_MAX) {
                return false;
            }
            closers[depth] = *r->p++ == '{' ? '}' : ']';
            skip_spaces(r);
            done = take(r, closers[depth]);
            depth += !done;
            if (!done && closers[depth - 1] == '}' && !skip_key(r)) {
                return false;
            }
        } else {
            if (!skip_scalar(r)) {
                return false;
            }
            done = true;
        }
    }
}

static void add_without_spaces(struct klx_buf *out, struct klx_sv s) {
    bool in_string = false;
    size_t from = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"') {
            in_string = !in_string;
        } else if (in_string && s.p[i] == '\\') {
            i++;
        } else if (!in_string && is_space(s.p[i])) {
            klx_buf_add(out, s.p + from, i - from);
            from = i + 1;
        }
    }
    klx_buf_add(out, s.p + from, s.n - from);
}

int klx_json_compact(struct klx_buf *out, struct klx_sv text) {
    struct reading r = { text.p, text.p + text.n, false, false };
    if (!skip_value(&r) || r.p != r.end) {
        return -EINVAL;
    }
    if (!r.spaces && !r.foreign) {
        klx_buf_add_sv(out, text);
        return 0;
    }
    struct klx_buf clean;
    klx_buf_init(&clean, 4 * text.n + 1);
    klx_utf8_sanitize(&clean, text);
    add_without_spaces(out, klx_buf_sv(&clean));
    out->failed = out->failed || clean.failed;
    klx_buf_release(&clean);
    return 0;
}
