#include "advice/evidence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "lib/base/arena.h"
#include "lib/base/cleanup.h"
#include "lib/base/hash.h"
#include "lib/base/mem.h"
#include "lib/base/quantity.h"
#include "lib/base/time.h"
#include "schema/event.h"

#define EVENT_BYTES_MAX (4u << 20)
#define BYTES_MAX (INT64_C(1) << 42) /* of a container: 4 TB */
#define HASH_BYTES 600               /* "cluster/namespace/workload" */

/* An HPA of the name in a cluster and namespace. */
struct place {
    struct klx_autoscaler subject;
    int64_t told_us; /* of the newest event that the subject is taken from */
    struct klx_scaling_change *changes;
    size_t changes_n, changes_allocated;
    int64_t at_max_us, blind_us;
};

struct kill {
    uint64_t workload; /* hash of "cluster/namespace/workload" */
    int64_t at_us;
};

struct pod {
    char *name;
    uint32_t index;
    UT_hash_handle hh;
};

struct klx_evidence_own {
    char cluster[KLX_AUTOSCALER_NAME_BYTES]; /* asked for; "": any */
    char namespace[KLX_AUTOSCALER_NAME_BYTES];
    char name[KLX_AUTOSCALER_NAME_BYTES];
    bool has_object;
    struct place *places;
    size_t places_n;
    struct kill *kills;
    size_t kills_n, kills_allocated;
    struct pod *pods;
    size_t pods_n;
    struct klx_arena arena;
};

static void set_name(char out[static KLX_AUTOSCALER_NAME_BYTES], const char *text) {
    snprintf(out, KLX_AUTOSCALER_NAME_BYTES, "%s", text != NULL ? text : "");
}

void klx_evidence_init(struct klx_evidence *h, const char *cluster, const char *namespace,
                       const char *name) {
    *h = (struct klx_evidence){ .since_us = INT64_MIN, .until_us = INT64_MAX };
    h->own = klx_alloc(struct klx_evidence_own);
    h->own->places = klx_alloc_n(struct place, KLX_EVIDENCE_PLACES_MAX);
    klx_arena_init(&h->own->arena, 65536, EVENT_BYTES_MAX);
    set_name(h->own->cluster, cluster);
    set_name(h->own->namespace, namespace);
    set_name(h->own->name, name);
    klx_autoscaler_init(&h->subject, namespace, name);
}

void klx_evidence_release(struct klx_evidence *h) {
    struct klx_evidence_own *own = h->own;
    struct pod *p, *next;
    HASH_ITER(hh, own->pods, p, next) {
        HASH_DEL(own->pods, p);
        free(p->name);
        free(p);
    }
    for (size_t i = 0; i < own->places_n; i++) {
        free(own->places[i].changes);
    }
    free(own->places);
    free(own->kills);
    klx_arena_release(&own->arena);
    free(own);
    free(h->samples);
    free(h->changes);
    free(h->kills_us);
}

int klx_evidence_object(struct klx_evidence *h, const struct klx_json *hpa, struct klx_error *e) {
    int rc = klx_autoscaler_read_object(&h->subject, hpa, e);
    h->own->has_object = rc == 0;
    if (rc == 0 && h->own->namespace[0] != '\0' &&
        strcmp(h->own->namespace, h->subject.namespace) != 0) {
        return klx_fail(e, -EINVAL, "it is of namespace %s, not %s", h->subject.namespace,
                        h->own->namespace);
    }
    set_name(h->own->namespace, h->subject.namespace);
    return rc;
}

/* Room for one more of an array that doubles up to `max`; false when it is full. */
static bool grow(void *array, size_t n, size_t *allocated, size_t size, size_t max) {
    if (n < *allocated) {
        return true;
    }
    if (n >= max) {
        return false;
    }
    void **items = array;
    size_t more = *allocated == 0 ? 256 : 2 * *allocated;
    *items = klx_grow_array(*items, *allocated, more, size);
    *allocated = more;
    return true;
}

static struct place *place_of(struct klx_evidence *h, struct klx_sv cluster,
                              struct klx_sv namespace) {
    struct klx_evidence_own *own = h->own;
    for (size_t i = 0; i < own->places_n; i++) {
        struct place *p = &own->places[i];
        if (klx_sv_eq(cluster, klx_sv(p->subject.cluster)) &&
            klx_sv_eq(namespace, klx_sv(p->subject.namespace))) {
            return p;
        }
    }
    if (own->places_n == KLX_EVIDENCE_PLACES_MAX || !klx_autoscaler_is_name(cluster) ||
        !klx_autoscaler_is_name(namespace)) {
        return NULL;
    }
    struct place *p = &own->places[own->places_n++];
    klx_autoscaler_init(&p->subject, NULL, own->name);
    snprintf(p->subject.cluster, sizeof(p->subject.cluster), "%.*s", KLX_SV_FMT(cluster));
    snprintf(p->subject.namespace, sizeof(p->subject.namespace), "%.*s", KLX_SV_FMT(namespace));
    p->told_us = INT64_MIN;
    return p;
}

