#include "sinks/core/dispatch_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "lib/io/metrics.h"
#include "sinks/core/circuit.h"
#include "sinks/core/edition.h"
#include "sinks/core/freshness.h"
#include "sinks/core/ledger.h"
#include "sinks/core/message.h"
#include "sinks/core/outlets.h"
#include "sinks/core/receipt.h"
#include "sinks/core/route.h"

#define FLUSH_MS 50 /* for records that concern nobody: a prefix is not stored for each of them */
#define GAUGES_MS 1000
#define TRIM_BYTES (1u << 20) /* of messages that are done */
#define SAY_EVERY_US (60 * KLX_US_PER_S)

static int64_t mono_us(const struct klx_dispatch *d) {
    return d->o.env.clock->mono_us(d->o.env.clock);
}

static int64_t wall_us(const struct klx_dispatch *d) {
    return d->o.env.clock->wall_us(d->o.env.clock);
}

static bool say_now(const struct klx_dispatch *d, int64_t *said_us) {
    if (mono_us(d) - *said_us < SAY_EVERY_US) {
        return false;
    }
    *said_us = mono_us(d);
    return true;
}

static void pause_for(struct klx_dispatch *d, const char *what, const char *name) {
    if (d->paused) {
        return;
    }
    d->paused = true;
    klx_gauge_set(d->metrics.paused, 1);
    klx_counter_add(d->metrics.pauses, 1);
    if (say_now(d, &d->pause_said_us)) {
        klx_log_info("reading pauses until there is room", KLX_F_STR("full", what),
                     KLX_F_STR("channel", name));
    }
    d->o.pause(d->o.arg, true);
}

static bool has_room(const struct klx_dispatch *d) {
    for (size_t i = 0; i < d->outlets.n; i++) {
        if (d->outlets.items[i] != NULL && !klx_outlet_has_room(d->outlets.items[i])) {
            return false;
        }
    }
    return klx_message_pool_bytes(d->pool) <= KLX_DISPATCH_BYTES_MAX / 4 * 3 &&
           klx_ledger_has_room(d->ledger) && klx_tracker_has_room(d->tracker) &&
           (d->noise == NULL || klx_noise_has_room(d->noise));
}

void klx_dispatch_check_brake(struct klx_dispatch *d) {
    size_t bytes = klx_message_pool_bytes(d->pool);
    d->bytes_most = bytes > d->bytes_most ? bytes : d->bytes_most;
    if (d->closed) {
        return; /* the consumer may be gone */
    }
    if (d->paused) {
        if (has_room(d)) {
            d->paused = false;
            klx_gauge_set(d->metrics.paused, 0);
            d->o.pause(d->o.arg, d->asked);
        }
        return;
    }
    for (size_t i = 0; i < d->outlets.n; i++) {
        if (d->outlets.items[i] != NULL && klx_outlet_full(d->outlets.items[i])) {
            pause_for(d, "the queue of a channel", klx_outlet_name(d->outlets.items[i]));
        }
    }
    if (bytes >= KLX_DISPATCH_BYTES_MAX) {
        pause_for(d, "the memory for messages", "");
    } else if (klx_ledger_full(d->ledger)) {
        pause_for(d, "the receipts that Kafka has not taken", "");
    } else if (klx_tracker_full(d->tracker)) {
        pause_for(d, "what was told ahead of a record that waits", "");
    } else if (d->noise != NULL && klx_noise_full(d->noise)) {
        pause_for(d, "what waits for a digest", "");
    }
}

/* A broken channel, or else the one with the longest queue. */
static void find_holder(struct klx_dispatch *d) {
    size_t most = 0;
    d->holder[0] = '\0';
    d->holder_broken = false;
    for (size_t i = 0; i < d->outlets.n; i++) {
        const struct klx_outlet *outlet = d->outlets.items[i];
        size_t n = outlet != NULL ? klx_outlet_depth(outlet) : 0;
        bool broken = n > 0 && klx_outlet_is_broken(outlet);
        if ((broken && !d->holder_broken) || (broken == d->holder_broken && n > most)) {
            most = n;
            snprintf(d->holder, sizeof(d->holder), "%s", klx_outlet_name(outlet));
            d->holder_broken = broken;
        }
    }
}

