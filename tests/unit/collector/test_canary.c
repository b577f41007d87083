/* What the canary decides, when it can be one, and which Events are canaries. */
#include "tests/unit/support/support.h"

#include "collector/canary.h"
#include "collector/canary_settings.h"
#include "collector/canary_state.h"
#include "lib/base/time.h"

#define S INT64_C(1000000)
#define P (60 * S)

static struct klx_canary_state s;
static int64_t now;

static enum klx_canary_action in(enum klx_canary_input_kind kind) {
    const struct klx_canary_input input = { .kind = kind, .seq = s.seq };
    return klx_canary_step(&s, &input, now);
}

/* Lets time pass as the timer does: at each instant that the state waits for. */
static enum klx_canary_action until(int64_t to) {
    while (klx_canary_due_us(&s) <= to) {
        now = klx_canary_due_us(&s) > now ? klx_canary_due_us(&s) : now;
        enum klx_canary_action a = in(KLX_CANARY_IN_TIME);
        if (a != KLX_CANARY_NOTHING) {
            return a;
        }
    }
    now = to;
    return KLX_CANARY_NOTHING;
}

static int setup(void **state) {
    (void)state;
    now = 1000 * S;
    klx_canary_state_init(&s, P);
    assert_true(klx_canary_due_us(&s) == INT64_MAX);
    assert_true(klx_canary_age_us(&s, now) == KLX_TIME_NONE);
    in(KLX_CANARY_IN_CONNECTED);
    return 0;
}

/* Written, accepted, and seen: at `now`. */
static void one_round(void) {
    assert_int_equal(until(now + P), KLX_CANARY_PATCH);
    assert_int_equal(in(KLX_CANARY_IN_ACCEPTED), KLX_CANARY_NOTHING);
    now += S / 10;
    assert_int_equal(in(KLX_CANARY_IN_SEEN), KLX_CANARY_NOTHING);
}

static void it_is_written_every_period_and_comes_back(void **state) {
    (void)state;
    int64_t began = now;
    one_round();
    assert_true(now == began + S / 10); /* the first one at once */
    assert_true(s.round_trip_us == S / 10 && klx_canary_age_us(&s, now + S) == S);
    one_round();
    assert_true(now == began + P + S / 10);
    assert_false(klx_canary_is_missing(&s, now));
}

static void three_periods_without_it_are_a_death(void **state) {
    (void)state;
    one_round();
    int64_t seen = now;
    int writes = 0;
    enum klx_canary_action a = KLX_CANARY_NOTHING;
    while ((a = until(seen + 4 * P)) == KLX_CANARY_PATCH) {
        writes++;
        in(KLX_CANARY_IN_ACCEPTED);
    }
    assert_int_equal(a, KLX_CANARY_DEAD);
    assert_true(now == seen + 3 * P);
    assert_int_equal(writes, 3);
    in(KLX_CANARY_IN_DISCONNECTED);
    assert_true(klx_canary_due_us(&s) == INT64_MAX);
    now += 5 * S;
    in(KLX_CANARY_IN_CONNECTED); /* a new connection is believed, and tried at once */
    assert_int_equal(until(now), KLX_CANARY_PATCH);
    assert_int_equal(until(now + P), KLX_CANARY_NOTHING);
}

static void without_an_answer_the_silence_is_a_death_too(void **state) {
    (void)state;
    one_round();
    int64_t seen = now;
    enum klx_canary_action a = KLX_CANARY_NOTHING;
    while ((a = until(seen + 4 * P)) == KLX_CANARY_PATCH) {
        now += S / 20;
        in(KLX_CANARY_IN_UNANSWERED);
    }
    assert_int_equal(a, KLX_CANARY_DEAD);
    assert_true(now == seen + 3 * P);
}

static void whatever_comes_proves_that_it_lives(void **state) {
    (void)state;
    one_round();
    int64_t seen = now;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(until(now + P), KLX_CANARY_PATCH);
        in(KLX_CANARY_IN_ACCEPTED);
        in(KLX_CANARY_IN_HEARD);
    }
    assert_true(klx_canary_is_missing(&s, now)); /* which is said */
    assert_true(klx_canary_age_us(&s, now) == now - seen);
}

static void an_answer_that_refuses_proves_nothing(void **state) {
    (void)state;
    one_round();
    for (int i = 0; i < 10; i++) {
        assert_int_equal(until(now + P), KLX_CANARY_PATCH);
        in(KLX_CANARY_IN_FAILED);
    }
    /* The first one that is accepted again has a period to come. */
    assert_int_equal(until(now + P), KLX_CANARY_PATCH);
    in(KLX_CANARY_IN_ACCEPTED);
    int64_t accepted = now;
    assert_int_equal(until(accepted + P / 2), KLX_CANARY_NOTHING);
    enum klx_canary_action a = until(accepted + P);
    a = a == KLX_CANARY_PATCH ? until(accepted + P) : a;
    assert_int_equal(a, KLX_CANARY_DEAD);
}

static void it_is_created_when_it_is_not_there(void **state) {
    (void)state;
    assert_int_equal(until(now), KLX_CANARY_PATCH);
    assert_int_equal(in(KLX_CANARY_IN_ABSENT), KLX_CANARY_CREATE);
    assert_int_equal(in(KLX_CANARY_IN_ABSENT), KLX_CANARY_NOTHING); /* nor is its namespace */
    assert_int_equal(until(now + P - S), KLX_CANARY_NOTHING);
    assert_int_equal(until(now + P), KLX_CANARY_PATCH);
}

