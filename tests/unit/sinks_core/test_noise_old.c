/* What is over: events that come late, and silences that ended long ago. */
#include "tests/unit/support/noise_rig.h"

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

static void outcome(size_t at, enum klx_verdict_class class) {
    struct klx_verdict v;
    klx_verdict_set(&v, class, "x", KLX_SV(""));
    const struct klx_outcome o = { .delivery = w.on_the_way[at].d,
                                   .message = w.on_the_way[at].d->message,
                                   .subscription = w.on_the_way[at].d->subscription,
                                   .channel = "slack",
                                   .verdict = &v };
    klx_noise_outcome(w.noise, &o);
}

static bool passes_over(size_t at) {
    return klx_noise_passes_over(w.noise, "slack", w.on_the_way[at].d);
}

/* Dead letters are redriven in the order in which they were refused: none of them is old because of another that nobody was told of. */
static void what_was_refused_makes_nothing_old(void **state) {
    (void)state;
    open_world();
    start();
    open_("i1.1");
    w.holds = true;
    update("i1.2");
    update("i1.3");
    update("i1.4");
    assert_true(passes_over(1)); /* behind it a newer one waits */
    for (size_t i = 0; i < 3; i++) {
        outcome(i, KLX_VERDICT_REJECT_MESSAGE);
    }
    assert_false(passes_over(0));
    assert_false(passes_over(1));
    outcome(1, KLX_VERDICT_DELIVERED);
    assert_true(passes_over(0));
    assert_false(passes_over(1)); /* for another recipient */
    assert_false(passes_over(2));
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_redriven_late_is_old),
        cmocka_unit_test(what_was_refused_makes_nothing_old),
        cmocka_unit_test(a_silence_that_ended_long_ago_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
