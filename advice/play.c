#include "advice/play.h"

#include <stdlib.h>

#include "lib/base/mem.h"

#define MILLI 1000.0
#define TURNS 3 /* within KLX_PLAY_FLAP_US: it flaps, as the detector says of a real one */

/* One of the pods that there would be. */
struct pod {
    int64_t runs_us; /* from then on */
    bool sampled;
};

struct player {
    const struct klx_play_options *o;
    const struct klx_scaler_spec *spec;
    void (*on_point)(void *arg, const struct klx_play_point *p);
    void *arg;
    struct klx_play_result *r;
    struct klx_scaler *scaler;
    struct pod *pods; /* the oldest first */
    struct klx_pod_usage *usages;
    int32_t n, allocated;
    size_t instant; /* the last of the load that has passed */
    int64_t sampled_us;
    struct klx_load_pods held; /* by the sampled pods, at the last scrape */
    struct klx_load_pods now;
    bool over,
        pressed; /* since `since_us`: the largest is over its limit; it wants more than the maximum */
    int64_t since_us;
    int32_t direction;        /* of the last change of the replicas */
    int64_t turned_us[TURNS]; /* the last changes of direction, the newest first; INT64_MIN: none */
};

static int32_t running(const struct player *p, int64_t now_us) {
    int32_t n = 0;
    for (int32_t i = 0; i < p->n; i++) {
        n += p->pods[i].runs_us <= now_us;
    }
    return n > 0 ? n : 1;
}

/* Puts down what was so until now. */
static void account(struct player *p, int64_t now_us) {
    int64_t took_us = now_us - p->since_us;
    if (took_us > 0 && took_us <= p->o->load->gap_us) {
        p->r->covered_us += took_us;
        p->r->replica_us += (double)took_us * p->n;
        p->r->at_max_us += p->pressed ? took_us : 0;
        p->r->oom_us += p->over ? took_us : 0;
    }
    p->since_us = now_us;
}

static void weigh(struct player *p, int64_t now_us) {
    const struct klx_load *l = p->o->load;
    p->now = klx_load_at(l, p->instant, running(p, now_us), p->o->growth);
    double share = l->limit > 0 ? p->now.largest / l->limit : 0;
    bool over = share >= 1;
    p->r->worst = share > p->r->worst ? share : p->r->worst;
    p->r->oom_kills += over && !p->over;
    p->over = over;
}

static void tell(const struct player *p, int64_t now_us) {
    const struct klx_play_point point = {
        .at_us = now_us, .replicas = p->n, .mean = p->now.mean, .largest = p->now.largest
    };
    if (p->on_point != NULL) {
        p->on_point(p->arg, &point);
    }
}

static void resize(struct player *p, int32_t n, int64_t runs_us) {
    if (n > p->allocated) {
        size_t old = (size_t)p->allocated, more = (size_t)n;
        p->pods = klx_grow_array(p->pods, old, more, sizeof(*p->pods));
        p->usages = klx_grow_array(p->usages, old, more, sizeof(*p->usages));
        p->allocated = n;
    }
    for (int32_t i = p->n; i < n; i++) {
        p->pods[i] = (struct pod){ .runs_us = runs_us };
    }
    p->n = n;
    p->r->lowest = n < p->r->lowest ? n : p->r->lowest;
    p->r->highest = n > p->r->highest ? n : p->r->highest;
}

/* Where as many pods have a sample as there had, what the controller was shown is known: containers that are killed hold little then. */
static void take_recorded(struct player *p, int32_t sampled) {
    const struct klx_load_instant *x = &p->o->load->items[p->instant];
    if (sampled == x->pods && p->n == sampled) {
        double base = p->o->load->base;
        p->held.mean = base + (x->total / x->pods - base) * p->o->growth;
    }
}

static void scrape(struct player *p, int64_t now_us) {
    int32_t sampled = 0;
    for (int32_t i = 0; i < p->n; i++) {
        p->pods[i].sampled = p->pods[i].runs_us <= now_us;
        sampled += p->pods[i].sampled;
    }
    p->held = p->now;
    take_recorded(p, sampled);
    p->sampled_us = now_us;
}

static int64_t milli(double bytes) {
    double value = bytes * MILLI;
    return value < (double)KLX_USAGE_MAX ? (int64_t)value : KLX_USAGE_MAX;
}

