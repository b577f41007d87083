/* Following a topic of current values, against brokers in this process. */
#include "tests/unit/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/io/producer.h"
#include "sinks/core/follow.h"
#include "tests/unit/support/mock_kafka.h"

#define PATIENCE_MS 30000
#define NOT_LEADER_OR_FOLLOWER 6

struct world {
    struct mock_kafka *kafka;
    struct klx_kafka_config *config;
    struct klx_loop *loop;
    struct klx_timer *patience;
    struct klx_producer *producer;
    struct klx_follow *follow;
    char log
        [512]; /* "key=value " or "key- " of each record, "| " when caught up, "* " of each sync */
    int answers, wanted_answers, troubles, denials;
    size_t wanted_log;
    bool stop_at_trouble, free_at_record, free_at_sync, sync_at_sync;
};

static void out_of_patience(void *arg) {
    struct world *w = arg;
    fail_msg("too late; heard: %s", w->log);
}

static void note(struct world *w, const char *text) {
    size_t n = strlen(w->log);
    snprintf(w->log + n, sizeof(w->log) - n, "%s ", text);
    if (w->wanted_log > 0 && strlen(w->log) >= w->wanted_log) {
        klx_loop_stop(w->loop);
    }
}

static void on_record(void *arg, struct klx_sv key, struct klx_sv value) {
    struct world *w = arg;
    char text[64];
    snprintf(text, sizeof(text), "%.*s%s%.*s", KLX_SV_FMT(key), value.p != NULL ? "=" : "-",
             KLX_SV_FMT(value));
    if (w->free_at_record) {
        klx_follow_free(w->follow);
        w->follow = NULL;
    }
    note(w, text);
}

static void on_caught_up(void *arg) {
    note(arg, "|");
}

static void on_trouble(void *arg, const char *what) {
    struct world *w = arg;
    assert_true(what[0] != '\0');
    w->troubles++;
    if (w->stop_at_trouble) {
        klx_loop_stop(w->loop);
    }
}

static void on_denied(void *arg, const char *why) {
    struct world *w = arg;
    assert_non_null(strstr(why, "the topic control does not exist"));
    w->denials++;
    klx_loop_stop(w->loop);
}

static void on_synced(void *arg) {
    struct world *w = arg;
    if (w->sync_at_sync) {
        w->sync_at_sync = false;
        klx_follow_sync(w->follow, on_synced, w);
    }
    if (w->free_at_sync) {
        klx_follow_free(w->follow);
        w->follow = NULL;
    }
    note(w, "*");
}

static void wait_for_log(struct world *w, const char *expected) {
    w->wanted_log = strlen(expected);
    if (strlen(w->log) < w->wanted_log) {
        klx_loop_run(w->loop);
    }
    w->wanted_log = 0;
    assert_string_equal(w->log, expected);
}

static void on_answer(void *arg, int status, const char *why) {
    struct world *w = arg;
    (void)why;
    assert_int_equal(status, 0);
    w->answers++;
    if (w->answers == w->wanted_answers) {
        klx_loop_stop(w->loop);
    }
}

static void put(struct world *w, const char *key, const char *value) {
    struct klx_error e;
    const struct klx_record r = {
        .topic = "control", .partition = -1, .key = klx_sv(key), .value = klx_sv(value)
    };
    w->wanted_answers = w->answers + 1;
    assert_int_equal(klx_producer_send(w->producer, &r, on_answer, w, &e), 0);
    klx_loop_run(w->loop);
    w->wanted_answers = 0;
}

static void follow(struct world *w) {
    struct klx_error e;
    const struct klx_follow_callbacks cb = { .on_record = on_record,
                                             .on_caught_up = on_caught_up,
                                             .on_trouble = on_trouble,
                                             .on_denied = on_denied,
                                             .arg = w };
    assert_int_equal(klx_follow_new(w->loop, w->config, "control", &cb, &w->follow, &e), 0);
}

static void open_world(struct world *w) {
    struct klx_error e;
    *w = (struct world){ .kafka = mock_kafka_new() };
    mock_kafka_topic(w->kafka, "control", 1);
    w->config = mock_kafka_config(w->kafka, "linger.ms", "0", NULL);
    w->loop = klx_loop_new();
    w->patience = klx_timer_new(w->loop, out_of_patience, w);
    klx_timer_start(w->patience, PATIENCE_MS);
    assert_int_equal(klx_producer_new(w->loop, w->config, &w->producer, &e), 0);
}

static void close_world(struct world *w) {
    klx_follow_free(w->follow);
    klx_producer_free(w->producer);
    klx_timer_free(w->patience);
    klx_loop_run(w->loop);
    klx_loop_free(w->loop);
    klx_kafka_config_free(w->config);
    mock_kafka_free(w->kafka);
}

