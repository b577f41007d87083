/* What a template may ask its context for, without a context. */
#include "lib/base/template_parts.h"

/* Of partials that take in others, again and again: what stands behind so many is not asked about. */
#define USES_MAX 65536u

/* A partial, and those that it is taken in by. */
struct taken {
    const struct klx_template_body *body;
    const struct taken *by; /* NULL: this is the template itself */
};

struct walk {
    const struct klx_template *t;
    klx_template_use_fn fn;
    void *arg;
    struct klx_error *e;
    struct klx_sv within[KLX_TEMPLATE_CONTEXTS_MAX];
    size_t within_n;
    unsigned uses;
};

static int walk_range(struct walk *w, const struct taken *in, size_t from, size_t to);

static int ask(struct walk *w, const struct klx_template_body *b, struct klx_sv name) {
    const struct klx_template_use use = { name, w->within, w->within_n };
    struct klx_error why = { 0 };
    if (++w->uses > USES_MAX || w->fn(w->arg, &use, &why) == 0) {
        return 0;
    }
    int rc = klx_template_fail_at(klx_sv(b->source), (size_t)(name.p - b->source), w->e,
                                  "{{%.*s}}: %s", KLX_SV_FMT(name), why.text);
    return b == w->t->bodies ? rc : klx_fail_in(w->e, rc, "partial \"%s\"", b->name);
}

static bool is_in_itself(const struct taken *in, const struct klx_template_body *body) {
    while (in != NULL && in->body != body) {
        in = in->by;
    }
    return in != NULL;
}

static int walk_partial(struct walk *w, const struct taken *in, const struct klx_part *p) {
    if (p->end == KLX_NO_BODY || is_in_itself(in, &w->t->bodies[p->end])) {
        return 0;
    }
    const struct taken own = { &w->t->bodies[p->end], in };
    return walk_range(w, &own, 0, own.body->n);
}

/* Deeper than it can be rendered nothing is asked about. */
static int walk_section(struct walk *w, const struct taken *in, size_t i) {
    const struct klx_part *p = &in->body->parts[i];
    bool inverted = p->kind == KLX_PART_INVERTED;
    int rc = ask(w, in->body, p->text);
    if (rc != 0 || (!inverted && w->within_n == KLX_TEMPLATE_CONTEXTS_MAX)) {
        return rc;
    }
    w->within[w->within_n] = p->text;
    w->within_n += !inverted;
    rc = walk_range(w, in, i + 1, p->end);
    w->within_n -= !inverted;
    return rc;
}

static int walk_range(struct walk *w, const struct taken *in, size_t from, size_t to) {
    int rc = 0;
    for (size_t i = from; i < to && rc == 0 && w->uses <= USES_MAX; i++) {
        const struct klx_part *p = &in->body->parts[i];
        if (p->kind == KLX_PART_VARIABLE) {
            rc = ask(w, in->body, p->text);
        } else if (p->kind == KLX_PART_PARTIAL) {
            rc = walk_partial(w, in, p);
        } else if (p->kind == KLX_PART_SECTION || p->kind == KLX_PART_INVERTED) {
            rc = walk_section(w, in, i);
            i = p->end;
        }
    }
    return rc;
}

int klx_template_check(const struct klx_template *t, klx_template_use_fn fn, void *arg,
                       struct klx_error *e) {
    struct walk w = { .t = t, .fn = fn, .arg = arg, .e = e };
    const struct taken whole = { t->bodies, NULL };
    return walk_range(&w, &whole, 0, t->bodies[0].n);
}
