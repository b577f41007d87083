/* Batches against brokers in this process: with transactions, without, and which of them KLX_TXN_AUTO takes. */
#include "tests/unit/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/io/consumer.h"
#include "lib/io/transaction.h"
#include "lib/io/txn_hearing.h"
#include "tests/unit/support/mock_kafka.h"

#define PATIENCE_MS 30000
#define FOR_EVER 10000

enum {
    COORDINATOR_NOT_AVAILABLE = 15,
    INVALID_REQUEST = 42,
    ID_NOT_ALLOWED = 53,
    OUT_OF_ORDER = 45
};
enum { MESSAGE_TOO_LARGE = 10, INVALID_TXN_STATE = 48 };

struct world {
    struct mock_kafka *kafka;
    struct klx_loop *loop;
    struct klx_timer *patience;
    struct klx_txn *txn;
    struct klx_reader *reader;
    struct klx_kafka_config *config;
    int ready, committed, without, fatal, trouble;
    bool stop_at_trouble;
    char said[2048]; /* all that was, a line each */
    char why[512];
    char log[4096]; /* the values that were read, one after the other */
};

static void out_of_patience(void *arg) {
    struct world *w = arg;
    fail_msg("ready %d committed %d without %d fatal %d; said: %s; why: %s", w->ready, w->committed,
             w->without, w->fatal, w->said, w->why);
}

static void on_ready(void *arg) {
    struct world *w = arg;
    w->ready++;
    klx_loop_stop(w->loop);
}

static void on_committed(void *arg, int64_t took_us) {
    struct world *w = arg;
    assert_true(took_us >= 0);
    w->committed++;
    klx_loop_stop(w->loop);
}

static void on_trouble(void *arg, const char *what) {
    struct world *w = arg;
    w->trouble++;
    size_t n = strlen(w->said);
    snprintf(w->said + n, sizeof(w->said) - n, "%s\n", what);
    if (w->stop_at_trouble) {
        klx_loop_stop(w->loop);
    }
}

static void on_fatal(void *arg, const char *why) {
    struct world *w = arg;
    w->fatal++;
    snprintf(w->why, sizeof(w->why), "%s", why);
    klx_loop_stop(w->loop);
}

static void on_without(void *arg, const char *why) {
    struct world *w = arg;
    assert_int_equal(w->ready, 0);
    w->without++;
    snprintf(w->why, sizeof(w->why), "%s", why);
}

static void on_stopped(void *arg, bool clean) {
    struct world *w = arg;
    (void)clean;
    klx_loop_stop(w->loop);
}

static void open_world(struct world *w) {
    w->kafka = mock_kafka_new();
    mock_kafka_topic(w->kafka, "events", 1);
    mock_kafka_topic(w->kafka, "state", 1);
    w->loop = klx_loop_new();
    w->patience = klx_timer_new(w->loop, out_of_patience, w);
    klx_timer_start(w->patience, PATIENCE_MS);
    w->config = mock_kafka_config(w->kafka, "reconnect.backoff.max.ms", "200", NULL);
}

static void start(struct world *w, enum klx_txn_mode mode) {
    static const char *const topics[] = { "events", "state" };
    const struct klx_txn_options o = { .kafka = w->config,
                                       .transactional_id = "tests",
                                       .topics = topics,
                                       .topics_n = 2,
                                       .state_topic = "state",
                                       .mode = mode };
    const struct klx_txn_callbacks cb = { on_ready, on_committed, on_trouble,
                                          on_fatal, on_without,   w };
    struct klx_error e;
    assert_int_equal(klx_txn_new(w->loop, &o, &cb, &w->txn, &e), 0);
    klx_txn_start(w->txn);
    klx_loop_run(w->loop);
}

static void close_world(struct world *w) {
    klx_txn_stop(w->txn, 5000, on_stopped, w);
    klx_loop_run(w->loop);
    klx_txn_free(w->txn);
    klx_timer_free(w->patience);
    klx_loop_run(w->loop);
    klx_loop_free(w->loop);
    klx_kafka_config_free(w->config);
    mock_kafka_free(w->kafka);
}

