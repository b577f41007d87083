#include <stdint.h>

#include "sinks/core/lane_internal.h"

static bool fits(const struct klx_lane *l, const struct klx_lane_slot *s, size_t bytes) {
    const struct klx_sink_ops *ops = l->o.ops;
    size_t with_it = s->payload.len + s->n + bytes + 1;
    return s->n == 0 ||
           (with_it <= ops->batch_bytes_max && (ops->batch_n_max == 0 || s->n < ops->batch_n_max));
}

int64_t klx_lane_batch_due_us(const struct klx_lane *l) {
    if (l->gathering == NULL) {
        return INT64_MAX;
    }
    return l->gathering->deliveries[0]->queued_us + l->o.ops->batch_age_ms * KLX_US_PER_MS;
}

/* False: the batch is full, and has been sent without it. */
static bool add(struct klx_lane *l, struct klx_delivery *d) {
    struct klx_lane_slot *s = l->gathering != NULL ? l->gathering : klx_lane_free_slot(l);
    if (!fits(l, s, l->scratch.len)) {
        klx_lane_send(l, s);
        return false;
    }
    klx_queue_take(l->queue, d, true);
    klx_buf_add_sv(&s->payload, klx_buf_sv(&l->scratch));
    klx_lane_add(s, d);
    l->gathering = s;
    if (s->n == l->o.ops->batch_n_max) {
        klx_lane_send(l, s);
    }
    return true;
}

void klx_lane_gather(struct klx_lane *l, int64_t now_us) {
    struct klx_delivery *d = klx_lane_next(l, now_us);
    while (d != NULL) {
        if (klx_lane_render(l, d, &l->scratch)) {
            (void)add(l, d); /* what did not fit is next again */
        }
        d = klx_lane_next(l, now_us);
    }
    if (now_us >= klx_lane_batch_due_us(l) && klx_lane_may_send(l, now_us)) {
        klx_lane_send(l, l->gathering);
    }
}

void klx_lane_ungather(struct klx_lane *l) {
    struct klx_lane_slot *s = l->gathering;
    l->gathering = NULL;
    for (size_t i = 0; s != NULL && i < s->n; i++) {
        klx_queue_put_back(l->queue, s->deliveries[i], INT64_MIN, false);
    }
    if (s != NULL) {
        s->n = 0;
        klx_buf_reset(&s->payload);
    }
}
