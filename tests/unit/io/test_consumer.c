/* The consumer against brokers in this process. What needs a real group is in tests/integration/test_kafka_io.py. */
#include "tests/unit/support/support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/io/consumer.h"
#include "lib/io/producer.h"
#include "tests/unit/support/mock_kafka.h"

#define PATIENCE_MS 30000
#define NOT_LEADER_OR_FOLLOWER 6
#define GROUP_AUTHORIZATION_FAILED 30
#define FENCED_INSTANCE_ID 82

enum until { ANSWERED, ASSIGNED, RECORDS, TROUBLE, FATAL, STOPPED, REVOKED, NAP, ENDS };

struct world {
    struct mock_kafka *kafka;
    struct klx_loop *loop;
    struct klx_timer *patience, *nap;
    struct klx_producer *producer;
    struct klx_consumer *consumer;
    enum until until;
    int answers, assigned, revoked, records, wanted;
    int64_t first_offset, last_offset;
    bool pause_at_record, free_at_record, free_at_assigned, free_at_revoked;
    bool stopped, many_headers;
    char trouble[1024], fatal[512], denied[512];
    int64_t ends[4];
    size_t ends_n;
};

static void out_of_patience(void *arg) {
    struct world *w = arg;
    fail_msg("waiting for %d: %d answers, %d assigned, %d records, trouble: %s", w->until,
             w->answers, w->assigned, w->records, w->trouble);
}

static void reached(struct world *w, enum until what, int n) {
    if (w->until == what && n >= w->wanted) {
        klx_loop_stop(w->loop);
    }
}

static void wait_for(struct world *w, enum until what, int n) {
    w->until = what;
    w->wanted = n;
    if ((what == RECORDS && w->records >= n) || (what == ASSIGNED && w->assigned >= n)) {
        return;
    }
    klx_loop_run(w->loop);
}

static void on_nap(void *arg) {
    reached(arg, NAP, 0);
}

static void nap(struct world *w, int64_t ms) {
    klx_timer_start(w->nap, ms);
    wait_for(w, NAP, 0);
}

static void on_answer(void *arg, int status, const char *why) {
    struct world *w = arg;
    (void)why;
    assert_int_equal(status, 0);
    w->answers++;
    reached(w, ANSWERED, w->answers);
}

static void on_record(void *arg, const struct klx_record *r) {
    struct world *w = arg;
    if (w->records == 0) {
        w->first_offset = r->offset;
    }
    w->records++;
    w->last_offset = r->offset;
    assert_sv(r->key, "key");
    assert_int_equal(r->headers_n, 1);
    assert_sv(r->headers[0].name, "ce_id");
    assert_sv(r->headers[0].value, "7");
    if (w->pause_at_record) {
        klx_consumer_pause(w->consumer);
    }
    if (w->free_at_record) {
        klx_consumer_free(w->consumer);
        w->consumer = NULL;
    }
    reached(w, RECORDS, w->records);
}

static void on_assigned(void *arg, const char *topic, int32_t partition) {
    struct world *w = arg;
    (void)topic;
    (void)partition;
    w->assigned++;
    if (w->free_at_assigned) {
        klx_consumer_free(w->consumer);
        w->consumer = NULL;
    }
    reached(w, ASSIGNED, w->assigned);
}

static void on_revoked(void *arg, const char *topic, int32_t partition) {
    struct world *w = arg;
    w->revoked++;
    klx_consumer_store(w->consumer, topic, partition, 1); /* too late */
    if (w->free_at_revoked) {
        klx_consumer_free(w->consumer);
        w->consumer = NULL;
    }
    reached(w, REVOKED, w->revoked);
}

static void on_trouble(void *arg, const char *what) {
    struct world *w = arg;
    snprintf(w->trouble, sizeof(w->trouble), "%s", what);
    reached(w, TROUBLE, 1);
}

static void on_denied(void *arg, const char *topic, const char *why) {
    struct world *w = arg;
    assert_string_equal(topic, "t");
    snprintf(w->denied, sizeof(w->denied), "%s", why);
}

