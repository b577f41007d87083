#include "lib/base/template.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/base/template_parts.h"

#define VALUE_BYTES_MAX 65536 /* of an object or list that is written as JSON */
#define CUT_CHARACTERS_MAX 100000

/* Compiling. */

static int add_body(struct klx_template *t, struct klx_sv name, struct klx_sv text,
                    struct klx_error *e) {
    struct klx_template_body *b = &t->bodies[t->n++];
    b->source = klx_sv_dup(text);
    b->name = klx_sv_dup(name);
    int rc = klx_template_compile(b, klx_sv_n(b->source, text.n), e);
    return rc == 0 || name.n == 0 ? rc : klx_fail_in(e, rc, "partial \"%.*s\"", KLX_SV_FMT(name));
}

static size_t body_of(const struct klx_template *t, struct klx_sv name) {
    for (size_t i = 1; i < t->n; i++) {
        if (klx_sv_eq(klx_sv(t->bodies[i].name), name)) {
            return i;
        }
    }
    return KLX_NO_BODY;
}

static void find_bodies(struct klx_template *t) {
    for (size_t i = 0; i < t->n; i++) {
        for (size_t j = 0; j < t->bodies[i].n; j++) {
            struct klx_part *p = &t->bodies[i].parts[j];
            if (p->kind == KLX_PART_PARTIAL) {
                p->end = body_of(t, p->text);
            }
        }
    }
}

static int check_size(struct klx_sv text, const struct klx_template_partial *partials, size_t n,
                      struct klx_error *e) {
    size_t bytes = text.n;
    for (size_t i = 0; i < n; i++) {
        bytes += partials[i].text.n;
    }
    return bytes <= KLX_TEMPLATE_BYTES_MAX
               ? 0
               : klx_fail(e, -EINVAL, "the template has %zu bytes, more than the %d that it may",
                          bytes, KLX_TEMPLATE_BYTES_MAX);
}

int klx_template_new_with(struct klx_sv text, const struct klx_template_partial *partials, size_t n,
                          struct klx_template **ret, struct klx_error *e) {
    int rc = check_size(text, partials, n, e);
    if (rc != 0) {
        return rc;
    }
    struct klx_template *t = klx_alloc(struct klx_template);
    t->bodies = klx_alloc_n(struct klx_template_body, n + 1);
    rc = add_body(t, klx_sv(NULL), text, e);
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = add_body(t, partials[i].name, partials[i].text, e);
    }
    if (rc != 0) {
        klx_template_free(t);
        return rc;
    }
    find_bodies(t);
    *ret = t;
    return 0;
}

int klx_template_new(struct klx_sv text, struct klx_template **ret, struct klx_error *e) {
    return klx_template_new_with(text, NULL, 0, ret, e);
}

void klx_template_free(struct klx_template *t) {
    if (t == NULL) {
        return;
    }
    for (size_t i = 0; i < t->n; i++) {
        free(t->bodies[i].source);
        free(t->bodies[i].name);
        free(t->bodies[i].parts);
    }
    free(t->bodies);
    free(t);
}

struct klx_sv klx_template_missing(const struct klx_template *t) {
    for (size_t i = 0; i < t->n; i++) {
        for (size_t j = 0; j < t->bodies[i].n; j++) {
            const struct klx_part *p = &t->bodies[i].parts[j];
            if (p->kind == KLX_PART_PARTIAL && p->end == KLX_NO_BODY) {
                return p->text;
            }
        }
    }
    return klx_sv(NULL);
}

/* Rendering. */

/* What a line of a partial begins with: its own indent, behind those of the partials around it. */
struct indent {
    const struct indent *outer;
    struct klx_sv text;
};

struct renderer {
    const struct klx_template *t;
    const struct klx_template_body *body;
    const struct indent *indent; /* NULL: none */
    const struct klx_json *stack[KLX_TEMPLATE_CONTEXTS_MAX];
    size_t contexts;
    size_t depth; /* contexts and partials */
    klx_escape_fn escape;
    struct klx_buf *out;
    unsigned work, work_max;
    int rc;
};