static bool is_asked_for(const char *asked, struct klx_sv found) {
    return asked[0] == '\0' || klx_sv_eq(klx_sv(asked), found);
}

static bool is_counted(const struct klx_evidence *h, int64_t at_us) {
    return at_us >= h->since_us && at_us < h->until_us;
}

static void take_change(struct klx_evidence *h, struct place *p, int64_t at_us,
                        const struct klx_json *scaled) {
    int64_t from = klx_json_int(scaled, "from", -1), to = klx_json_int(scaled, "to", -1);
    bool sane = from >= 0 && to >= 0 && from <= KLX_REPLICAS_MAX && to <= KLX_REPLICAS_MAX;
    if (!sane || !is_counted(h, at_us)) {
        return;
    }
    if (!grow(&p->changes, p->changes_n, &p->changes_allocated, sizeof(*p->changes),
              KLX_EVIDENCE_CHANGES_MAX)) {
        h->full = true;
        return;
    }
    p->changes[p->changes_n++] = (struct klx_scaling_change){ at_us, (int32_t)from, (int32_t)to };
}

/* How much of an incident that ended is within what is counted. */
static int64_t lasted_us(const struct klx_evidence *h, int64_t end_us,
                         const struct klx_json *data) {
    int64_t opened_us = 0;
    if (klx_time_parse(klx_json_str(data, "incident.opened"), &opened_us) != 0) {
        return 0;
    }
    opened_us = opened_us > h->since_us ? opened_us : h->since_us;
    end_us = end_us < h->until_us ? end_us : h->until_us;
    return end_us > opened_us ? end_us - opened_us : 0;
}

static void take_hpa(struct klx_evidence *h, const struct klx_event *e,
                     const struct klx_json *data) {
    const struct klx_json *hpa = klx_json_get(data, "hpa");
    struct klx_sv namespace = klx_json_str(data, "object.namespace");
    if (hpa == NULL || !klx_sv_eq(klx_json_str(data, "object.name"), klx_sv(h->own->name)) ||
        !is_asked_for(h->own->namespace, namespace)) {
        return;
    }
    struct place *p = place_of(h, e->cluster, namespace);
    if (p == NULL) {
        return;
    }
    if (e->time_us >= p->told_us && e->time_us < h->until_us) {
        klx_autoscaler_take_event(&p->subject, hpa);
        p->told_us = e->time_us;
    }
    if (e->kind == KLX_KIND_HPA_SCALED_UP || e->kind == KLX_KIND_HPA_SCALED_DOWN) {
        take_change(h, p, e->time_us, klx_json_get(data, "scaled"));
    } else if (e->kind == KLX_KIND_HPA_RELIEVED) {
        p->at_max_us += lasted_us(h, e->time_us, data);
    } else if (e->kind == KLX_KIND_HPA_SIGHTED) {
        p->blind_us += lasted_us(h, e->time_us, data);
    }
}

static uint64_t workload_hash(struct klx_sv cluster, struct klx_sv namespace, struct klx_sv name) {
    char text[HASH_BYTES];
    int n = snprintf(text, sizeof(text), "%.*s/%.*s/%.*s", KLX_SV_FMT(cluster),
                     KLX_SV_FMT(namespace), KLX_SV_FMT(name));
    size_t length = n < 0 ? 0 : (size_t)n;
    return klx_hash_seeded(klx_sv_n(text, length < sizeof(text) ? length : sizeof(text) - 1), 0);
}

static void take_kill(struct klx_evidence *h, const struct klx_event *e,
                      const struct klx_json *data) {
    struct klx_evidence_own *own = h->own;
    if (!is_counted(h, e->time_us)) {
        return;
    }
    if (!grow(&own->kills, own->kills_n, &own->kills_allocated, sizeof(*own->kills),
              KLX_EVIDENCE_KILLS_MAX)) {
        h->full = true;
        return;
    }
    own->kills[own->kills_n++] =
        (struct kill){ workload_hash(e->cluster, klx_json_str(data, "object.namespace"),
                                     klx_json_str(data, "workload.name")),
                       e->time_us };
}

