#include "lib/base/template.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/arena.h"
#include "lib/base/mem.h"

#define DEPTH_MAX 32u
#define PARTS_MAX 4096u
#define RENDER_STEPS_MAX 100000u

enum part_kind { PART_TEXT, PART_VARIABLE, PART_SECTION, PART_INVERTED, PART_END };

struct part {
    enum part_kind kind;
    struct klx_sv text; /* of PART_TEXT; else the dotted name. Looks into klx_template.source */
    size_t end;         /* of a section: the index of its PART_END */
};

struct klx_template {
    char *source;
    struct part *parts;
    size_t n;
};

void klx_template_free(struct klx_template *t) {
    if (t != NULL) {
        free(t->source);
        free(t->parts);
        free(t);
    }
}

void klx_escape_none(struct klx_buf *out, struct klx_sv text) {
    klx_utf8_sanitize(out, text);
}

void klx_escape_html(struct klx_buf *out, struct klx_sv text) {
    size_t done = 0;
    for (size_t i = 0; i < text.n; i++) {
        const char *entity = text.p[i] == '&'    ? "&amp;"
                             : text.p[i] == '<'  ? "&lt;"
                             : text.p[i] == '>'  ? "&gt;"
                             : text.p[i] == '"'  ? "&quot;"
                             : text.p[i] == '\'' ? "&#39;"
                                                 : NULL;
        if (entity != NULL) {
            klx_utf8_sanitize(out, klx_sv_n(text.p + done, i - done));
            klx_buf_add_str(out, entity);
            done = i + 1;
        }
    }
    if (done < text.n) {
        klx_utf8_sanitize(out, klx_sv_n(text.p + done, text.n - done));
    }
}

struct compiler {
    struct klx_template *t;
    struct klx_sv source;
    size_t at;
    size_t open[DEPTH_MAX]; /* indices of the sections that are open */
    size_t depth;
    struct klx_error *e;
};

static int fail_here(struct compiler *c, size_t at, const char *what, struct klx_sv name) {
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at; i++) {
        bool newline = c->source.p[i] == '\n';
        line += newline;
        column = newline ? 1 : column + 1;
    }
    return klx_fail(c->e, -EINVAL, "line %zu, column %zu: %s%s%.*s", line, column, what,
                    name.n > 0 ? ": " : "", KLX_SV_FMT(name));
}

static int add_part(struct compiler *c, enum part_kind kind, struct klx_sv text) {
    if (kind == PART_TEXT && text.n == 0) {
        return 0;
    }
    if (c->t->n == PARTS_MAX) {
        return fail_here(c, c->at, "the template has too many parts", KLX_SV(""));
    }
    if ((c->t->n & (c->t->n + 1)) == 0) { /* 0, 1, 3, 7 …: room for twice as many */
        c->t->parts = klx_grow_array(c->t->parts, c->t->n, 2 * c->t->n + 1, sizeof(struct part));
    }
    c->t->parts[c->t->n++] = (struct part){ .kind = kind, .text = text };
    return 0;
}

static int close_section(struct compiler *c, size_t at, struct klx_sv name) {
    if (c->depth == 0) {
        return fail_here(c, at, "this section was never opened", name);
    }
    size_t opened = c->open[--c->depth];
    if (!klx_sv_eq(c->t->parts[opened].text, name)) {
        return fail_here(c, at, "another section is open here", c->t->parts[opened].text);
    }
    c->t->parts[opened].end = c->t->n;
    return add_part(c, PART_END, name);
}

static int open_section(struct compiler *c, size_t at, enum part_kind kind, struct klx_sv name) {
    if (c->depth == DEPTH_MAX) {
        return fail_here(c, at, "sections are nested too deep", name);
    }
    c->open[c->depth++] = c->t->n;
    return add_part(c, kind, name);
}

/* A tag alone on its line takes the line with it (the specification's "standalone"): widens [start, end) to the whole line. */
static bool is_standalone(const struct compiler *c, size_t *start, size_t *end) {
    size_t s = *start, e = *end;
    while (s > 0 && (c->source.p[s - 1] == ' ' || c->source.p[s - 1] == '\t')) {
        s--;
    }
    while (e < c->source.n && (c->source.p[e] == ' ' || c->source.p[e] == '\t')) {
        e++;
    }
    bool starts_line = s == 0 || c->source.p[s - 1] == '\n';
    if (e < c->source.n && c->source.p[e] == '\r') {
        e++;
    }
    if (!starts_line || (e < c->source.n && c->source.p[e] != '\n')) {
        return false;
    }
    *start = s;
    *end = e < c->source.n ? e + 1 : e;
    return true;
}

static int add_tag(struct compiler *c, size_t at, char sigil, struct klx_sv name) {
    switch (sigil) {
    case '#':
        return open_section(c, at, PART_SECTION, name);
    case '^':
        return open_section(c, at, PART_INVERTED, name);
    case '/':
        return close_section(c, at, name);
    case '!':
        return 0;
    case '{':
    case '&':
        return fail_here(
            c, at, "unescaped output is not available: text from a cluster could inject markup",
            name);
    case '>':
        return fail_here(c, at, "partials are not supported", name);
    case '=':
        return fail_here(c, at, "delimiters cannot be changed", name);
    default:
        return add_part(c, PART_VARIABLE, name);
    }
}

