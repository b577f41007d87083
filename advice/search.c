#include "advice/search.h"

#include <string.h>

#include "lib/base/cleanup.h"

#define DAY_US INT64_C(86400000000)
#define SAVES 0.9 /* another target is worth it from a tenth less on */
#define COVERAGE_GOOD 0.9
#define COVERAGE_FAIR 0.5
#define TARGET_STEPS                                                                               \
    7 /* of the limit: 40, 45 … 70 percent; above it a pod has no room for a burst */

struct search {
    const struct klx_search_options *o;
    struct klx_advice *a;
};

static void play(const struct search *s, const struct klx_scaler_spec *spec, double growth,
                 struct klx_play_result *ret) {
    const struct klx_play_options options = { .load = s->o->load,
                                              .flags = s->o->flags,
                                              .growth = growth };
    klx_play(&options, spec, NULL, NULL, ret);
}

static void try_spec(const struct search *s, const struct klx_scaler_spec *spec,
                     struct klx_outcome *ret) {
    struct klx_scaler_spec tried = *spec; /* which may be that of *ret */
    ret->spec = tried;
    play(s, &tried, 1, &ret->result);
    play(s, &tried, s->o->growth, &ret->grown);
}

static int32_t most(int32_t a, int32_t b) {
    return a > b ? a : b;
}

/* The most replicas that the grown load asks for where nothing stops it. */
static int32_t need(const struct search *s, const struct klx_scaler_spec *spec) {
    struct klx_scaler_spec free_spec = *spec;
    struct klx_play_result r;
    free_spec.max = most(s->o->max_cap, spec->max);
    play(s, &free_spec, s->o->growth, &r);
    s->a->capped = r.at_max_us > 0;
    return r.highest;
}

/* Whether a is better than b: OOM minutes, then those of the grown load, then the time at the maximum, flaps, and what it costs. */
static bool is_better(const struct klx_outcome *a, const struct klx_outcome *b) {
    const int64_t x[] = { a->result.oom_us, a->grown.oom_us, a->result.at_max_us };
    const int64_t y[] = { b->result.oom_us, b->grown.oom_us, b->result.at_max_us };
    for (size_t i = 0; i < KLX_COUNT(x); i++) {
        if (x[i] != y[i]) {
            return x[i] < y[i];
        }
    }
    if (a->result.flaps != b->result.flaps) {
        return a->result.flaps < b->result.flaps;
    }
    return a->result.replica_us < b->result.replica_us;
}

static bool prevents_more(const struct klx_outcome *a, const struct klx_outcome *b) {
    return a->result.oom_us < b->result.oom_us ||
           (a->result.oom_us == b->result.oom_us && a->grown.oom_us < b->grown.oom_us);
}

/* The best minimum under a maximum. One below today's must cost less and be no worse; one above it must prevent kills. */
static void find_min(const struct search *s, const struct klx_scaler_spec *spec,
                     struct klx_outcome *best) {
    struct klx_scaler_spec one = *spec;
    struct klx_outcome tried;
    try_spec(s, spec, best);
    for (int32_t min = s->o->min_cap; min <= spec->max; min += min > spec->min ? 1 + min / 8 : 1) {
        one.min = min;
        try_spec(s, &one, &tried);
        if (min <= spec->min ? is_better(&tried, best) : prevents_more(&tried, best)) {
            *best = tried;
        }
        if (min >= spec->min && best->result.oom_us == 0 && best->grown.oom_us == 0) {
            return; /* more of it only costs */
        }
    }
}

static void find_bounds(const struct search *s, const struct klx_scaler_spec *spec,
                        struct klx_outcome *best) {
    struct klx_scaler_spec raised = *spec;
    int32_t needed = need(s, spec);
    s->a->max_needed = most(needed, spec->min);
    if (!s->a->no_relief && needed > spec->max) {
        raised.max = needed;
    }
    if (s->a->no_relief) {
        try_spec(s, spec, best); /* nothing comes of more */
        return;
    }
    find_min(s, &raised, best);
    if (best->result.oom_us + best->grown.oom_us > 0 && raised.max < s->o->max_cap) {
        struct klx_outcome wider; /* a minimum above what the HPA itself would ask for */
        raised.max = s->o->max_cap;
        find_min(s, &raised, &wider);
        wider.spec.max = most(needed, most(wider.spec.min, spec->max));
        try_spec(s, &wider.spec, &wider);
        if (wider.result.oom_us + wider.grown.oom_us < best->result.oom_us + best->grown.oom_us) {
            *best = wider;
        }
    }
}

/* A tenth cheaper than the best so far, and no worse; flaps no more than today. */
static bool is_cheaper(const struct search *s, const struct klx_outcome *a,
                       const struct klx_outcome *best) {
    size_t flaps = s->a->now.result.flaps;
    flaps = best->result.flaps > flaps ? best->result.flaps : flaps;
    return a->result.oom_us <= best->result.oom_us && a->grown.oom_us <= best->grown.oom_us &&
           a->result.at_max_us <= best->result.at_max_us && a->result.flaps <= flaps &&
           a->result.replica_us < best->result.replica_us * SAVES;
}

