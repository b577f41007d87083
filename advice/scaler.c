#include "advice/scaler.h"

#include <math.h>
#include <stdlib.h>

#include "lib/base/mem.h"

#define US_PER_S INT64_C(1000000)
#define UP_FACTOR 2 /* without behavior */
#define UP_AT_LEAST 4

const struct klx_scaler_flags klx_scaler_flags_default = {
    .sync_us = 15 * US_PER_S,
    .downscale_us = 300 * US_PER_S,
    .rules = { .up_tolerance = 0.1,
               .down_tolerance = 0.1,
               .cpu_initialization_us = 300 * US_PER_S,
               .readiness_delay_us = 30 * US_PER_S },
};
const struct klx_scaler_rules klx_scaler_up_default = {
    .window_s = 0,
    .policies = { { .value = 4, .period_s = 15 },
                  { .percent = true, .value = 100, .period_s = 15 } },
    .policies_n = 2,
    .tolerance = -1,
};
const struct klx_scaler_rules klx_scaler_down_default = {
    .window_s = KLX_SCALER_UNSET,
    .policies = { { .percent = true, .value = 100, .period_s = 15 } },
    .policies_n = 1,
    .tolerance = -1,
};

/* A recommendation, or a change of the replicas. */
struct note {
    int32_t replicas;
    int64_t at_us;
};

struct notes {
    struct note *items;
    size_t n, allocated;
};

struct klx_scaler {
    struct klx_scaler_flags flags;
    struct notes recommendations, ups, downs; /* changes without their sign */
};

struct klx_scaler *klx_scaler_new(const struct klx_scaler_flags *flags) {
    struct klx_scaler *s = klx_alloc(struct klx_scaler);
    s->flags = *flags;
    return s;
}

void klx_scaler_free(struct klx_scaler *s) {
    if (s == NULL) {
        return;
    }
    free(s->recommendations.items);
    free(s->ups.items);
    free(s->downs.items);
    free(s);
}

/* In the place of the last one from before `old_us`, as the controller does: what is that old is not forgotten before its place is
   needed, and there are never more than the windows hold. */
static void note(struct notes *all, int32_t replicas, int64_t at_us, int64_t old_us) {
    struct note *place = NULL;
    for (size_t i = 0; i < all->n; i++) {
        place = all->items[i].at_us < old_us ? &all->items[i] : place;
    }
    if (place == NULL && all->n == all->allocated) {
        size_t more = all->allocated == 0 ? 32 : 2 * all->allocated;
        all->items = klx_grow_array(all->items, all->allocated, more, sizeof(struct note));
        all->allocated = more;
    }
    if (place == NULL) {
        place = &all->items[all->n++];
    }
    *place = (struct note){ replicas, at_us };
}

void klx_scaler_remember(struct klx_scaler *s, int32_t recommended, int64_t at_us) {
    note(&s->recommendations, recommended, at_us, INT64_MIN);
}

void klx_scaler_remember_change(struct klx_scaler *s, int32_t change, int64_t at_us) {
    note(change > 0 ? &s->ups : &s->downs, abs(change), at_us, INT64_MIN);
}

static int32_t least(int32_t a, int32_t b) {
    return a < b ? a : b;
}

static int32_t most(int32_t a, int32_t b) {
    return a > b ? a : b;
}

static int64_t window_us(const struct klx_scaler *s, const struct klx_scaler_rules *r) {
    return r->window_s == KLX_SCALER_UNSET ? s->flags.downscale_us : r->window_s * US_PER_S;
}

/* With `behavior`. */
static int32_t stabilize(struct klx_scaler *s, const struct klx_scaler_spec *spec, int32_t current,
                         int32_t recommended, int64_t now_us) {
    int64_t up_us = now_us - window_us(s, &spec->up), down_us = now_us - window_us(s, &spec->down);
    int32_t up = recommended, down = recommended;
    for (size_t i = 0; i < s->recommendations.n; i++) {
        const struct note *r = &s->recommendations.items[i];
        up = r->at_us > up_us ? least(r->replicas, up) : up;
        down = r->at_us > down_us ? most(r->replicas, down) : down;
    }
    note(&s->recommendations, recommended, now_us, up_us < down_us ? up_us : down_us);
    return least(most(current, up), down);
}