static struct klx_record record(const char *topic, const char *value) {
    return (struct klx_record){
        .topic = topic, .partition = -1, .key = KLX_SV("key"), .value = klx_sv(value)
    };
}

static void commit(struct world *w, const struct klx_record *records, size_t n) {
    int before = w->committed;
    assert_true(klx_txn_idle(w->txn));
    klx_txn_commit(w->txn, records, n);
    assert_false(klx_txn_idle(w->txn));
    while (w->committed == before && w->fatal == 0) {
        klx_loop_run(w->loop);
    }
}

static void on_record(void *arg, const struct klx_record *r) {
    struct world *w = arg;
    size_t n = strlen(w->log);
    snprintf(w->log + n, sizeof(w->log) - n, "%.*s ", KLX_SV_FMT(r->value));
}

static void on_end(void *arg) {
    struct world *w = arg;
    klx_loop_stop(w->loop);
}

static const char *read_all(struct world *w, const char *topic) {
    const struct klx_reader_options o = { .kafka = w->config,
                                          .topics = &topic,
                                          .topics_n = 1,
                                          .start = KLX_READER_BEGINNING,
                                          .until_end = true };
    const struct klx_reader_callbacks cb = { .on_record = on_record,
                                             .on_end = on_end,
                                             .on_trouble = on_trouble,
                                             .on_fatal = on_fatal,
                                             .arg = w };
    struct klx_error e;
    w->log[0] = '\0';
    assert_int_equal(klx_reader_new(w->loop, &o, &cb, &w->reader, &e), 0);
    klx_loop_run(w->loop);
    klx_reader_free(w->reader);
    return w->log;
}

static void batches_are_written(enum klx_txn_mode mode) {
    struct world w = { 0 };
    open_world(&w);
    start(&w, mode);
    assert_int_equal(w.ready, 1);
    const struct klx_record one[] = { record("state", "s1"), record("events", "a"),
                                      record("state", "s2"), record("events", "b") };
    const struct klx_record two[] = { record("events", "c"), record("state", "s3") };
    commit(&w, one, 4);
    commit(&w, two, 2);
    assert_int_equal(w.committed, 2);
    assert_int_equal(w.without + w.fatal + w.trouble, 0);
    assert_string_equal(read_all(&w, "events"), "a b c ");
    assert_string_equal(read_all(&w, "state"), "s1 s2 s3 ");
    close_world(&w);
}

static void with_transactions(void **state) {
    (void)state;
    batches_are_written(KLX_TXN_ON);
}

static void auto_takes_transactions(void **state) {
    (void)state;
    batches_are_written(KLX_TXN_AUTO);
}

static void without_transactions(void **state) {
    (void)state;
    batches_are_written(KLX_TXN_OFF);
}

static void auto_goes_without_where_there_are_none(void **state) {
    (void)state;
    struct world w = { 0 };
    open_world(&w);
    mock_kafka_without(w.kafka, MOCK_END_TXN);
    mock_kafka_fail(w.kafka, MOCK_FIND_COORDINATOR, COORDINATOR_NOT_AVAILABLE, FOR_EVER);
    start(&w, KLX_TXN_AUTO);
    assert_int_equal(w.ready, 1);
    assert_int_equal(w.without, 1);
    assert_non_null(strstr(w.why, "has no transactions: they take no EndTxn request"));
    const struct klx_record batch[] = { record("events", "a"), record("state", "s") };
    commit(&w, batch, 2);
    assert_int_equal(w.committed, 1);
    close_world(&w);
}

static void auto_goes_without_where_the_coordinator_is_refused(void **state) {
    (void)state;
    struct world w = { 0 };
    open_world(&w);
    mock_kafka_fail(w.kafka, MOCK_FIND_COORDINATOR, INVALID_REQUEST, FOR_EVER);
    start(&w, KLX_TXN_AUTO);
    assert_int_equal(w.ready, 1);
    assert_int_equal(w.without, 1);
    assert_non_null(strstr(w.why, "a coordinator for transactions is refused: INVALID_REQUEST"));
    close_world(&w);
}

