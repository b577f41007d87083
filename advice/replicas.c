#include "advice/replicas.h"

#include <math.h>

#define MINUTE_US INT64_C(60000000)

const struct klx_replicas_rules klx_replicas_rules_default = {
    .up_tolerance = 0.1,
    .down_tolerance = 0.1,
    .cpu_initialization_us = 5 * MINUTE_US,
    .readiness_delay_us = MINUTE_US / 2,
};

/* What is summed over the pods that count. */
struct sums {
    int64_t usage, request;
    int64_t pods;
};

struct groups {
    struct sums ready;
    int64_t missing, missing_request; /* without a sample */
    int64_t aside, aside_request;     /* Pending, or not ready */
};

/* Of a pod with a sample, where the metric is CPU. */
static bool is_unready(const struct klx_replicas_question *q, const struct klx_pod_usage *p) {
    if (!p->has_ready) {
        return true;
    }
    if (p->started_us + q->rules->cpu_initialization_us > q->now_us) {
        return !p->ready || p->sample_us < p->ready_changed_us + p->window_us;
    }
    return !p->ready && p->started_us + q->rules->readiness_delay_us > p->ready_changed_us;
}

static void group(const struct klx_replicas_question *q, struct groups *g) {
    *g = (struct groups){ .missing = 0 };
    for (size_t i = 0; i < q->n; i++) {
        const struct klx_pod_usage *p = &q->pods[i];
        if (p->phase == KLX_POD_GONE) {
            continue;
        }
        if (p->phase == KLX_POD_PENDING || (p->has_sample && q->target.cpu && is_unready(q, p))) {
            g->aside++;
            g->aside_request += p->request;
        } else if (!p->has_sample) {
            g->missing++;
            g->missing_request += p->request;
        } else {
            g->ready.pods++;
            g->ready.usage += p->usage;
            g->ready.request += p->request;
        }
    }
}

/* As a percentage, cut; a sum of many pods times a hundred would not fit otherwise. */
static int64_t percent_of(int64_t part, int64_t whole) {
    return (int64_t)((__int128)part * 100 / whole);
}

static double ratio_of(const struct klx_replicas_target *t, const struct sums *s) {
    int64_t is = t->utilization ? percent_of(s->usage, s->request) : s->usage / s->pods;
    return (double)is / (double)t->value;
}

static bool is_within(const struct klx_replicas_rules *r, double ratio) {
    return 1.0 - r->down_tolerance <= ratio && ratio <= 1.0 + r->up_tolerance;
}

static int32_t replicas(double ratio, int64_t pods) {
    double wanted = ceil(ratio * (double)pods);
    return wanted > KLX_REPLICAS_MAX ? KLX_REPLICAS_MAX : (int32_t)wanted;
}

/* Those without a sample, as what makes the least of the change. */
static void count_missing(const struct klx_replicas_target *t, const struct groups *g, double ratio,
                          struct sums *s) {
    if (g->missing == 0 || ratio == 1.0) {
        return;
    }
    s->pods += g->missing;
    s->request += g->missing_request;
    if (ratio < 1.0) {
        int64_t percent = t->value > 100 ? t->value : 100;
        s->usage += t->utilization ? (int64_t)((__int128)g->missing_request * percent / 100)
                                   : t->value * g->missing;
    }
}

static bool points_back(double before, double after) {
    return (before < 1.0 && after > 1.0) || (before > 1.0 && after < 1.0);
}

static int32_t wanted_with_unknown(const struct klx_replicas_question *q, const struct groups *g,
                                   double ratio) {
    struct sums s = g->ready;
    count_missing(&q->target, g, ratio, &s);
    if (ratio > 1.0) {
        s.pods += g->aside;
        s.request += g->aside_request;
    }
    double again = ratio_of(&q->target, &s);
    if (is_within(q->rules, again) || points_back(ratio, again)) {
        return q->current;
    }
    int32_t wanted = replicas(again, s.pods);
    bool contradicts = (again < 1.0 && wanted > q->current) || (again > 1.0 && wanted < q->current);
    return contradicts ? q->current : wanted;
}

static bool has_all_requests(const struct klx_replicas_question *q) {
    for (size_t i = 0; i < q->n; i++) {
        if (q->pods[i].request <= 0) {
            return false;
        }
    }
    return true;
}

int klx_replicas_wanted(const struct klx_replicas_question *q, int32_t *ret) {
    struct groups g;
    group(q, &g);
    if (g.ready.pods == 0 || q->target.value <= 0 ||
        (q->target.utilization && !has_all_requests(q))) {
        return -ENODATA;
    }
    double ratio = ratio_of(&q->target, &g.ready);
    bool all_known = g.missing == 0 && !(g.aside > 0 && ratio > 1.0);
    if (!all_known) {
        *ret = wanted_with_unknown(q, &g, ratio);
    } else {
        *ret = is_within(q->rules, ratio) ? q->current : replicas(ratio, g.ready.pods);
    }
    return 0;
}