/* As the controller would be shown them. Each as the mean: only their sum matters to it. */
static void show_pods(struct player *p, int64_t now_us) {
    for (int32_t i = 0; i < p->n; i++) {
        const struct pod *pod = &p->pods[i];
        p->usages[i] = (struct klx_pod_usage){
            .phase = pod->runs_us <= now_us ? KLX_POD_RUNNING : KLX_POD_PENDING,
            .has_sample = pod->sampled,
            .usage = milli(p->held.mean),
            .request = milli(p->o->load->request),
        };
    }
}

static void forget_turns(struct player *p) {
    for (int i = 0; i < TURNS; i++) {
        p->turned_us[i] = INT64_MIN;
    }
}

static void note_direction(struct player *p, int32_t direction, int64_t now_us) {
    bool turns = p->direction == -direction;
    p->direction = direction;
    if (!turns) {
        return;
    }
    for (int i = TURNS - 1; i > 0; i--) {
        p->turned_us[i] = p->turned_us[i - 1];
    }
    p->turned_us[0] = now_us;
    int64_t first_us = p->turned_us[TURNS - 1];
    if (first_us != INT64_MIN && now_us - first_us <= KLX_PLAY_FLAP_US) {
        p->r->flaps++;
        forget_turns(p);
    }
}

static void scale(struct player *p, int32_t to, int64_t now_us) {
    if (to == p->n) {
        return;
    }
    account(p, now_us);
    note_direction(p, to > p->n ? 1 : -1, now_us);
    p->r->changes++;
    resize(p, to, now_us + p->o->load->start_us);
    weigh(p, now_us);
    tell(p, now_us);
}

static void look(struct player *p, int64_t now_us) {
    bool fresh = now_us - p->sampled_us <= p->o->load->gap_us;
    show_pods(p, now_us);
    const struct klx_scaler_view view = {
        .pods = { p->usages }, .n = (size_t)p->n, .current = p->n, .now_us = now_us
    };
    if (!fresh) {
        return;
    }
    struct klx_scaler_decision d = klx_scaler_look(p->scaler, p->spec, &view);
    account(p, now_us);
    p->r->wanted = d.recommended > p->r->wanted ? d.recommended : p->r->wanted;
    p->pressed = d.recommended > p->spec->max && d.desired == p->spec->max;
    scale(p, d.desired, now_us);
}

/* Pods that begin to run between two scrapes take their share then. */
static int64_t next_start(const struct player *p, int64_t after_us) {
    int64_t next = INT64_MAX;
    for (int32_t i = 0; i < p->n; i++) {
        int64_t at_us = p->pods[i].runs_us;
        next = at_us > after_us && at_us < next ? at_us : next;
    }
    return next;
}

static void advance(struct player *p, int64_t until_us, int64_t *look_us) {
    int64_t now_us = p->since_us;
    for (;;) {
        int64_t start_us = next_start(p, now_us);
        now_us = start_us < *look_us ? start_us : *look_us;
        if (now_us >= until_us) {
            return;
        }
        account(p, now_us);
        if (now_us == *look_us) {
            *look_us += p->o->flags.sync_us;
            look(p, now_us);
        } else {
            weigh(p, now_us);
        }
    }
}

static void begin(struct player *p) {
    const struct klx_load_instant *first = &p->o->load->items[0];
    int32_t n = first->pods;
    n = n < p->spec->min ? p->spec->min : n;
    n = n > p->spec->max ? p->spec->max : n;
    *p->r = (struct klx_play_result){ .lowest = n, .highest = n };
    p->scaler = klx_scaler_new(&p->o->flags);
    forget_turns(p);
    p->since_us = first->at_us;
    resize(p, n, first->at_us);
}

void klx_play(const struct klx_play_options *o, const struct klx_scaler_spec *spec,
              void (*on_point)(void *arg, const struct klx_play_point *p), void *arg,
              struct klx_play_result *ret) {
    const struct klx_load *l = o->load;
    struct player p = { .o = o, .spec = spec, .on_point = on_point, .arg = arg, .r = ret };
    begin(&p);
    int64_t look_us = l->items[0].at_us;
    for (size_t i = 0; i < l->n; i++) {
        int64_t at_us = l->items[i].at_us;
        if (at_us - p.since_us > l->gap_us) {
            look_us = at_us; /* nobody knows what was in between */
            p.since_us = at_us;
        }
        advance(&p, at_us, &look_us);
        account(&p, at_us);
        p.instant = i;
        weigh(&p, at_us);
        scrape(&p, at_us);
        tell(&p, at_us);
    }
    klx_scaler_free(p.scaler);
    free(p.pods);
    free(p.usages);
}
