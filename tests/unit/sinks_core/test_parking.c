/* What the owner of a retry partition hands out, and what it writes to klaxon.control. */
#include "tests/unit/support/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/log.h"
#include "lib/base/time.h"
#include "lib/io/metrics.h"
#include "sinks/core/parking/parking.h"

#define ITEMS_MAX 16

static struct {
    struct klx_clock_driven clock;
    struct klx_parking *parking;
    struct klx_backlog_item *items[ITEMS_MAX]; /* in hand */
    size_t items_n;
    char told[128]; /* "ops/7" in the order in which they were handed out */
    size_t unreadable;
    int64_t stored, sought;
    char mark[4096]; /* the last value that was written to klaxon.control */
    size_t marks;
    klx_placed_fn placed;
    void *placed_arg;
    int null_fd;
} w;

static int place(void *arg, const struct klx_record *r, klx_placed_fn placed, void *placed_arg,
                 struct klx_error *e) {
    (void)arg;
    (void)e;
    assert_string_equal(r->topic, "klaxon.control");
    assert_sv(r->key, "circuit/ops");
    snprintf(w.mark, sizeof(w.mark), "%.*s", KLX_SV_FMT(r->value));
    w.marks++;
    w.placed = placed;
    w.placed_arg = placed_arg;
    return 0;
}

static void seek(void *arg, int32_t partition, int64_t offset) {
    (void)arg;
    assert_int_equal(partition, 0);
    w.sought = offset;
}

static void store(void *arg, int32_t partition, int64_t next_offset) {
    (void)arg;
    assert_int_equal(partition, 0);
    w.stored = next_offset;
}

static void deliver(void *arg, const struct klx_parked *p, struct klx_backlog_item *item) {
    (void)arg;
    size_t n = strlen(w.told);
    snprintf(w.told + n, sizeof(w.told) - n, "%s%.*s/%lld", n > 0 ? " " : "",
             KLX_SV_FMT(p->channel), (long long)item->offset);
    w.items[w.items_n++] = item;
}

static void unreadable(void *arg, const struct klx_record *r, const char *why,
                       struct klx_backlog_item *item) {
    (void)arg;
    (void)r;
    assert_non_null(strstr(why, "lacks the headers"));
    w.unreadable++;
    w.items[w.items_n++] = item;
}

static int setup(void **state) {
    (void)state;
    memset(&w, 0, sizeof(w));
    w.stored = w.sought = -1;
    w.null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    klx_log_to_fd(w.null_fd);
    klx_clock_driven_init(&w.clock, 1773216000000000, 1);
    const struct klx_parking_options o = {
        .clock = &w.clock.clock,
        .sink = "slack",
        .retry_topic = "klaxon.retry",
        .control_topic = "klaxon.control",
        .hold_max = 2,
        .place = place,
        .seek = seek,
        .store = store,
        .deliver = deliver,
        .unreadable = unreadable,
    };
    w.parking = klx_parking_new(&o);
    klx_parking_assigned(w.parking, 0);
    klx_parking_given(w.parking);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    klx_parking_close(w.parking);
    while (w.items_n > 0) {
        klx_parking_done(w.parking, w.items[--w.items_n]);
    }
    klx_parking_free(w.parking);
    klx_metrics_reset();
    klx_log_to_fd(-1);
    close(w.null_fd);
    return 0;
}

static void know(void) {
    const int64_t ends[] = { 10 };
    klx_parking_known(w.parking, ends, 1);
}

static void control(const char *value) {
    assert_true(klx_parking_control(w.parking, KLX_SV("circuit/ops"), klx_sv(value)));
}

static void read_of(const char *sink, int64_t offset) {
    const struct klx_record_header headers[] = {
        { KLX_SV("klaxon-channel"), KLX_SV("ops") },
        { KLX_SV("klaxon-sink"), klx_sv(sink) },
        { KLX_SV("klaxon-severity"), KLX_SV("warning") },
        { KLX_SV("klaxon-parked-since"), KLX_SV("2026-03-11T08:00:00Z") },
        { KLX_SV("klaxon-original-topic"), KLX_SV("klaxon.nodes") },
    };
    const struct klx_record r = { .topic = "klaxon.retry",
                                  .offset = offset,
                                  .value = KLX_SV("{}"),
                                  .headers = headers,
                                  .headers_n = KLX_COUNT(headers) };
    klx_parking_record(w.parking, &r);
}

/* The oldest in hand is done; what is written to klaxon.control is acknowledged. */
static void finish(void) {
    struct klx_backlog_item *item = w.items[0];
    w.items_n--;
    memmove(w.items, w.items + 1, w.items_n * sizeof(w.items[0]));
    klx_parking_done(w.parking, item);
}

static void acknowledge(void) {
    assert_non_null(w.placed);
    w.placed(w.placed_arg, 0, NULL, 0, 0);
}

static void a_pass_that_delivers_everything_closes_the_circuit(void **state) {
    (void)state;
    know();
    read_of("slack", 7);
    read_of("email", 8);
    read_of("slack", 9);
    klx_parking_end(w.parking, 0, 10);
    assert_string_equal(w.told, "ops/7 ops/9");
    assert_int_equal(w.stored, 7);
    assert_int_equal(w.marks, 0);
    finish();
    assert_int_equal(w.stored, 9);
    finish();
    assert_int_equal(w.stored, 10);
    assert_int_equal(w.marks, 1);
    assert_non_null(strstr(w.mark, "\"state\":\"closed\""));
    assert_non_null(strstr(w.mark, "\"drainedTo\":{\"partition\":0,\"offset\":9}"));
    acknowledge();
    control(w.mark);
    klx_parking_look(w.parking);
    assert_int_equal(w.marks, 1);
}

