/* When a replica may send from here: the rule of drained-to. */
#include "tests/unit/support/support.h"

#include "sinks/core/parking/gate.h"

static const struct klx_place nowhere = { -1, -1 };

static struct klx_gate g;

static int setup(void **state) {
    (void)state;
    klx_gate_init(&g);
    return 0;
}

static struct klx_place at(int64_t offset) {
    return (struct klx_place){ .partition = 1, .offset = offset };
}

static void know(int64_t end) {
    const int64_t ends[] = { 1000, end };
    klx_gate_known(&g, ends, 2);
}

static void open_and_park(int64_t offset) {
    klx_gate_open(&g);
    assert_int_equal(klx_gate_way(&g), KLX_WAY_HOLD);
    klx_gate_opened(&g);
    assert_int_equal(klx_gate_way(&g), KLX_WAY_RETRY);
    klx_gate_parking(&g);
    klx_gate_parked(&g, at(offset));
}

static void a_channel_that_never_parked_is_direct(void **state) {
    (void)state;
    assert_int_equal(klx_gate_way(&g), KLX_WAY_HOLD); /* nothing is known yet */
    know(50);
    assert_int_equal(klx_gate_way(&g), KLX_WAY_LANE);
}

static void an_end_that_is_covered_is_direct(void **state) {
    (void)state;
    klx_gate_circuit(&g, true, at(49));
    know(50);
    assert_int_equal(klx_gate_way(&g), KLX_WAY_LANE);
}

/* klaxon.retry was deleted and made anew: its offsets begin at 0 again. */
static void what_was_drained_of_another_topic_covers_nothing(void **state) {
    (void)state;
    klx_gate_circuit(&g, true, at(800));
    know(50);
    assert_int_equal(klx_gate_way(&g), KLX_WAY_RETRY);
    klx_gate_parking(&g);
    klx_gate_parked(&g, at(50));
    assert_int_equal(klx_gate_way(&g), KLX_WAY_RETRY); /* 800 is no place of this topic */
    klx_gate_circuit(&g, true, at(50));
    assert_int_equal(klx_gate_way(&g), KLX_WAY_LANE);
}

static void what_was_parked_on_another_topic_is_gone(void **state) {
    (void)state;
    know(900);
    open_and_park(900);
    klx_gate_given(&g);
    know(0);
    klx_gate_parking(&g);
    klx_gate_parked(&g, at(0));
    klx_gate_circuit(&g, true, at(0));
    assert_int_equal(klx_gate_way(&g), KLX_WAY_LANE);
    klx_gate_given(&g);
    know(1);
    assert_int_equal(klx_gate_way(&g), KLX_WAY_LANE);
}

/* The record at 49 may be another channel's, so the next delivery finds out: it is parked, and its own place counts from then on. */
static void an_end_that_is_not_covered_parks_one(void **state) {
    (void)state;
    klx_gate_circuit(&g, true, at(48));
    know(50);
    assert_int_equal(klx_gate_way(&g), KLX_WAY_RETRY);
    klx_gate_circuit(&g, true, at(49)); /* whose 49 it was is not known here */
    assert_int_equal(klx_gate_way(&g), KLX_WAY_RETRY);
    klx_gate_parking(&g);
    klx_gate_parked(&g, at(50));
    klx_gate_circuit(&g, true, at(50));
    assert_int_equal(klx_gate_way(&g), KLX_WAY_LANE);
}

static void an_open_circuit_and_an_unknown_end_park(void **state) {
    (void)state;
    klx_gate_circuit(&g, false, at(49));
    know(50);
    assert_int_equal(klx_gate_way(&g), KLX_WAY_RETRY);
    klx_gate_given(&g);
    klx_gate_circuit(&g, true, at(49));
    know(-1);
    assert_int_equal(klx_gate_way(&g), KLX_WAY_RETRY);
}

static void without_the_topic_nothing_is_parked(void **state) {
    (void)state;
    klx_gate_circuit(&g, false, at(49));
    klx_gate_known(&g, NULL, 0);
    assert_int_equal(klx_gate_way(&g), KLX_WAY_LANE);
}

static void only_what_covers_the_last_one_closes(void **state) {
    (void)state;
    know(50);
    open_and_park(60);
    klx_gate_circuit(&g, true, at(59));
    assert_int_equal(klx_gate_way(&g), KLX_WAY_HOLD); /* the rest is nearly there */
    klx_gate_circuit(&g, true, (struct klx_place){ .partition = 0, .offset = 99 });
    assert_int_equal(klx_gate_way(&g), KLX_WAY_HOLD);
    klx_gate_circuit(&g, true, at(60));
    assert_int_equal(klx_gate_way(&g), KLX_WAY_LANE);
}

