#include "sinks/core/noise/matchers.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#define NAME_BYTES_MAX 512
#define VALUE_BYTES_MAX 4096
#define LABEL_PREFIX "labels."

static const char *const op_texts[] = {
    [KLX_MATCHER_EQUAL] = "=",
    [KLX_MATCHER_NOT_EQUAL] = "!=",
    [KLX_MATCHER_REGEX] = "=~",
    [KLX_MATCHER_NOT_REGEX] = "!~",
};

static bool is_regex(enum klx_matcher_op op) {
    return op == KLX_MATCHER_REGEX || op == KLX_MATCHER_NOT_REGEX;
}

/* First as it was written, so that a message shows that; then for the whole text. A list of one positive pattern begins with '~'. */
static int compile(struct klx_sv value, struct klx_match **ret, struct klx_error *e) {
    struct klx_match *written = NULL;
    char *text KLX_CLEANUP(klx_free_p) = klx_asprintf("~%.*s", KLX_SV_FMT(value));
    struct klx_sv pattern = klx_sv(text);
    int rc = klx_match_new(&pattern, 1, &written, e);
    klx_match_free(written);
    if (rc != 0) {
        return rc;
    }
    char *whole KLX_CLEANUP(klx_free_p) = klx_asprintf("~\\A(?:%.*s)\\z", KLX_SV_FMT(value));
    pattern = klx_sv(whole);
    return klx_match_new(&pattern, 1, ret, e);
}

static void free_matcher(struct klx_matcher *m) {
    free((char *)(uintptr_t)m->name.p);
    free((char *)(uintptr_t)m->value.p);
    klx_match_free(m->regex);
}

int klx_matchers_add(struct klx_matchers *m, struct klx_sv name, enum klx_matcher_op op,
                     struct klx_sv value, struct klx_error *e) {
    struct klx_matcher one = { .op = op };
    if (name.n == 0 || name.n > NAME_BYTES_MAX || value.n > VALUE_BYTES_MAX ||
        klx_sv_find(value, '\0') < value.n) {
        return klx_fail(e, -EINVAL, "a matcher has a name and a value of at most %d bytes",
                        VALUE_BYTES_MAX);
    }
    if (m->n >= KLX_MATCHERS_MAX) {
        return klx_fail(e, -E2BIG, "more than %d matchers", KLX_MATCHERS_MAX);
    }
    int rc = is_regex(op) ? compile(value, &one.regex, e) : 0;
    if (rc != 0) {
        return klx_fail_in(e, -EINVAL, "%.*s", KLX_SV_FMT(name));
    }
    if (klx_sv_eq(name, KLX_SV("type")) && !is_regex(op)) {
        value = klx_event_short_type(value);
    }
    one.name = klx_sv_n(klx_sv_dup(name), name.n);
    one.value = klx_sv_n(klx_sv_dup(value), value.n);
    m->items = klx_grow_array(m->items, m->n, m->n + 1, sizeof(*m->items));
    m->items[m->n++] = one;
    return 0;
}

void klx_matchers_release(struct klx_matchers *m) {
    for (size_t i = 0; i < m->n; i++) {
        free_matcher(&m->items[i]);
    }
    free(m->items);
    *m = (struct klx_matchers){ 0 };
}

/* A text that is being parsed. */
struct scan {
    struct klx_sv all;
    size_t at;
};

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_space(struct scan *s) {
    while (s->at < s->all.n && is_space(s->all.p[s->at])) {
        s->at++;
    }
}

static bool skip(struct scan *s, const char *word) {
    struct klx_sv rest = klx_sv_n(s->all.p + s->at, s->all.n - s->at);
    if (!klx_sv_starts(rest, klx_sv(word))) {
        return false;
    }
    s->at += strlen(word);
    return true;
}