/* A Kafka whose coordinator comes late is a Kafka with transactions. */
static void auto_waits_for_a_coordinator(void **state) {
    (void)state;
    struct world w = { .stop_at_trouble = true };
    open_world(&w);
    mock_kafka_fail(w.kafka, MOCK_FIND_COORDINATOR, COORDINATOR_NOT_AVAILABLE, 10);
    start(&w, KLX_TXN_AUTO);
    assert_int_equal(w.ready, 0);
    assert_non_null(
        strstr(w.said, "no coordinator for transactions yet (COORDINATOR_NOT_AVAILABLE"));
    while (w.ready == 0) {
        klx_loop_run(w.loop);
    }
    assert_int_equal(w.without, 0);
    close_world(&w);
}

static void auto_waits_for_brokers_that_are_down(void **state) {
    (void)state;
    struct world w = { .stop_at_trouble = true };
    open_world(&w);
    mock_kafka_down(w.kafka);
    start(&w, KLX_TXN_AUTO);
    assert_non_null(strstr(w.said, "does not answer"));
    mock_kafka_up(w.kafka);
    while (w.ready == 0) {
        klx_loop_run(w.loop);
    }
    assert_int_equal(w.without, 0);
    close_world(&w);
}

static void on_without_transactions_ends_with_advice(void **state) {
    (void)state;
    struct world w = { 0 };
    open_world(&w);
    mock_kafka_fail(w.kafka, MOCK_FIND_COORDINATOR, INVALID_REQUEST, FOR_EVER);
    start(&w, KLX_TXN_ON);
    assert_int_equal(w.fatal, 1);
    assert_non_null(strstr(w.why, "`transactions: off` under `collector:`"));
    close_world(&w);
}

static void a_refused_id_says_what_to_allow(void **state) {
    (void)state;
    struct world w = { 0 };
    open_world(&w);
    mock_kafka_fail(w.kafka, MOCK_FIND_COORDINATOR, ID_NOT_ALLOWED, FOR_EVER);
    start(&w, KLX_TXN_AUTO);
    assert_int_equal(w.fatal, 1);
    assert_int_equal(w.without, 0);
    assert_non_null(strstr(w.why, "transactional id tests: allow it Write and Describe"));
    close_world(&w);
}

/* Nothing of the state is written before the events are; what is written is not written again. */
static void without_the_state_comes_last(void **state) {
    (void)state;
    struct world w = { .stop_at_trouble = true };
    open_world(&w);
    start(&w, KLX_TXN_OFF);
    const struct klx_record batch[] = { record("state", "s1"), record("events", "a"),
                                        record("state", "s2") };
    mock_kafka_fail(w.kafka, MOCK_PRODUCE, MESSAGE_TOO_LARGE, 1);
    klx_txn_commit(w.txn, batch, 3);
    klx_loop_run(w.loop);
    assert_int_equal(w.trouble, 1);
    assert_non_null(strstr(w.said, "a record of 1 bytes is too large for events"));
    assert_string_equal(read_all(&w, "state"), "");
    while (w.committed == 0) {
        klx_loop_run(w.loop);
    }
    assert_string_equal(read_all(&w, "events"), "a ");
    assert_string_equal(read_all(&w, "state"), "s1 s2 ");
    close_world(&w);
}

static void without_a_fatal_error_ends_it(void **state) {
    (void)state;
    struct world w = { 0 };
    open_world(&w);
    start(&w, KLX_TXN_OFF);
    const struct klx_record batch[] = { record("events", "a"), record("state", "s") };
    commit(&w, batch, 2);
    mock_kafka_fail(w.kafka, MOCK_PRODUCE, OUT_OF_ORDER, 1);
    commit(&w, batch, 2);
    assert_int_equal(w.fatal, 1);
    assert_non_null(strstr(w.why, "Kafka at 127.0.0.1:"));
    assert_string_equal(read_all(&w, "state"), "s ");
    close_world(&w);
}