void klx_dispatch_say_again(struct klx_dispatch *d) {
    size_t n = klx_tracker_again(d->tracker) - d->again_said;
    d->again_said += n;
    if (n > 0 && d->holder_broken) {
        klx_log_warn("events will be told again to channels that have been told already: "
                     "a channel is broken and holds them back",
                     KLX_F_INT("events", n), KLX_F_STR("broken", d->holder));
    } else if (n > 0) {
        klx_log_info("events will be told again to channels that have been told already",
                     KLX_F_INT("events", n), KLX_F_STR("waited_for", d->holder));
    }
}

void klx_dispatch_flush(struct klx_dispatch *d) {
    klx_timer_stop(d->flush_timer);
    klx_tracker_flush(d->tracker, d->o.store, d->o.arg);
}

static void on_flush(void *arg) {
    klx_dispatch_flush(arg);
}

static bool is_sending(const struct klx_dispatch *d) {
    for (size_t i = 0; i < d->leaving_n; i++) {
        if (klx_outlet_is_sending(d->leaving[i])) {
            return true;
        }
    }
    for (size_t i = 0; i < d->outlets.n; i++) {
        if (d->outlets.items[i] != NULL && klx_outlet_is_sending(d->outlets.items[i])) {
            return true;
        }
    }
    return false;
}

static bool is_parking(const struct klx_dispatch *d) {
    for (size_t i = 0; i < d->outlets.n; i++) {
        if (d->outlets.items[i] != NULL && klx_outlet_is_parking(d->outlets.items[i])) {
            return true;
        }
    }
    return false;
}

static bool is_idle(const struct klx_dispatch *d) {
    return !is_sending(d) &&
           (!d->draining || (klx_ledger_pending(d->ledger) == 0 && !is_parking(d)));
}

/* Not from here: a channel, or the producer, is on the stack below us. */
static void check_idle(struct klx_dispatch *d) {
    if (d->on_idle != NULL && is_idle(d)) {
        klx_timer_start(d->idle_timer, 0);
    }
}

static void on_message_done(void *arg, struct klx_message *m) {
    struct klx_dispatch *d = arg;
    check_idle(d);
    if (m->parked != NULL) {
        klx_parking_done(d->parking, m->parked);
        klx_dispatch_check_brake(d);
        return;
    }
    if (m->abandoned) {
        klx_tracker_forget(d->tracker, &m->tracked, m->outcome);
        return;
    }
    klx_tracker_settle(d->tracker, &m->tracked, m->told);
    if (m->told) {
        klx_dispatch_flush(d); /* at once: after a crash it would be told again */
        klx_dispatch_check_brake(d);
    } else if (!klx_timer_active(d->flush_timer)) {
        klx_timer_start(d->flush_timer, FLUSH_MS);
    }
    check_idle(d);
}

static struct klx_receipt_env receipt_env(const struct klx_dispatch *d) {
    return (struct klx_receipt_env){ .topics = d->o.topics,
                                     .sink = d->o.ops->name,
                                     .now_us = wall_us(d) };
}

/* rc of the encoding. Its limits are such that it does not fail; if it does, the record still settles. */
static void write_entry(struct klx_dispatch *d, struct klx_ledger_entry *entry, int rc,
                        struct klx_message *m) {
    if (rc == 0) {
        klx_ledger_write(d->ledger, entry, m);
        return;
    }
    klx_log_error("a receipt could not be made", KLX_F_STR("of", m->record.topic),
                  KLX_F_INT("partition", m->record.partition),
                  KLX_F_INT("offset", m->record.offset), KLX_F_INT("code", rc));
    klx_ledger_drop_entry(entry);
}

void klx_dispatch_outcome(void *arg, const struct klx_outcome *o) {
    struct klx_dispatch *d = arg;
    struct klx_message *m = (struct klx_message *)(uintptr_t)o->message;
    const struct klx_receipt_env env = receipt_env(d);
    struct klx_ledger_entry *entry = klx_ledger_new_entry(d->ledger);
    m->outcome = true;
    klx_ledger_cover(entry, o->delivery->covered, o->delivery->covered_n);
    write_entry(d, entry, klx_receipt_encode(&entry->arena, &env, o, &entry->record), m);
    if (klx_outcome_is_lost(o)) {
        entry = klx_ledger_new_entry(d->ledger);
        klx_ledger_cover(entry, o->delivery->covered, o->delivery->covered_n);
        write_entry(d, entry, klx_deadletter_encode(&entry->arena, &env, o, &entry->record), m);
    }
    if (d->noise != NULL) {
        klx_noise_outcome(d->noise, o);
    }
}

