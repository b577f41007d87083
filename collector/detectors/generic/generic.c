/*
 * Objects of any resource, of which an operator follows some fields (collector/generic.h). The rules:
 *
 *   changed     the value of a field is another than the last one that was seen: old and new.
 *   appeared    an object that was not known, other than in a first list.
 *   vanished    it was deleted, or a relist does not show it. One of another uid vanishes first, and then appears.
 *
 * The first list is what is known, and tells nothing. A field that is followed from now on is not a change. What of an object is not
 * followed makes neither an event nor a record.
 *
 * State records are "<item>/<namespace>/<name>", or "<item>/<name>" of what is in no namespace, and hold the last values. There are no
 * timers. Past OBJECTS_MAX objects of a cluster no others are followed: klaxon_generic_overflow_total counts what came of them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "collector/detectors/detector.h"
#include "collector/detectors/generic/object_news.h"
#include "collector/detectors/generic/object_values.h"
#include "collector/detectors/gitops/app_news.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/io/metrics.h"

#define OBJECTS_MAX 50000
#define STATE_BYTES_MAX 65536
#define SCRATCH_BYTES_MAX (8u << 20)
#define LABELS_BYTES 512
#define KIND_BYTES_MAX 128
#define UID_BYTES_MAX 128
#define UNKNOWN_KIND "Object"

struct entry {
    char *key; /* "deployments.apps/shop/web" */
    char *kind, *api_version, *uid, *labels, *values;
    UT_hash_handle hh;
};

struct detector {
    char *cluster;
    struct entry *objects;
    struct klx_arena scratch; /* of one object */
    struct klx_gauge *objects_n;
    struct klx_counter *overflow;
};

/* One object in one call. */
struct work {
    struct detector *d;
    const struct klx_observation *o; /* NULL: a relist */
    struct klx_outbox *out;
    int64_t now_us;
};

static void *create(struct klx_sv cluster, const void *settings) {
    (void)settings;
    struct detector *d = klx_alloc(struct detector);
    d->cluster = klx_sv_dup(cluster);
    klx_arena_init(&d->scratch, 16384, SCRATCH_BYTES_MAX);
    const struct klx_label labels[] = { { "cluster", d->cluster }, { NULL, NULL } };
    d->objects_n =
        klx_gauge("klaxon_generic_objects", "Objects whose fields are followed.", labels);
    d->overflow =
        klx_counter("klaxon_generic_overflow_total",
                    "Objects of generic watches that came when too many were followed.", labels);
    return d;
}

static struct entry *find(const struct detector *d, struct klx_sv key) {
    struct entry *e = NULL;
    HASH_FIND(hh, d->objects, key.p, key.n, e);
    return e;
}

static void count(const struct detector *d) {
    klx_gauge_set(d->objects_n, (double)HASH_COUNT(d->objects));
}

static struct entry *add(struct detector *d, struct klx_sv key) {
    struct entry *e = klx_alloc(struct entry);
    e->key = klx_sv_dup(key);
    HASH_ADD_KEYPTR(hh, d->objects, e->key, key.n, e);
    count(d);
    return e;
}

static void release(struct entry *e) {
    free(e->kind);
    free(e->api_version);
    free(e->uid);
    free(e->labels);
    free(e->values);
}

static void forget(struct detector *d, struct entry *e) {
    HASH_DEL(d->objects, e);
    release(e);
    free(e->key);
    free(e);
    count(d);
}

static void destroy(void *detector) {
    struct detector *d = detector;
    struct entry *e = NULL, *next = NULL;
    HASH_ITER(hh, d->objects, e, next) {
        forget(d, e);
    }
    klx_arena_release(&d->scratch);
    free(d->cluster);
    free(d);
}

static struct klx_object_kept kept(const struct entry *e) {
    struct klx_sv rest = klx_sv(e->key), item = klx_sv_cut(&rest, '/');
    struct klx_sv name = rest, namespace = klx_sv_cut(&name, '/');
    bool namespaced = name.n > 0;
    return (struct klx_object_kept){ .item = item,
                                     .namespace = namespaced ? namespace : klx_sv(NULL),
                                     .name = namespaced ? name : namespace,
                                     .kind = klx_sv(e->kind),
                                     .api_version = klx_sv(e->api_version),
                                     .uid = klx_sv(e->uid),
                                     .labels = klx_sv(e->labels),
                                     .values = klx_sv(e->values) };
}

/* What is kept of it from now on. */
static void keep(struct entry *e, const struct klx_object_kept *k) {
    struct entry was = *e;
    e->kind = klx_sv_dup(k->kind);
    e->api_version = klx_sv_dup(k->api_version);
    e->uid = klx_sv_dup(k->uid);
    e->labels = klx_sv_dup(k->labels);
    e->values = klx_sv_dup(k->values);
    release(&was);
}

