#include "lib/base/json_path.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"

struct step {
    enum { KEY, INDEX, ALL, WHERE } kind;
    struct klx_sv key;   /* KEY, WHERE: of the member */
    struct klx_sv value; /* WHERE */
    int64_t index;
};

struct klx_json_path {
    char *text; /* the steps borrow from it */
    struct step steps[KLX_JSON_PATH_STEPS_MAX];
    size_t n;
};

struct reader {
    const struct klx_json_path *path;
    struct klx_sv whole, rest;
    struct klx_error *e;
};

static int wrong(const struct reader *r, const char *what) {
    return klx_fail(r->e, -EINVAL, "%s at character %zu of \"%.*s\"", what,
                    (size_t)(r->rest.p - r->whole.p) + 1, KLX_SV_FMT(r->whole));
}

static void skip(struct reader *r, size_t n) {
    r->rest = klx_sv_n(r->rest.p + n, r->rest.n - n);
}

static bool is_at(const struct reader *r, char c) {
    return r->rest.n > 0 && r->rest.p[0] == c;
}

static bool ends_name(char c, const char *ends) {
    return strchr(ends, c) != NULL || c == ' ';
}

static struct klx_sv take_name(struct reader *r, const char *ends) {
    size_t n = 0;
    while (n < r->rest.n && !ends_name(r->rest.p[n], ends)) {
        n++;
    }
    struct klx_sv name = klx_sv_n(r->rest.p, n);
    skip(r, n);
    return name;
}

/* In quotes, up to the same quote. */
static int take_quoted(struct reader *r, struct klx_sv *ret) {
    char quote[] = { r->rest.p[0], '\0' };
    skip(r, 1);
    size_t n = klx_sv_find(r->rest, quote[0]);
    if (n == r->rest.n || n == 0) {
        return wrong(r, n == 0 ? "there is no key" : "the quote has no end");
    }
    *ret = klx_sv_n(r->rest.p, n);
    skip(r, n + 1);
    return 0;
}

static int take_word(struct reader *r, const char *ends, struct klx_sv *ret) {
    if (is_at(r, '"') || is_at(r, '\'')) {
        return take_quoted(r, ret);
    }
    *ret = take_name(r, ends);
    return ret->n > 0 ? 0 : wrong(r, "expected a name");
}

/* What stands between the brackets. */
static int read_selection(struct reader *r, struct step *s) {
    bool quoted = is_at(r, '"') || is_at(r, '\'');
    if (is_at(r, '*')) {
        s->kind = ALL;
        skip(r, 1);
        return 0;
    }
    bool where = is_at(r, '?');
    skip(r, where ? 1 : 0);
    int rc = take_word(r, "=[]\"'", &s->key);
    if (rc != 0) {
        return rc;
    }
    if (is_at(r, '=')) {
        skip(r, 1);
        s->kind = WHERE;
        return take_word(r, "[]\"'", &s->value);
    }
    if (where) {
        return wrong(r, "expected =");
    }
    if (!quoted && (klx_sv_int(s->key, &s->index) != 0 || s->index < 0)) {
        return wrong(r, "expected [0], [*], [\"key\"] or [name=value]");
    }
    s->kind = quoted ? KEY : INDEX;
    return 0;
}

static int read_step(struct reader *r, struct step *s) {
    if (!is_at(r, '[')) {
        s->kind = KEY;
        s->key = take_name(r, ".[]\"'{}*?()@$");
        return s->key.n > 0 ? 0 : wrong(r, "expected a name");
    }
    skip(r, 1);
    int rc = read_selection(r, s);
    if (rc == 0 && !is_at(r, ']')) {
        rc = wrong(r, "expected ]");
    }
    skip(r, rc == 0 ? 1 : 0);
    return rc;
}

