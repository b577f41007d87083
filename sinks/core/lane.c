#include "sinks/core/lane.h"

#include <assert.h>
#include <stdlib.h>

#include "lib/base/cleanup.h"
#include "lib/base/hash.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "lib/io/metrics.h"
#include "sinks/core/health.h"

#define LOST_LOG_EVERY_US (5 * KLX_US_PER_S)

enum state { LANE_IDLE, LANE_WAITING, LANE_SENDING };

/* Of the head, but for the name. */
struct recipient {
    struct klx_sv name;
    bool final;
    unsigned attempts, ambiguous;
    struct klx_verdict last; /* of the send before, also when that was of another delivery */
};

struct klx_lane {
    struct klx_lane_options o;
    struct klx_lane_callbacks cb;
    enum state state;
    bool stopped;
    struct klx_health health;

    struct klx_delivery *first, **tail;
    size_t n;

    /* Of the head, from its first attempt on. */
    struct klx_buf payload;
    char id[KLX_HASH_TEXT_BYTES];
    bool rendered;
    int64_t first_mono_us, first_us, last_us;
    struct recipient *recipients;
    size_t recipients_n, recipients_left;

    /* Of the send under way, and when the last one began or ended: the other side counts from when it took a message. */
    struct klx_sv *sent_names;
    size_t *sent_to;
    size_t sent_n;
    int64_t sent_us;

    int64_t lost_logged_us; /* dead letters are logged one in five seconds */
    int64_t lost_silent;

    struct {
        struct klx_counter *verdicts[KLX_VERDICTS_N];
        struct klx_counter *retries, *dead_letters;
        struct klx_gauge *queue, *in_flight, *broken;
        struct klx_histogram *seconds;
    } metrics;
};

/* From an event's time to the answer: seconds when all is well, hours after an outage. */
static const double delivery_bounds[] = { 0.1, 0.25, 0.5, 1,    2.5,   5,     10,   30,
                                          60,  120,  300, 1800, 10800, 43200, 86400 };

bool klx_outcome_is_lost(const struct klx_outcome *o) {
    return o->gave_up || (o->verdict->class != KLX_VERDICT_DELIVERED &&
                          o->verdict->class != KLX_VERDICT_ACCEPTED);
}

static int64_t mono_us(const struct klx_lane *l) {
    return l->o.clock->mono_us(l->o.clock);
}

static int64_t wall_us(const struct klx_lane *l) {
    return l->o.clock->wall_us(l->o.clock);
}

static void make_metrics(struct klx_lane *l) {
    const struct klx_label labels[] = { { "sink", l->o.ops->name },
                                        { "channel", l->o.name },
                                        { NULL, NULL } };
    for (int c = 0; c < KLX_VERDICTS_N; c++) {
        const struct klx_label with_class[] = {
            labels[0],
            labels[1],
            { "verdict", klx_verdict_name((enum klx_verdict_class)c) },
            { NULL, NULL },
        };
        l->metrics.verdicts[c] = klx_counter("klaxon_sink_verdicts_total",
                                             "Answers, one for each recipient.", with_class);
    }
    l->metrics.retries = klx_counter("klaxon_sink_retries_total",
                                     "Sends that were not the first of their message.", labels);
    l->metrics.dead_letters =
        klx_counter("klaxon_sink_dead_letters_total", "Refused for good or given up.", labels);
    l->metrics.queue =
        klx_gauge("klaxon_sink_queue_deliveries", "Deliveries that wait or are under way.", labels);
    l->metrics.in_flight = klx_gauge("klaxon_sink_in_flight", "Sends under way.", labels);
    l->metrics.broken = klx_gauge("klaxon_sink_circuit_open",
                                  "1 while the channel is broken and messages are kept.", labels);
    l->metrics.seconds =
        klx_histogram("klaxon_sink_delivery_seconds", "From an event's time to the answer.", labels,
                      delivery_bounds, KLX_COUNT(delivery_bounds));
}

