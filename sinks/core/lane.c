#include "sinks/core/lane.h"

#include <stdlib.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "sinks/core/lane_internal.h"

#define LOST_LOG_EVERY_US (5 * KLX_US_PER_S)

bool klx_outcome_is_lost(const struct klx_outcome *o) {
    return o->gave_up || (o->verdict->class != KLX_VERDICT_DELIVERED &&
                          o->verdict->class != KLX_VERDICT_ACCEPTED);
}

int64_t klx_lane_mono_us(const struct klx_lane *l) {
    return l->o.clock->mono_us(l->o.clock);
}

int64_t klx_lane_wall_us(const struct klx_lane *l) {
    return l->o.clock->wall_us(l->o.clock);
}

bool klx_lane_is_batch(const struct klx_lane *l) {
    return l->o.ops->batch_bytes_max > 0;
}

static void on_circuit_change(void *arg) {
    struct klx_lane *l = arg;
    klx_gauge_set(l->metrics.broken, klx_lane_is_broken(l));
    klx_lane_plan(l);
}

struct klx_lane *klx_lane_new(const struct klx_lane_options *o,
                              const struct klx_lane_callbacks *cb) {
    struct klx_lane *l = klx_alloc(struct klx_lane);
    l->o = *o;
    l->cb = *cb;
    l->queue = klx_queue_new();
    l->wake_at_us = INT64_MAX;
    l->sent_us = INT64_MIN / 2;
    l->taken_us = INT64_MIN / 2;
    l->lost_logged_us = INT64_MIN / 2;
    l->words_logged_us = INT64_MIN / 2;
    l->probed_wall_us = KLX_TIME_NONE;
    l->probe_at_start = o->ops->probe != NULL;
    klx_health_init(&l->health, o->name, o->ops->name, o->clock);
    klx_lane_slots_init(l);
    klx_lane_make_metrics(l);
    if (o->circuits != NULL && o->credential.n > 0) {
        l->circuit = klx_circuit_join(o->circuits, o->credential, o->name, on_circuit_change, l);
    }
    l->o.credential = klx_sv("");
    klx_circuit_retry_now(l->circuit); /* new settings may be what mends it */
    klx_gauge_set(l->metrics.queue, 0);
    klx_gauge_set(l->metrics.in_flight, 0);
    klx_gauge_set(l->metrics.broken, klx_lane_is_broken(l));
    klx_lane_plan(l);
    return l;
}

/* Asks for a wake-up, unless that has been asked for already. */
static void wake_at(struct klx_lane *l, int64_t at_us) {
    int64_t now_us = klx_lane_mono_us(l);
    if (at_us == l->wake_at_us || (at_us <= now_us && l->wake_at_us <= now_us)) {
        return;
    }
    l->wake_at_us = at_us;
    if (at_us == INT64_MAX) {
        l->cb.schedule(l->cb.arg, -1);
    } else if (at_us <= now_us) {
        l->cb.schedule(l->cb.arg, 0);
    } else {
        l->cb.schedule(l->cb.arg, (at_us - now_us + KLX_US_PER_MS - 1) / KLX_US_PER_MS);
    }
}