/* The owner has delivered and said so before this replica hears that its record was acknowledged. */
static void drained_to_comes_before_the_acknowledgement(void **state) {
    (void)state;
    know(50);
    klx_gate_open(&g);
    klx_gate_opened(&g);
    klx_gate_parking(&g);
    klx_gate_circuit(&g, true, at(60));
    assert_int_equal(klx_gate_way(&g), KLX_WAY_RETRY);
    klx_gate_parked(&g, at(60));
    assert_int_equal(klx_gate_way(&g), KLX_WAY_LANE);
}

static void the_echo_of_the_own_circuit_closes_nothing(void **state) {
    (void)state;
    klx_gate_circuit(&g, true, at(49));
    know(50);
    klx_gate_open(&g);
    klx_gate_opened(&g);
    klx_gate_circuit(&g, false, at(49)); /* what was covered before */
    assert_int_equal(klx_gate_way(&g), KLX_WAY_RETRY);
}

static void what_is_not_acknowledged_keeps_it_open(void **state) {
    (void)state;
    know(50);
    open_and_park(60);
    klx_gate_parking(&g);
    klx_gate_circuit(&g, true, at(60));
    assert_int_equal(klx_gate_way(&g), KLX_WAY_HOLD); /* 61 is on its way */
    klx_gate_parked(&g, at(61));
    assert_int_equal(klx_gate_way(&g), KLX_WAY_HOLD);
    klx_gate_circuit(&g, true, at(61));
    assert_int_equal(klx_gate_way(&g), KLX_WAY_LANE);
}

static void a_hold_ends_and_begins_again(void **state) {
    (void)state;
    know(50);
    open_and_park(60);
    klx_gate_circuit(&g, true, at(55));
    klx_gate_end_hold(&g);
    assert_int_equal(klx_gate_way(&g), KLX_WAY_RETRY);
    klx_gate_circuit(&g, true, at(58));
    assert_int_equal(klx_gate_way(&g), KLX_WAY_HOLD);
}

static void a_rebalance_in_the_middle_keeps_what_was_parked_here(void **state) {
    (void)state;
    know(50);
    open_and_park(60);
    klx_gate_given(&g);
    assert_int_equal(klx_gate_way(&g), KLX_WAY_HOLD);
    klx_gate_circuit(&g, true, at(59));
    know(60); /* the end as another broker saw it, a little old */
    assert_int_equal(klx_gate_way(&g), KLX_WAY_RETRY);
    klx_gate_given(&g);
    klx_gate_circuit(&g, true, at(60));
    know(61);
    assert_int_equal(klx_gate_way(&g), KLX_WAY_LANE);
}

static void a_circuit_that_cannot_be_written_changes_nothing(void **state) {
    (void)state;
    know(50);
    klx_gate_open(&g);
    klx_gate_not_opened(&g);
    assert_int_equal(klx_gate_way(&g), KLX_WAY_LANE);
    klx_gate_parking(&g);
    klx_gate_parked(&g, nowhere); /* refused: it is not there */
    assert_int_equal(klx_gate_way(&g), KLX_WAY_LANE);
    klx_gate_no_circuit(&g);
    assert_int_equal(klx_gate_way(&g), KLX_WAY_LANE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_channel_that_never_parked_is_direct, setup),
        cmocka_unit_test_setup(an_end_that_is_covered_is_direct, setup),
        cmocka_unit_test_setup(an_end_that_is_not_covered_parks_one, setup),
        cmocka_unit_test_setup(what_was_drained_of_another_topic_covers_nothing, setup),
        cmocka_unit_test_setup(what_was_parked_on_another_topic_is_gone, setup),
        cmocka_unit_test_setup(an_open_circuit_and_an_unknown_end_park, setup),
        cmocka_unit_test_setup(without_the_topic_nothing_is_parked, setup),
        cmocka_unit_test_setup(only_what_covers_the_last_one_closes, setup),
        cmocka_unit_test_setup(drained_to_comes_before_the_acknowledgement, setup),
        cmocka_unit_test_setup(the_echo_of_the_own_circuit_closes_nothing, setup),
        cmocka_unit_test_setup(what_is_not_acknowledged_keeps_it_open, setup),
        cmocka_unit_test_setup(a_hold_ends_and_begins_again, setup),
        cmocka_unit_test_setup(a_rebalance_in_the_middle_keeps_what_was_parked_here, setup),
        cmocka_unit_test_setup(a_circuit_that_cannot_be_written_changes_nothing, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