static void all_is_told_then_caught_up(void **state) {
    (void)state;
    struct world w;
    open_world(&w);
    put(&w, "a", "1");
    put(&w, "b", "2");
    put(&w, "a", NULL);
    follow(&w);
    assert_false(klx_follow_is_caught_up(w.follow));
    wait_for_log(&w, "a=1 b=2 a- | ");
    assert_true(klx_follow_is_caught_up(w.follow));
    put(&w, "c", "3");
    wait_for_log(&w, "a=1 b=2 a- | c=3 ");
    assert_int_equal(w.troubles, 0);
    close_world(&w);
}

static void an_empty_topic_is_caught_up(void **state) {
    (void)state;
    struct world w;
    open_world(&w);
    follow(&w);
    wait_for_log(&w, "| ");
    close_world(&w);
}

static void a_sync_comes_after_what_was_written_before(void **state) {
    (void)state;
    struct world w;
    open_world(&w);
    follow(&w);
    wait_for_log(&w, "| ");
    klx_follow_sync(w.follow, on_synced,
                    &w); /* nothing has come since: it is answered all the same */
    wait_for_log(&w, "| * ");
    w.log[0] = '\0';
    put(&w, "a", "1");
    put(&w, "b", "2");
    klx_follow_sync(w.follow, on_synced, &w);
    klx_follow_sync(w.follow, on_synced, &w);
    assert_true(strchr(w.log, '*') == NULL); /* never from inside the call */
    wait_for_log(&w, "a=1 b=2 * * ");
    close_world(&w);
}

static void a_sync_may_be_asked_for_at_any_time(void **state) {
    (void)state;
    struct world w;
    open_world(&w);
    put(&w, "a", "1");
    follow(&w);
    klx_follow_sync(w.follow, on_synced, &w); /* before the start is over */
    w.sync_at_sync = true;
    wait_for_log(&w, "a=1 | * * ");
    close_world(&w);
}

static void never(void *arg) {
    (void)arg;
    fail_msg("who was forgotten is called");
}

static void who_is_forgotten_is_not_called(void **state) {
    (void)state;
    struct world w;
    int other = 0;
    open_world(&w);
    follow(&w);
    klx_follow_sync(w.follow, never, &other);
    klx_follow_sync(w.follow, on_synced, &w);
    klx_follow_forget(w.follow, &other);
    wait_for_log(&w, "| * ");
    close_world(&w);
}

static void trouble_is_told_and_passes(void **state) {
    (void)state;
    struct world w;
    open_world(&w);
    put(&w, "a", "1");
    follow(&w);
    wait_for_log(&w, "a=1 | ");
    mock_kafka_down(w.kafka);
    w.stop_at_trouble = true;
    klx_follow_sync(w.follow, on_synced, &w);
    klx_loop_run(w.loop);
    assert_true(w.troubles > 0);
    w.stop_at_trouble = false;
    mock_kafka_up(w.kafka);
    wait_for_log(&w, "a=1 | * ");
    close_world(&w);
}

/* Whoever took this for a topic that is not there would go on without what stands in it. */
static void a_leader_that_moves_is_waited_for(void **state) {
    (void)state;
    struct world w;
    open_world(&w);
    put(&w, "a", "1");
    mock_kafka_fail(w.kafka, MOCK_LIST_OFFSETS, NOT_LEADER_OR_FOLLOWER, 8);
    follow(&w);
    wait_for_log(&w, "a=1 | ");
    assert_true(w.troubles > 0);
    assert_int_equal(w.denials, 0);
    close_world(&w);
}

static void a_topic_that_is_not_there_is_denied(void **state) {
    (void)state;
    struct world w;
    open_world(&w);
    mock_kafka_hide_topic(w.kafka, "control");
    follow(&w);
    klx_loop_run(w.loop);
    assert_int_equal(w.denials, 1);
    assert_string_equal(w.log, "");
    close_world(&w);
}

static void it_may_be_freed_in_its_callbacks(void **state) {
    (void)state;
    struct world w;
    open_world(&w);
    put(&w, "a", "1");
    put(&w, "b", "1");
    w.free_at_record = true;
    follow(&w);
    wait_for_log(&w, "a=1 ");
    w.free_at_record = false;
    w.free_at_sync = true;
    w.log[0] = '\0';
    follow(&w);
    klx_follow_sync(w.follow, on_synced, &w);
    klx_follow_sync(w.follow, on_synced, &w);
    wait_for_log(&w, "a=1 b=1 | * ");
    close_world(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_told_then_caught_up),
        cmocka_unit_test(an_empty_topic_is_caught_up),
        cmocka_unit_test(a_sync_comes_after_what_was_written_before),
        cmocka_unit_test(a_sync_may_be_asked_for_at_any_time),
        cmocka_unit_test(who_is_forgotten_is_not_called),
        cmocka_unit_test(trouble_is_told_and_passes),
        cmocka_unit_test(a_leader_that_moves_is_waited_for),
        cmocka_unit_test(a_topic_that_is_not_there_is_denied),
        cmocka_unit_test(it_may_be_freed_in_its_callbacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