static void find_target(const struct search *s, const struct klx_scaler_spec *spec,
                        struct klx_outcome *best) {
    double limit = s->o->load->limit;
    struct klx_outcome tried;
    if (limit <= 0 || spec->metrics[0].utilization || s->o->bounds_only) {
        return;
    }
    for (int i = 0; i < TARGET_STEPS; i++) {
        struct klx_scaler_spec one = *spec;
        int64_t step_bytes = INT64_C(1) << 26; /* 64Mi: what a person would write */
        int64_t bytes = (int64_t)(limit * (0.40 + 0.05 * i));
        bytes = bytes > step_bytes ? bytes / step_bytes * step_bytes : bytes;
        one.metrics[0].value = bytes * 1000;
        find_bounds(s, &one, &tried);
        /* A higher target leaves less room: not on little data. */
        bool careful =
            s->a->confidence > KLX_CONFIDENCE_LOW || one.metrics[0].value < spec->metrics[0].value;
        if (tried.result.oom_us < best->result.oom_us || (careful && is_cheaper(s, &tried, best))) {
            *best = tried;
        }
    }
}

static void doubt(struct klx_advice *a, enum klx_confidence at_most, const char *why) {
    size_t n = 0;
    while (a->doubts[n] != NULL) {
        n++;
    }
    if (n + 1 < KLX_COUNT(a->doubts)) {
        a->doubts[n] = why;
    }
    a->confidence = at_most < a->confidence ? at_most : a->confidence;
}

static void weigh_data(const struct search *s) {
    const struct klx_load *l = s->o->load;
    int64_t span_us = l->items[l->n - 1].at_us - l->items[0].at_us;
    double coverage = span_us > 0 ? (double)l->covered_us / (double)span_us : 0;
    s->a->confidence = KLX_CONFIDENCE_HIGH;
    if (l->covered_us < 2 * DAY_US) {
        doubt(s->a, KLX_CONFIDENCE_LOW, "less than two days of samples");
    } else if (l->covered_us < 7 * DAY_US) {
        doubt(s->a, KLX_CONFIDENCE_MEDIUM,
              "less than a week of samples: no weekly pattern is seen");
    }
    if (coverage < COVERAGE_FAIR) {
        doubt(s->a, KLX_CONFIDENCE_LOW, "half of the time has no samples");
    } else if (coverage < COVERAGE_GOOD) {
        doubt(s->a, KLX_CONFIDENCE_MEDIUM, "a tenth of the time or more has no samples");
    }
    if (!klx_load_measured(l)) {
        doubt(s->a, KLX_CONFIDENCE_MEDIUM,
              "the replicas changed too rarely to see how the load is shared: it is assumed that "
              "all of it is");
    }
    if (l->limit <= 0) {
        doubt(s->a, KLX_CONFIDENCE_LOW,
              "the memory limit is not known (source pods): OOM kills cannot be predicted");
    }
    if (l->kills_hidden > 0) {
        doubt(
            s->a, KLX_CONFIDENCE_MEDIUM,
            "containers were killed before their memory was seen: the load was more than is known");
    }
    if (s->o->subject->left_out[0] != '\0') {
        doubt(s->a, KLX_CONFIDENCE_MEDIUM, "the HPA has other metrics, which are not played");
    }
}

static bool is_same(const struct klx_scaler_spec *a, const struct klx_scaler_spec *b) {
    return a->min == b->min && a->max == b->max && a->metrics[0].value == b->metrics[0].value;
}

/* A maximum that the add-on takes for its own old default would not stay. */
static void avoid_reset(const struct search *s) {
    struct klx_advice *a = s->a;
    if (s->o->subject->managed && a->proposed.spec.max == KLX_MANAGED_MAX_RESET &&
        a->proposed.spec.max < s->o->max_cap) {
        a->proposed.spec.max++;
        try_spec(s, &a->proposed.spec, &a->proposed);
    }
}

/* A lower minimum saves replicas; on little data that is no reason to take some away. */
static void keep_minimum(const struct search *s) {
    struct klx_advice *a = s->a;
    if (a->confidence == KLX_CONFIDENCE_LOW && a->proposed.spec.min < a->now.spec.min) {
        a->proposed.spec.min = a->now.spec.min;
        try_spec(s, &a->proposed.spec, &a->proposed);
    }
}

/* One at the very end has taken no time. */
static bool has_kills(const struct klx_play_result *r) {
    return r->oom_us > 0 || r->oom_kills > 0;
}

void klx_search(const struct klx_search_options *o, struct klx_advice *ret) {
    struct search s = { .o = o, .a = ret };
    const struct klx_scaler_spec *spec = &o->subject->spec;
    *ret = (struct klx_advice){ .max_needed = 0 };
    ret->no_relief = klx_load_measured(o->load) && o->load->relief < KLX_LOAD_RELIEF_LEAST;
    weigh_data(&s);
    try_spec(&s, spec, &ret->now);
    find_bounds(&s, spec, &ret->proposed);
    int32_t needed = ret->max_needed;
    bool capped = ret->capped;
    ret->bounds_cannot = has_kills(&ret->proposed.result);
    struct klx_outcome best = ret->proposed;
    if (!ret->no_relief) {
        find_target(&s, spec, &best);
    }
    ret->target_would = best.result.oom_us < ret->proposed.result.oom_us && o->subject->managed;
    ret->with_target = best;
    if (!o->subject->managed) {
        ret->proposed = best;
        ret->bounds_cannot = has_kills(&best.result);
    }
    ret->max_needed = needed;
    ret->capped = capped && !ret->no_relief;
    keep_minimum(&s);
    avoid_reset(&s);
    ret->differs = !is_same(&ret->now.spec, &ret->proposed.spec);
}

const char *klx_confidence_name(enum klx_confidence c) {
    static const char *const names[] = { "low", "medium", "high" };
    return names[c];
}
