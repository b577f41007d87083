#include "tests/unit/support/support.h"

#include <string.h>

#include "lib/base/clock.h"
#include "sinks/core/tracker.h"

#define AHEAD_MAX 4

static struct klx_tracker *tracker;

static int setup(void **state) {
    (void)state;
    tracker = klx_tracker_new(AHEAD_MAX);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    klx_tracker_free(tracker); /* asserts that nothing is left */
    return 0;
}

static int64_t stored[3]; /* of the partitions of topic "a" */

static void keep(void *arg, const char *topic, int32_t partition, int64_t next_offset) {
    (void)arg;
    assert_string_equal(topic, "a");
    assert_true(next_offset > stored[partition]); /* an offset never goes back */
    stored[partition] = next_offset;
}

static int64_t flushed(int32_t partition) {
    stored[partition] = -1;
    klx_tracker_flush(tracker, keep, NULL);
    return stored[partition];
}

static void begin(int32_t partition, int64_t offset, struct klx_tracked *r) {
    klx_tracker_begin(tracker, "a", partition, offset, 1000 + offset, r);
}

static void the_prefix_moves_past_what_is_settled(void **state) {
    (void)state;
    struct klx_tracked r[5];
    for (int i = 0; i < 5; i++) {
        begin(0, 10 + 2 * i, &r[i]); /* offsets have gaps: control records take some */
    }
    assert_int_equal(klx_tracker_oldest_ms(tracker), 1010);
    klx_tracker_settle(tracker, &r[1], true);
    klx_tracker_settle(tracker, &r[3], true);
    assert_int_equal(flushed(0), -1);
    klx_tracker_settle(tracker, &r[0], true);
    assert_int_equal(flushed(0), 14);
    assert_int_equal(flushed(0), -1); /* said once */
    klx_tracker_settle(tracker, &r[2], true);
    assert_int_equal(flushed(0), 18);
    klx_tracker_settle(tracker, &r[4], true);
    assert_int_equal(flushed(0), 19);
    assert_int_equal(klx_tracker_unsettled(tracker), 0);
    assert_true(klx_tracker_oldest_ms(tracker) == INT64_MAX);
}

static void partitions_do_not_wait_for_each_other(void **state) {
    (void)state;
    struct klx_tracked a, b, c;
    begin(0, 1, &a);
    begin(1, 1, &b);
    begin(1, 2, &c);
    klx_tracker_settle(tracker, &b, true);
    assert_int_equal(flushed(1), 2);
    klx_tracker_settle(tracker, &c, true);
    assert_int_equal(flushed(1), 3);
    klx_tracker_settle(tracker, &a, true);
    assert_int_equal(flushed(0), 2);
}

static void a_late_verdict_of_a_revoked_partition_moves_nothing(void **state) {
    (void)state;
    struct klx_tracked a, b, c, again;
    begin(0, 5, &a);
    begin(0, 6, &b);
    begin(0, 7, &c);
    klx_tracker_revoke(tracker, "a", 0);
    assert_true(klx_tracker_is_revoked(&a));
    klx_tracker_settle(tracker, &a, true);
    assert_int_equal(flushed(0), -1);
    begin(0, 5, &again); /* it comes back: its new owner here begins where the group is */
    klx_tracker_settle(tracker, &b, true);
    klx_tracker_settle(tracker, &c, true);
    assert_int_equal(flushed(0), -1);
    klx_tracker_settle(tracker, &again, true);
    assert_int_equal(flushed(0), 6);
}

static void an_offset_that_was_seen_begins_anew(void **state) {
    (void)state;
    struct klx_tracked a, b, again;
    begin(0, 8, &a);
    begin(0, 9, &b);
    klx_tracker_settle(tracker, &a, true);
    assert_int_equal(flushed(0), 9);
    begin(0, 8, &again);
    klx_tracker_settle(tracker, &b, true);
    assert_int_equal(flushed(0), -1);
    klx_tracker_settle(tracker, &again, true);
    assert_int_equal(flushed(0), 9);
}

static void what_is_forgotten_holds_the_prefix(void **state) {
    (void)state;
    struct klx_tracked a, b, c;
    begin(0, 1, &a);
    begin(0, 2, &b);
    begin(0, 3, &c);
    klx_tracker_forget(tracker, &b, false);
    klx_tracker_settle(tracker, &a, true);
    klx_tracker_settle(tracker, &c, true);
    assert_int_equal(flushed(0), 2);
}