static void write_record(const struct entry *e, struct klx_buf *out) {
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_int(&w, "version", 1);
    klx_jw_member_str(&w, "kind", e->kind);
    klx_jw_member_str(&w, "apiVersion", e->api_version);
    klx_jw_member_str(&w, "uid", e->uid);
    klx_jw_key(&w, "labels");
    klx_jw_raw(&w, klx_sv(e->labels));
    klx_jw_key(&w, "values");
    klx_jw_raw(&w, klx_sv(e->values));
    klx_jw_end_object(&w);
}

static void put_state(const struct work *x, const struct entry *e, struct klx_sv value) {
    x->out->state(
        x->out,
        KLX_CONCAT(&x->d->scratch, klx_sv(x->d->cluster), KLX_SV("/generic/"), klx_sv(e->key)),
        value);
}

static void save(const struct work *x, const struct entry *e) {
    struct klx_buf value KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&value, STATE_BYTES_MAX);
    write_record(e, &value);
    put_state(x, e, klx_buf_sv(&value));
}

static struct klx_sv text_of(struct klx_arena *a, const struct klx_json *node) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&text, KLX_OBJECT_VALUES_BYTES_MAX);
    klx_jw_init(&w, &text);
    klx_jw_node(&w, node);
    return text.failed ? klx_sv(NULL) : klx_arena_dup(a, klx_buf_sv(&text));
}

static int restore(void *detector, struct klx_sv object, struct klx_sv value) {
    struct detector *d = detector;
    const struct klx_json *v = NULL;
    klx_arena_reset(&d->scratch);
    struct klx_sv rest = object;
    klx_sv_cut(&rest, '/');
    if (rest.n == 0 || klx_json_parse(&d->scratch, value, NULL, &v, NULL) != 0 ||
        klx_json_int(v, "version", 0) != 1 || !klx_json_is_object(klx_json_get(v, "values")) ||
        !klx_json_is_object(klx_json_get(v, "labels"))) {
        return -EBADMSG;
    }
    const struct klx_object_kept k = {
        .kind = klx_json_str(v, "kind"),
        .api_version = klx_json_str(v, "apiVersion"),
        .uid = klx_json_str(v, "uid"),
        .labels = text_of(&d->scratch, klx_json_get(v, "labels")),
        .values = text_of(&d->scratch, klx_json_get(v, "values")),
    };
    if (k.kind.n == 0 || k.labels.p == NULL || k.values.p == NULL) {
        return -EBADMSG;
    }
    struct entry *e = find(d, object);
    keep(e != NULL ? e : add(d, object), &k);
    return 0;
}

static void tell(const struct work *x, enum klx_kind kind, const struct entry *e,
                 const struct klx_object_change *changes, size_t changes_n) {
    const struct klx_object_kept about = kept(e);
    const struct klx_object_news m = { .kind = kind,
                                       .cluster = klx_sv(x->d->cluster),
                                       .about = &about,
                                       .o = x->o,
                                       .now_us = x->now_us,
                                       .changes = changes,
                                       .changes_n = changes_n,
                                       .arena = &x->d->scratch };
    klx_object_tell(&m, x->out);
}

static void vanished(const struct work *x, struct entry *e) {
    tell(x, KLX_KIND_OBJECT_VANISHED, e, NULL, 0);
    put_state(x, e, klx_sv(NULL));
    forget(x->d, e);
}

static void appeared(const struct work *x, struct klx_sv key, const struct klx_object_kept *now) {
    if (HASH_COUNT(x->d->objects) >= OBJECTS_MAX) {
        klx_counter_add(x->d->overflow, 1);
        return;
    }
    struct entry *e = add(x->d, key);
    keep(e, now);
    save(x, e);
    if (x->o->origin != KLX_ORIGIN_BASELINE) {
        tell(x, KLX_KIND_OBJECT_APPEARED, e, NULL, 0);
    }
}

/* The fields whose values differ. `ret_new`: whether one of them is followed only from now on. */
static size_t compare(const struct work *x, const struct klx_json *was, const struct klx_json *is,
                      struct klx_object_change ret[static KLX_GENERIC_FIELDS_MAX], bool *ret_new) {
    const struct klx_generic *g = x->o->generic;
    size_t n = 0;
    for (size_t i = 0; i < g->fields_n; i++) {
        struct klx_sv field = klx_sv(g->fields[i].text);
        const struct klx_json *old = klx_json_member(was, field);
        const struct klx_json *new = klx_json_member(is, field);
        *ret_new = *ret_new || old == NULL;
        if (old != NULL && !klx_sv_eq(text_of(&x->d->scratch, old), text_of(&x->d->scratch, new))) {
            ret[n++] = (struct klx_object_change){ .field = field, .was = old, .is = new };
        }
    }
    return n;
}