/* A commit was never asked for: nothing of the batch is committed, and a new client may have it. */
static void a_transaction_that_is_over_is_begun_anew(void **state) {
    (void)state;
    struct world w = { 0 };
    open_world(&w);
    start(&w, KLX_TXN_ON);
    const struct klx_record batch[] = { record("events", "a"), record("state", "s") };
    mock_kafka_fail(w.kafka, MOCK_PRODUCE, MESSAGE_TOO_LARGE, 1);
    mock_kafka_fail(w.kafka, MOCK_END_TXN, INVALID_TXN_STATE, 1);
    commit(&w, batch, 2);
    assert_int_equal(w.fatal, 0);
    assert_int_equal(w.committed, 1);
    if (strstr(w.said, "a record of 1 bytes is too large for ") == NULL) {
        fail_msg("said: %s", w.said);
    }
    close_world(&w);
}

/* All is acknowledged and a commit was asked for: whether there is one is not known. */
static void a_commit_that_is_not_known_is_fatal(void **state) {
    (void)state;
    struct world w = { 0 };
    open_world(&w);
    start(&w, KLX_TXN_ON);
    const struct klx_record batch[] = { record("events", "a"), record("state", "s") };
    mock_kafka_fail(w.kafka, MOCK_END_TXN, INVALID_TXN_STATE, 1);
    commit(&w, batch, 2);
    assert_int_equal(w.fatal, 1);
    assert_int_equal(w.committed, 0);
    assert_non_null(strstr(w.why, "is not what this client takes it for"));
    close_world(&w);
}

/* The words of Event Hubs Standard, as other clients have met them. */
static void event_hubs_is_heard(void **state) {
    (void)state;
    char why[512];
    struct klx_txn_hearing *h = klx_txn_hearing_new(NULL);
    klx_txn_hearing_line(h, "[thrd:x]: x: Broker API support:");
    klx_txn_hearing_line(h, "[thrd:x]: x:   ApiKey InitProducerId (22) Versions 0..1");
    klx_txn_hearing_line(h, "[thrd:x]: x:   ApiKey EndTxn (26) Versions 0..1");
    for (int i = 0; i < 3; i++) {
        assert_false(klx_txn_hearing_none(h, why, sizeof(why)));
        klx_txn_hearing_line(
            h,
            "[thrd:main]: Failed to find transaction coordinator: UNKNOWN: FindCoordinator asked "
            "for coordinator with type code 1 which is not supported. type code 1 is only "
            "supported in Premium or Dedicated sku.");
    }
    assert_true(klx_txn_hearing_none(h, why, sizeof(why)));
    assert_non_null(strstr(why, "Premium or Dedicated"));
    klx_txn_hearing_line(h, "[thrd:x]: x: FindCoordinator response: Transaction coordinator is "
                            "broker 1 (h:9092)");
    assert_false(klx_txn_hearing_none(h, why, sizeof(why)));
    klx_txn_hearing_free(h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_transactions),
        cmocka_unit_test(auto_takes_transactions),
        cmocka_unit_test(without_transactions),
        cmocka_unit_test(auto_goes_without_where_there_are_none),
        cmocka_unit_test(auto_goes_without_where_the_coordinator_is_refused),
        cmocka_unit_test(auto_waits_for_a_coordinator),
        cmocka_unit_test(auto_waits_for_brokers_that_are_down),
        cmocka_unit_test(on_without_transactions_ends_with_advice),
        cmocka_unit_test(a_refused_id_says_what_to_allow),
        cmocka_unit_test(without_the_state_comes_last),
        cmocka_unit_test(without_a_fatal_error_ends_it),
        cmocka_unit_test(a_transaction_that_is_over_is_begun_anew),
        cmocka_unit_test(a_commit_that_is_not_known_is_fatal),
        cmocka_unit_test(event_hubs_is_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