static int64_t later(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static int64_t earlier(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* When the channel may be tried. INT64_MAX: when another one that uses its credential has tried. */
static int64_t due_us(const struct klx_lane *l) {
    int64_t paced_us = l->sent_us + l->o.ops->min_interval_ms * KLX_US_PER_MS;
    return later(later(klx_health_due_us(&l->health), paced_us), klx_circuit_due_us(l->circuit));
}

static size_t limit(const struct klx_lane *l) {
    return klx_circuit_is_open(l->circuit) ? 1 : klx_health_limit(&l->health, l->slots_n);
}

static bool needs_probe(const struct klx_lane *l) {
    return l->o.ops->probe != NULL &&
           (l->probe_at_start ||
            (klx_lane_is_broken(l) && !(l->half_open && klx_queue_n(l->queue) > 0)));
}

bool klx_lane_may_send(const struct klx_lane *l, int64_t now_us) {
    return !l->probing && !needs_probe(l) && l->busy < limit(l) && now_us >= due_us(l);
}

/* When the delivery will have had its time: that of its own attempts, or that of a channel where nothing goes through. */
static int64_t give_up_us(const struct klx_lane *l, const struct klx_delivery *d) {
    int64_t since_us = d->first_mono_us;
    if (d->first_us == KLX_TIME_NONE) {
        since_us = earlier(l->health.dead_since_us, klx_circuit_since_us(l->circuit));
        if (since_us != INT64_MAX) {
            since_us = d->parked_mono_us != 0 ? d->parked_mono_us : later(since_us, d->queued_us);
        }
    }
    return since_us == INT64_MAX ? INT64_MAX : since_us + l->o.give_up_after_ms * KLX_US_PER_MS;
}

/* When something is to be done that does not follow from a call or an answer. */
static int64_t next_us(const struct klx_lane *l) {
    const struct klx_delivery *oldest = klx_queue_oldest(l->queue);
    int64_t next = oldest != NULL && !oldest->under_way ? give_up_us(l, oldest) : INT64_MAX;
    if (l->probing || l->busy >= limit(l)) {
        return next;
    }
    if (needs_probe(l)) {
        int64_t probe_us = l->probe_at_start ? INT64_MIN : due_us(l);
        return l->busy > 0 ? next : earlier(next, probe_us);
    }
    int64_t work_us = earlier(klx_queue_due_us(l->queue), klx_lane_batch_due_us(l));
    return work_us == INT64_MAX ? next : earlier(next, later(work_us, due_us(l)));
}

void klx_lane_plan(struct klx_lane *l) {
    wake_at(l, l->stopped || l->held ? INT64_MAX : next_us(l));
}

void klx_lane_limit(struct klx_lane *l, size_t queue_max, int64_t give_up_after_ms) {
    l->o.queue_max = queue_max;
    l->o.give_up_after_ms = give_up_after_ms;
    klx_lane_plan(l);
}

void klx_lane_push(struct klx_lane *l, struct klx_delivery *d) {
    klx_delivery_fit(d, l->names, l->names_n); /* it may have waited over a reload */
    d->queued_us = klx_lane_mono_us(l);
    klx_queue_push(l->queue, d);
    klx_gauge_set(l->metrics.queue, (double)klx_queue_n(l->queue));
    klx_lane_plan(l);
}

void klx_lane_unlink(struct klx_lane *l, struct klx_delivery *d) {
    klx_queue_remove(l->queue, d);
    klx_gauge_set(l->metrics.queue, (double)klx_queue_n(l->queue));
}

static void log_lost(struct klx_lane *l, const struct klx_outcome *o) {
    int64_t now_us = klx_lane_mono_us(l);
    if (now_us - l->lost_logged_us < LOST_LOG_EVERY_US) {
        l->lost_silent++;
        return;
    }
    klx_log_warn(o->gave_up ? "given up: a dead letter" : "refused for good: a dead letter",
                 KLX_F_STR("channel", l->o.name), KLX_F_SV("event", o->message->event.id),
                 KLX_F_SV("recipient", o->recipient), KLX_F_STR("reason", o->verdict->reason),
                 KLX_F_STR("answer", o->verdict->answer), KLX_F_INT("attempts", o->attempts),
                 KLX_F_INT("more_not_logged", l->lost_silent));
    l->lost_logged_us = now_us;
    l->lost_silent = 0;
}

void klx_lane_tell(struct klx_lane *l, struct klx_delivery *d, size_t recipient, bool gave_up) {
    struct klx_delivery_recipient *r = &d->recipients[recipient];
    const struct klx_outcome o = {
        .delivery = d,
        .message = d->message,
        .subscription = d->subscription,
        .channel = l->o.name,
        .recipient = l->names[recipient],
        .verdict = &r->last,
        .gave_up = gave_up,
        .attempts = r->attempts,
        .ambiguous = r->ambiguous,
        .first_us = d->first_us,
        .last_us = d->last_us,
    };
    r->final = true;
    d->recipients_left--;
    if (klx_outcome_is_lost(&o)) {
        klx_counter_add(l->metrics.dead_letters, 1);
        log_lost(l, &o);
    } else {
        klx_histogram_observe(l->metrics.seconds,
                              (double)(klx_lane_wall_us(l) - d->message->event.time_us) / 1e6);
    }
    l->cb.on_outcome(l->cb.arg, &o);
}

void klx_lane_end(struct klx_lane *l, struct klx_delivery *d, const struct klx_verdict *verdict,
                  bool gave_up) {
    const struct klx_verdict *untried =
        klx_circuit_is_open(l->circuit) ? klx_circuit_verdict(l->circuit) : &l->health.last;
    klx_delivery_begin(d, l->names, l->names_n);
    for (size_t i = 0; i < l->names_n; i++) {
        struct klx_delivery_recipient *r = &d->recipients[i];
        if (!r->final) {
            r->last = verdict != NULL ? *verdict : r->attempts == 0 ? *untried : r->last;
            klx_lane_tell(l, d, i, gave_up);
        }
    }
    klx_lane_unlink(l, d);
    klx_delivery_done(d);
    l->cb.on_change(l->cb.arg);
}

static void give_up_oldest(struct klx_lane *l, int64_t now_us) {
    struct klx_delivery *d = klx_queue_oldest(l->queue);
    while (d != NULL && !d->under_way && now_us >= give_up_us(l, d)) {
        klx_lane_end(l, d, NULL, true);
        d = klx_queue_oldest(l->queue);
    }
}

/* Something newer of the incident waits behind it. */
static bool pass_over(struct klx_lane *l, struct klx_delivery *d) {
    bool over = l->cb.passes_over != NULL && d->first_us == KLX_TIME_NONE &&
                l->cb.passes_over(l->cb.arg, d);
    if (over) {
        klx_lane_unlink(l, d);
        klx_delivery_done(d);
        l->cb.on_change(l->cb.arg);
    }
    return over;
}

struct klx_delivery *klx_lane_next(struct klx_lane *l, int64_t now_us) {
    struct klx_delivery *d = NULL;
    while (klx_lane_may_send(l, now_us)) {
        d = klx_queue_next(l->queue, now_us);
        if (d != NULL && pass_over(l, d)) {
            continue;
        }
        if (d == NULL || now_us < give_up_us(l, d)) {
            return d;
        }
        klx_lane_end(l, d, NULL, true);
    }
    return NULL;
}

static void send_what_may_be(struct klx_lane *l, int64_t now_us) {
    struct klx_delivery *d = klx_lane_next(l, now_us);
    while (d != NULL) {
        struct klx_lane_slot *s = klx_lane_free_slot(l);
        if (klx_lane_render(l, d, &s->payload)) {
            klx_queue_take(l->queue, d, false);
            klx_lane_add(s, d);
            klx_lane_send(l, s);
        }
        d = klx_lane_next(l, now_us);
    }
}

void klx_lane_wake(struct klx_lane *l) {
    int64_t now_us = klx_lane_mono_us(l);
    l->wake_at_us = INT64_MAX;
    if (l->stopped || l->held) {
        return;
    }
    give_up_oldest(l, now_us);
    if (klx_lane_is_broken(l)) {
        klx_lane_ungather(l);
    }
    if (!l->probing && l->busy == 0 && needs_probe(l) &&
        (l->probe_at_start || now_us >= due_us(l))) {
        klx_lane_probe(l);
    } else if (klx_lane_is_batch(l)) {
        klx_lane_gather(l, now_us);
    } else {
        send_what_may_be(l, now_us);
    }
    klx_lane_plan(l);
}

void klx_lane_retry_now(struct klx_lane *l) {
    klx_health_retry_now(&l->health);
    klx_circuit_retry_now(l->circuit);
    klx_queue_wake_all(l->queue);
    klx_lane_plan(l);
}

void klx_lane_drop_revoked(struct klx_lane *l) {
    bool dropped = false;
    klx_lane_ungather(l);
    for (struct klx_delivery *d = klx_queue_oldest(l->queue), *next = NULL; d != NULL; d = next) {
        next = d->next;
        if (!d->under_way && klx_delivery_is_revoked(d)) {
            klx_lane_unlink(l, d);
            klx_delivery_abandon(d);
            dropped = true;
        }
    }
    if (dropped) {
        l->cb.on_change(l->cb.arg);
    }
    klx_lane_plan(l);
}

struct klx_delivery *klx_lane_take(struct klx_lane *l) {
    klx_lane_ungather(l);
    struct klx_delivery *d = klx_queue_oldest(l->queue);
    while (d != NULL && klx_queue_is_behind(d)) {
        d = d->next;
    }
    if (d != NULL) {
        klx_lane_unlink(l, d);
    }
    klx_lane_plan(l);
    return d;
}

const struct klx_delivery *klx_lane_first_like(const struct klx_lane *l,
                                               const struct klx_delivery *d) {
    return klx_queue_first_like(l->queue, d);
}

void klx_lane_hold(struct klx_lane *l, bool held) {
    l->held = held;
    if (held) {
        klx_lane_ungather(l);
    }
    klx_lane_plan(l);
}

void klx_lane_stop(struct klx_lane *l) {
    struct klx_lane_slot *batch = l->gathering;
    int64_t now_us = klx_lane_mono_us(l);
    bool may = now_us >= klx_health_due_us(&l->health) && now_us >= klx_circuit_due_us(l->circuit);
    if (!l->stopped && batch != NULL && may && !l->probing && l->busy < limit(l)) {
        klx_lane_send(l, batch);
    }
    l->stopped = true;
    klx_lane_ungather(l);
    klx_lane_plan(l);
}

void klx_lane_free(struct klx_lane *l) {
    if (l == NULL) {
        return;
    }
    l->o.ops->close(l->o.channel);
    klx_circuit_leave(l->circuit);
    for (struct klx_delivery *d = klx_queue_oldest(l->queue), *next = NULL; d != NULL; d = next) {
        next = d->next;
        klx_lane_unlink(l, d);
        klx_delivery_abandon(d);
    }
    if (!l->replaced) { /* nobody is to be alarmed by a channel that is gone */
        klx_gauge_set(l->metrics.in_flight, 0);
        klx_gauge_set(l->metrics.broken, 0);
        klx_gauge_set(l->metrics.lag, 0);
    }
    klx_lane_slots_release(l);
    klx_queue_free(l->queue);
    free(l);
}

void klx_lane_look(struct klx_lane *l) {
    const struct klx_delivery *d = klx_queue_oldest(l->queue);
    int64_t waited_us = d != NULL ? klx_lane_mono_us(l) - d->queued_us : 0;
    klx_gauge_set(l->metrics.lag, (double)waited_us / 1e6);
}

bool klx_lane_is_sending(const struct klx_lane *l) {
    return l->busy > 0;
}

bool klx_lane_full(const struct klx_lane *l) {
    return klx_queue_n(l->queue) >= l->o.queue_max;
}

bool klx_lane_has_room(const struct klx_lane *l) {
    return klx_queue_n(l->queue) <= l->o.queue_max / 4 * 3;
}

int64_t klx_lane_stands_ms(const struct klx_lane *l) {
    const struct klx_delivery *oldest = klx_queue_oldest(l->queue);
    int64_t since_us = oldest != NULL ? later(l->taken_us, oldest->queued_us) : INT64_MAX;
    return oldest != NULL ? (klx_lane_mono_us(l) - since_us) / KLX_US_PER_MS : 0;
}

bool klx_lane_is_broken(const struct klx_lane *l) {
    return l->health.state == KLX_HEALTH_BROKEN || klx_circuit_is_open(l->circuit);
}

size_t klx_lane_depth(const struct klx_lane *l) {
    return klx_queue_n(l->queue);
}

const struct klx_verdict *klx_lane_trouble(const struct klx_lane *l, int64_t *ret_ms) {
    if (klx_circuit_is_open(l->circuit)) {
        int64_t since_us = klx_circuit_since_us(l->circuit);
        *ret_ms = (klx_lane_mono_us(l) - since_us) / KLX_US_PER_MS;
        return klx_circuit_verdict(l->circuit);
    }
    *ret_ms = (klx_lane_wall_us(l) - l->health.since_wall_us) / KLX_US_PER_MS;
    return l->health.state == KLX_HEALTH_WELL ? NULL : &l->health.last;
}

int64_t klx_lane_asked_until_us(const struct klx_lane *l) {
    int64_t wait_us = l->health.asked_until_us - klx_lane_mono_us(l);
    return wait_us > 0 ? klx_lane_wall_us(l) + wait_us : KLX_TIME_NONE;
}

const char *klx_lane_name(const struct klx_lane *l) {
    return l->o.name;
}

void klx_lane_describe(const struct klx_lane *l, struct klx_buf *out) {
    char at[KLX_TIME_TEXT_BYTES];
    klx_buf_printf(out, "channel %s: %zu waiting, ", l->o.name, klx_queue_n(l->queue));
    if (klx_circuit_is_open(l->circuit)) {
        klx_circuit_describe(l->circuit, out);
    } else {
        klx_health_describe(&l->health, out);
    }
    if (l->probed_wall_us != KLX_TIME_NONE) {
        klx_time_format(l->probed_wall_us, KLX_TIME_SECONDS, at);
        klx_buf_printf(out, "; probed %s: %s", at, l->probed.reason);
    }
    klx_buf_add_char(out, '\n');
}
