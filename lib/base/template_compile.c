#include <stdarg.h>
#include <stdio.h>

#include "lib/base/mem.h"
#include "lib/base/template_parts.h"

#define DELIMITER_BYTES_MAX 8

struct compiler {
    struct klx_template_body *b;
    struct klx_sv source;
    struct klx_sv opens, closes;         /* the delimiters: "{{" and "}}" */
    size_t at;                           /* where text that is not yet added begins */
    size_t open[KLX_TEMPLATE_DEPTH_MAX]; /* indices of the sections that are open */
    size_t depth;
    struct klx_error *e;
};

/* A tag as it stands in the text. */
struct tag {
    size_t open; /* where it begins */
    size_t start,
        end;    /* what of the text goes with it: of one alone on its line, all of the line */
    char sigil; /* 0: a variable */
    struct klx_sv name;
    struct klx_sv indent; /* before it, when it is alone on its line */
};

int klx_template_fail_at(struct klx_sv source, size_t at, struct klx_error *e, const char *fmt,
                         ...) {
    struct klx_error why = { 0 };
    size_t line = 1, column = 1;
    va_list args;
    for (size_t i = 0; i < at; i++) {
        bool newline = source.p[i] == '\n';
        line += newline;
        column = newline ? 1 : column + 1;
    }
    va_start(args, fmt);
    vsnprintf(why.text, sizeof(why.text), fmt, args);
    va_end(args);
    return klx_fail(e, -EINVAL, "line %zu, column %zu: %s", line, column, why.text);
}

static int fail_here(struct compiler *c, size_t at, const char *what, struct klx_sv name) {
    return klx_template_fail_at(c->source, at, c->e, "%s%s%.*s", what, name.n > 0 ? ": " : "",
                                KLX_SV_FMT(name));
}

static bool begins_line(const struct compiler *c, size_t at) {
    return at == 0 || c->source.p[at - 1] == '\n';
}

static int add_part(struct compiler *c, const struct klx_part *part) {
    struct klx_template_body *b = c->b;
    if (b->n == KLX_TEMPLATE_PARTS_MAX) {
        return fail_here(c, c->at, "the template has too many parts", KLX_SV(""));
    }
    if ((b->n & (b->n + 1)) == 0) { /* 0, 1, 3, 7 …: room for twice as many */
        b->parts = klx_grow_array(b->parts, b->n, 2 * b->n + 1, sizeof(struct klx_part));
    }
    b->parts[b->n++] = *part;
    return 0;
}

/* A tag that begins a line, and does not take it, has an empty text before it: there an indent will stand, whatever the tag makes. */
static int add_text(struct compiler *c, size_t to, bool tag_stays) {
    const struct klx_part text = { .kind = KLX_PART_TEXT,
                                   .begins_line = begins_line(c, c->at),
                                   .text = klx_sv_n(c->source.p + c->at, to - c->at) };
    const struct klx_part line = { .kind = KLX_PART_TEXT, .begins_line = true };
    int rc = text.text.n > 0 ? add_part(c, &text) : 0;
    return rc == 0 && tag_stays && begins_line(c, to) ? add_part(c, &line) : rc;
}

static int close_section(struct compiler *c, const struct tag *t) {
    if (c->depth == 0) {
        return fail_here(c, t->open, "this section was never opened", t->name);
    }
    struct klx_part *opened = &c->b->parts[c->open[--c->depth]];
    if (!klx_sv_eq(opened->text, t->name)) {
        return fail_here(c, t->open, "another section is open here", opened->text);
    }
    opened->end = c->b->n;
    return add_part(c, &(struct klx_part){ .kind = KLX_PART_END, .text = t->name });
}

static int open_section(struct compiler *c, const struct tag *t, enum klx_part_kind kind) {
    if (c->depth == KLX_TEMPLATE_DEPTH_MAX) {
        return fail_here(c, t->open, "sections are nested too deep", t->name);
    }
    c->open[c->depth++] = c->b->n;
    return add_part(c, &(struct klx_part){ .kind = kind, .text = t->name });
}

/* A tag alone on its line takes the line with it (the specification's "standalone"): widens [start, end) to the whole line. */
static bool take_line(const struct compiler *c, struct tag *t) {
    size_t s = t->start, e = t->end;
    while (s > 0 && (c->source.p[s - 1] == ' ' || c->source.p[s - 1] == '\t')) {
        s--;
    }
    while (e < c->source.n && (c->source.p[e] == ' ' || c->source.p[e] == '\t')) {
        e++;
    }
    if (e < c->source.n && c->source.p[e] == '\r') {
        e++;
    }
    if (!begins_line(c, s) || s < c->at || (e < c->source.n && c->source.p[e] != '\n')) {
        return false;
    }
    t->indent = klx_sv_n(c->source.p + s, t->start - s);
    t->start = s;
    t->end = e < c->source.n ? e + 1 : e;
    return true;
}