static void on_ends(void *arg, const int64_t *ends, size_t n, const char *why) {
    struct world *w = arg;
    assert_int_equal(n == 0, why != NULL);
    assert_true(n <= sizeof(w->ends) / sizeof(w->ends[0]));
    w->ends_n = n;
    for (size_t i = 0; i < n; i++) {
        w->ends[i] = ends[i];
    }
    if (why != NULL) {
        snprintf(w->denied, sizeof(w->denied), "%s", why);
    }
    reached(w, ENDS, 1);
}

static void on_fatal(void *arg, const char *why) {
    struct world *w = arg;
    snprintf(w->fatal, sizeof(w->fatal), "%s", why);
    reached(w, FATAL, 1);
}

static void on_stopped(void *arg) {
    struct world *w = arg;
    w->stopped = true;
    reached(w, STOPPED, 1);
}

static void open_consumer(struct world *w, struct klx_kafka_config *config) {
    static const char *const topics[] = { "t" };
    struct klx_error e;
    struct klx_consumer_callbacks cb = { .on_record = on_record,
                                         .on_assigned = on_assigned,
                                         .on_revoked = on_revoked,
                                         .on_trouble = on_trouble,
                                         .on_denied = on_denied,
                                         .on_fatal = on_fatal,
                                         .arg = w };
    w->assigned = w->revoked = w->records = 0;
    w->stopped = false;
    assert_int_equal(klx_consumer_new(w->loop, config, "g", topics, 1, &cb, &w->consumer, &e), 0);
    assert_false(klx_consumer_assigned(w->consumer));
    klx_kafka_config_free(config);
}

static struct klx_kafka_config *from_beginning(struct world *w) {
    return mock_kafka_config(w->kafka, "auto.offset.reset", "earliest", NULL);
}

static void open_world(struct world *w) {
    struct klx_error e;
    w->kafka = mock_kafka_new();
    mock_kafka_topic(w->kafka, "t", 1);
    w->loop = klx_loop_new();
    w->patience = klx_timer_new(w->loop, out_of_patience, w);
    klx_timer_start(w->patience, PATIENCE_MS);
    w->nap = klx_timer_new(w->loop, on_nap, w);
    struct klx_kafka_config *config = mock_kafka_config(w->kafka, NULL);
    assert_int_equal(klx_producer_new(w->loop, config, &w->producer, &e), 0);
    klx_kafka_config_free(config);
}

static void close_world(struct world *w) {
    klx_consumer_free(w->consumer);
    klx_producer_free(w->producer);
    klx_timer_free(w->patience);
    klx_timer_free(w->nap);
    klx_loop_run(w->loop);
    klx_loop_free(w->loop);
    mock_kafka_free(w->kafka);
}

static void publish(struct world *w, int n) {
    struct klx_error e;
    struct klx_record_header headers[100];
    size_t headers_n = w->many_headers ? 100 : 1;
    for (size_t i = 0; i < headers_n; i++) {
        headers[i] = (struct klx_record_header){ KLX_SV("trace"), KLX_SV("x") };
    }
    headers[headers_n - 1] = (struct klx_record_header){ KLX_SV("ce_id"), KLX_SV("7") };
    struct klx_record r = { .topic = "t",
                            .partition = -1,
                            .key = KLX_SV("key"),
                            .value = KLX_SV("value"),
                            .headers = headers,
                            .headers_n = headers_n };
    for (int i = 0; i < n; i++) {
        assert_int_equal(klx_producer_send(w->producer, &r, on_answer, w, &e), 0);
    }
    wait_for(w, ANSWERED, w->answers + n);
}

