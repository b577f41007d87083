/* Noise control as a whole: what a channel hears of which events, on a clock that moves only when told. */
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

static void at(const char *what) {
    int64_t s = (w.clock.now_wall_us - T0) / KLX_US_PER_S;
    klx_buf_printf(&w.story, "%lld:%02lld %s", (long long)(s / 60), (long long)(s % 60), what);
}

static void deliver(void *arg, size_t channel, struct klx_delivery *d) {
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

static void suppressed(void *arg, const struct klx_suppressed *s) {
    (void)arg;
    w.receipts++;
    if (s->why != KLX_SUPPRESSION_DIGESTED) {
        at("hush ");
        klx_buf_printf(&w.story, "%s %.*s %s", s->channel, KLX_SV_FMT(s->message->event.id),
                       klx_suppression_name(s->why));
        klx_buf_printf(&w.story, s->detail.n > 0 ? " (%.*s)\n" : "%.*s\n", KLX_SV_FMT(s->detail));
    }
}

static void write_record(void *arg, enum klx_topic topic, struct klx_message *m, struct klx_sv key,
                         struct klx_sv value) {
    (void)arg;
    (void)m;
    assert_true(topic == KLX_TOPIC_STATE || topic == KLX_TOPIC_CONTROL);
    assert_true(w.written_n < WRITES_MAX);
    w.written[w.written_n++] =
        (struct written){ klx_sv_dup(key), value.p != NULL ? klx_sv_dup(value) : NULL };
}

static void schedule(void *arg, int64_t delay_ms) {
    (void)arg;
    w.wake_us = delay_ms < 0 ? -1 : w.clock.now_mono_us + delay_ms * 1000;
}

static void on_message_done(void *arg, struct klx_message *m) {
    (void)arg;
    w.settled += !m->abandoned;
    w.abandoned += m->abandoned;
    if (m->abandoned) {
        klx_tracker_forget(w.tracker, &m->tracked, false);
    } else {
        klx_tracker_settle(w.tracker, &m->tracked, true);
    }
}

static void start_noise(void) {
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
static void open_world(void) {
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

static void start(void) {
    w.route = klx_route_new(&w.settings, &w.ops);
    start_noise();
}

static void answer_all(const char *handle) {
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

static void abandon_all(void) {
    for (size_t i = 0; i < w.on_the_way_n; i++) {
        klx_delivery_abandon(w.on_the_way[i].d);
    }
    w.on_the_way_n = 0;
}

static void close_world(void) {
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
static void restart(void) {
    abandon_all();
    klx_noise_free(w.noise);
    start_noise();
}

static void set_quiet(const char *yaml) {
    struct klx_config *c = NULL;
    struct klx_error e;
    struct klx_settings_reporter r = { 0 };
    assert_int_equal(klx_config_parse(klx_sv(yaml), "s", &c, &e), 0);
    klx_hours_bind(klx_config_root(c), &w.subscription.quiet, &r);
    klx_config_free(c);
    assert_non_null(w.subscription.quiet);
}

/* "i1.2" is the second event of the incident i1; "x" belongs to none. */
static void event(const char *id, const char *phase, const char *severity) {
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

static void open_(const char *id) {
    event(id, "open", "warning");
}

static void update(const char *id) {
    event(id, "update", "warning");
}

static void resolve(const char *id) {
    event(id, "resolved", "info");
}

/* Time passes; what is due is done when it is due. */
static void pass_time(int seconds) {
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

static void heard(const char *expected) {
    assert_string_equal(klx_buf_str(&w.story), expected);
    klx_buf_reset(&w.story);
}

static void silence(const char *id, const char *matcher_value, int from_s, int to_s) {
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
static const char *handle_of(const char *incident, uint32_t number) {
    static char text[300];
    bool is_old = false;
    struct klx_message m = { .event = { .incident = klx_sv(incident), .incident_seq = number } };
    const struct klx_delivery d = { .message = &m };
    struct klx_sv h = klx_noise_handle(w.noise, "slack", &d, &is_old);
    snprintf(text, sizeof(text), "%.*s%s", KLX_SV_FMT(h), is_old ? " (old)" : "");
    return text;
}

static const char *handle(const char *incident) {
    return handle_of(incident, 0);
}

static void what_is_redriven_late_is_old(void **state) {
    (void)state;
    open_world();
    start();
    assert_string_equal(handle_of("i1", 1), "");
    open_("i1.1");
    assert_string_equal(handle_of("i1", 1), "h");
    assert_string_equal(handle_of("i1", 2), "h");
    resolve("i1.3");
    assert_string_equal(handle_of("i1", 1), "h (old)");
    restart();
    assert_string_equal(handle_of("i1", 2), "h (old)");
    assert_string_equal(handle_of("i1", 3), "h");
    close_world();
}

static void an_incident_is_one_message(void **state) {
    (void)state;
    open_world();
    start();
    assert_string_equal(handle("i1"), "");
    open_("i1.1");
    assert_string_equal(handle("i1"), "h");
    w.holds = true;
    update("i1.2");
    answer_all("other"); /* the first message's handle stays */
    assert_string_equal(handle("i1"), "h");
    restart();
    assert_string_equal(handle("i1"), "h"); /* it is on klaxon.state */
    w.replaces = true;
    update("i1.2"); /* it was told, so it is not */
    update("i1.3");
    answer_all("new");
    assert_string_equal(handle("i1"), "new");
    w.replaces = false;
    restart();
    assert_string_equal(handle("i1"), "new");
    w.holds = false;
    resolve("i1.4");
    open_("x");
    heard("0:00 tell slack i1.1\n0:00 tell slack i1.2\n"
          "0:00 hush slack i1.2 repeated (by number 2 of the incident)\n"
          "0:00 tell slack i1.3\n0:00 tell slack i1.4\n0:00 tell slack x\n");
    assert_int_equal(w.settled, 6);
    close_world();
}

static void what_is_older_or_was_told_is_not_told(void **state) {
    (void)state;
    open_world();
    start();
    open_("i1.1");
    update("i1.3");
    update("i1.2");
    update("i1.3");
    heard("0:00 tell slack i1.1\n0:00 tell slack i1.3\n"
          "0:00 hush slack i1.2 superseded (by number 3 of the incident)\n"
          "0:00 hush slack i1.3 repeated (by number 3 of the incident)\n");
    restart(); /* and what was not committed is read again */
    open_("i1.1");
    update("i1.3");
    resolve("i1.4");
    heard("0:00 hush slack i1.1 superseded (by number 3 of the incident)\n"
          "0:00 hush slack i1.3 repeated (by number 3 of the incident)\n"
          "0:00 tell slack i1.4\n");
    close_world();
}

static void an_update_that_waits_is_passed_over(void **state) {
    (void)state;
    open_world();
    start();
    w.holds = true;
    open_("i1.1");
    update("i1.2");
    update("i1.3");
    resolve("i1.4");
    heard(
        "0:00 tell slack i1.1\n0:00 tell slack i1.2\n0:00 tell slack i1.3\n0:00 tell slack i1.4\n");
    static const bool over[] = { false, true, true, false };
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(klx_noise_passes_over(w.noise, "slack", w.on_the_way[i].d), over[i]);
    }
    heard("0:00 hush slack i1.2 superseded (by number 4 of the incident)\n"
          "0:00 hush slack i1.3 superseded (by number 4 of the incident)\n");
    close_world();
}

static size_t tombstones_of(const char *key) {
    size_t n = 0;
    for (size_t i = 0; i < w.written_n; i++) {
        n += strcmp(w.written[i].key, key) == 0 && w.written[i].value == NULL;
    }
    return n;
}

static void a_silence_that_ended_long_ago_goes(void **state) {
    (void)state;
    open_world();
    start();
    silence("a", "i1", 0, HOUR);
    silence("b", "i1", 0, 200 * HOUR);
    pass_time(120 * HOUR + HOUR - 1);
    klx_noise_look(w.noise);
    assert_int_equal(tombstones_of("silence/a"), 0); /* people may still ask for it */
    klx_noise_revoked(w.noise, KLX_TOPIC_NODES, 0);
    pass_time(1);
    klx_noise_look(w.noise);
    assert_int_equal(tombstones_of("silence/a"), 0); /* that is another replica's */
    klx_noise_given(w.noise, KLX_TOPIC_NODES, 0);
    klx_noise_ready(w.noise);
    klx_noise_look(w.noise);
    klx_noise_look(w.noise);
    assert_int_equal(tombstones_of("silence/a"), 1);
    assert_int_equal(tombstones_of("silence/b"), 0);
    close_world();
}

static void silenced_from_beginning_to_end(void **state) {
    (void)state;
    open_world();
    start();
    silence("a", "i1", 0, HOUR);
    open_("i1.1");
    open_("i2.1");
    open_("i1"); /* outside of an incident, the same name */
    restart();
    silence("a", "i1", 0, HOUR);
    update("i1.2");
    resolve("i1.3");
    resolve("i2.2");
    pass_time(2 * HOUR);
    heard("0:00 hush slack i1.1 silenced (silence a)\n"
          "0:00 tell slack i2.1\n"
          "0:00 hush slack i1 silenced (silence a)\n"
          "0:00 hush slack i1.2 silenced (silence a)\n"
          "0:00 hush slack i1.3 not_told\n"
          "0:00 tell slack i2.2\n");
    assert_int_equal(w.settled, 6);
    close_world();
}

static void what_is_open_at_the_end_of_a_silence_is_told(void **state) {
    (void)state;
    open_world();
    start();
    silence("a", "i1", 0, HOUR);
    silence("b", "i2", 0, HOUR);
    silence("c", "i2", 30 * MINUTE, 2 * HOUR);
    open_("i1.1");
    update("i1.2");
    open_("i2.1");
    klx_buf_reset(&w.story);
    pass_time(50 * MINUTE);
    restart();
    silence("b", "i2", 0, HOUR);
    silence("c", "i2", 30 * MINUTE, 2 * HOUR);
    silence("a", "i1", 0, HOUR);
    pass_time(11 * MINUTE);
    heard("60:00 tell slack i1.2\n");
    resolve("i1.3");
    silence("c", "i2", 30 * MINUTE, 62 * MINUTE); /* ended early */
    pass_time(5 * MINUTE);
    heard("61:00 tell slack i1.3\n62:00 tell slack i2.1\n");
    close_world();
}

static void an_end_is_told_when_the_beginning_was(void **state) {
    (void)state;
    open_world();
    start();
    open_("i1.1");
    silence("a", "i1", 0, HOUR);
    update("i1.2");
    resolve("i1.3");
    resolve("i9.7"); /* nothing is known of it: it may have been told */
    pass_time(2 * HOUR);
    heard("0:00 tell slack i1.1\n0:00 hush slack i1.2 silenced (silence a)\n0:00 tell slack i1.3\n"
          "0:00 tell slack i9.7\n");
    close_world();
}

static void quiet_hours_end_with_one_message(void **state) {
    (void)state;
    open_world();
    set_quiet("{times: [\"08:00-10:00\"], critical: pass}");
    start();
    open_("i1.1");
    update("i1.2");
    open_("i2.1");
    resolve("i2.2");
    event("i3.1", "open", "critical");
    event("x", "", "warning");
    pass_time(HOUR);
    restart();
    update("i1.3");
    heard("0:00 hush slack i1.1 quiet_hours\n0:00 hush slack i1.2 quiet_hours\n"
          "0:00 hush slack i2.1 quiet_hours\n0:00 hush slack i2.2 not_told\n"
          "0:00 tell slack i3.1\n0:00 hush slack x quiet_hours\n"
          "60:00 hush slack i1.3 quiet_hours\n");
    pass_time(2 * HOUR);
    heard("120:00 tell slack i1.3\n");
    resolve("i1.4");
    heard("180:00 tell slack i1.4\n");
    close_world();
}

static void a_flood_becomes_digests(void **state) {
    (void)state;
    char id[16];
    open_world();
    w.channels[SLACK].throttle =
        (struct klx_throttle_settings){ .messages = 4, .per_ms = 60000, .burst = 2 };
    start();
    w.holds = true;
    for (int i = 0; i < 20; i++) {
        snprintf(id, sizeof(id), "i%d.%d", i % 5, i / 5 + 1);
        if (i < 5) {
            open_(id);
        } else {
            update(id);
        }
    }
    heard("0:00 tell slack i0.1\n0:00 tell slack i1.1\n");
    answer_all("h");
    assert_int_equal(w.settled, 2);
    pass_time(10);
    assert_int_equal(w.settled, 2);
    pass_time(25);
    heard("0:30 tell slack i4.4 digest of 18 in 5\n");
    assert_int_equal(w.settled, 2); /* not before the digest is done */
    assert_int_equal(w.receipts, 18);
    answer_all("d");
    assert_int_equal(w.settled, 20);
    assert_string_equal(handle("i0"), "h");
    assert_string_equal(handle("i4"), ""); /* the digest is not its message */
    resolve("i4.5");
    heard("");
    pass_time(60);
    heard("1:00 tell slack i4.5\n"); /* one is no digest */
    answer_all("h");
    pass_time(5 * 60);
    restart(); /* what the digest told is known */
    update("i3.4");
    heard("6:35 hush slack i3.4 repeated (by number 4 of the incident)\n");
    close_world();
}

static void what_a_parked_digest_covers_counts_as_told(void **state) {
    (void)state;
    open_world();
    w.channels[SLACK].throttle =
        (struct klx_throttle_settings){ .messages = 1, .per_ms = 60000, .burst = 1 };
    start();
    open_("i0.1");
    w.holds = true;
    open_("i1.1");
    open_("i2.1");
    pass_time(65);
    heard("0:00 tell slack i0.1\n1:00 tell slack i2.1 digest of 2 in 2\n");
    struct klx_delivery *d = w.on_the_way[--w.on_the_way_n].d;
    klx_noise_parked(w.noise, "slack", d);
    klx_delivery_done(d);
    restart();
    open_("i1.1");
    heard("1:05 hush slack i1.1 repeated (by number 1 of the incident)\n");
    close_world();
}

static void a_digest_shows_the_worst_first(void **state) {
    (void)state;
    open_world();
    w.channels[SLACK].throttle = (struct klx_throttle_settings){ .messages = 1, .per_ms = 60000 };
    start();
    w.holds = true;
    open_("a.1");
    open_("b.1");
    event("c.1", "open", "critical");
    update("b.2");
    event("d.1", "open", "info");
    event("c.2", "resolved", "info");
    event("e.1", "open", "critical");
    event("x", "", "warning");
    event("x", "", "warning");
    pass_time(61);
    assert_int_equal(w.on_the_way_n, 2);
    const struct klx_delivery *d = w.on_the_way[1].d;
    const struct klx_digest *g = d->digest;
    assert_int_equal(d->severity, KLX_SEVERITY_CRITICAL);
    assert_sv(d->message->event.id, "e.1");
    assert_int_equal(g->events, 8);
    assert_int_equal(g->incidents, 4);
    assert_int_equal(g->lines_n, 5);
    assert_sv(g->lines[0].text, "Node e (prod): Node not ready");
    assert_sv(g->lines[1].text, "Node c (prod): Node not ready, resolved");
    assert_int_equal(g->lines[1].severity, KLX_SEVERITY_CRITICAL);
    assert_int_equal(g->lines[1].events, 2);
    assert_sv(g->lines[2].text, "Node b (prod): Node not ready");
    assert_sv(g->lines[3].text, "Node x (prod): Node not ready");
    assert_sv(g->lines[4].text, "Node d (prod): Node not ready");
    close_world();
}

static void an_open_incident_is_told_again(void **state) {
    (void)state;
    open_world();
    w.subscription.repeat_ms = 2 * HOUR * 1000;
    start();
    open_("i1.1");
    pass_time(HOUR);
    update("i1.2");
    open_("x"); /* no incident: never again */
    klx_buf_reset(&w.story);
    pass_time(5 * HOUR);
    heard("180:00 tell slack i1.2 again\n300:00 tell slack i1.2 again\n");
    restart();
    pass_time(2 * HOUR);
    heard("420:00 tell slack i1.2 again\n");
    klx_noise_control(w.noise, KLX_SV("ack/i1"), KLX_SV("{\"by\":\"ada\"}"));
    pass_time(5 * HOUR);
    heard("");
    klx_noise_control(w.noise, KLX_SV("ack/i1"), klx_sv(NULL));
    pass_time(1);
    heard("780:00 tell slack i1.2 again\n");
    resolve("i1.3");
    pass_time(24 * HOUR);
    heard("780:01 tell slack i1.3\n");
    close_world();
}

static void nobody_answers_and_it_escalates(void **state) {
    (void)state;
    open_world();
    w.subscription.escalate_after_ms = 30 * MINUTE * 1000;
    w.subscription.escalate_to = w.to_pager;
    w.subscription.escalate_to_n = 1;
    start();
    open_("i1.1");
    open_("i2.1");
    open_("i3.1");
    open_("x");
    pass_time(10 * MINUTE);
    update("i1.2");
    resolve("i2.2");
    klx_noise_control(w.noise, KLX_SV("ack/i3"), KLX_SV("{}"));
    heard("0:00 tell slack i1.1\n0:00 hush pager i1.1 escalation_pending\n"
          "0:00 tell slack i2.1\n0:00 hush pager i2.1 escalation_pending\n"
          "0:00 tell slack i3.1\n0:00 hush pager i3.1 escalation_pending\n"
          "0:00 tell slack x\n"
          "10:00 tell slack i1.2\n10:00 hush pager i1.2 escalation_pending\n"
          "10:00 tell slack i2.2\n10:00 hush pager i2.2 not_told\n");
    restart();
    klx_noise_control(w.noise, KLX_SV("ack/i3"), KLX_SV("{}"));
    pass_time(HOUR);
    heard("30:00 tell pager i1.2 escalated\n");
    update("i1.3");
    resolve("i1.4");
    resolve("i3.2");
    heard("70:00 tell slack i1.3\n70:00 tell pager i1.3\n70:00 tell slack i1.4\n"
          "70:00 tell pager i1.4\n70:00 tell slack i3.2\n70:00 hush pager i3.2 not_told\n");
    close_world();
}

static void only_the_owner_acts(void **state) {
    (void)state;
    open_world();
    w.subscription.repeat_ms = HOUR * 1000;
    start();
    open_("i1.1");
    klx_buf_reset(&w.story);
    klx_tracker_revoke(w.tracker, "klaxon.nodes", 0);
    klx_noise_revoked(w.noise, KLX_TOPIC_NODES, 0);
    pass_time(3 * HOUR);
    heard("");
    klx_noise_given(w.noise, KLX_TOPIC_NODES, 0);
    pass_time(HOUR);
    heard(""); /* not before klaxon.state was read */
    klx_noise_ready(w.noise);
    pass_time(1);
    heard("240:00 tell slack i1.1 again\n");
    close_world();
}

static void what_is_taken_away_comes_again(void **state) {
    (void)state;
    open_world();
    w.channels[SLACK].throttle = (struct klx_throttle_settings){ .messages = 1, .per_ms = 60000 };
    start();
    w.holds = true;
    open_("i1.1");
    open_("i2.1");
    update("i2.2");
    klx_tracker_revoke(w.tracker, "klaxon.nodes", 0);
    klx_noise_revoked(w.noise, KLX_TOPIC_NODES, 0);
    assert_int_equal(w.abandoned, 2);
    abandon_all();
    klx_noise_given(w.noise, KLX_TOPIC_NODES, 0);
    klx_noise_ready(w.noise);
    klx_buf_reset(&w.story);
    pass_time(5 * 60);
    open_("i1.1");
    pass_time(5 * 60);
    open_("i2.1");
    heard("5:00 tell slack i1.1\n10:00 tell slack i2.1\n");
    close_world();
}

static void what_is_over_is_forgotten(void **state) {
    (void)state;
    open_world();
    start();
    open_("i1.1");
    klx_noise_control(w.noise, KLX_SV("ack/i1"), KLX_SV("{}"));
    resolve("i1.2");
    size_t before = w.written_n;
    pass_time(59 * MINUTE);
    assert_int_equal(w.written_n, before);
    pass_time(2 * MINUTE);
    assert_int_equal(w.written_n, before + 2);
    assert_string_equal(w.written[before].key, "sink/slack/i1");
    assert_null(w.written[before].value);
    assert_string_equal(w.written[before + 1].key, "ack/i1");
    close_world();
}

static void a_store_is_told_everything(void **state) {
    (void)state;
    open_world();
    w.ops.batch_bytes_max = 1000;
    set_quiet("{times: [\"08:00-10:00\"]}");
    start();
    silence("a", "i1", 0, HOUR);
    open_("i1.1");
    update("i1.3");
    update("i1.2");
    update("i1.2");
    heard(
        "0:00 tell slack i1.1\n0:00 tell slack i1.3\n0:00 tell slack i1.2\n0:00 tell slack i1.2\n");
    assert_int_equal(w.written_n, 0);
    close_world();
}

static void another_configuration_keeps_what_is_held(void **state) {
    (void)state;
    size_t both[] = { SLACK, OTHER };
    open_world();
    w.subscription.channels = both;
    w.subscription.channels_n = 2;
    w.channels[SLACK].throttle = (struct klx_throttle_settings){ .messages = 1, .per_ms = 60000 };
    w.channels[OTHER].throttle = w.channels[SLACK].throttle;
    start();
    w.holds = true;
    open_("i1.1");
    open_("i2.1");
    open_("i3.1");
    klx_buf_reset(&w.story);
    /* `other` is not there any more, and `slack` is another one in the list. */
    struct klx_channel_settings channels[] = { w.channels[PAGER], w.channels[SLACK] };
    size_t to[] = { 1 };
    struct klx_subscription_settings subscription = w.subscription;
    subscription.channels = to;
    subscription.channels_n = 1;
    const struct klx_sinks_settings settings = {
        .channels = channels, .channels_n = 2, .subscriptions = &subscription, .subscriptions_n = 1
    };
    struct klx_route *route = klx_route_new(&settings, &w.ops);
    const struct klx_noise_use use = { &settings, NULL, route };
    klx_noise_reload(w.noise, &use);
    heard("0:00 tell other i3.1 digest of 2 in 2\n");
    memcpy(w.channels, channels, sizeof(channels)); /* so that the story has the names */
    pass_time(60);
    heard("1:00 tell slack i3.1 digest of 2 in 2\n");
    abandon_all();
    klx_noise_free(w.noise);
    w.noise = NULL;
    klx_route_free(route);
    close_world();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_incident_is_one_message),
        cmocka_unit_test(what_is_older_or_was_told_is_not_told),
        cmocka_unit_test(an_update_that_waits_is_passed_over),
        cmocka_unit_test(silenced_from_beginning_to_end),
        cmocka_unit_test(what_is_open_at_the_end_of_a_silence_is_told),
        cmocka_unit_test(an_end_is_told_when_the_beginning_was),
        cmocka_unit_test(quiet_hours_end_with_one_message),
        cmocka_unit_test(a_flood_becomes_digests),
        cmocka_unit_test(what_a_parked_digest_covers_counts_as_told),
        cmocka_unit_test(a_digest_shows_the_worst_first),
        cmocka_unit_test(an_open_incident_is_told_again),
        cmocka_unit_test(nobody_answers_and_it_escalates),
        cmocka_unit_test(what_is_redriven_late_is_old),
        cmocka_unit_test(a_silence_that_ended_long_ago_goes),
        cmocka_unit_test(only_the_owner_acts),
        cmocka_unit_test(what_is_taken_away_comes_again),
        cmocka_unit_test(what_is_over_is_forgotten),
        cmocka_unit_test(a_store_is_told_everything),
        cmocka_unit_test(another_configuration_keeps_what_is_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