/* NULL: not to be used. */
static const struct klx_json *decode(struct klx_evidence *h, const struct klx_record *r,
                                     struct klx_event *ret) {
    const struct klx_json *data = NULL;
    klx_arena_reset(&h->own->arena);
    if (klx_event_decode(&h->own->arena, r, ret, NULL) != 0 ||
        klx_json_parse(&h->own->arena, ret->data, NULL, &data, NULL) != 0) {
        return NULL;
    }
    return data;
}

void klx_evidence_scaling(struct klx_evidence *h, const struct klx_record *r) {
    struct klx_event e;
    const struct klx_json *data = decode(h, r, &e);
    if (data == NULL || !is_asked_for(h->own->cluster, e.cluster)) {
        return;
    }
    if (e.kind == KLX_KIND_POD_OOM_KILLED) {
        take_kill(h, &e, data);
    } else if (e.kind != KLX_KIND_HPA_REMOVED) {
        take_hpa(h, &e, data);
    }
}

static int by_time_of_change(const void *a, const void *b) {
    const struct klx_scaling_change *x = a, *y = b;
    return (x->at_us > y->at_us) - (x->at_us < y->at_us);
}

static void adopt(struct klx_evidence *h, struct place *p) {
    struct klx_evidence_own *own = h->own;
    if (own->has_object) {
        set_name(h->subject.cluster, p->subject.cluster);
    } else {
        h->subject = p->subject;
    }
    h->changes = p->changes;
    h->changes_n = p->changes_n;
    h->changes_allocated = p->changes_allocated;
    p->changes = NULL;
    p->changes_n = 0;
    h->at_max_us = p->at_max_us;
    h->blind_us = p->blind_us;
    if (h->changes_n > 0) {
        qsort(h->changes, h->changes_n, sizeof(*h->changes), by_time_of_change);
    }
}

static int fail_several(const struct klx_evidence *h, struct klx_error *e) {
    struct klx_buf list KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&list, 4096);
    for (size_t i = 0; i < h->own->places_n && i < 8; i++) {
        const struct klx_autoscaler *s = &h->own->places[i].subject;
        klx_buf_printf(&list, "%s%s/%s", i > 0 ? ", " : "", s->cluster, s->namespace);
    }
    return klx_fail(e, -EEXIST,
                    "there is an HPA %s in %zu places: %s; name one with --cluster and --namespace",
                    h->own->name, h->own->places_n, klx_buf_str(&list));
}