static void what_is_ahead_is_limited(void **state) {
    (void)state;
    struct klx_tracked stuck, r[8];
    begin(0, 0, &stuck);
    for (int i = 0; i < 8; i++) {
        begin(0, 1 + i, &r[i]);
    }
    klx_tracker_settle(tracker, &r[0],
                       false); /* nobody was told: no duplicate when it comes again */
    klx_tracker_settle(tracker, &r[3], true);
    klx_tracker_settle(tracker, &r[1], true);
    klx_tracker_settle(tracker, &r[2], true);
    assert_true(klx_tracker_has_room(tracker));
    klx_tracker_settle(tracker, &r[7], true);
    assert_true(klx_tracker_full(tracker));
    assert_false(klx_tracker_has_room(tracker));
    klx_tracker_settle(tracker, &stuck,
                       true); /* r[4] holds the prefix now, and one is ahead of it */
    assert_false(klx_tracker_full(tracker));
    assert_true(klx_tracker_has_room(tracker));
    klx_tracker_settle(tracker, &r[5], true);
    klx_tracker_settle(tracker, &r[6], true);
    assert_false(klx_tracker_full(tracker));
    klx_tracker_settle(tracker, &r[4], true);
    assert_int_equal(flushed(0), 9);
}

#define RECORDS 2000

/* Against the definition: the first record that is not settled, and the told ones behind it. */
static void random_orders_agree_with_the_definition(void **state) {
    (void)state;
    static struct klx_tracked r[RECORDS];
    static bool settled[RECORDS], told[RECORDS];
    struct klx_clock_driven random;
    klx_clock_driven_init(&random, 0, 7);
    size_t read = 0, first = 0;
    stored[0] = -1;
    while (first < RECORDS) {
        uint64_t dice = random.clock.random(&random.clock);
        if (read < RECORDS && (dice & 1) != 0) {
            begin(0, (int64_t)read, &r[read]);
            read++;
        } else if (read > first) {
            size_t i = first + (size_t)((dice >> 8) % (read - first > 12 ? 12 : read - first));
            if (!settled[i]) {
                settled[i] = true;
                told[i] = (dice & 2) != 0;
                klx_tracker_settle(tracker, &r[i], told[i]);
            }
        }
        while (first < read && settled[first]) {
            first++;
        }
        size_t ahead = 0;
        for (size_t i = first; i < read; i++) {
            ahead += settled[i] && told[i];
        }
        klx_tracker_flush(tracker, keep, NULL);
        assert_int_equal(stored[0], first == 0 ? -1 : (int64_t)first);
        assert_int_equal(klx_tracker_full(tracker), ahead >= AHEAD_MAX);
    }
}

static void what_is_told_again_is_counted(void **state) {
    (void)state;
    struct klx_tracked r[8];
    for (int i = 0; i < 8; i++) {
        begin(0, i, &r[i]);
    }
    klx_tracker_settle(tracker, &r[1], true); /* before the first forgotten one, at last */
    klx_tracker_settle(tracker, &r[3], true);
    klx_tracker_settle(tracker, &r[5], true);
    klx_tracker_settle(tracker, &r[6], false); /* nobody was told: nobody hears it twice */
    assert_int_equal(klx_tracker_again(tracker), 0);
    klx_tracker_forget(tracker, &r[4], false);
    assert_int_equal(klx_tracker_again(tracker), 1);
    klx_tracker_forget(tracker, &r[2], true); /* one of its channels was told */
    assert_int_equal(klx_tracker_again(tracker), 3);
    klx_tracker_settle(tracker, &r[7], true);
    klx_tracker_settle(tracker, &r[0], true);
    assert_int_equal(klx_tracker_again(tracker), 4);
    assert_int_equal(flushed(0), 2);
}

static void what_was_ahead_of_a_revocation_is_told_again(void **state) {
    (void)state;
    struct klx_tracked a, b, c, d;
    begin(0, 1, &a);
    begin(0, 2, &b);
    begin(1, 1, &c);
    begin(1, 2, &d);
    klx_tracker_settle(tracker, &b, true);
    klx_tracker_settle(tracker, &d, true);
    klx_tracker_revoke(tracker, "a", 0);
    assert_int_equal(klx_tracker_again(tracker), 1);
    klx_tracker_settle(tracker, &a, true); /* too late for the commit */
    klx_tracker_settle(tracker, &c, true);
    assert_int_equal(klx_tracker_again(tracker), 2);
    klx_tracker_revoke(tracker, "a", 1);
    assert_int_equal(klx_tracker_again(tracker), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_prefix_moves_past_what_is_settled, setup, teardown),
        cmocka_unit_test_setup_teardown(partitions_do_not_wait_for_each_other, setup, teardown),
        cmocka_unit_test_setup_teardown(a_late_verdict_of_a_revoked_partition_moves_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_offset_that_was_seen_begins_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_forgotten_holds_the_prefix, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_ahead_is_limited, setup, teardown),
        cmocka_unit_test_setup_teardown(random_orders_agree_with_the_definition, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_told_again_is_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_ahead_of_a_revocation_is_told_again, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