static void a_pause_holds_at_once_and_a_record_may_free(void **state) {
    (void)state;
    struct world w = { .pause_at_record = true };
    open_world(&w);
    publish(&w, 10);
    open_consumer(&w, from_beginning(&w));
    wait_for(&w, RECORDS, 1);
    assert_int_equal(w.first_offset, 0);
    nap(&w, 1200); /* longer than any timer of the consumer */
    assert_int_equal(w.records, 1);
    assert_int_equal(w.revoked, 0);
    assert_true(klx_consumer_assigned(w.consumer));
    w.pause_at_record = false;
    klx_consumer_resume(w.consumer);
    assert_int_equal(w.records, 1); /* not from inside the resume */
    wait_for(&w, RECORDS, 10);
    assert_int_equal(w.last_offset, 9);
    klx_consumer_store(w.consumer, "t", 7, 4); /* not its own: ignored */
    klx_consumer_store(w.consumer, "absent", 0, 4);
    w.free_at_record = true;
    publish(&w, 3);
    wait_for(&w, RECORDS, 11);
    nap(&w, 50);
    assert_int_equal(w.records, 11);
    close_world(&w);
}

static void an_assignment_may_free(void **state) {
    (void)state;
    struct world w = { .free_at_assigned = true };
    open_world(&w);
    publish(&w, 3);
    open_consumer(&w, from_beginning(&w));
    wait_for(&w, ASSIGNED, 1);
    nap(&w, 50);
    assert_int_equal(w.records, 0);
    close_world(&w);
}

static void a_revocation_while_it_stops_may_free(void **state) {
    (void)state;
    struct world w = { .free_at_revoked = true };
    open_world(&w);
    open_consumer(&w, from_beginning(&w));
    wait_for(&w, ASSIGNED, 1);
    klx_consumer_stop(w.consumer, 20000, on_stopped, &w);
    wait_for(&w, REVOKED, 1);
    nap(&w, 50);
    assert_false(w.stopped); /* nothing is called any more */
    assert_null(w.consumer);
    close_world(&w);
}

static void headers_of_an_event_are_kept_among_many(void **state) {
    (void)state;
    struct world w = { .many_headers = true };
    open_world(&w);
    publish(&w, 1);
    open_consumer(&w, from_beginning(&w));
    wait_for(&w, RECORDS, 1); /* on_record asks for "ce_id", which is the last of them, alone */
    close_world(&w);
}

static void a_broken_start_is_told_and_tried_again(void **state) {
    (void)state;
    struct world w = { 0 };
    open_world(&w);
    mock_kafka_fail(w.kafka, MOCK_OFFSET_FETCH, GROUP_AUTHORIZATION_FAILED, 1);
    open_consumer(&w, mock_kafka_config(w.kafka, NULL));
    wait_for(&w, TROUBLE, 1);
    assert_non_null(strstr(w.trouble, "Group authorization failed"));
    wait_for(&w, ASSIGNED, 1);
    publish(&w, 1);
    wait_for(&w, RECORDS, 1);
    close_world(&w);
}

static void a_stop_before_kafka_answers_is_in_time(void **state) {
    (void)state;
    struct world w = { 0 };
    open_world(&w);
    mock_kafka_down(w.kafka);
    open_consumer(&w, mock_kafka_config(w.kafka, NULL));
    wait_for(&w, TROUBLE, 1);
    assert_non_null(strstr(w.trouble, "does not answer"));
    klx_consumer_stop(w.consumer, 60000, on_stopped, &w);
    wait_for(&w, STOPPED, 1); /* there is no group to leave */
    close_world(&w);
}

static void a_stop_when_kafka_has_gone_is_in_time(void **state) {
    (void)state;
    struct world w = { 0 };
    open_world(&w);
    publish(&w, 1);
    open_consumer(&w, from_beginning(&w));
    wait_for(&w, RECORDS, 1);
    mock_kafka_down(w.kafka);
    klx_consumer_store(w.consumer, "t", 0, 1);
    int64_t begun_us = klx_loop_now_us(w.loop);
    klx_consumer_stop(w.consumer, 300, on_stopped, &w);
    wait_for(&w, STOPPED, 1);
    assert_true(klx_loop_now_us(w.loop) - begun_us < 3000000);
    close_world(&w);
}