static bool is_bare(char c) {
    return !is_space(c) && strchr("{}!=~,\\\"'`", c) == NULL;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* `n` digits of base 8 or 16, or -1. */
static int32_t digits(struct scan *s, size_t n, int base) {
    int64_t value = 0;
    for (size_t i = 0; i < n; i++, s->at++) {
        int digit = s->at < s->all.n ? hex_digit(s->all.p[s->at]) : -1;
        if (digit < 0 || digit >= base) {
            return -1;
        }
        value = value * base + digit;
    }
    return value <= 0x10ffff ? (int32_t)value : -1;
}

static void add_utf8(struct klx_buf *out, uint32_t c) {
    if (c < 0x80) {
        klx_buf_add_char(out, (char)c);
    } else if (c < 0x800) {
        klx_buf_add_char(out, (char)(0xc0 | c >> 6));
        klx_buf_add_char(out, (char)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        klx_buf_add_char(out, (char)(0xe0 | c >> 12));
        klx_buf_add_char(out, (char)(0x80 | (c >> 6 & 0x3f)));
        klx_buf_add_char(out, (char)(0x80 | (c & 0x3f)));
    } else {
        klx_buf_add_char(out, (char)(0xf0 | c >> 18));
        klx_buf_add_char(out, (char)(0x80 | (c >> 12 & 0x3f)));
        klx_buf_add_char(out, (char)(0x80 | (c >> 6 & 0x3f)));
        klx_buf_add_char(out, (char)(0x80 | (c & 0x3f)));
    }
}

/* What stands behind a backslash (the Go specification, "Rune literals"). */
static bool unescape(struct scan *s, struct klx_buf *out) {
    static const char letters[] = "abfnrtv\\\"'", meanings[] = "\a\b\f\n\r\t\v\\\"'";
    char c = s->at < s->all.n ? s->all.p[s->at] : '\0';
    const char *known = c != '\0' ? strchr(letters, c) : NULL;
    if (known != NULL) {
        klx_buf_add_char(out, meanings[known - letters]);
        s->at++;
        return true;
    }
    size_t n = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    s->at += n > 0;
    int32_t value = n > 0 ? digits(s, n, 16) : digits(s, 3, 8);
    bool is_byte = n == 2 || n == 0;
    if (value <= 0 || (is_byte && value > 0xff) || (value >= 0xd800 && value <= 0xdfff)) {
        return false;
    }
    if (is_byte) {
        klx_buf_add_char(out, (char)value);
    } else {
        add_utf8(out, (uint32_t)value);
    }
    return true;
}

/* In double quotes, or bare. */
static bool scan_word(struct scan *s, struct klx_buf *out) {
    skip_space(s);
    if (!skip(s, "\"")) {
        size_t from = s->at;
        while (s->at < s->all.n && is_bare(s->all.p[s->at])) {
            klx_buf_add_char(out, s->all.p[s->at++]);
        }
        return s->at > from;
    }
    while (s->at < s->all.n && s->all.p[s->at] != '"') {
        char c = s->all.p[s->at++];
        if (c == '\n' || (c == '\\' && !unescape(s, out))) {
            return false;
        }
        if (c != '\\') {
            klx_buf_add_char(out, c);
        }
    }
    return skip(s, "\"");
}

static bool scan_op(struct scan *s, enum klx_matcher_op *ret) {
    static const enum klx_matcher_op longest_first[] = { KLX_MATCHER_REGEX, KLX_MATCHER_NOT_EQUAL,
                                                         KLX_MATCHER_NOT_REGEX, KLX_MATCHER_EQUAL };
    skip_space(s);
    for (size_t i = 0; i < KLX_COUNT(longest_first); i++) {
        if (skip(s, op_texts[longest_first[i]])) {
            *ret = longest_first[i];
            return true;
        }
    }
    return false;
}

static int expected(const struct scan *s, const char *what, struct klx_error *e) {
    return klx_fail(e, -EINVAL,
                    "\"%.*s\": expected %s at character %zu; a matcher is NAME=VALUE, NAME!=VALUE, "
                    "NAME=~REGEX or NAME!~REGEX, with double quotes around a value that has blanks "
                    "or any of {}!=~,\\\"'`",
                    KLX_SV_FMT(klx_sv_utf8_prefix(s->all, 200)), what, s->at + 1);
}

static int scan_matcher(struct scan *s, struct klx_matchers *to, struct klx_error *e) {
    enum klx_matcher_op op = KLX_MATCHER_EQUAL;
    struct klx_buf name KLX_CLEANUP(klx_buf_release), value KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&name, NAME_BYTES_MAX);
    klx_buf_init(&value, VALUE_BYTES_MAX);
    if (!scan_word(s, &name)) {
        return expected(s, "a name", e);
    }
    if (!scan_op(s, &op)) {
        return expected(s, "one of = != =~ !~", e);
    }
    skip_space(s);
    bool quoted = s->at < s->all.n && s->all.p[s->at] == '"';
    /* A bare value may be empty, as in Alertmanager: NAME= asks for what has none. */
    if (!scan_word(s, &value) && (quoted || (s->at < s->all.n && is_bare(s->all.p[s->at])))) {
        return expected(s, "the end of the value in quotes", e);
    }
    if (klx_buf_check(&name) != 0 || klx_buf_check(&value) != 0) {
        return klx_fail(e, -EINVAL, "a matcher has a name and a value of at most %d bytes",
                        VALUE_BYTES_MAX);
    }
    return klx_matchers_add(to, klx_buf_sv(&name), op, klx_buf_sv(&value), e);
}

static int scan_all(struct scan *s, struct klx_matchers *to, struct klx_error *e) {
    skip_space(s);
    bool braces = skip(s, "{");
    skip_space(s);
    while (s->at < s->all.n && s->all.p[s->at] != '}') {
        int rc = scan_matcher(s, to, e);
        if (rc != 0) {
            return rc;
        }
        skip_space(s);
        if (!skip(s, ",")) {
            break;
        }
        skip_space(s);
    }
    if (braces && !skip(s, "}")) {
        return expected(s, "\",\" or \"}\"", e);
    }
    skip_space(s);
    if (s->at < s->all.n) {
        return expected(s, braces ? "the end" : "\",\" or the end", e);
    }
    return to->n > 0 ? 0 : expected(s, "a name", e);
}

int klx_matchers_parse(struct klx_matchers *m, struct klx_sv text, struct klx_error *e) {
    struct scan s = { text, 0 };
    struct klx_matchers found = { 0 };
    int rc = scan_all(&s, &found, e);
    if (rc == 0 && m->n + found.n > KLX_MATCHERS_MAX) {
        rc = klx_fail(e, -E2BIG, "more than %d matchers", KLX_MATCHERS_MAX);
    }
    if (rc != 0) {
        klx_matchers_release(&found);
        return rc;
    }
    m->items = klx_grow_array(m->items, m->n, m->n + found.n, sizeof(*m->items));
    memcpy(m->items + m->n, found.items, found.n * sizeof(*found.items));
    m->n += found.n;
    free(found.items);
    return 0;
}

static struct klx_sv label_of(const struct klx_matched *w, struct klx_sv name) {
    if (klx_sv_starts(name, KLX_SV(LABEL_PREFIX))) {
        name = klx_sv_n(name.p + strlen(LABEL_PREFIX), name.n - strlen(LABEL_PREFIX));
    }
    return klx_json_str(klx_json_member(klx_json_get(w->data, "labels"), name), "");
}

/* What stands under the name; empty when the event has none. */
static struct klx_sv value_of(const struct klx_matched *w, struct klx_sv name) {
    const struct {
        const char *name;
        struct klx_sv value;
    } known[] = {
        { "cluster", w->event->cluster },
        { "namespace", klx_json_str(w->data, "object.namespace") },
        { "name", klx_json_str(w->data, "object.name") },
        { "kind", klx_json_str(w->data, "object.kind") },
        { "type", klx_event_short_type(w->event->type) },
        { "reason", klx_json_str(w->data, "reason") },
        { "severity", klx_sv(klx_severity_name(w->severity)) },
        { "phase", klx_sv(klx_phase_name(w->event->phase)) },
        { "incident", w->event->incident },
        { "topic", w->topic },
        { "team", w->team },
        { "channel", w->channel },
    };
    for (size_t i = 0; i < KLX_COUNT(known); i++) {
        if (klx_sv_eq(name, klx_sv(known[i].name))) {
            return known[i].value;
        }
    }
    return label_of(w, name);
}

static bool holds(const struct klx_matcher *m, struct klx_sv value) {
    bool same = m->regex != NULL ? klx_match_test(m->regex, value) : klx_sv_eq(m->value, value);
    return m->op == KLX_MATCHER_EQUAL || m->op == KLX_MATCHER_REGEX ? same : !same;
}

bool klx_matchers_test(const struct klx_matchers *m, const struct klx_matched *what) {
    for (size_t i = 0; i < m->n; i++) {
        if (!holds(&m->items[i], value_of(what, m->items[i].name))) {
            return false;
        }
    }
    return m->n > 0;
}

bool klx_matchers_match_nothing(const struct klx_matchers *m) {
    for (size_t i = 0; i < m->n; i++) {
        if (!holds(&m->items[i], klx_sv(""))) {
            return false;
        }
    }
    return true;
}

static void write_quoted(struct klx_buf *out, struct klx_sv text) {
    klx_buf_add_char(out, '"');
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '"' || c == '\\') {
            klx_buf_add_char(out, '\\');
            klx_buf_add_char(out, c);
        } else if ((unsigned char)c < 0x20 || c == 0x7f) {
            klx_buf_printf(out, "\\x%02x", (unsigned)(unsigned char)c);
        } else {
            klx_buf_add_char(out, c);
        }
    }
    klx_buf_add_char(out, '"');
}

static bool is_all_bare(struct klx_sv name) {
    for (size_t i = 0; i < name.n; i++) {
        if (!is_bare(name.p[i]) || (unsigned char)name.p[i] < 0x20) {
            return false;
        }
    }
    return name.n > 0;
}

void klx_matchers_write(const struct klx_matchers *m, struct klx_buf *out) {
    klx_buf_add_char(out, '{');
    for (size_t i = 0; i < m->n; i++) {
        klx_buf_add_str(out, i > 0 ? ", " : "");
        if (is_all_bare(m->items[i].name)) {
            klx_buf_add_sv(out, m->items[i].name);
        } else {
            write_quoted(out, m->items[i].name);
        }
        klx_buf_add_str(out, op_texts[m->items[i].op]);
        write_quoted(out, m->items[i].value);
    }
    klx_buf_add_char(out, '}');
}
