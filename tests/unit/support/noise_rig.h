/*
 * Noise control as a whole, with three channels, on a clock that moves only when told:
 *
 *     open_world(); start();
 *     open_("i1.1");                     the first event of the incident i1
 *     pass_time(HOUR);                   what is due meanwhile is done
 *     heard("0:00 tell slack i1.1\n");   since the last look
 *     close_world();
 */
#pragma once

#include "tests/unit/support/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "lib/io/metrics.h"
#include "sinks/core/noise/hours.h"
#include "sinks/core/noise/noise.h"

#define T0 INT64_C(1773216000000000) /* 2026-03-11T08:00:00Z, a Wednesday */
#define MINUTE 60
#define HOUR 3600
#define WRITES_MAX 4096
#define ON_THE_WAY_MAX 512

enum { SLACK, PAGER, OTHER, CHANNELS_N };

struct written {
    char *key, *value; /* value NULL: a tombstone */
};

struct world {
    struct klx_clock_driven clock;
    struct klx_sink_ops ops;
    struct klx_channel_settings channels[CHANNELS_N];
    struct klx_subscription_settings subscription;
    struct klx_sinks_settings settings;
    struct klx_topic_names topics;
    struct klx_route *route;
    struct klx_message_pool *pool;
    struct klx_tracker *tracker;
    struct klx_noise *noise;
    int64_t wake_us;
    struct klx_buf story; /* since the last look at it */
    struct {
        size_t channel;
        struct klx_delivery *d;
    } on_the_way[ON_THE_WAY_MAX];
    size_t on_the_way_n;
    bool replaces; /* the answers' handles are in place of the first one */
    bool holds;    /* answers come only when asked for */
    struct written written[WRITES_MAX];
    size_t written_n;
    size_t settled, abandoned, receipts;
    int64_t next_offset;
    size_t to_self[1], to_pager[1];
    int null_fd;
};

static struct world w;

static inline void at(const char *what) {
    int64_t s = (w.clock.now_wall_us - T0) / KLX_US_PER_S;
    klx_buf_printf(&w.story, "%lld:%02lld %s", (long long)(s / 60), (long long)(s % 60), what);
}

static inline void deliver(void *arg, size_t channel, struct klx_delivery *d) {
    static const char *const reasons[] = { "", " again", " escalated", " digest" };
    (void)arg;
    at("tell ");
    klx_buf_printf(&w.story, "%s %.*s%s", w.channels[channel].name,
                   KLX_SV_FMT(d->message->event.id), reasons[d->reason]);
    if (d->digest != NULL) {
        klx_buf_printf(&w.story, " of %zu in %zu", d->digest->events, d->digest->incidents);
    }
    klx_buf_add_char(&w.story, '\n');
    assert_true(w.on_the_way_n < ON_THE_WAY_MAX);
    w.on_the_way[w.on_the_way_n].channel = channel;
    w.on_the_way[w.on_the_way_n++].d = d;
}

static inline void suppressed(void *arg, const struct klx_suppressed *s) {
    (void)arg;
    w.receipts++;
    if (s->why != KLX_SUPPRESSION_DIGESTED) {
        at("hush ");
        klx_buf_printf(&w.story, "%s %.*s %s", s->channel, KLX_SV_FMT(s->message->event.id),
                       klx_suppression_name(s->why));
        klx_buf_printf(&w.story, s->detail.n > 0 ? " (%.*s)\n" : "%.*s\n", KLX_SV_FMT(s->detail));
    }
}

static inline void write_record(void *arg, enum klx_topic topic, struct klx_message *m,
                                struct klx_sv key, struct klx_sv value) {
    (void)arg;
    (void)m;
    assert_true(topic == KLX_TOPIC_STATE || topic == KLX_TOPIC_CONTROL);
    assert_true(w.written_n < WRITES_MAX);
    w.written[w.written_n++] =
        (struct written){ klx_sv_dup(key), value.p != NULL ? klx_sv_dup(value) : NULL };
}

static inline void schedule(void *arg, int64_t delay_ms) {
    (void)arg;
    w.wake_us = delay_ms < 0 ? -1 : w.clock.now_mono_us + delay_ms * 1000;
}

static inline void on_message_done(void *arg, struct klx_message *m) {
    (void)arg;
    w.settled += !m->abandoned;
    w.abandoned += m->abandoned;
    if (m->abandoned) {
        klx_tracker_forget(w.tracker, &m->tracked, false);
    } else {
        klx_tracker_settle(w.tracker, &m->tracked, true);
    }
}