static bool is_delimiter(struct klx_sv s) {
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '=' || (unsigned char)s.p[i] <= ' ') {
            return false;
        }
    }
    return s.n > 0 && s.n <= DELIMITER_BYTES_MAX;
}

/* {{=<% %>=}}: from here to the end of this text. */
static int change_delimiters(struct compiler *c, const struct tag *t) {
    struct klx_sv inside = t->name;
    if (!klx_sv_ends(inside, KLX_SV("="))) {
        return fail_here(c, t->open, "a change of delimiters ends in =, as in {{=<% %>=}}",
                         KLX_SV(""));
    }
    inside = klx_sv_trim(klx_sv_n(inside.p, inside.n - 1));
    size_t n = 0;
    while (n < inside.n && (unsigned char)inside.p[n] > ' ') {
        n++;
    }
    struct klx_sv opens = klx_sv_n(inside.p, n);
    struct klx_sv closes = klx_sv_trim(klx_sv_n(inside.p + n, inside.n - n));
    if (!is_delimiter(opens) || !is_delimiter(closes)) {
        return fail_here(c, t->open,
                         "delimiters are two words of at most 8 bytes without =, as in {{=<% %>=}}",
                         KLX_SV(""));
    }
    c->opens = opens;
    c->closes = closes;
    return 0;
}

static int add_partial(struct compiler *c, const struct tag *t) {
    if (t->name.p[0] == '*') {
        return fail_here(c, t->open, "the name of a partial cannot be a variable", t->name);
    }
    return add_part(c, &(struct klx_part){ .kind = KLX_PART_PARTIAL,
                                           .text = t->name,
                                           .indent = t->indent,
                                           .end = KLX_NO_BODY });
}

static int add_tag(struct compiler *c, const struct tag *t) {
    switch (t->sigil) {
    case '#':
        return open_section(c, t, KLX_PART_SECTION);
    case '^':
        return open_section(c, t, KLX_PART_INVERTED);
    case '/':
        return close_section(c, t);
    case '!':
        return 0;
    case '{':
    case '&':
        return fail_here(
            c, t->open,
            "unescaped output is not available: text from a cluster could inject markup", t->name);
    case '<':
    case '$':
        return fail_here(c, t->open, "inheritance is not available, partials are: {{>name}}",
                         t->name);
    case '>':
        return add_partial(c, t);
    case '=':
        return change_delimiters(c, t);
    default:
        return add_part(c, &(struct klx_part){ .kind = KLX_PART_VARIABLE, .text = t->name });
    }
}

static int read_tag(struct compiler *c, size_t open, struct tag *ret) {
    size_t from = open + c->opens.n;
    struct klx_sv body = klx_sv_n(c->source.p + from, c->source.n - from);
    size_t length = klx_sv_find_sv(body, c->closes);
    if (length == body.n) {
        return fail_here(c, open, "this tag is never closed with", c->closes);
    }
    struct klx_sv name = klx_sv_trim(klx_sv_n(body.p, length));
    char sigil = 0;
    if (name.n > 0 && memchr("#^/!{&><$=", name.p[0], 10) != NULL) {
        sigil = name.p[0];
        name = klx_sv_trim(klx_sv_n(name.p + 1, name.n - 1));
    }
    if (name.n == 0 && sigil != '!') {
        return fail_here(c, open, "a tag without a name", KLX_SV(""));
    }
    *ret = (struct tag){ .open = open,
                         .start = open,
                         .end = from + length + c->closes.n,
                         .sigil = sigil,
                         .name = name };
    return 0;
}

/* The tag that begins at `open`; c->at moves behind it. */
static int compile_tag(struct compiler *c, size_t open) {
    struct tag t = { 0 };
    int rc = read_tag(c, open, &t);
    if (rc == 0) {
        bool alone = t.sigil != 0 && take_line(c, &t);
        rc = add_text(c, t.start, !alone);
    }
    if (rc == 0) {
        c->at = t.end;
        rc = add_tag(c, &t);
    }
    return rc;
}

int klx_template_compile(struct klx_template_body *b, struct klx_sv source, struct klx_error *e) {
    struct compiler c = {
        .b = b, .source = source, .opens = KLX_SV("{{"), .closes = KLX_SV("}}"), .e = e
    };
    while (c.at < source.n) {
        struct klx_sv rest = klx_sv_n(source.p + c.at, source.n - c.at);
        size_t open = klx_sv_find_sv(rest, c.opens);
        int rc = open < rest.n ? compile_tag(&c, c.at + open) : add_text(&c, source.n, false);
        if (rc != 0) {
            return rc;
        }
        if (open == rest.n) {
            break;
        }
    }
    return c.depth == 0 ? 0
                        : fail_here(&c, source.n, "this section is never closed",
                                    b->parts[c.open[c.depth - 1]].text);
}