static int by_instant(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void choose_kills(struct klx_evidence *h) {
    struct klx_evidence_own *own = h->own;
    uint64_t hash = workload_hash(klx_sv(h->subject.cluster), klx_sv(h->subject.namespace),
                                  klx_sv(h->subject.workload));
    h->kills_us = klx_grow_array(NULL, 0, own->kills_n + 1, sizeof(*h->kills_us));
    for (size_t i = 0; i < own->kills_n; i++) {
        if (own->kills[i].workload == hash) {
            h->kills_us[h->kills++] = own->kills[i].at_us;
        }
    }
    qsort(h->kills_us, h->kills, sizeof(*h->kills_us), by_instant);
}

int klx_evidence_choose(struct klx_evidence *h, struct klx_error *e) {
    struct klx_evidence_own *own = h->own;
    if (own->places_n > 1) {
        return fail_several(h, e);
    }
    if (own->places_n == 1) {
        adopt(h, &own->places[0]);
    }
    if (h->subject.cluster[0] == '\0') {
        set_name(h->subject.cluster, own->cluster);
    }
    int rc = klx_autoscaler_settle(&h->subject, e);
    if (rc != 0) {
        return rc;
    }
    if (h->subject.cluster[0] == '\0') {
        return klx_fail(e, -EINVAL,
                        "no event of this time tells which cluster it is in: name it with "
                        "--cluster");
    }
    choose_kills(h);
    return 0;
}

static struct pod *pod_of(struct klx_evidence *h, struct klx_sv name) {
    struct klx_evidence_own *own = h->own;
    struct pod *p = NULL;
    HASH_FIND(hh, own->pods, name.p, name.n, p);
    if (p == NULL && own->pods_n < KLX_EVIDENCE_PODS_MAX) {
        p = klx_alloc(struct pod);
        p->name = klx_sv_dup(name);
        p->index = (uint32_t)own->pods_n++;
        HASH_ADD_KEYPTR(hh, own->pods, p->name, name.n, p);
    }
    return p;
}

size_t klx_evidence_pods_n(const struct klx_evidence *h) {
    return h->own->pods_n;
}

/* What is left of a key "cluster/namespace/pod" of this workload; empty when it is of something else. */
static struct klx_sv pod_name(const struct klx_evidence *h, struct klx_sv key) {
    const struct klx_autoscaler *s = &h->subject;
    struct klx_sv rest = key;
    struct klx_sv cluster = klx_sv_cut(&rest, '/'), namespace = klx_sv_cut(&rest, '/');
    size_t n = strlen(s->workload);
    bool ours = klx_sv_eq(cluster, klx_sv(s->cluster)) &&
                klx_sv_eq(namespace, klx_sv(s->namespace)) &&
                klx_sv_starts(rest, klx_sv(s->workload)) && rest.n > n + 1 && rest.p[n] == '-';
    return ours ? rest : klx_sv(NULL);
}

struct usage {
    int64_t bytes;
    double limit, request; /* 0: not known */
    double share;          /* of its limit, of the container that is nearest to it */
};

static double quantity(const struct klx_json *container, const char *member) {
    double value = 0;
    return klx_quantity_parse(klx_json_str(container, member), &value) == 0 && value > 0 ? value
                                                                                         : 0;
}

/* False: the pod has no sample of what the HPA looks at. */
static bool usage_of(const struct klx_evidence *h, const struct klx_json *sample, struct usage *u) {
    const char *only = h->subject.container;
    const struct klx_json *c = klx_json_first(klx_json_get(sample, "containers"));
    bool found = false;
    *u = (struct usage){ .bytes = 0 };
    for (; c != NULL; c = klx_json_next(c)) {
        int64_t bytes = klx_json_int(c, "memoryBytes", -1);
        bool wanted = only[0] == '\0' || klx_sv_eq(klx_json_str(c, "name"), klx_sv(only));
        if (!wanted || bytes < 0 || bytes > BYTES_MAX) {
            continue;
        }
        double limit = quantity(c, "memoryLimit");
        double share = limit > 0 ? (double)bytes / limit : 0;
        found = true;
        u->bytes += bytes;
        u->request += quantity(c, "memoryRequest");
        u->share = share > u->share ? share : u->share;
    }
    /* Of a whole pod: where the container that is nearest to its limit would meet it, were they all to grow alike. */
    u->limit = u->share > 0 ? (double)u->bytes / u->share : 0;
    return found;
}

static void add(struct klx_evidence *h, int64_t at_us, const struct pod *p, const struct usage *u) {
    if (!grow(&h->samples, h->samples_n, &h->samples_allocated, sizeof(*h->samples),
              KLX_EVIDENCE_SAMPLES_MAX)) {
        h->full = true;
        return;
    }
    h->samples[h->samples_n++] = (struct klx_sample){ at_us, u->bytes, p->index };
    if (u->share >= h->worst && u->limit > 0) {
        h->worst = u->share;
        h->limit_bytes = (int64_t)(u->limit + 0.5);
    }
    h->request_bytes = u->request > 0 ? (int64_t)u->request : h->request_bytes;
}

void klx_evidence_metrics(struct klx_evidence *h, const struct klx_record *r) {
    struct klx_event e;
    struct usage u;
    int64_t at_us = 0;
    struct klx_sv name = pod_name(h, r->key);
    const struct klx_json *data = name.n > 0 ? decode(h, r, &e) : NULL;
    if (data == NULL || e.kind != KLX_KIND_POD_SAMPLE ||
        klx_time_parse(klx_json_str(data, "sample.time"), &at_us) != 0 || !is_counted(h, at_us)) {
        return;
    }
    struct klx_sv workload = klx_json_str(data, "workload.name");
    if (workload.n > 0 && !klx_sv_eq(workload, klx_sv(h->subject.workload))) {
        return;
    }
    struct pod *p = usage_of(h, klx_json_get(data, "sample"), &u) ? pod_of(h, name) : NULL;
    if (p != NULL) {
        add(h, at_us, p, &u);
    }
}

static int by_time(const void *a, const void *b) {
    const struct klx_sample *x = a, *y = b;
    if (x->at_us != y->at_us) {
        return x->at_us < y->at_us ? -1 : 1;
    }
    return (x->pod > y->pod) - (x->pod < y->pod);
}

void klx_evidence_sort(struct klx_evidence *h) {
    size_t kept = 0;
    if (h->samples_n == 0) {
        return;
    }
    qsort(h->samples, h->samples_n, sizeof(*h->samples), by_time);
    for (size_t i = 0; i < h->samples_n; i++) {
        bool again = kept > 0 && by_time(&h->samples[kept - 1], &h->samples[i]) == 0;
        if (!again) {
            h->samples[kept++] = h->samples[i];
        }
    }
    h->samples_n = kept;
}