static void without_the_right_there_is_none_and_no_death(void **state) {
    (void)state;
    int64_t began = now;
    assert_int_equal(until(now), KLX_CANARY_PATCH);
    in(KLX_CANARY_IN_REFUSED);
    assert_int_equal(until(began + 10 * P - S), KLX_CANARY_NOTHING);
    assert_false(klx_canary_is_missing(&s, now));
    assert_int_equal(until(began + 10 * P), KLX_CANARY_PATCH); /* somebody may have granted it */
    in(KLX_CANARY_IN_ACCEPTED);
    in(KLX_CANARY_IN_SEEN);
    assert_false(s.refused);
}

static void a_watch_that_we_do_not_read_is_not_judged(void **state) {
    (void)state;
    one_round();
    assert_int_equal(until(now + P), KLX_CANARY_PATCH);
    in(KLX_CANARY_IN_ACCEPTED);
    in(KLX_CANARY_IN_PAUSED);
    assert_true(klx_canary_due_us(&s) == INT64_MAX);
    now += 100 * P;
    assert_false(klx_canary_is_missing(&s, now));
    in(KLX_CANARY_IN_RESUMED);
    assert_int_equal(in(KLX_CANARY_IN_TIME), KLX_CANARY_PATCH);
    assert_false(klx_canary_is_missing(&s, now));
}

static void a_process_that_did_not_run_reads_first(void **state) {
    (void)state;
    one_round();
    assert_int_equal(until(now + P), KLX_CANARY_PATCH);
    in(KLX_CANARY_IN_ACCEPTED);
    now += 100 * P; /* SIGSTOP */
    assert_int_equal(in(KLX_CANARY_IN_TIME), KLX_CANARY_PATCH);
    in(KLX_CANARY_IN_ACCEPTED);
    assert_true(klx_canary_due_us(&s) > now);
    now += S / 2; /* by then what has come is read */
    in(KLX_CANARY_IN_SEEN);
    assert_int_equal(until(now + S), KLX_CANARY_NOTHING);
}

static void an_old_number_is_no_round_trip(void **state) {
    (void)state;
    one_round();
    until(now + P);
    in(KLX_CANARY_IN_ACCEPTED);
    now += S;
    const struct klx_canary_input late = { .kind = KLX_CANARY_IN_SEEN, .seq = s.seq - 1 };
    klx_canary_step(&s, &late, now);
    assert_true(s.round_trip_us == S / 10);
    assert_true(klx_canary_age_us(&s, now) == 0);
}

static const char *obstacle(struct klx_canary_settings c, struct klx_source_settings events,
                            const char *namespace) {
    events.ops = &klx_source_events;
    return klx_canary_obstacle(&c, &events, 1, namespace);
}

static void it_must_be_in_what_is_watched(void **state) {
    (void)state;
    struct klx_sv items[] = { KLX_SV("a"), KLX_SV("b") };
    const struct klx_config_strings two = { items, 2 };
    const struct klx_canary_settings on = { 0 }, off = { .off = true };
    const struct klx_source_settings nodes = { .ops = &klx_source_nodes };
    const struct klx_source_settings all = { 0 }, only = { .namespaces = two },
                                     but = { .exclude_namespaces = two },
                                     some = { .field_selector =
                                                  (char *)(uintptr_t) "type=Warning" };
    assert_null(obstacle(on, all, "a"));
    assert_non_null(obstacle(off, all, "a"));
    assert_null(obstacle(on, only, "b"));
    assert_non_null(obstacle(on, only, "c"));
    assert_non_null(obstacle(on, but, "b"));
    assert_null(obstacle(on, but, "c"));
    assert_non_null(obstacle(on, some, "a"));
    assert_non_null(klx_canary_obstacle(&on, &nodes, 1, "a"));
    assert_false(klx_canary_is_blind(&on, &nodes, 1, "a")); /* nobody needs it */
}

static void others_are_told_from_it(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool is_one;
    } events[] = {
        { "{\"reason\":\"KlaxonCanary\",\"source\":{\"component\":\"klaxon-collector\"},"
          "\"metadata\":{\"name\":\"klaxon-canary-1\"}}",
          true },
        { "{\"reason\":\"KlaxonCanary\",\"source\":{\"component\":\"kubelet\"},"
          "\"metadata\":{\"name\":\"klaxon-canary-1\"}}",
          false },
        { "{\"reason\":\"KlaxonCanary\",\"source\":{\"component\":\"klaxon-collector\"},"
          "\"metadata\":{\"name\":\"pod.1\"}}",
          false },
        { "{\"reason\":\"Killing\"}", false },
    };
    struct klx_arena a;
    klx_arena_init(&a, 4096, 65536);
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        const struct klx_json *event = NULL;
        assert_int_equal(klx_json_parse(&a, klx_sv(events[i].text), NULL, &event, NULL), 0);
        assert_int_equal(klx_canary_is_one(event), events[i].is_one);
    }
    klx_arena_release(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_is_written_every_period_and_comes_back, setup),
        cmocka_unit_test_setup(three_periods_without_it_are_a_death, setup),
        cmocka_unit_test_setup(without_an_answer_the_silence_is_a_death_too, setup),
        cmocka_unit_test_setup(whatever_comes_proves_that_it_lives, setup),
        cmocka_unit_test_setup(an_answer_that_refuses_proves_nothing, setup),
        cmocka_unit_test_setup(it_is_created_when_it_is_not_there, setup),
        cmocka_unit_test_setup(without_the_right_there_is_none_and_no_death, setup),
        cmocka_unit_test_setup(a_watch_that_we_do_not_read_is_not_judged, setup),
        cmocka_unit_test_setup(a_process_that_did_not_run_reads_first, setup),
        cmocka_unit_test_setup(an_old_number_is_no_round_trip, setup),
        cmocka_unit_test(it_must_be_in_what_is_watched),
        cmocka_unit_test(others_are_told_from_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
