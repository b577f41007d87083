#include "collector/kube/list_place.h"

#include <errno.h>
#include <stdio.h>

#include "lib/base/arena.h"
#include "lib/base/cleanup.h"

#define TEXT_BYTES_MAX 8192

void klx_list_key(const struct klx_json *object, char ret[KLX_LIST_KEY_BYTES]) {
    struct klx_sv namespace = klx_json_str(object, "metadata.namespace");
    int n = snprintf(ret, KLX_LIST_KEY_BYTES, "%.*s%s%.*s", KLX_SV_FMT(namespace),
                     namespace.n > 0 ? "/" : "", KLX_SV_FMT(klx_json_str(object, "metadata.name")));
    if (n < 0 || n >= KLX_LIST_KEY_BYTES) {
        ret[0] = '\0';
    }
}

void klx_list_place_begin(struct klx_list_place *p, struct klx_sv rv) {
    if (klx_rv_cmp(klx_rv_sv(&p->filter), rv) > 0) {
        p->filter.text[0] = '\0';
    }
    if (p->steps_n > 0 && klx_rv_cmp(klx_rv_sv(&p->steps[0].rv), rv) > 0) {
        p->steps_n = 0;
    }
}

static bool is_old(const struct klx_list_place *p, struct klx_sv rv) {
    return p->filter.text[0] != '\0' && klx_rv_cmp(rv, klx_rv_sv(&p->filter)) <= 0;
}

enum klx_origin klx_list_place_origin(const struct klx_list_place *p, struct klx_sv rv) {
    return p->widened && is_old(p, rv) ? KLX_ORIGIN_BASELINE : p->origin;
}

bool klx_list_place_is_news(const struct klx_list_place *p, const char *key, struct klx_sv rv) {
    if (!p->widened && is_old(p, rv)) {
        return false;
    }
    for (size_t i = 0; i < p->steps_n; i++) {
        if (strcmp(key, p->steps[i].key) <= 0) {
            return klx_rv_cmp(rv, klx_rv_sv(&p->steps[i].rv)) > 0;
        }
    }
    return true;
}

void klx_list_place_advance(struct klx_list_place *p, const char *key, struct klx_sv rv) {
    size_t passed = 0;
    while (passed < p->steps_n && strcmp(p->steps[passed].key, key) <= 0) {
        passed++;
    }
    size_t kept = p->steps_n - passed;
    kept = kept < KLX_LIST_STEPS_MAX ? kept : KLX_LIST_STEPS_MAX - 1;
    memmove(&p->steps[1], &p->steps[passed], kept * sizeof(p->steps[0]));
    snprintf(p->steps[0].key, sizeof(p->steps[0].key), "%s", key);
    klx_rv_set(&p->steps[0].rv, rv);
    p->steps_n = kept + 1;
}

void klx_list_place_write(const struct klx_list_place *p, struct klx_buf *out) {
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "origin", p->origin == KLX_ORIGIN_BASELINE ? "baseline" : "resync");
    klx_jw_member_str(&w, "filter", p->filter.text);
    if (p->widened) {
        klx_jw_member_bool(&w, "widened", true);
    }
    klx_jw_key(&w, "steps");
    klx_jw_begin_array(&w);
    for (size_t i = 0; i < p->steps_n; i++) {
        klx_jw_begin_object(&w);
        klx_jw_member_str(&w, "key", p->steps[i].key);
        klx_jw_member_str(&w, "resourceVersion", p->steps[i].rv.text);
        klx_jw_end_object(&w);
    }
    klx_jw_end_array(&w);
    klx_jw_end_object(&w);
}

static int read_step(struct klx_list_step *s, const struct klx_json *node) {
    struct klx_sv key = klx_json_str(node, "key");
    klx_rv_set(&s->rv, klx_json_str(node, "resourceVersion"));
    if (key.n == 0 || key.n >= sizeof(s->key) || s->rv.text[0] == '\0') {
        return -EBADMSG;
    }
    snprintf(s->key, sizeof(s->key), "%.*s", KLX_SV_FMT(key));
    return 0;
}

int klx_list_place_read(struct klx_list_place *p, struct klx_sv text) {
    struct klx_arena arena KLX_CLEANUP(klx_arena_release);
    const struct klx_json *v = NULL;
    klx_arena_init(&arena, 4096, 16 * TEXT_BYTES_MAX);
    if (klx_json_parse(&arena, text, NULL, &v, NULL) != 0 || !klx_json_is_object(v)) {
        return -EBADMSG;
    }
    bool baseline = klx_sv_eq(klx_json_str(v, "origin"), KLX_SV("baseline"));
    struct klx_list_place read = { .origin = baseline ? KLX_ORIGIN_BASELINE : KLX_ORIGIN_RESYNC,
                                   .widened = klx_json_bool(v, "widened", false) };
    klx_rv_set(&read.filter, klx_json_str(v, "filter"));
    const struct klx_json *step = klx_json_first(klx_json_get(v, "steps"));
    for (; step != NULL && read.steps_n < KLX_LIST_STEPS_MAX; step = klx_json_next(step)) {
        if (read_step(&read.steps[read.steps_n++], step) != 0) {
            return -EBADMSG;
        }
    }
    *p = read;
    return 0;
}