static void find_recipients(struct klx_lane *l) {
    static const struct klx_sv nobody_in_particular = { "", 0 };
    const struct klx_sv *names = &nobody_in_particular;
    size_t n = l->o.ops->recipients != NULL ? l->o.ops->recipients(l->o.channel, &names) : 1;
    assert(n > 0);
    l->recipients_n = n;
    l->recipients = klx_alloc_n(struct recipient, n);
    l->sent_names = klx_alloc_n(struct klx_sv, n);
    l->sent_to = klx_alloc_n(size_t, n);
    for (size_t i = 0; i < n; i++) {
        l->recipients[i].name = names[i];
    }
}

struct klx_lane *klx_lane_new(const struct klx_lane_options *o,
                              const struct klx_lane_callbacks *cb) {
    struct klx_lane *l = klx_alloc(struct klx_lane);
    l->o = *o;
    l->cb = *cb;
    l->tail = &l->first;
    l->sent_us = INT64_MIN / 2;
    l->lost_logged_us = INT64_MIN / 2;
    klx_buf_init(&l->payload, o->ops->payload_bytes_max);
    klx_health_init(&l->health, o->name, o->ops->name, o->clock);
    find_recipients(l);
    make_metrics(l);
    return l;
}

static void schedule(struct klx_lane *l, int64_t delay_ms) {
    l->cb.schedule(l->cb.arg, delay_ms);
}

static void begin_head(struct klx_lane *l) {
    l->rendered = false;
    l->first_us = KLX_TIME_NONE;
    l->last_us = KLX_TIME_NONE;
    l->recipients_left = l->recipients_n;
    for (size_t i = 0; i < l->recipients_n; i++) {
        l->recipients[i].final = false;
        l->recipients[i].attempts = 0;
        l->recipients[i].ambiguous = 0;
    }
}

void klx_lane_push(struct klx_lane *l, struct klx_delivery *d) {
    d->next = NULL;
    d->queued_us = mono_us(l);
    *l->tail = d;
    l->tail = &d->next;
    l->n++;
    klx_gauge_set(l->metrics.queue, (double)l->n);
    if (l->first == d) {
        begin_head(l);
        l->state = LANE_WAITING;
        schedule(l, 0);
    }
}

/* Takes the delivery at `at` out of the queue; it is the caller's to end. */
static struct klx_delivery *unlink_delivery(struct klx_lane *l, struct klx_delivery **at) {
    struct klx_delivery *d = *at;
    bool was_head = d == l->first;
    *at = d->next;
    if (l->tail == &d->next) {
        l->tail = at;
    }
    l->n--;
    klx_gauge_set(l->metrics.queue, (double)l->n);
    if (was_head && l->first != NULL) {
        begin_head(l);
    }
    return d;
}