static int read_all(struct reader *r, struct klx_json_path *p) {
    skip(r, is_at(r, '.') ? 1 : 0);
    do {
        if (p->n == KLX_JSON_PATH_STEPS_MAX) {
            return wrong(r, "too many steps");
        }
        int rc = read_step(r, &p->steps[p->n]);
        if (rc != 0) {
            return rc;
        }
        p->n++;
        if (is_at(r, '.')) {
            skip(r, 1);
        } else if (r->rest.n > 0 && !is_at(r, '[')) {
            return wrong(r, "expected . or [");
        } else if (r->rest.n == 0) {
            return 0;
        }
    } while (true);
}

int klx_json_path_parse(struct klx_sv text, struct klx_json_path **ret, struct klx_error *e) {
    if (text.n == 0 || text.n > KLX_JSON_PATH_BYTES_MAX) {
        return klx_fail(e, -EINVAL, "expected a path of 1 to %d bytes, for example spec.replicas",
                        KLX_JSON_PATH_BYTES_MAX);
    }
    for (size_t i = 0; i < text.n; i++) {
        if (iscntrl((unsigned char)text.p[i])) {
            return klx_fail(e, -EINVAL, "there is a control character in the path");
        }
    }
    struct klx_json_path *p = klx_alloc(struct klx_json_path);
    p->text = klx_sv_dup(text);
    struct reader r = { .path = p, .whole = klx_sv(p->text), .rest = klx_sv(p->text), .e = e };
    int rc = read_all(&r, p);
    if (rc != 0) {
        klx_json_path_free(p);
        return rc;
    }
    *ret = p;
    return 0;
}

void klx_json_path_free(struct klx_json_path *p) {
    if (p != NULL) {
        free(p->text);
        free(p);
    }
}

bool klx_json_path_is_many(const struct klx_json_path *p) {
    for (size_t i = 0; i < p->n; i++) {
        if (p->steps[i].kind == ALL) {
            return true;
        }
    }
    return false;
}

struct klx_sv klx_json_path_last_key(const struct klx_json_path *p) {
    for (size_t i = p->n; i > 0; i--) {
        if (p->steps[i - 1].kind == KEY) {
            return p->steps[i - 1].key;
        }
    }
    return klx_sv(NULL);
}

struct walk {
    const struct klx_json_path *path;
    klx_json_path_fn fn;
    void *arg;
};

static const struct klx_json *item_at(const struct klx_json *list, int64_t index) {
    const struct klx_json *n = klx_json_is_array(list) ? klx_json_first(list) : NULL;
    for (; n != NULL && index > 0; index--) {
        n = klx_json_next(n);
    }
    return n;
}

static const struct klx_json *item_where(const struct klx_json *list, const struct step *s) {
    const struct klx_json *n = klx_json_is_array(list) ? klx_json_first(list) : NULL;
    while (n != NULL && !klx_sv_eq(klx_json_str(klx_json_member(n, s->key), ""), s->value)) {
        n = klx_json_next(n);
    }
    return n;
}

/* Not deeper than the path has steps. */
static void follow(const struct walk *w, const struct klx_json *node, size_t i) {
    if (node == NULL) {
        return;
    }
    if (i == w->path->n) {
        w->fn(w->arg, node);
        return;
    }
    const struct step *s = &w->path->steps[i];
    switch (s->kind) {
    case KEY:
        follow(w, klx_json_member(node, s->key), i + 1);
        return;
    case INDEX:
        follow(w, item_at(node, s->index), i + 1);
        return;
    case WHERE:
        follow(w, item_where(node, s), i + 1);
        return;
    case ALL:
        for (const struct klx_json *n = klx_json_first(node); n != NULL; n = klx_json_next(n)) {
            follow(w, n, i + 1);
        }
        return;
    }
}

void klx_json_path_each(const struct klx_json_path *p, const struct klx_json *root,
                        klx_json_path_fn fn, void *arg) {
    const struct walk w = { .path = p, .fn = fn, .arg = arg };
    follow(&w, root, 0);
}