/* Most of what comes is the same as before: a comparison of two texts. */
static void seen_again(const struct work *x, struct entry *e, const struct klx_object_kept *now) {
    struct klx_object_change changes[KLX_GENERIC_FIELDS_MAX];
    const struct klx_json *was = NULL, *is = NULL;
    bool any_new = false;
    if (klx_sv_eq(klx_sv(e->values), now->values)) {
        return;
    }
    if (klx_json_parse(&x->d->scratch, klx_sv(e->values), NULL, &was, NULL) != 0 ||
        klx_json_parse(&x->d->scratch, now->values, NULL, &is, NULL) != 0) {
        return;
    }
    size_t n = compare(x, was, is, changes, &any_new);
    keep(e, now);
    if (n > 0 || any_new) {
        save(x, e);
    }
    if (n > 0) {
        tell(x, KLX_KIND_OBJECT_CHANGED, e, changes, n);
    }
}

static struct klx_sv key_of(const struct work *x) {
    const struct klx_observation *o = x->o;
    struct klx_sv slash = KLX_SV("/"), item = klx_sv(o->generic->name);
    return o->namespace.n > 0
               ? KLX_CONCAT(&x->d->scratch, item, slash, o->namespace, slash, o->name)
               : KLX_CONCAT(&x->d->scratch, item, slash, o->name);
}

/* `e`: what is known of it; NULL: nothing. */
static void seen(const struct work *x, struct klx_sv key, struct entry *e) {
    const struct klx_observation *o = x->o;
    struct klx_buf values KLX_CLEANUP(klx_buf_release);
    char labels[LABELS_BYTES];
    klx_buf_init(&values, KLX_OBJECT_VALUES_BYTES_MAX);
    klx_object_values_write(&x->d->scratch, o->generic, o->object, &values);
    klx_app_labels(o->labels, labels, sizeof(labels));
    struct klx_sv kind = klx_sv_utf8_prefix(o->object_kind, KIND_BYTES_MAX);
    const struct klx_object_kept now = { .kind = kind.n > 0 ? kind : KLX_SV(UNKNOWN_KIND),
                                         .api_version = klx_sv(o->generic->api_version),
                                         .uid = klx_sv_utf8_prefix(o->uid, UID_BYTES_MAX),
                                         .labels = klx_sv(labels),
                                         .values = klx_buf_sv(&values) };
    if (e == NULL) {
        appeared(x, key, &now);
    } else {
        seen_again(x, e, &now);
    }
}

static void observe(void *detector, const struct klx_observation *o, int64_t now_us,
                    struct klx_outbox *out) {
    const struct work x = { .d = detector, .o = o, .out = out, .now_us = now_us };
    if (o->kind != KLX_OBSERVED_GENERIC) {
        return;
    }
    klx_arena_reset(&x.d->scratch);
    struct klx_sv key = key_of(&x);
    struct entry *e = find(x.d, key);
    bool deleted = o->change == KLX_CHANGE_DELETED;
    bool replaced =
        e != NULL && !klx_sv_eq(klx_sv(e->uid), klx_sv_utf8_prefix(o->uid, UID_BYTES_MAX));
    if (e != NULL && (deleted || replaced)) {
        vanished(&x, e);
        e = NULL;
    }
    if (!deleted) {
        seen(&x, key, e);
    }
}

static void relisted(void *detector, enum klx_observation_kind kind,
                     bool (*listed)(void *arg, struct klx_sv name), void *arg, int64_t now_us,
                     struct klx_outbox *out) {
    const struct work x = { .d = detector, .out = out, .now_us = now_us };
    struct entry *e = NULL, *next = NULL;
    if (kind != KLX_OBSERVED_GENERIC) {
        return;
    }
    HASH_ITER(hh, x.d->objects, e, next) {
        if (!listed(arg, klx_sv(e->key))) {
            klx_arena_reset(&x.d->scratch);
            vanished(&x, e);
        }
    }
}

static int64_t tick(void *detector, int64_t now_us, struct klx_outbox *out) {
    (void)detector;
    (void)now_us;
    (void)out;
    return KLX_TIME_NONE;
}

const struct klx_detector_ops klx_detector_generic = {
    .name = "generic",
    .create = create,
    .destroy = destroy,
    .restore = restore,
    .observe = observe,
    .relisted = relisted,
    .tick = tick,
};