static inline void start_noise(void) {
    const struct klx_noise_options o = { .clock = &w.clock.clock,
                                         .ops = &w.ops,
                                         .topics = &w.topics,
                                         .use = { &w.settings, NULL, w.route },
                                         .pool = w.pool,
                                         .deliver = deliver,
                                         .suppressed = suppressed,
                                         .write = write_record,
                                         .schedule = schedule };
    w.noise = klx_noise_new(&o);
    for (size_t i = 0; i < w.written_n; i++) {
        klx_noise_state(w.noise, klx_sv(w.written[i].key), klx_sv(w.written[i].value));
    }
    klx_noise_given(w.noise, KLX_TOPIC_NODES, 0);
    klx_noise_ready(w.noise);
}

/* Settings may be changed between open_world and start. */
static inline void open_world(void) {
    struct klx_error e;
    w = (struct world){ .wake_us = -1, .to_self = { SLACK }, .to_pager = { PAGER } };
    w.null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    klx_log_to_fd(w.null_fd);
    klx_clock_driven_init(&w.clock, T0, 1);
    w.ops = (struct klx_sink_ops){ .name = "fake" };
    static const char *const names[] = { "slack", "pager", "other" };
    for (size_t i = 0; i < CHANNELS_N; i++) {
        w.channels[i] =
            (struct klx_channel_settings){ .name = names[i], .sink = "fake", .ops = &w.ops };
    }
    w.subscription = (struct klx_subscription_settings){ .team = KLX_SV("ops"),
                                                         .severities = { true, true, true },
                                                         .channels = w.to_self,
                                                         .channels_n = 1,
                                                         .file = "s.yaml",
                                                         .line = 1 };
    w.subscription.topics[KLX_TOPIC_NODES] = true;
    w.settings = (struct klx_sinks_settings){ .channels = w.channels,
                                              .channels_n = CHANNELS_N,
                                              .subscriptions = &w.subscription,
                                              .subscriptions_n = 1 };
    assert_int_equal(klx_topic_names_init(&w.topics, KLX_SV("klaxon."), &e), 0);
    w.pool = klx_message_pool_new(on_message_done, NULL);
    w.tracker = klx_tracker_new(10000);
    klx_buf_init(&w.story, 1 << 20);
}

static inline void start(void) {
    w.route = klx_route_new(&w.settings, &w.ops);
    start_noise();
}

static inline void answer_all(const char *handle) {
    for (size_t i = 0; i < w.on_the_way_n; i++) {
        struct klx_delivery *d = w.on_the_way[i].d;
        struct klx_verdict v;
        klx_verdict_set(&v, KLX_VERDICT_DELIVERED, "ok", KLX_SV(""));
        snprintf(v.handle, sizeof(v.handle), "%s", handle);
        v.handle_replaces = w.replaces;
        const struct klx_outcome o = { .delivery = d,
                                       .message = d->message,
                                       .subscription = d->subscription,
                                       .channel = w.channels[w.on_the_way[i].channel].name,
                                       .verdict = &v };
        klx_noise_outcome(w.noise, &o);
        klx_delivery_done(d);
    }
    w.on_the_way_n = 0;
}

static inline void abandon_all(void) {
    for (size_t i = 0; i < w.on_the_way_n; i++) {
        klx_delivery_abandon(w.on_the_way[i].d);
    }
    w.on_the_way_n = 0;
}

static inline void close_world(void) {
    abandon_all();
    klx_noise_free(w.noise);
    klx_route_free(w.route);
    klx_message_pool_free(w.pool);
    klx_tracker_free(w.tracker);
    klx_hours_free(w.subscription.quiet);
    for (size_t i = 0; i < w.written_n; i++) {
        free(w.written[i].key);
        free(w.written[i].value);
    }
    klx_buf_release(&w.story);
    klx_metrics_reset();
    klx_log_to_fd(-1);
    close(w.null_fd);
}

/* The process ends as it is, and another one begins. */
static inline void restart(void) {
    abandon_all();
    klx_noise_free(w.noise);
    start_noise();
}

static inline void set_quiet(const char *yaml) {
    struct klx_config *c = NULL;
    struct klx_error e;
    struct klx_settings_reporter r = { 0 };
    assert_int_equal(klx_config_parse(klx_sv(yaml), "s", &c, &e), 0);
    klx_hours_bind(klx_config_root(c), &w.subscription.quiet, &r);
    klx_config_free(c);
    assert_non_null(w.subscription.quiet);
}