static void log_lost(struct klx_lane *l, const struct klx_outcome *o) {
    int64_t now_us = mono_us(l);
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

static void tell_outcome(struct klx_lane *l, struct recipient *r, bool gave_up) {
    const struct klx_delivery *d = l->first;
    const struct klx_outcome o = {
        .delivery = d,
        .message = d->message,
        .subscription = d->subscription,
        .channel = l->o.name,
        .recipient = r->name,
        .verdict = &r->last,
        .gave_up = gave_up,
        .attempts = r->attempts,
        .ambiguous = r->ambiguous,
        .first_us = l->first_us,
        .last_us = l->last_us,
    };
    r->final = true;
    l->recipients_left--;
    if (klx_outcome_is_lost(&o)) {
        klx_counter_add(l->metrics.dead_letters, 1);
        log_lost(l, &o);
    } else {
        klx_histogram_observe(l->metrics.seconds,
                              (double)(wall_us(l) - d->message->event.time_us) / 1e6);
    }
    l->cb.on_outcome(l->cb.arg, &o);
}

/* All recipients that have none get the same verdict. */
static void end_head(struct klx_lane *l, const struct klx_verdict *verdict, bool gave_up) {
    for (size_t i = 0; i < l->recipients_n; i++) {
        struct recipient *r = &l->recipients[i];
        if (!r->final) {
            r->last = verdict != NULL ? *verdict : r->last;
            tell_outcome(l, r, gave_up);
        }
    }
    klx_delivery_done(unlink_delivery(l, &l->first));
    l->cb.on_change(l->cb.arg);
}

/* When the head will have had its time: that of its own attempts, or that of a channel where nothing goes through. */
static int64_t give_up_us(const struct klx_lane *l) {
    int64_t since_us = INT64_MAX;
    if (l->first_us != KLX_TIME_NONE) {
        since_us = l->first_mono_us;
    } else if (l->health.dead_since_us != INT64_MAX) {
        int64_t dead_us = l->health.dead_since_us, queued_us = l->first->queued_us;
        since_us = dead_us > queued_us ? dead_us : queued_us;
    }
    return since_us == INT64_MAX ? INT64_MAX : since_us + l->o.give_up_after_ms * KLX_US_PER_MS;
}

static int64_t due_us(const struct klx_lane *l) {
    int64_t due = klx_health_due_us(&l->health);
    int64_t paced = l->sent_us + l->o.ops->min_interval_ms * KLX_US_PER_MS;
    return due > paced ? due : paced;
}

static struct klx_sv find_handle(const struct klx_lane *l, const struct klx_delivery *d) {
    return l->cb.find_handle != NULL ? l->cb.find_handle(l->cb.arg, d) : klx_sv("");
}

/* False: there is nothing to send, because the message cannot be laid out. */
static bool render_head(struct klx_lane *l) {
    const struct klx_delivery *d = l->first;
    struct klx_event event = d->message->event;
    event.severity = d->severity;
    const struct klx_notice notice = { .event = &event,
                                       .data = d->message->data,
                                       .team = d->subscription->team,
                                       .channel = klx_sv(l->o.name),
                                       .reason = d->reason,
                                       .digest = d->digest,
                                       .handle = find_handle(l, d),
                                       .links = l->o.links };
    struct klx_error error = { .text = "" };
    klx_buf_reset(&l->payload);
    int rc = l->o.ops->render(l->o.channel, &notice, &l->payload, &error);
    if (rc == 0 && klx_buf_check(&l->payload) != 0) {
        rc = klx_fail(&error, -EMSGSIZE, "the message is larger than %zu bytes", l->payload.max);
    }
    if (rc != 0) {
        struct klx_verdict v;
        klx_verdict_set(&v, KLX_VERDICT_REJECT_MESSAGE, "render_failed", klx_sv(error.text));
        klx_counter_add(l->metrics.verdicts[v.class], 1);
        end_head(l, &v, false);
        return false;
    }
    klx_delivery_id(d, klx_sv(l->o.name), l->id);
    l->rendered = true;
    return true;
}

static void on_sent(void *arg, const struct klx_verdict *verdicts, size_t n) {
    struct klx_lane *l = arg;
    assert(l->state == LANE_SENDING && n == l->sent_n);
    l->state = LANE_WAITING;
    l->sent_us = mono_us(l);
    klx_gauge_set(l->metrics.in_flight, 0);
    klx_health_judge(&l->health, verdicts, n, n == l->recipients_n);
    klx_gauge_set(l->metrics.broken, l->health.state == KLX_HEALTH_BROKEN);
    for (size_t i = 0; i < n; i++) {
        struct recipient *r = &l->recipients[l->sent_to[i]];
        r->last = verdicts[i];
        r->ambiguous += verdicts[i].class == KLX_VERDICT_AMBIGUOUS;
        klx_counter_add(l->metrics.verdicts[verdicts[i].class], 1);
        if (klx_verdict_is_final(verdicts[i].class)) {
            tell_outcome(l, r, false);
        }
    }
    if (l->recipients_left == 0) {
        klx_delivery_done(unlink_delivery(l, &l->first));
    } else if (klx_delivery_is_revoked(l->first)) {
        klx_delivery_abandon(unlink_delivery(l, &l->first));
    }
    l->cb.on_change(l->cb.arg);
    schedule(l, 0); /* not from here: the channel is still on the stack below us */
}

static void send_head(struct klx_lane *l) {
    bool again = l->first_us != KLX_TIME_NONE;
    l->sent_us = mono_us(l);
    l->last_us = wall_us(l);
    if (!again) {
        l->first_us = l->last_us;
        l->first_mono_us = l->sent_us;
    }
    l->sent_n = 0;
    for (size_t i = 0; i < l->recipients_n; i++) {
        struct recipient *r = &l->recipients[i];
        if (!r->final) {
            r->attempts++;
            l->sent_names[l->sent_n] = r->name;
            l->sent_to[l->sent_n++] = i;
        }
    }
    l->state = LANE_SENDING;
    klx_counter_add(l->metrics.retries, again);
    klx_gauge_set(l->metrics.in_flight, 1);
    const struct klx_sv payload = klx_buf_sv(&l->payload);
    const struct klx_send send = { .payloads = &payload,
                                   .payloads_n = 1,
                                   .recipients = l->sent_names,
                                   .recipients_n = l->sent_n,
                                   .id = klx_sv(l->id),
                                   .handle = find_handle(l, l->first) };
    l->o.ops->send(l->o.channel, &send, on_sent, l);
}

void klx_lane_wake(struct klx_lane *l) {
    if (l->state == LANE_SENDING) {
        return;
    }
    while (l->first != NULL && !l->stopped) {
        int64_t now_us = mono_us(l), due = due_us(l), give_up = give_up_us(l);
        if (now_us >= give_up) {
            end_head(l, NULL, true);
            continue;
        }
        if (now_us < due) {
            int64_t next_us = due < give_up ? due : give_up;
            schedule(l, (next_us - now_us + KLX_US_PER_MS - 1) / KLX_US_PER_MS);
            return;
        }
        if (l->rendered || render_head(l)) {
            send_head(l);
            return;
        }
    }
    l->state = l->first != NULL ? LANE_WAITING : LANE_IDLE;
    schedule(l, -1);
}

void klx_lane_retry_now(struct klx_lane *l) {
    if (l->state == LANE_WAITING) {
        klx_health_retry_now(&l->health);
        schedule(l, 0);
    }
}

void klx_lane_drop_revoked(struct klx_lane *l) {
    struct klx_delivery **at = &l->first;
    bool dropped = false;
    while (*at != NULL) {
        bool in_flight = *at == l->first && l->state == LANE_SENDING;
        if (in_flight || !klx_delivery_is_revoked(*at)) {
            at = &(*at)->next;
            continue;
        }
        klx_delivery_abandon(unlink_delivery(l, at));
        dropped = true;
    }
    if (dropped) {
        l->cb.on_change(l->cb.arg);
        schedule(l, 0); /* the head may be another one now */
    }
}

void klx_lane_stop(struct klx_lane *l) {
    l->stopped = true;
    schedule(l, -1);
}

void klx_lane_free(struct klx_lane *l) {
    if (l == NULL) {
        return;
    }
    l->o.ops->close(l->o.channel);
    while (l->first != NULL) {
        klx_delivery_abandon(unlink_delivery(l, &l->first));
    }
    klx_buf_release(&l->payload);
    free(l->recipients);
    free(l->sent_names);
    free(l->sent_to);
    free(l);
}

bool klx_lane_is_sending(const struct klx_lane *l) {
    return l->state == LANE_SENDING;
}

bool klx_lane_full(const struct klx_lane *l) {
    return l->n >= l->o.queue_max;
}

bool klx_lane_has_room(const struct klx_lane *l) {
    return l->n <= l->o.queue_max / 4 * 3;
}

bool klx_lane_is_broken(const struct klx_lane *l) {
    return l->health.state == KLX_HEALTH_BROKEN;
}

size_t klx_lane_depth(const struct klx_lane *l) {
    return l->n;
}

const char *klx_lane_name(const struct klx_lane *l) {
    return l->o.name;
}

void klx_lane_describe(const struct klx_lane *l, struct klx_buf *out) {
    klx_buf_printf(out, "channel %s: %zu waiting, ", l->o.name, l->n);
    klx_health_describe(&l->health, out);
    klx_buf_add_char(out, '\n');
}
