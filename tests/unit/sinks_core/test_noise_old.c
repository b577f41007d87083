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
        cmocka_unit_test(a_silence_that_ended_long_ago_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