void klx_dispatch_unreadable(struct klx_dispatch *d, struct klx_message *m,
                             const struct klx_record *r, const char *why) {
    const struct klx_receipt_env env = receipt_env(d);
    struct klx_ledger_entry *entry = klx_ledger_new_entry(d->ledger);
    m->told = true;
    klx_counter_add(d->metrics.unreadable, 1);
    if (say_now(d, &d->unreadable_said_us)) {
        klx_log_warn("a record is no event: a dead letter", KLX_F_STR("topic", r->topic),
                     KLX_F_INT("partition", r->partition), KLX_F_INT("offset", r->offset),
                     KLX_F_STR("why", why));
    }
    write_entry(d, entry,
                klx_deadletter_encode_unreadable(&entry->arena, &env, r, why, &entry->record), m);
}

static bool find_topic(const struct klx_dispatch *d, const char *name, enum klx_topic *ret) {
    for (size_t t = 0; t < KLX_TOPICS_N; t++) {
        if (strcmp(d->o.topics->name[t], name) == 0) {
            *ret = (enum klx_topic)t;
            return true;
        }
    }
    return false;
}

static void hand_out(struct klx_dispatch *d, enum klx_topic topic, struct klx_message *m) {
    const struct klx_target *targets = NULL;
    size_t n = klx_route_match(d->route, topic, &m->event, m->data, &targets);
    m->told = n > 0;
    klx_message_use(m, n > 0 ? d->o.edition : NULL);
    if (n > 0) {
        klx_noise_take(d->noise, topic, m, targets, n);
        klx_dispatch_check_brake(d);
    }
}

/* Nobody is told of it, whatever he has subscribed to. */
static void on_heartbeat(struct klx_dispatch *d, enum klx_topic topic, struct klx_message *m,
                         const struct klx_record *r) {
    if (klx_freshness_heard(d->freshness, topic, r->partition, &m->event) != 0) {
        klx_dispatch_unreadable(d, m, r, "a heartbeat without a period");
    }
}

void klx_dispatch_record(struct klx_dispatch *d, const struct klx_record *r) {
    enum klx_topic topic = KLX_TOPIC_NODES;
    struct klx_error e = { .text = "" };
    if (klx_dispatch_is_retry(d, r->topic)) {
        klx_parking_record(d->parking, r);
        klx_dispatch_check_brake(d);
        return;
    }
    if (!find_topic(d, r->topic, &topic) || !klx_route_reads(d->route, topic)) {
        return;
    }
    struct klx_message *m = klx_message_new(d->pool, r);
    klx_counter_add(d->metrics.records[topic], 1);
    klx_tracker_begin(d->tracker, r->topic, r->partition, r->offset, r->timestamp_ms, &m->tracked);
    if (klx_message_decode(m, &e) != 0) {
        klx_dispatch_unreadable(d, m, r, e.text);
    } else if (m->event.kind == KLX_KIND_HEARTBEAT) {
        on_heartbeat(d, topic, m, r);
    } else if (klx_route_may_match(d->route, topic, &m->event)) {
        if (klx_message_keep(m, &e) != 0) {
            klx_dispatch_unreadable(d, m, r, e.text);
        } else {
            hand_out(d, topic, m);
        }
    }
    klx_message_unref(m);
}

void klx_dispatch_given(struct klx_dispatch *d, const char *topic, int32_t partition) {
    enum klx_topic t = KLX_TOPIC_NODES;
    if (find_topic(d, topic, &t) && d->noise != NULL) {
        klx_noise_given(d->noise, t, partition);
    }
}

void klx_dispatch_state(struct klx_dispatch *d, struct klx_sv key, struct klx_sv value) {
    if (d->noise != NULL) {
        klx_noise_state(d->noise, key, value);
    }
}

void klx_dispatch_know(struct klx_dispatch *d) {
    if (d->noise != NULL) {
        klx_noise_ready(d->noise);
    }
}

