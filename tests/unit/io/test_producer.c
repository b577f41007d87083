/* The producer against brokers in this process, which go down, refuse and lose the thread on demand. */
#include "tests/unit/support/support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/io/producer.h"
#include "tests/unit/support/mock_kafka.h"

#define PATIENCE_MS 20000
#define OUT_OF_ORDER_SEQUENCE_NUMBER 45

struct world {
    struct mock_kafka *kafka;
    struct klx_loop *loop;
    struct klx_timer *patience, *nap;
    struct klx_producer *producer;
    int answers, failures, status, wanted;
    char why[512];
    bool sending, stopped, free_at_answer;
    size_t left;
};

static void out_of_patience(void *arg) {
    struct world *w = arg;
    fail_msg("%d of %d answers came (the last: %d %s)", w->answers, w->wanted, w->status, w->why);
}

static void wake_up(void *arg) {
    klx_loop_stop(arg);
}

static void open_world(struct world *w, struct klx_kafka_config *config) {
    struct klx_error e;
    w->loop = klx_loop_new();
    w->patience = klx_timer_new(w->loop, out_of_patience, w);
    klx_timer_start(w->patience, PATIENCE_MS);
    w->nap = klx_timer_new(w->loop, wake_up, w->loop);
    assert_int_equal(klx_producer_new(w->loop, config, &w->producer, &e), 0);
    klx_kafka_config_free(config);
}

static void close_world(struct world *w) {
    klx_producer_free(w->producer);
    klx_timer_free(w->patience);
    klx_timer_free(w->nap);
    klx_loop_run(w->loop);
    klx_loop_free(w->loop);
    mock_kafka_free(w->kafka);
}

static void on_answer(void *arg, int status, const char *why) {
    struct world *w = arg;
    assert_false(w->sending);
    w->answers++;
    w->failures += status != 0;
    w->status = status;
    snprintf(w->why, sizeof(w->why), "%s", why != NULL ? why : "");
    if (w->free_at_answer) {
        klx_producer_free(w->producer);
        w->producer = NULL;
        w->free_at_answer = false;
    }
    if (w->answers == w->wanted) {
        klx_loop_stop(w->loop);
    }
}

static int send_bytes(struct world *w, const char *topic, size_t bytes, struct klx_error *e) {
    char *value = klx_new_bytes(bytes);
    struct klx_record_header header = { KLX_SV("ce_id"), KLX_SV("1") };
    struct klx_record r = { .topic = topic,
                            .partition = -1,
                            .key = KLX_SV("key"),
                            .value = klx_sv_n(value, bytes),
                            .headers = &header,
                            .headers_n = 1 };
    w->sending = true;
    int rc = klx_producer_send(w->producer, &r, on_answer, w, e);
    w->sending = false;
    free(value); /* it was copied */
    return rc;
}

static void wait_for_answers(struct world *w, int n) {
    w->wanted = n;
    if (w->answers < n) {
        klx_loop_run(w->loop);
    }
    assert_int_equal(w->answers, n);
}

static void on_stopped(void *arg, size_t left) {
    struct world *w = arg;
    w->stopped = true;
    w->left = left;
    klx_loop_stop(w->loop);
}

static void each_record_is_answered(void **state) {
    (void)state;
    struct world w = { .kafka = mock_kafka_new() };
    struct klx_error e;
    mock_kafka_topic(w.kafka, "t", 2);
    open_world(&w, mock_kafka_config(w.kafka, NULL));
    for (int i = 0; i < 50; i++) {
        assert_int_equal(send_bytes(&w, "t", 100, &e), 0);
    }
    assert_int_equal(klx_producer_pending(w.producer), 50);
    wait_for_answers(&w, 50);
    assert_int_equal(w.failures, 0);
    assert_int_equal(klx_producer_pending(w.producer), 0);
    klx_producer_stop(w.producer, 5000, on_stopped, &w);
    assert_false(w.stopped);
    klx_loop_run(w.loop);
    assert_true(w.stopped);
    assert_int_equal(w.left, 0);
    assert_int_equal(send_bytes(&w, "t", 100, &e), -ESHUTDOWN);
    close_world(&w);
}

static void a_full_queue_refuses_and_recovers(void **state) {
    (void)state;
    struct world w = { .kafka = mock_kafka_new() };
    struct klx_error e;
    mock_kafka_topic(w.kafka, "t", 1);
    mock_kafka_down(w.kafka);
    open_world(&w, mock_kafka_config(w.kafka, "queue.buffering.max.messages", "10",
                                     "reconnect.backoff.max.ms", "200", NULL));
    int taken = 0, rc = 0;
    while (taken < 100 && rc == 0) {
        rc = send_bytes(&w, "t", 10, &e);
        taken += rc == 0;
    }
    assert_int_equal(rc, -EAGAIN);
    assert_int_equal(taken, 10);
    assert_non_null(strstr(e.text, "10 records wait for Kafka"));
    assert_int_equal(klx_producer_pending(w.producer), 10);
    mock_kafka_up(w.kafka);
    wait_for_answers(&w, 10);
    assert_int_equal(w.failures, 0);
    assert_int_equal(send_bytes(&w, "t", 10, &e), 0);
    wait_for_answers(&w, 11);
    assert_int_equal(w.status, 0);
    close_world(&w);
}