static void a_missing_topic_is_named(void **state) {
    (void)state;
    struct world w = { 0 };
    open_world(&w);
    mock_kafka_hide_topic(w.kafka, "t");
    open_consumer(&w, mock_kafka_config(w.kafka, NULL));
    wait_for(&w, TROUBLE, 1);
    assert_non_null(strstr(w.trouble, "the topic t does not exist"));
    assert_string_equal(w.denied, w.trouble);
    close_world(&w);
}

static void the_ends_of_a_topic_are_known_or_waited_for(void **state) {
    (void)state;
    struct world w = { 0 };
    open_world(&w);
    mock_kafka_topic(w.kafka, "u", 2);
    publish(&w, 3);
    open_consumer(&w, from_beginning(&w));
    wait_for(&w, RECORDS, 3);
    mock_kafka_fail(w.kafka, MOCK_LIST_OFFSETS, NOT_LEADER_OR_FOLLOWER, 8);
    klx_consumer_ends(w.consumer, "t", on_ends, &w);
    wait_for(&w, ENDS, 1);
    assert_int_equal(w.ends_n, 1);
    assert_int_equal(w.ends[0], 3);
    klx_consumer_ends(w.consumer, "u", on_ends, &w);
    wait_for(&w, ENDS, 1);
    assert_int_equal(w.ends_n, 2);
    assert_int_equal(w.ends[1], 0);
    close_world(&w);
}

static void a_missing_topic_has_no_ends(void **state) {
    (void)state;
    struct world w = { 0 };
    open_world(&w);
    open_consumer(&w, from_beginning(&w));
    mock_kafka_hide_topic(w.kafka, "gone");
    klx_consumer_ends(w.consumer, "gone", on_ends, &w);
    wait_for(&w, ENDS, 1);
    assert_int_equal(w.ends_n, 0);
    assert_non_null(strstr(w.denied, "the topic gone does not exist"));
    close_world(&w);
}

/* What is asked again and again is given up with the consumer. */
static void ends_may_never_be_known(void **state) {
    (void)state;
    struct world w = { 0 };
    open_world(&w);
    publish(&w, 1);
    open_consumer(&w, from_beginning(&w));
    wait_for(&w, RECORDS, 1);
    mock_kafka_fail(w.kafka, MOCK_LIST_OFFSETS, NOT_LEADER_OR_FOLLOWER, 10000);
    klx_consumer_ends(w.consumer, "t", on_ends, &w);
    nap(&w, 300);
    assert_int_equal(w.ends_n, 0);
    close_world(&w);
}

static void a_fatal_error_is_the_last_word(void **state) {
    (void)state;
    struct world w = { 0 };
    open_world(&w);
    open_consumer(&w,
                  mock_kafka_config(w.kafka, "group.instance.id", "one", "heartbeat.interval.ms",
                                    "100", "session.timeout.ms", "6000", NULL));
    wait_for(&w, ASSIGNED, 1);
    mock_kafka_fail(w.kafka, MOCK_HEARTBEAT, FENCED_INSTANCE_ID, 1);
    wait_for(&w, FATAL, 1);
    assert_true(w.fatal[0] != '\0');
    klx_consumer_stop(w.consumer, 300, on_stopped, &w);
    wait_for(&w, STOPPED, 1);
    assert_int_equal(w.records, 0);
    close_world(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pause_holds_at_once_and_a_record_may_free),
        cmocka_unit_test(an_assignment_may_free),
        cmocka_unit_test(a_revocation_while_it_stops_may_free),
        cmocka_unit_test(headers_of_an_event_are_kept_among_many),
        cmocka_unit_test(a_broken_start_is_told_and_tried_again),
        cmocka_unit_test(a_stop_before_kafka_answers_is_in_time),
        cmocka_unit_test(a_stop_when_kafka_has_gone_is_in_time),
        cmocka_unit_test(a_missing_topic_is_named),
        cmocka_unit_test(the_ends_of_a_topic_are_known_or_waited_for),
        cmocka_unit_test(a_missing_topic_has_no_ends),
        cmocka_unit_test(ends_may_never_be_known),
        cmocka_unit_test(a_fatal_error_is_the_last_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