static const struct klx_json *member(struct renderer *r, const struct klx_json *object,
                                     struct klx_sv key) {
    if (!klx_json_is_object(object)) {
        return NULL;
    }
    for (const struct klx_json *m = klx_json_first(object); m != NULL; m = klx_json_next(m)) {
        r->work++;
        if (klx_sv_eq(klx_json_key(m), key)) {
            return m;
        }
    }
    return NULL;
}

/* A value of the context. */
struct found {
    const struct klx_json *node; /* NULL: nothing */
    int64_t characters_max;      /* of a text; -1: all of it */
};

/* {{text.80}} */
static bool is_cut(const struct klx_json *node, struct klx_sv last, int64_t *ret) {
    return klx_json_is_string(node) && klx_sv_int(last, ret) == 0 && *ret > 0 &&
           *ret <= CUT_CHARACTERS_MAX;
}

/* The first part of a dotted name is looked for from the innermost context out; the rest only inside what was found. */
static struct found lookup(struct renderer *r, struct klx_sv name) {
    struct found f = { .characters_max = -1 };
    if (klx_sv_eq(name, KLX_SV("."))) {
        f.node = r->stack[r->contexts - 1];
        return f;
    }
    if (name.n > 1 && name.p[0] == '.') { /* {{.80}} of a list of texts */
        f.node = r->stack[r->contexts - 1];
        name = klx_sv_n(name.p + 1, name.n - 1);
    } else {
        struct klx_sv head = klx_sv_cut(&name, '.');
        for (size_t i = r->contexts; i > 0 && f.node == NULL; i--) {
            f.node = member(r, r->stack[i - 1], head);
        }
    }
    while (f.node != NULL && name.n > 0) {
        struct klx_sv part = klx_sv_cut(&name, '.');
        if (name.n == 0 && is_cut(f.node, part, &f.characters_max)) {
            break;
        }
        f.node = member(r, f.node, part);
    }
    return f;
}

static bool is_truthy(const struct klx_json *v) {
    if (v == NULL || klx_json_is_null(v) || (klx_json_is_array(v) && klx_json_first(v) == NULL)) {
        return false;
    }
    return klx_json_bool(v, "", true) && !(klx_json_is_string(v) && klx_json_str(v, "").n == 0);
}

static size_t behind_character(struct klx_sv text, size_t at) {
    do {
        at++;
    } while (at < text.n && ((unsigned char)text.p[at] & 0xc0) == 0x80);
    return at;
}

/* The text's first characters, the last of which is "…" when it has more. */
static void render_cut(struct renderer *r, struct klx_sv text, int64_t characters_max) {
    size_t kept = 0, at = 0;
    int64_t n = 0;
    for (; at < text.n && n < characters_max; n++) {
        kept = at;
        at = behind_character(text, at);
    }
    if (at >= text.n) {
        r->escape(r->out, text);
    } else {
        r->escape(r->out, klx_sv_n(text.p, kept));
        r->escape(r->out, KLX_SV("…"));
    }
}

/* As it was written, up to 15 digits: 1.1, not 1.1000000000000001. */
static void render_number(struct renderer *r, double v) {
    char text[32];
    snprintf(text, sizeof(text), "%.15g", v);
    r->escape(r->out, klx_sv(text));
}

static bool is_fraction(const struct klx_json *v) {
    double value = klx_json_double(v, "", NAN);
    return isfinite(value) && value != trunc(value);
}

static void render_value(struct renderer *r, const struct found *f) {
    if (f->node == NULL || klx_json_is_null(f->node)) {
        return;
    }
    if (klx_json_is_string(f->node)) {
        struct klx_sv text = klx_json_str(f->node, "");
        if (f->characters_max >= 0) {
            render_cut(r, text, f->characters_max);
        } else {
            r->escape(r->out, text);
        }
        return;
    }
    if (is_fraction(f->node)) {
        render_number(r, klx_json_double(f->node, "", 0));
        return;
    }
    struct klx_buf text;
    klx_buf_init(&text, VALUE_BYTES_MAX);
    struct klx_jw w;
    klx_jw_init(&w, &text);
    klx_jw_node(&w, f->node);
    r->work += (unsigned)(text.len / 16);
    if (klx_buf_check(&text) != 0) {
        r->rc = -EMSGSIZE;
    } else {
        r->escape(r->out, klx_buf_sv(&text));
    }
    klx_buf_release(&text);
}

