/* The publisher against brokers in this process: what is whole is written together, and what is not is not written at all. */
#include "tests/unit/support/support.h"

#include <stdio.h>
#include <string.h>

#include "collector/publish.h"
#include "lib/base/clock.h"
#include "lib/io/consumer.h"
#include "tests/unit/support/mock_kafka.h"

#define PATIENCE_MS 30000
#define STATE "klaxon.state"

struct world {
    struct mock_kafka *kafka;
    struct klx_kafka_config *config;
    struct klx_topic_names topics;
    struct klx_loop *loop;
    struct klx_timer *patience;
    struct klx_publisher *publisher;
    int fatal, stopped;
    char why[256];
    char log[1024]; /* the keys that were read, one after the other */
};

static void out_of_patience(void *arg) {
    struct world *w = arg;
    fail_msg("fatal %d stopped %d: %s", w->fatal, w->stopped, w->why);
}

static void on_ready(void *arg) {
    klx_loop_stop(((struct world *)arg)->loop);
}

static void on_state(void *arg, struct klx_sv key, struct klx_sv value) {
    (void)arg;
    (void)key;
    (void)value;
}

static void on_full(void *arg, bool full) {
    (void)arg;
    (void)full;
}

static void on_trouble(void *arg, const char *what) {
    struct world *w = arg;
    snprintf(w->why, sizeof(w->why), "%s", what);
}

static void on_stopped(void *arg, bool clean) {
    struct world *w = arg;
    assert_true(clean);
    w->stopped++;
    klx_loop_stop(w->loop);
}

/* As the run of a cluster does. */
static void on_fatal(void *arg, const char *why) {
    struct world *w = arg;
    w->fatal++;
    snprintf(w->why, sizeof(w->why), "%s", why);
    klx_publisher_stop(w->publisher, 5000, on_stopped, w);
}

static int setup(void **state) {
    static struct world w;
    struct klx_error e;
    w = (struct world){ .kafka = mock_kafka_new(), .loop = klx_loop_new() };
    mock_kafka_topic(w.kafka, STATE, 1);
    w.config = mock_kafka_config(w.kafka, NULL);
    for (size_t i = 0; i < KLX_TOPICS_N; i++) {
        snprintf(w.topics.name[i], sizeof(w.topics.name[i]), "%s", STATE);
    }
    w.patience = klx_timer_new(w.loop, out_of_patience, &w);
    klx_timer_start(w.patience, PATIENCE_MS);
    const struct klx_publisher_options o = { .clock = klx_clock_real(),
                                             .kafka = w.config,
                                             .topics = &w.topics,
                                             .used = 1u << KLX_TOPIC_STATE,
                                             .cluster = "prod",
                                             .transactions = KLX_TXN_ON };
    const struct klx_publisher_callbacks cb = { on_ready,   on_state, on_full,
                                                on_trouble, on_fatal, &w };
    assert_int_equal(klx_publisher_new(w.loop, &o, &cb, &w.publisher, &e), 0);
    klx_publisher_start(w.publisher);
    klx_loop_run(w.loop);
    *state = &w;
    return 0;
}

static int teardown(void **state) {
    struct world *w = *state;
    klx_publisher_free(w->publisher);
    klx_timer_free(w->patience);
    klx_loop_run(w->loop);
    klx_loop_free(w->loop);
    klx_kafka_config_free(w->config);
    mock_kafka_free(w->kafka);
    return 0;
}

static void on_record(void *arg, const struct klx_record *r) {
    struct world *w = arg;
    size_t n = strlen(w->log);
    snprintf(w->log + n, sizeof(w->log) - n, "%.*s ", KLX_SV_FMT(r->key));
}

static void on_end(void *arg) {
    klx_loop_stop(((struct world *)arg)->loop);
}

static void no_reading(void *arg, const char *why) {
    (void)arg;
    fail_msg("%s", why);
}

static const char *keys_written(struct world *w) {
    const char *topic = STATE;
    struct klx_reader *reader = NULL;
    const struct klx_reader_options o = { .kafka = w->config,
                                          .topics = &topic,
                                          .topics_n = 1,
                                          .start = KLX_READER_BEGINNING,
                                          .until_end = true };
    const struct klx_reader_callbacks cb = { .on_record = on_record,
                                             .on_end = on_end,
                                             .on_trouble = on_trouble,
                                             .on_fatal = no_reading,
                                             .arg = w };
    struct klx_error e;
    assert_int_equal(klx_reader_new(w->loop, &o, &cb, &reader, &e), 0);
    klx_loop_run(w->loop);
    klx_reader_free(reader);
    return w->log;
}

static void what_is_there_when_it_stops_is_written(void **state) {
    struct world *w = *state;
    klx_publisher_put_state(w->publisher, "a", "", KLX_SV("1"));
    klx_publisher_checkpoint(w->publisher, 0, "events", KLX_SV("17"), true);
    klx_publisher_stop(w->publisher, 5000, on_stopped, w);
    klx_loop_run(w->loop);
    assert_int_equal(w->stopped, 1);
    assert_string_equal(keys_written(w), "prod/a prod/events ");
}

/* It may be in the midst of what a frame makes: its owner is not told from inside, and the parts that did fit are not written. */
static void a_batch_that_misses_something_is_not_written(void **state) {
    struct world *w = *state;
    const struct klx_sv large =
        klx_sv_n("", 1u << 30); /* there is no room, so it is not looked at */
    klx_publisher_put_state(w->publisher, "a", "", KLX_SV("1"));
    klx_publisher_put_state(w->publisher, "b", "", large);
    assert_int_equal(w->fatal, 0);
    klx_publisher_put_state(w->publisher, "c", "", KLX_SV("1"));
    klx_publisher_checkpoint(w->publisher, 0, "events", KLX_SV("17"), false);
    klx_publisher_end_turn(w->publisher);
    klx_loop_run(w->loop);
    assert_int_equal(w->fatal, 1);
    assert_int_equal(w->stopped, 1);
    assert_string_equal(keys_written(w), "");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_is_there_when_it_stops_is_written),
        TEST(a_batch_that_misses_something_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
