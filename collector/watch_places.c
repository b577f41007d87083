#include "collector/watch_places.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/arena.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"

/* "hpa@kube-system~1f2e3d4c" in its parts. */
struct parts {
    struct klx_sv source, namespace, digest;
};

static struct parts parse(struct klx_sv key) {
    struct parts p = { 0 };
    struct klx_sv rest = key;
    p.source = klx_sv_cut(&rest, '~');
    p.digest = rest;
    rest = p.source;
    p.source = klx_sv_cut(&rest, '@');
    p.namespace = rest;
    return p;
}

static struct klx_watch_place *find(const struct klx_watch_places *p, struct klx_sv key) {
    for (size_t i = 0; i < p->n; i++) {
        if (klx_sv_eq(klx_sv(p->items[i].key), key)) {
            return &p->items[i];
        }
    }
    return NULL;
}

void klx_watch_places_release(struct klx_watch_places *p) {
    free(p->items);
    *p = (struct klx_watch_places){ 0 };
}

static void restore_checkpoint(struct klx_watch_place *w, struct klx_sv value) {
    struct klx_arena arena KLX_CLEANUP(klx_arena_release);
    const struct klx_json *v = NULL;
    klx_arena_init(&arena, 1024, 65536);
    w->rv.text[0] = '\0';
    w->at_us = KLX_TIME_NONE;
    if (value.n == 0 || klx_json_parse(&arena, value, NULL, &v, NULL) != 0) {
        return;
    }
    klx_rv_set(&w->rv, klx_json_str(v, "resourceVersion"));
    if (klx_time_parse(klx_json_str(v, "at"), &w->at_us) != 0) {
        w->at_us = KLX_TIME_NONE;
    }
}

bool klx_watch_places_restore(struct klx_watch_places *p, const struct klx_source_settings *s,
                              struct klx_sv key, struct klx_sv value) {
    struct klx_sv object = key, owner = klx_sv_cut(&object, '/');
    bool is_list = klx_sv_eq(object, KLX_SV("list"));
    if (!klx_sv_eq(parse(owner).source, klx_sv(klx_source_name(s))) || (object.n > 0 && !is_list) ||
        owner.n >= KLX_WATCH_KEY_BYTES) {
        return false;
    }
    struct klx_watch_place *w = find(p, owner);
    if (w == NULL) {
        p->items = klx_grow_array(p->items, p->n, p->n + 1, sizeof(*p->items));
        w = &p->items[p->n++];
        *w = (struct klx_watch_place){ .at_us = KLX_TIME_NONE };
        snprintf(w->key, sizeof(w->key), "%.*s", KLX_SV_FMT(owner));
    }
    if (is_list) {
        w->list_under_way = value.n > 0 && klx_list_place_read(&w->list, value) == 0;
    } else {
        restore_checkpoint(w, value);
    }
    return true;
}

void klx_watch_places_list_again(struct klx_watch_places *p, struct klx_sv source) {
    for (size_t i = 0; i < p->n; i++) {
        struct klx_watch_place *w = &p->items[i];
        if (klx_sv_eq(parse(klx_sv(w->key)).source, source) && w->rv.text[0] != '\0' &&
            !w->list_under_way) {
            w->list_under_way = true;
            w->list = (struct klx_list_place){ .origin = KLX_ORIGIN_RESYNC,
                                               .filter = w->rv,
                                               .widened = true };
            w->is_new = true;
        }
    }
}

/* The least of what was seen, among the watches before that looked there. False when none did. */
static bool seen_before(const struct klx_watch_places *p, const struct klx_source_settings *s,
                        struct klx_sv namespace, struct klx_watch_place *ret) {
    bool any = false;
    for (size_t i = 0; i < p->n; i++) {
        const struct klx_watch_place *w = &p->items[i];
        struct parts was = parse(klx_sv(w->key));
        bool there =
            was.namespace.n == 0 || namespace.n == 0 || klx_sv_eq(was.namespace, namespace);
        if (!klx_sv_eq(was.source, klx_sv(klx_source_name(s))) || w->rv.text[0] == '\0' || !there) {
            continue;
        }
        if (!any || klx_rv_cmp(klx_rv_sv(&w->rv), klx_rv_sv(&ret->rv)) < 0) {
            ret->rv = w->rv;
            ret->at_us = w->at_us;
        }
        any = true;
    }
    return any;
}

/* The watch of the whole cluster with the same selectors. */
static const struct klx_watch_place *find_wider(const struct klx_watch_places *p, const char *key) {
    struct parts parts = parse(klx_sv(key));
    char wider[KLX_WATCH_KEY_BYTES];
    snprintf(wider, sizeof(wider), "%.*s%s%.*s", KLX_SV_FMT(parts.source),
             parts.digest.n > 0 ? "~" : "", KLX_SV_FMT(parts.digest));
    const struct klx_watch_place *w = find(p, klx_sv(wider));
    return w != NULL && w->rv.text[0] != '\0' && !w->list_under_way ? w : NULL;
}

void klx_watch_places_begin(const struct klx_watch_places *p, const struct klx_source_settings *s,
                            struct klx_sv namespace, struct klx_watch_place *ret) {
    *ret = (struct klx_watch_place){ .at_us = KLX_TIME_NONE };
    klx_source_watch_key(s, namespace, ret->key);
    const struct klx_watch_place *own = find(p, klx_sv(ret->key));
    if (own != NULL && (own->rv.text[0] != '\0' || own->list_under_way)) {
        *ret = *own;
        return;
    }
    const struct klx_watch_place *wider = find_wider(p, ret->key);
    if (wider != NULL) {
        ret->rv = wider->rv;
        ret->at_us = wider->at_us;
        ret->is_new = true;
    } else if (seen_before(p, s, namespace, ret)) {
        ret->list_under_way = true;
        ret->list = (struct klx_list_place){ .origin = KLX_ORIGIN_RESYNC,
                                             .filter = ret->rv,
                                             .widened = s->ops->stateful };
        ret->is_new = true;
    }
}

bool klx_watch_places_is_retired(const struct klx_watch_place *place,
                                 const struct klx_source_settings *s) {
    if ((place->rv.text[0] == '\0' && !place->list_under_way) ||
        !klx_sv_eq(parse(klx_sv(place->key)).source, klx_sv(klx_source_name(s)))) {
        return false;
    }
    for (size_t i = 0; i < klx_source_watches(s); i++) {
        char key[KLX_WATCH_KEY_BYTES];
        klx_source_watch_key(s, klx_source_namespace(s, i), key);
        if (strcmp(key, place->key) == 0) {
            return false;
        }
    }
    return true;
}

static bool is_in(const struct klx_config_strings *list, struct klx_sv text) {
    for (size_t i = 0; i < list->n; i++) {
        if (klx_sv_eq(list->items[i], text)) {
            return true;
        }
    }
    return false;
}

bool klx_source_covers(const struct klx_source_settings *s, struct klx_sv object) {
    struct klx_sv rest = object;
    if (!klx_source_cut_item(s, &rest) || klx_source_namespaced_path(s) == NULL) {
        return true; /* of another item this one knows nothing */
    }
    struct klx_sv namespace = klx_sv_cut(&rest, '/');
    return (s->namespaces.n == 0 || is_in(&s->namespaces, namespace)) &&
           !is_in(&s->exclude_namespaces, namespace);
}