/* One tag that begins at `open`; c->at is where text not yet added begins, and moves behind the tag. */
static int compile_tag(struct compiler *c, size_t open) {
    struct klx_sv body = klx_sv_n(c->source.p + open + 2, c->source.n - open - 2);
    size_t length = klx_sv_find_sv(body, KLX_SV("}}"));
    if (length == body.n) {
        return fail_here(c, open, "this tag is never closed with }}", KLX_SV(""));
    }
    struct klx_sv name = klx_sv_trim(klx_sv_n(body.p, length));
    char sigil = name.n > 0 && strchr("#^/!{&>=", name.p[0]) != NULL ? name.p[0] : 0;
    if (sigil != 0) {
        name = klx_sv_trim(klx_sv_n(name.p + 1, name.n - 1));
    }
    if (name.n == 0 && sigil != '!') {
        return fail_here(c, open, "a tag without a name", KLX_SV(""));
    }
    size_t start = open, end = open + 2 + length + 2;
    if (sigil != 0) {
        is_standalone(c, &start, &end);
    }
    start = start < c->at ? c->at : start; /* the line's indent may belong to a tag before */
    int rc = add_part(c, PART_TEXT, klx_sv_n(c->source.p + c->at, start - c->at));
    c->at = end;
    return rc != 0 ? rc : add_tag(c, open, sigil, name);
}

static int compile(struct compiler *c) {
    while (c->at < c->source.n) {
        struct klx_sv rest = klx_sv_n(c->source.p + c->at, c->source.n - c->at);
        size_t open = klx_sv_find_sv(rest, KLX_SV("{{"));
        if (open == rest.n) {
            int rc = add_part(c, PART_TEXT, rest);
            c->at = c->source.n;
            if (rc != 0) {
                return rc;
            }
            break;
        }
        int rc = compile_tag(c, c->at + open);
        if (rc != 0) {
            return rc;
        }
    }
    if (c->depth > 0) {
        return fail_here(c, c->source.n, "this section is never closed",
                         c->t->parts[c->open[c->depth - 1]].text);
    }
    return 0;
}

int klx_template_new(struct klx_sv text, struct klx_template **ret, struct klx_error *e) {
    struct klx_template *t = klx_alloc(struct klx_template);
    t->source = klx_sv_dup(text);
    struct compiler c = { .t = t, .source = klx_sv_n(t->source, text.n), .e = e };
    int rc = compile(&c);
    if (rc != 0) {
        klx_template_free(t);
        return rc;
    }
    *ret = t;
    return 0;
}

struct renderer {
    const struct klx_template *t;
    const struct klx_json *stack[DEPTH_MAX + 1];
    size_t depth;
    klx_escape_fn escape;
    struct klx_buf *out;
    unsigned steps;
};

/* The first part of a dotted name is looked for from the innermost context out; the rest only inside what was found. */
static const struct klx_json *lookup(const struct renderer *r, struct klx_sv name) {
    if (klx_sv_eq(name, KLX_SV("."))) {
        return r->stack[r->depth - 1];
    }
    struct klx_sv head = klx_sv_cut(&name, '.');
    const struct klx_json *found = NULL;
    for (size_t i = r->depth; i > 0 && found == NULL; i--) {
        found = klx_json_member(r->stack[i - 1], head);
    }
    while (found != NULL && name.n > 0) {
        found = klx_json_member(found, klx_sv_cut(&name, '.'));
    }
    return found;
}

static bool is_truthy(const struct klx_json *v) {
    if (v == NULL || klx_json_is_null(v) || (klx_json_is_array(v) && klx_json_first(v) == NULL)) {
        return false;
    }
    return klx_json_bool(v, "", true) && !(klx_json_is_string(v) && klx_json_str(v, "").n == 0);
}

static void render_value(struct renderer *r, const struct klx_json *v) {
    if (v == NULL || klx_json_is_null(v)) {
        return;
    }
    if (klx_json_is_string(v)) {
        r->escape(r->out, klx_json_str(v, ""));
        return;
    }
    struct klx_buf text;
    klx_buf_init(&text, 65536);
    struct klx_jw w;
    klx_jw_init(&w, &text);
    klx_jw_node(&w, v);
    r->escape(r->out, klx_buf_sv(&text));
    klx_buf_release(&text);
}

static void render_range(struct renderer *r, size_t from, size_t to);

static void render_inside(struct renderer *r, const struct klx_json *context, size_t from,
                          size_t to) {
    if (r->depth <= DEPTH_MAX) {
        r->stack[r->depth++] = context;
        render_range(r, from, to);
        r->depth--;
    }
}

static void render_section(struct renderer *r, const struct part *p, size_t from) {
    const struct klx_json *v = lookup(r, p->text);
    if (p->kind == PART_INVERTED) {
        if (!is_truthy(v)) {
            render_range(r, from, p->end);
        }
    } else if (klx_json_is_array(v)) {
        for (const struct klx_json *item = klx_json_first(v); item != NULL;
             item = klx_json_next(item)) {
            render_inside(r, item, from, p->end);
        }
    } else if (is_truthy(v)) {
        render_inside(r, v, from, p->end);
    }
}

static void render_range(struct renderer *r, size_t from, size_t to) {
    for (size_t i = from; i < to && !r->out->failed; i++) {
        const struct part *p = &r->t->parts[i];
        if (r->steps++ > RENDER_STEPS_MAX) {
            r->out->failed =
                true; /* sections in sections over long lists: stop before it costs a minute */
        } else if (p->kind == PART_TEXT) {
            klx_buf_add_sv(r->out, p->text);
        } else if (p->kind == PART_VARIABLE) {
            render_value(r, lookup(r, p->text));
        } else if (p->kind != PART_END) {
            render_section(r, p, i + 1);
            i = p->end;
        }
    }
}

int klx_template_render(const struct klx_template *t, const struct klx_json *context,
                        klx_escape_fn escape, struct klx_buf *out) {
    struct renderer r = { .t = t, .stack = { context }, .depth = 1, .escape = escape, .out = out };
    render_range(&r, 0, t->n);
    return klx_buf_check(out);
}