void klx_dispatch_revoke(struct klx_dispatch *d, const char *topic, int32_t partition) {
    enum klx_topic t = KLX_TOPIC_NODES;
    if (find_topic(d, topic, &t)) {
        klx_freshness_revoke(d->freshness, t, partition);
    }
    if (klx_dispatch_is_retry(d, topic)) {
        klx_parking_revoked(d->parking, partition);
        if (!d->closed) {
            klx_returns_drop_revoked(d->returns);
        }
    } else {
        klx_tracker_revoke(d->tracker, topic, partition);
    }
    if (find_topic(d, topic, &t) && d->noise != NULL) {
        klx_noise_revoked(d->noise, t, partition);
    }
    if (!d->closed) {
        find_holder(d);
        klx_timer_start(d->flush_timer, FLUSH_MS);
    }
    for (size_t i = 0; i < d->outlets.n; i++) {
        if (d->outlets.items[i] != NULL) {
            klx_outlet_drop_revoked(d->outlets.items[i]);
        }
    }
    for (size_t i = 0; i < d->leaving_n; i++) {
        klx_outlet_drop_revoked(d->leaving[i]);
    }
    d->asked = false;
    klx_dispatch_check_brake(d);
}

static void on_idle_timer(void *arg) {
    struct klx_dispatch *d = arg;
    void (*fn)(void *arg) = d->on_idle;
    d->on_idle = NULL;
    if (d->draining) {
        klx_dispatch_flush(d);
    }
    if (fn != NULL) {
        fn(d->idle_arg);
    }
}

static void on_change(void *arg) {
    struct klx_dispatch *d = arg;
    klx_dispatch_check_brake(d);
    check_idle(d);
}

static void wait_until_idle(struct klx_dispatch *d, int64_t wait_ms, void (*on_idle)(void *arg),
                            void *arg) {
    d->on_idle = on_idle;
    d->idle_arg = arg;
    klx_timer_start(d->idle_timer, is_idle(d) ? 0 : wait_ms);
}

static void hold(struct klx_dispatch *d, bool held) {
    for (size_t i = 0; i < d->outlets.n; i++) {
        if (d->outlets.items[i] != NULL) {
            klx_outlet_hold(d->outlets.items[i], held);
        }
    }
}

/* Somebody was told of what others have not been told of: with one channel, what waits is simply read again. */
static bool would_repeat(const struct klx_dispatch *d) {
    size_t open = d->leaving_n;
    for (size_t i = 0; i < d->outlets.n; i++) {
        open += d->outlets.items[i] != NULL;
    }
    return open > 1 || klx_tracker_ahead(d->tracker) > 0;
}

static void park_rest(struct klx_dispatch *d) {
    for (size_t i = 0; i < d->outlets.n; i++) {
        if (d->outlets.items[i] != NULL) {
            klx_outlet_park_rest(d->outlets.items[i]);
        }
    }
}

void klx_dispatch_drain(struct klx_dispatch *d, int64_t wait_ms, void (*on_drained)(void *arg),
                        void *arg) {
    d->draining = true;
    hold(d, true);
    if (d->parking != NULL && would_repeat(d)) {
        park_rest(d);
    }
    wait_until_idle(d, wait_ms, on_drained, arg);
}

void klx_dispatch_resume(struct klx_dispatch *d) {
    d->draining = false;
    hold(d, false);
}

void klx_dispatch_stop(struct klx_dispatch *d, int64_t wait_ms, void (*on_idle)(void *arg),
                       void *arg) {
    d->draining = false;
    klx_noise_stop(d->noise);
    for (size_t i = 0; i < d->outlets.n; i++) {
        if (d->outlets.items[i] != NULL) {
            klx_outlet_stop(d->outlets.items[i]);
        }
    }
    for (size_t i = 0; i < d->leaving_n; i++) {
        klx_outlet_stop(d->leaving[i]);
    }
    wait_until_idle(d, wait_ms, on_idle, arg);
}

void klx_dispatch_close(struct klx_dispatch *d) {
    if (!d->closed) {
        find_holder(d);
        d->closed = true;
    }
    klx_noise_desk_free(d->desk);
    d->desk = NULL;
    d->noise = NULL;
    if (d->parking != NULL) {
        klx_parking_close(d->parking);
        klx_returns_free(d->returns);
        d->returns = NULL;
    }
    for (size_t i = 0; i < d->outlets.n; i++) {
        klx_outlet_free(d->outlets.items[i]);
        d->outlets.items[i] = NULL;
    }
    while (d->leaving_n > 0) {
        klx_outlet_free(d->leaving[--d->leaving_n]);
    }
}