static int32_t stabilize_plainly(struct klx_scaler *s, int32_t recommended, int64_t now_us) {
    int64_t old_us = now_us - s->flags.downscale_us;
    int32_t highest = recommended;
    for (size_t i = 0; i < s->recommendations.n; i++) {
        const struct note *r = &s->recommendations.items[i];
        highest = r->at_us >= old_us ? most(r->replicas, highest) : highest;
    }
    note(&s->recommendations, recommended, now_us, old_us);
    return highest;
}

static int32_t changed_within(const struct notes *changes, int64_t after_us) {
    int32_t sum = 0;
    for (size_t i = 0; i < changes->n; i++) {
        sum += changes->items[i].at_us > after_us ? changes->items[i].replicas : 0;
    }
    return sum;
}

/* How far one policy lets the replicas go. */
static int32_t reach(const struct klx_scaler *s, const struct klx_scaler_policy *p, bool up,
                     int32_t current, int64_t now_us) {
    int64_t after_us = now_us - p->period_s * US_PER_S;
    int32_t start =
        current - changed_within(&s->ups, after_us) + changed_within(&s->downs, after_us);
    if (!p->percent) {
        return up ? start + p->value : start - p->value;
    }
    double part = p->value / 100.0;
    return up ? (int32_t)ceil(start * (1 + part)) : (int32_t)(start * (1 - part));
}

static int32_t rate_limit(const struct klx_scaler *s, const struct klx_scaler_rules *r, bool up,
                          int32_t current, int64_t now_us) {
    if (r->select == KLX_SELECT_DISABLED) {
        return current;
    }
    bool greatest = up == (r->select == KLX_SELECT_MAX);
    int32_t limit = greatest ? INT32_MIN : INT32_MAX;
    for (size_t i = 0; i < r->policies_n; i++) {
        int32_t one = reach(s, &r->policies[i], up, current, now_us);
        limit = greatest ? most(limit, one) : least(limit, one);
    }
    return up ? most(limit, current) : least(limit, current);
}

static void bound(struct klx_scaler_decision *d, int32_t low, enum klx_scaler_limit low_why,
                  int32_t high, enum klx_scaler_limit high_why) {
    if (d->desired > high) {
        d->desired = high;
        d->limit = high_why;
    } else if (d->desired < low) {
        d->desired = low;
        d->limit = low_why;
    }
}

static void bound_by_policies(const struct klx_scaler *s, const struct klx_scaler_spec *spec,
                              int32_t current, int64_t now_us, struct klx_scaler_decision *d) {
    if (d->desired > current) {
        int32_t rate = rate_limit(s, &spec->up, true, current, now_us);
        bound(d, INT32_MIN, KLX_LIMIT_NONE, least(spec->max, rate),
              rate < spec->max ? KLX_LIMIT_UP_RATE : KLX_LIMIT_TOO_MANY);
    } else if (d->desired < current) {
        int32_t rate = rate_limit(s, &spec->down, false, current, now_us);
        bound(d, most(spec->min, rate), rate > spec->min ? KLX_LIMIT_DOWN_RATE : KLX_LIMIT_TOO_FEW,
              INT32_MAX, KLX_LIMIT_NONE);
    }
}

static void bound_plainly(const struct klx_scaler_spec *spec, int32_t current,
                          struct klx_scaler_decision *d) {
    int32_t rate = most(UP_FACTOR * current, UP_AT_LEAST);
    bound(d, spec->min, KLX_LIMIT_TOO_FEW, least(spec->max, rate),
          rate < spec->max ? KLX_LIMIT_UP_RATE : KLX_LIMIT_TOO_MANY);
}

