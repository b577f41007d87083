/*
 * A lane that takes the place of another, or goes: what waits in it is neither lost nor told twice.
 */
#include "sinks/core/lane_internal.h"

static size_t find_name(const struct klx_lane *l, struct klx_sv name) {
    size_t i = 0;
    while (i < l->names_n && !klx_sv_eq(l->names[i], name)) {
        i++;
    }
    return i;
}

/* Who is no recipient any more, and has no verdict yet, gets that as one. */
static void tell_who_is_gone(struct klx_lane *from, const struct klx_lane *l,
                             struct klx_delivery *d) {
    for (size_t i = 0; i < from->names_n; i++) {
        struct klx_delivery_recipient *r = &d->recipients[i];
        if (!r->final && find_name(l, from->names[i]) == l->names_n) {
            klx_verdict_set(&r->last, KLX_VERDICT_REJECT_RECIPIENT, "recipient_removed",
                            KLX_SV("the configuration does not name it any more"));
            klx_lane_tell(from, d, i, false);
        }
    }
}

void klx_lane_take_over(struct klx_lane *l, struct klx_lane *from) {
    struct klx_delivery *d = klx_lane_take(from);
    from->replaced = true;
    for (; d != NULL; d = klx_lane_take(from)) {
        if (d->recipients != NULL) {
            tell_who_is_gone(from, l, d);
            klx_delivery_rename(d, l->names, l->names_n);
        }
        if (d->recipients != NULL && d->recipients_left == 0) {
            klx_delivery_done(d);
        } else {
            klx_queue_push(l->queue, d);
        }
    }
    klx_gauge_set(l->metrics.queue, (double)klx_queue_n(l->queue));
    klx_lane_plan(l);
}

void klx_lane_give_up_all(struct klx_lane *l, const char *reason) {
    struct klx_verdict v;
    klx_lane_ungather(l);
    klx_verdict_set(&v, KLX_VERDICT_DESTINATION_BROKEN, reason, klx_sv(""));
    struct klx_delivery *d = klx_queue_oldest(l->queue);
    for (struct klx_delivery *next = NULL; d != NULL; d = next) {
        next = d->next;
        if (!d->under_way) {
            klx_lane_end(l, d, &v, true);
        }
    }
}