static void what_nobody_takes_times_out(void **state) {
    (void)state;
    struct world w = { .kafka = mock_kafka_new() };
    struct klx_error e;
    mock_kafka_topic(w.kafka, "t", 1);
    mock_kafka_down(w.kafka);
    open_world(&w, mock_kafka_config(w.kafka, "message.timeout.ms", "300", NULL));
    assert_int_equal(send_bytes(&w, "t", 10, &e), 0);
    wait_for_answers(&w, 1);
    assert_int_equal(w.status, -ETIMEDOUT);
    assert_non_null(strstr(w.why, "did not take a record for t within message.timeout.ms"));
    close_world(&w);
}

static void a_record_too_large_is_refused(void **state) {
    (void)state;
    struct world w = { .kafka = mock_kafka_new() };
    struct klx_error e;
    mock_kafka_topic(w.kafka, "t", 1);
    open_world(&w, mock_kafka_config(w.kafka, "message.max.bytes", "2000", NULL));
    assert_int_equal(send_bytes(&w, "t", 3000, &e), -EMSGSIZE);
    assert_non_null(strstr(e.text, "a record of 3000 bytes is too large for t"));
    assert_int_equal(klx_producer_pending(w.producer), 0);
    close_world(&w);
}

static void a_topic_that_is_not_there_is_named(void **state) {
    (void)state;
    struct world w = { .kafka = mock_kafka_new() };
    struct klx_error e;
    mock_kafka_hide_topic(w.kafka, "absent");
    open_world(&w, mock_kafka_config(w.kafka, "topic.metadata.propagation.max.ms", "100", NULL));
    assert_int_equal(send_bytes(&w, "absent", 10, &e), 0);
    wait_for_answers(&w, 1);
    assert_int_equal(w.status, -ENOENT);
    assert_non_null(strstr(w.why, "the topic absent does not exist"));
    close_world(&w);
}

/* librdkafka never sends again after a fatal error; the producer must. */
static void a_fatal_error_is_survived(void **state) {
    (void)state;
    struct world w = { .kafka = mock_kafka_new() };
    struct klx_error e;
    mock_kafka_topic(w.kafka, "t", 1);
    open_world(&w, mock_kafka_config(w.kafka, NULL));
    assert_int_equal(send_bytes(&w, "t", 10, &e), 0);
    wait_for_answers(&w, 1);
    mock_kafka_fail(w.kafka, MOCK_PRODUCE, OUT_OF_ORDER_SEQUENCE_NUMBER, 1);
    assert_int_equal(send_bytes(&w, "t", 10, &e), 0);
    wait_for_answers(&w, 2);
    assert_int_equal(w.failures, 1);
    assert_true(w.why[0] != '\0');
    int rc = send_bytes(&w, "t", 10, &e);
    while (rc == -EAGAIN) { /* while it is being renewed */
        klx_timer_start(w.nap, 10);
        klx_loop_run(w.loop);
        rc = send_bytes(&w, "t", 10, &e);
    }
    assert_int_equal(rc, 0);
    wait_for_answers(&w, 3);
    assert_int_equal(w.failures, 1);
    close_world(&w);
}

static void a_stop_is_in_time_and_counts_what_is_left(void **state) {
    (void)state;
    struct world w = { .kafka = mock_kafka_new() };
    struct klx_error e;
    mock_kafka_topic(w.kafka, "t", 1);
    mock_kafka_down(w.kafka);
    open_world(&w, mock_kafka_config(w.kafka, NULL));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(send_bytes(&w, "t", 10, &e), 0);
    }
    int64_t begun_us = klx_loop_now_us(w.loop);
    klx_producer_stop(w.producer, 200, on_stopped, &w);
    klx_loop_run(w.loop);
    assert_true(w.stopped);
    assert_int_equal(w.left, 3);
    assert_true(klx_loop_now_us(w.loop) - begun_us < 2000000);
    close_world(&w);
    assert_int_equal(w.answers, 0);
}

static void an_answer_may_free_the_producer(void **state) {
    (void)state;
    struct world w = { .kafka = mock_kafka_new(), .free_at_answer = true };
    struct klx_error e;
    mock_kafka_topic(w.kafka, "t", 1);
    open_world(&w, mock_kafka_config(w.kafka, NULL));
    for (int i = 0; i < 5; i++) {
        assert_int_equal(send_bytes(&w, "t", 10, &e), 0);
    }
    wait_for_answers(&w, 1);
    close_world(&w);
    assert_int_equal(w.answers, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_record_is_answered),
        cmocka_unit_test(a_full_queue_refuses_and_recovers),
        cmocka_unit_test(what_nobody_takes_times_out),
        cmocka_unit_test(a_record_too_large_is_refused),
        cmocka_unit_test(a_topic_that_is_not_there_is_named),
        cmocka_unit_test(a_fatal_error_is_survived),
        cmocka_unit_test(a_stop_is_in_time_and_counts_what_is_left),
        cmocka_unit_test(an_answer_may_free_the_producer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