static int64_t longest_us(const struct klx_scaler_rules *r) {
    int32_t longest = 0;
    for (size_t i = 0; i < r->policies_n; i++) {
        longest = most(longest, r->policies[i].period_s);
    }
    return longest * US_PER_S;
}

static void note_change(struct klx_scaler *s, const struct klx_scaler_spec *spec, int32_t change,
                        int64_t now_us) {
    if (change == 0 || !spec->has_behavior) {
        return;
    }
    const struct klx_scaler_rules *r = change > 0 ? &spec->up : &spec->down;
    note(change > 0 ? &s->ups : &s->downs, abs(change), now_us, now_us - longest_us(r));
}

struct klx_scaler_decision klx_scaler_settle(struct klx_scaler *s,
                                             const struct klx_scaler_spec *spec, int32_t current,
                                             int32_t recommended, int64_t now_us) {
    struct klx_scaler_decision d = { .recommended = recommended };
    d.desired = spec->has_behavior ? stabilize(s, spec, current, recommended, now_us)
                                   : stabilize_plainly(s, recommended, now_us);
    d.stabilized = d.desired != recommended;
    if (spec->has_behavior) {
        bound_by_policies(s, spec, current, now_us, &d);
    } else {
        bound_plainly(spec, current, &d);
    }
    note_change(s, spec, d.desired - current, now_us);
    return d;
}

static struct klx_replicas_rules rules_of(const struct klx_scaler *s,
                                          const struct klx_scaler_spec *spec) {
    struct klx_replicas_rules r = s->flags.rules;
    if (spec->has_behavior && spec->up.tolerance >= 0) {
        r.up_tolerance = spec->up.tolerance;
    }
    if (spec->has_behavior && spec->down.tolerance >= 0) {
        r.down_tolerance = spec->down.tolerance;
    }
    return r;
}

/* The greatest of what the metrics ask for; KLX_SCALER_UNSET where those that fail leave nothing to go by. */
static int32_t recommend(const struct klx_scaler *s, const struct klx_scaler_spec *spec,
                         const struct klx_scaler_view *view) {
    struct klx_replicas_rules rules = rules_of(s, spec);
    int32_t greatest = KLX_SCALER_UNSET;
    size_t failed = 0;
    for (size_t i = 0; i < spec->metrics_n; i++) {
        const struct klx_replicas_question q = { .rules = &rules,
                                                 .target = spec->metrics[i],
                                                 .pods = view->pods[i],
                                                 .n = view->n,
                                                 .current = view->current,
                                                 .now_us = view->now_us };
        int32_t wanted = 0;
        if (klx_replicas_wanted(&q, &wanted) == 0) {
            greatest = most(greatest, wanted);
        } else {
            failed++;
        }
    }
    return failed > 0 && greatest < view->current ? KLX_SCALER_UNSET : greatest;
}

struct klx_scaler_decision klx_scaler_look(struct klx_scaler *s, const struct klx_scaler_spec *spec,
                                           const struct klx_scaler_view *view) {
    struct klx_scaler_decision d = { .desired = view->current, .recommended = KLX_SCALER_UNSET };
    if (s->recommendations.n == 0) {
        klx_scaler_remember(s, view->current, view->now_us);
    }
    if (view->current == 0) {
        d.blind = true; /* ScalingDisabled: somebody has scaled it to nothing */
        return d;
    }
    if (view->current > spec->max || view->current < spec->min) {
        d.desired = view->current > spec->max ? spec->max : spec->min;
        note_change(s, spec, d.desired - view->current, view->now_us);
        return d;
    }
    int32_t recommended = recommend(s, spec, view);
    if (recommended == KLX_SCALER_UNSET) {
        d.blind = true;
        return d;
    }
    return klx_scaler_settle(s, spec, view->current, recommended, view->now_us);
}