void klx_dispatch_free(struct klx_dispatch *d) {
    if (d == NULL) {
        return;
    }
    klx_dispatch_close(d);
    klx_ledger_free(d->ledger);
    klx_parking_free(d->parking);
    klx_message_pool_free(d->pool);
    klx_tracker_free(d->tracker);
    klx_circuits_free(d->circuits);
    klx_route_free(d->route);
    klx_freshness_free(d->freshness);
    klx_timer_free(d->ledger_timer);
    klx_timer_free(d->flush_timer);
    klx_timer_free(d->gauge_timer);
    klx_timer_free(d->idle_timer);
    klx_timer_free(d->returns_timer);
    free(d->outlets.items);
    free(d->leaving);
    klx_edition_unref(d->o.edition);
    free(d);
}

static void schedule_ledger(void *arg, int64_t delay_ms) {
    const struct klx_dispatch *d = arg;
    if (delay_ms < 0) {
        klx_timer_stop(d->ledger_timer);
    } else {
        klx_timer_start(d->ledger_timer, delay_ms);
    }
}

static void on_ledger_timer(void *arg) {
    struct klx_dispatch *d = arg;
    klx_ledger_wake(d->ledger);
}

static int produce(void *arg, const struct klx_record *r, klx_produced_fn done, void *done_arg,
                   struct klx_error *e) {
    struct klx_dispatch *d = arg;
    return d->o.produce(d->o.arg, r, done, done_arg, e);
}

static void count_limit_hits(struct klx_dispatch *d) {
    size_t hits = 0;
    for (size_t i = 0; i < d->o.settings->subscriptions_n; i++) {
        hits += klx_subscription_limit_hits(&d->o.settings->subscriptions[i]);
    }
    klx_counter_add(d->metrics.limit_hits, hits - d->limit_hits);
    d->limit_hits = hits;
}

/* When much was under way (an outage, catching up) and is done, the system has its memory back. */
static void trim(struct klx_dispatch *d) {
    size_t bytes = klx_message_pool_bytes(d->pool);
    if (d->bytes_most >= bytes + TRIM_BYTES && bytes <= d->bytes_most / 2) {
        klx_trim_heap();
        d->bytes_most = bytes;
    }
}

static void on_gauges(void *arg) {
    struct klx_dispatch *d = arg;
    trim(d);
    if (d->parking != NULL && !d->closed) {
        klx_parking_look(d->parking);
    }
    if (!d->closed) {
        klx_dispatch_say_again(d); /* of a rebalance: all of a second in one line */
    }
    count_limit_hits(d);
    klx_freshness_look(d->freshness, !d->paused);
    if (d->noise != NULL) {
        klx_noise_look(d->noise);
    }
    for (size_t i = 0; i < d->outlets.n; i++) {
        if (d->outlets.items[i] != NULL) {
            klx_outlet_look(d->outlets.items[i]);
        }
    }
    int64_t oldest_ms = klx_tracker_oldest_ms(d->tracker);
    klx_gauge_set(d->metrics.unsettled, (double)klx_tracker_unsettled(d->tracker));
    klx_gauge_set(d->metrics.bytes, (double)klx_message_pool_bytes(d->pool));
    klx_gauge_set(d->metrics.oldest_seconds,
                  oldest_ms == INT64_MAX ? 0 : (double)(wall_us(d) / 1000 - oldest_ms) / 1e3);
}

static void count_topics(struct klx_dispatch *d) {
    for (size_t t = 0; t < KLX_TOPICS_N; t++) {
        if (klx_route_reads(d->route, (enum klx_topic)t)) {
            d->metrics.records[t] =
                klx_counter("klaxon_sink_records_total", "Records read.",
                            KLX_LABELS({ "topic", klx_topic_specs[t].short_name }));
        }
    }
}

static void make_metrics(struct klx_dispatch *d) {
    d->metrics.unreadable = klx_counter("klaxon_sink_unreadable_records_total",
                                        "Records that are no event: dead letters.", NULL);
    d->metrics.pauses = klx_counter("klaxon_sink_pauses_total", "Times reading was paused.", NULL);
    d->metrics.limit_hits =
        klx_counter("klaxon_match_limit_hits_total",
                    "Patterns of subscriptions that took too long and did not match.", NULL);
    d->metrics.paused =
        klx_gauge("klaxon_sink_paused", "1 while reading pauses because something is full.", NULL);
    d->metrics.unsettled =
        klx_gauge("klaxon_sink_unsettled_records", "Records that are read and not done.", NULL);
    d->metrics.oldest_seconds = klx_gauge(
        "klaxon_sink_settled_lag_seconds",
        "Age of the oldest record that is read and not done; 0 when there is none.", NULL);
    d->metrics.bytes =
        klx_gauge("klaxon_sink_message_bytes", "Memory of messages under way.", NULL);
}