static void render_indent(struct renderer *r, const struct indent *i) {
    if (i != NULL) {
        render_indent(r, i->outer);
        klx_buf_add_sv(r->out, i->text);
    }
}

static void render_text(struct renderer *r, const struct klx_part *p) {
    if (r->indent == NULL) {
        klx_buf_add_sv(r->out, p->text);
        return;
    }
    struct klx_sv rest = p->text;
    bool begins_line = p->begins_line;
    do {
        size_t newline = klx_sv_find(rest, '\n');
        size_t n = newline < rest.n ? newline + 1 : rest.n;
        if (begins_line) {
            render_indent(r, r->indent);
        }
        klx_buf_add_sv(r->out, klx_sv_n(rest.p, n));
        rest = klx_sv_n(rest.p + n, rest.n - n);
        begins_line = true;
        r->work++;
    } while (rest.n > 0);
}

static void render_range(struct renderer *r, size_t from, size_t to);

static void spend(struct renderer *r) {
    if (++r->work > r->work_max) {
        r->rc = -ETIME;
    }
}

/* False: it would be too deep. */
static bool enter(struct renderer *r) {
    if (r->depth == KLX_TEMPLATE_CONTEXTS_MAX - 1) {
        r->rc = -ELOOP;
        return false;
    }
    r->depth++;
    return true;
}

static void render_inside(struct renderer *r, const struct klx_json *context, size_t from,
                          size_t to) {
    spend(r);
    if (enter(r)) {
        r->stack[r->contexts++] = context;
        render_range(r, from, to);
        r->contexts--;
        r->depth--;
    }
}

static void render_partial(struct renderer *r, const struct klx_part *p) {
    if (p->end == KLX_NO_BODY || !enter(r)) {
        return;
    }
    const struct klx_template_body *body = r->body;
    const struct indent *outer = r->indent;
    const struct indent own = { outer, p->indent };
    r->body = &r->t->bodies[p->end];
    r->indent = p->indent.n > 0 ? &own : outer;
    render_range(r, 0, r->body->n);
    r->body = body;
    r->indent = outer;
    r->depth--;
}

static void render_section(struct renderer *r, const struct klx_part *p, size_t from) {
    const struct klx_json *v = lookup(r, p->text).node;
    if (p->kind == KLX_PART_INVERTED) {
        if (!is_truthy(v)) {
            render_range(r, from, p->end);
        }
    } else if (klx_json_is_array(v)) {
        for (const struct klx_json *item = klx_json_first(v); item != NULL && r->rc == 0;
             item = klx_json_next(item)) {
            render_inside(r, item, from, p->end);
        }
    } else if (is_truthy(v)) {
        render_inside(r, v, from, p->end);
    }
}

/* The index of the part behind this one. */
static size_t render_part(struct renderer *r, size_t i) {
    const struct klx_part *p = &r->body->parts[i];
    switch (p->kind) {
    case KLX_PART_TEXT:
        render_text(r, p);
        break;
    case KLX_PART_VARIABLE: {
        const struct found f = lookup(r, p->text);
        render_value(r, &f);
        break;
    }
    case KLX_PART_SECTION:
    case KLX_PART_INVERTED:
        render_section(r, p, i + 1);
        return p->end;
    case KLX_PART_PARTIAL:
        render_partial(r, p);
        break;
    case KLX_PART_END:
        break;
    }
    return i + 1;
}

static void render_range(struct renderer *r, size_t from, size_t to) {
    for (size_t i = from; i < to && r->rc == 0;) {
        i = render_part(r, i);
        spend(r);
        if (r->out->failed) {
            r->rc = -EMSGSIZE;
        }
    }
}

int klx_template_render(const struct klx_template *t, const struct klx_json *context,
                        unsigned work_max, klx_escape_fn escape, struct klx_buf *out) {
    struct renderer r = { .t = t,
                          .body = &t->bodies[0],
                          .stack = { context },
                          .contexts = 1,
                          .work_max = work_max,
                          .escape = escape,
                          .out = out };
    render_range(&r, 0, t->bodies[0].n);
    return r.rc != 0 ? r.rc : klx_buf_check(out);
}