/* "i1.2" is the second event of the incident i1; "x" belongs to none. */
static inline void event(const char *id, const char *phase, const char *severity) {
    char incident[32];
    char value[256];
    const char *dot = strchr(id, '.');
    snprintf(incident, sizeof(incident), "%.*s", dot != NULL ? (int)(dot - id) : 0, id);
    snprintf(value, sizeof(value),
             "{\"summary\":\"s\",\"object\":{\"kind\":\"Node\",\"name\":\"%s\"},\"reason\":\"R\","
             "\"labels\":{},\"incident\":{\"severity\":\"critical\"}}",
             dot != NULL ? incident : id);
    char time[KLX_TIME_TEXT_BYTES];
    klx_time_format(w.clock.now_wall_us, KLX_TIME_MICROS, time);
    const struct klx_record_header headers[] = {
        { KLX_SV("ce_specversion"), KLX_SV("1.0") },
        { KLX_SV("ce_id"), klx_sv(id) },
        { KLX_SV("ce_source"), KLX_SV("/x") },
        { KLX_SV("ce_type"), KLX_SV("io.klaxon.node.notready") },
        { KLX_SV("ce_cluster"), KLX_SV("prod") },
        { KLX_SV("ce_time"), klx_sv(time) },
        { KLX_SV("ce_severity"), klx_sv(severity) },
        { KLX_SV("ce_incident"), klx_sv(incident) },
        { KLX_SV("ce_phase"), klx_sv(phase) },
        { KLX_SV("ce_incidentseq"), klx_sv(dot != NULL ? dot + 1 : "") },
    };
    const struct klx_record r = { .topic = "klaxon.nodes",
                                  .partition = 0,
                                  .offset = w.next_offset++,
                                  .key = klx_sv(incident),
                                  .value = klx_sv(value),
                                  .headers = headers,
                                  .headers_n = dot != NULL ? 10 : 7 };
    struct klx_error e = { .text = "" };
    const struct klx_target *targets = NULL;
    struct klx_message *m = klx_message_new(w.pool, &r);
    klx_tracker_begin(w.tracker, r.topic, 0, r.offset, 0, &m->tracked);
    if (klx_message_decode(m, &e) != 0 || klx_message_keep(m, &e) != 0) {
        fail_msg("%s", e.text);
    }
    size_t n = klx_route_match(w.route, KLX_TOPIC_NODES, &m->event, m->data, &targets);
    klx_noise_take(w.noise, KLX_TOPIC_NODES, m, targets, n);
    klx_message_unref(m);
    if (!w.holds) {
        answer_all("h");
    }
}

static inline void open_(const char *id) {
    event(id, "open", "warning");
}

static inline void update(const char *id) {
    event(id, "update", "warning");
}

static inline void resolve(const char *id) {
    event(id, "resolved", "info");
}

/* Time passes; what is due is done when it is due. */
static inline void pass_time(int seconds) {
    int64_t end_us = w.clock.now_mono_us + seconds * KLX_US_PER_S;
    int turns = 0;
    while (w.wake_us >= 0 && w.wake_us <= end_us) {
        assert_true(++turns < 100000);
        int64_t step_us = w.wake_us - w.clock.now_mono_us;
        klx_clock_driven_advance(&w.clock, step_us > 0 ? step_us : 0);
        w.wake_us = -1;
        klx_noise_wake(w.noise);
        if (!w.holds) {
            answer_all("h2");
        }
    }
    klx_clock_driven_advance(&w.clock, end_us - w.clock.now_mono_us);
}

static inline void heard(const char *expected) {
    assert_string_equal(klx_buf_str(&w.story), expected);
    klx_buf_reset(&w.story);
}

static inline void silence(const char *id, const char *matcher_value, int from_s, int to_s) {
    char key[64], value[512], from[KLX_TIME_TEXT_BYTES], to[KLX_TIME_TEXT_BYTES];
    klx_time_format(T0 + from_s * KLX_US_PER_S, KLX_TIME_SECONDS, from);
    klx_time_format(T0 + to_s * KLX_US_PER_S, KLX_TIME_SECONDS, to);
    snprintf(key, sizeof(key), "silence/%s", id);
    snprintf(value, sizeof(value),
             "{\"matchers\":[{\"name\":\"name\",\"value\":\"%s\"}],\"startsAt\":\"%s\",\"endsAt\":"
             "\"%s\"}",
             matcher_value, from, to);
    klx_noise_control(w.noise, klx_sv(key), klx_sv(value));
}

/* As the lane asks for a delivery of this number; "… (old)" when the channel was told of a higher one. */
static inline const char *handle_of(const char *incident, uint32_t number) {
    static char text[300];
    bool is_old = false;
    struct klx_message m = { .event = { .incident = klx_sv(incident), .incident_seq = number } };
    const struct klx_delivery d = { .message = &m };
    struct klx_sv h = klx_noise_handle(w.noise, "slack", &d, &is_old);
    snprintf(text, sizeof(text), "%.*s%s", KLX_SV_FMT(h), is_old ? " (old)" : "");
    return text;
}

static inline const char *handle(const char *incident) {
    return handle_of(incident, 0);
}