static size_t count_channels(const struct klx_sinks_settings *settings,
                             const struct klx_route *route) {
    size_t n = 0;
    for (size_t i = 0; i < settings->channels_n; i++) {
        n += klx_route_names(route, i);
    }
    return n;
}

static struct klx_sv find_handle(void *arg, const char *channel,
                                 const struct klx_delivery *delivery, bool *ret_is_old) {
    const struct klx_dispatch *d = arg;
    return d->noise != NULL ? klx_noise_handle(d->noise, channel, delivery, ret_is_old)
                            : klx_sv("");
}

static bool passes_over(void *arg, const char *channel, const struct klx_delivery *delivery) {
    const struct klx_dispatch *d = arg;
    return d->noise != NULL && klx_noise_passes_over(d->noise, channel, delivery);
}

static void on_parked(void *arg, const char *channel, const struct klx_delivery *delivery) {
    const struct klx_dispatch *d = arg;
    if (d->noise != NULL) {
        klx_noise_parked(d->noise, channel, delivery);
    }
}

static void deliver(void *arg, size_t channel, struct klx_delivery *delivery) {
    const struct klx_dispatch *d = arg;
    klx_outlet_push(d->outlets.items[channel], delivery);
}

static void open_noise(struct klx_dispatch *d) {
    const struct klx_noise_desk_options o = { .loop = d->o.env.loop,
                                              .clock = d->o.env.clock,
                                              .ops = d->o.ops,
                                              .topics = d->o.topics,
                                              .use = { d->o.settings, d->o.edition, d->route },
                                              .pool = d->pool,
                                              .ledger = d->ledger,
                                              .produce = produce,
                                              .deliver = deliver,
                                              .on_change = on_change,
                                              .arg = d };
    d->desk = klx_noise_desk_new(&o);
    d->noise = klx_noise_desk_noise(d->desk);
}

static struct klx_outlets_change change_to(struct klx_dispatch *d,
                                           const struct klx_sinks_settings *settings,
                                           struct klx_edition *edition,
                                           const struct klx_route *route) {
    return (struct klx_outlets_change){
        .options = { .env = d->o.env,
                     .ops = d->o.ops,
                     .edition = edition,
                     .links = settings->links,
                     .queue_max = (size_t)settings->process.queue,
                     .give_up_after_ms = settings->process.give_up_after_ms,
                     .circuits = d->circuits,
                     .alone = count_channels(settings, route) == 1,
                     .park_after_ms = settings->process.park_after_ms,
                     .parking = d->parking,
                     .topics = d->o.topics,
                     .place = klx_dispatch_place,
                     .place_arg = d,
                     .on_outcome = klx_dispatch_outcome,
                     .on_change = on_change,
                     .find_handle = find_handle,
                     .passes_over = passes_over,
                     .on_parked = on_parked,
                     .arg = d },
        .settings = settings,
        .route = route,
        .all = !klx_edition_shares(d->o.edition, edition),
    };
}

int klx_dispatch_new(const struct klx_dispatch_options *o, struct klx_dispatch **ret,
                     struct klx_error *e) {
    struct klx_dispatch *d = klx_alloc(struct klx_dispatch);
    d->o = *o;
    d->pause_said_us = INT64_MIN / 2;
    d->unreadable_said_us = INT64_MIN / 2;
    d->route = klx_route_new(o->settings, o->ops);
    d->pool = klx_message_pool_new(on_message_done, d);
    d->freshness = klx_freshness_new(o->env.clock);
    d->circuits = klx_circuits_new(o->env.clock, o->ops->name);
    d->tracker = klx_tracker_new((size_t)o->settings->process.queue);
    d->ledger_timer = klx_timer_new(o->env.loop, on_ledger_timer, d);
    d->flush_timer = klx_timer_new(o->env.loop, on_flush, d);
    d->gauge_timer = klx_timer_new(o->env.loop, on_gauges, d);
    d->idle_timer = klx_timer_new(o->env.loop, on_idle_timer, d);
    const struct klx_ledger_options ledger = { o->env.clock, produce, schedule_ledger, d };
    d->ledger = klx_ledger_new(&ledger);
    if (o->edition != NULL) {
        klx_edition_ref(o->edition);
    }
    make_metrics(d);
    count_topics(d);
    klx_dispatch_open_parking(d);
    open_noise(d);
    const struct klx_outlets_change first = change_to(d, o->settings, o->edition, d->route);
    int rc = klx_outlets_prepare(&first, &d->outlets, e);
    if (rc != 0) {
        klx_dispatch_free(d);
        return rc;
    }
    klx_timer_repeat(d->gauge_timer, GAUGES_MS);
    *ret = d;
    return 0;
}