static void progress_is_written_once_in_a_while(void **state) {
    (void)state;
    know();
    control("{\"state\":\"open\",\"sink\":\"slack\",\"since\":\"2026-03-11T07:00:00Z\",\"reason\":"
            "\"no_service\"}");
    read_of("slack", 7);
    read_of("slack", 8);
    read_of("slack", 9); /* does not fit */
    klx_parking_end(w.parking, 0, 10);
    finish();
    assert_int_equal(w.marks, 0);
    assert_int_equal(w.sought, 9); /* there is room again */
    klx_parking_look(w.parking);
    assert_int_equal(w.marks, 1);
    assert_non_null(strstr(w.mark, "\"state\":\"open\""));
    assert_non_null(strstr(w.mark, "\"offset\":7}"));
    assert_non_null(strstr(w.mark, "\"since\":\"2026-03-11T07:00:00.000000Z\"")); /* as it was */
    assert_non_null(strstr(w.mark, "no_service"));
    acknowledge();
    control(w.mark);
    klx_parking_look(w.parking);
    assert_int_equal(w.marks, 1);
    read_of("slack", 9);
    assert_string_equal(w.told, "ops/7 ops/8 ops/9");
}

static void what_a_predecessor_did_is_not_handed_out(void **state) {
    (void)state;
    control("{\"state\":\"open\",\"sink\":\"slack\",\"drainedTo\":{\"partition\":0,\"offset\":8}}");
    know();
    read_of("slack", 7);
    read_of("slack", 8);
    read_of("slack", 9);
    assert_string_equal(w.told, "ops/9");
    klx_parking_end(w.parking, 0, 10);
    finish();
    assert_non_null(strstr(w.mark, "\"state\":\"closed\""));
}

static void what_was_drained_of_a_topic_before_this_one_says_nothing(void **state) {
    (void)state;
    control(
        "{\"state\":\"closed\",\"sink\":\"slack\",\"drainedTo\":{\"partition\":0,\"offset\":800}}");
    know(); /* it was made again: it ends at 10 */
    read_of("slack", 7);
    assert_string_equal(w.told, "ops/7");
}

static void a_long_answer_of_somebody_else_is_cut(void **state) {
    (void)state;
    char mark[20000], filler[16000];
    memset(filler, '"', sizeof(filler));
    for (size_t i = 0; i + 1 < sizeof(filler); i += 2) {
        filler[i] = '\\';
    }
    snprintf(mark, sizeof(mark), "{\"state\":\"open\",\"sink\":\"slack\",\"answer\":\"%.*s\"}",
             (int)sizeof(filler), filler);
    control(mark);
    know();
    read_of("slack", 7);
    klx_parking_look(w.parking);
    assert_int_equal(w.marks, 1);
    assert_int_equal(w.mark[strlen(w.mark) - 1], '}');
}

/* Another replica opens the circuit with what it knew, a moment after it was closed. */
static void what_somebody_else_wrote_is_corrected(void **state) {
    (void)state;
    know();
    read_of("slack", 7);
    klx_parking_end(w.parking, 0, 8);
    finish();
    acknowledge();
    control(w.mark);
    klx_clock_driven_advance(&w.clock, 6 * KLX_US_PER_S);
    control("{\"state\":\"open\",\"sink\":\"slack\",\"drainedTo\":{\"partition\":0,\"offset\":3}}");
    assert_int_equal(w.marks, 2);
    assert_non_null(strstr(w.mark, "\"state\":\"closed\""));
    assert_non_null(strstr(w.mark, "\"offset\":7}"));
}

static void others_circuits_and_bad_ones_are_passed_over(void **state) {
    (void)state;
    know();
    assert_false(klx_parking_control(w.parking, KLX_SV("silence/1"), KLX_SV("{}")));
    control("{\"state\":\"open\",\"sink\":\"email\",\"drainedTo\":{\"partition\":0,\"offset\":9}}");
    control("not json");
    assert_true(klx_parking_control(w.parking, KLX_SV("circuit/ops"), klx_sv(NULL)));
    read_of("slack", 7);
    assert_string_equal(w.told, "ops/7");
}

static void a_poison_record_holds_up_nobody(void **state) {
    (void)state;
    know();
    const struct klx_record_header headers[] = { { KLX_SV("klaxon-channel"), KLX_SV("ops") },
                                                 { KLX_SV("klaxon-sink"), KLX_SV("slack") } };
    const struct klx_record poison = {
        .topic = "klaxon.retry", .offset = 7, .headers = headers, .headers_n = 2
    };
    klx_parking_record(w.parking, &poison);
    read_of("slack", 8);
    assert_int_equal(w.unreadable, 1);
    assert_string_equal(w.told, "ops/8");
    finish();
    finish();
    assert_int_equal(w.stored, 9);
}

static void a_revoked_partition_stores_and_writes_nothing(void **state) {
    (void)state;
    know();
    read_of("slack", 7);
    klx_parking_end(w.parking, 0, 8);
    w.stored = -1;
    klx_parking_revoked(w.parking, 0);
    finish(); /* late */
    klx_parking_look(w.parking);
    assert_int_equal(w.stored, -1);
    assert_int_equal(w.marks, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_pass_that_delivers_everything_closes_the_circuit, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(progress_is_written_once_in_a_while, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_predecessor_did_is_not_handed_out, setup, teardown),
        cmocka_unit_test_setup_teardown(what_somebody_else_wrote_is_corrected, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_drained_of_a_topic_before_this_one_says_nothing,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_answer_of_somebody_else_is_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(others_circuits_and_bad_ones_are_passed_over, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_poison_record_holds_up_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(a_revoked_partition_stores_and_writes_nothing, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