static void on_gone(void *arg, struct klx_outlet *t) {
    struct klx_dispatch *d = arg;
    size_t i = 0;
    while (d->leaving[i] != t) {
        i++;
    }
    d->leaving[i] = d->leaving[--d->leaving_n];
    klx_outlet_free(t);
    klx_dispatch_check_brake(d);
}

static void exchange_outlets(struct klx_dispatch *d, struct klx_outlets *now) {
    struct klx_outlets before = d->outlets;
    d->leaving = klx_grow_array(d->leaving, d->leaving_n, d->leaving_n + before.n,
                                sizeof(struct klx_outlet *));
    size_t gone = klx_outlets_commit(&before, now, d->leaving + d->leaving_n);
    d->outlets = *now;
    free(before.items);
    for (size_t i = 0; i < gone; i++) {
        klx_outlet_remove(d->leaving[d->leaving_n++], on_gone, d);
    }
    if (d->draining) {
        hold(d, true); /* those that are new, too */
    }
}

int klx_dispatch_reload(struct klx_dispatch *d, const struct klx_sinks_settings *settings,
                        struct klx_edition *edition, struct klx_error *e) {
    struct klx_route *route = klx_route_new(settings, d->o.ops);
    struct klx_outlets_change change = change_to(d, settings, edition, route);
    struct klx_outlets now;
    change.before = &d->outlets;
    int rc = klx_outlets_prepare(&change, &now, e);
    if (rc != 0) {
        klx_route_free(route);
        return rc;
    }
    const struct klx_noise_use use = { settings, edition, route };
    klx_noise_reload(d->noise, &use);
    exchange_outlets(d, &now);
    for (size_t i = 0; i < d->outlets.n; i++) {
        if (d->outlets.items[i] != NULL) {
            klx_outlet_limit(d->outlets.items[i], &change.options);
        }
    }
    klx_tracker_limit(d->tracker, change.options.queue_max);
    klx_route_free(d->route);
    klx_edition_unref(d->o.edition);
    d->route = route;
    d->o.settings = settings;
    d->o.edition = edition != NULL ? klx_edition_ref(edition) : NULL;
    d->limit_hits = 0;
    count_topics(d);
    klx_dispatch_reloaded(d);
    klx_dispatch_check_brake(d);
    return 0;
}

size_t klx_dispatch_topics(const struct klx_dispatch *d, const char *ret[static KLX_TOPICS_N]) {
    size_t n = 0;
    for (size_t t = 0; t < KLX_TOPICS_N; t++) {
        if (klx_route_reads(d->route, (enum klx_topic)t)) {
            ret[n++] = d->o.topics->name[t];
        }
    }
    if (d->parking != NULL) {
        ret[n++] = d->o.topics->name[KLX_TOPIC_RETRY];
    }
    return n;
}

void klx_dispatch_retry_now(struct klx_dispatch *d) {
    for (size_t i = 0; i < d->outlets.n; i++) {
        if (d->outlets.items[i] != NULL) {
            klx_outlet_retry_now(d->outlets.items[i]);
        }
    }
}

void klx_dispatch_describe(const struct klx_dispatch *d, struct klx_buf *out) {
    for (size_t i = 0; i < d->outlets.n; i++) {
        if (d->outlets.items[i] != NULL) {
            klx_outlet_describe(d->outlets.items[i], out);
        }
    }
    if (d->returns != NULL) {
        klx_returns_describe(d->returns, out);
    }
    if (d->noise != NULL) {
        klx_noise_describe(d->noise, out);
    }
    klx_freshness_describe(d->freshness, out);
    if (d->paused) {
        klx_buf_add_str(out, "reading pauses until there is room\n");
    }
    if (klx_ledger_trouble(d->ledger)[0] != '\0') {
        klx_buf_printf(out, "receipts: %zu wait for Kafka: %s\n", klx_ledger_pending(d->ledger),
                       klx_ledger_trouble(d->ledger));
    }
}
