/* How fresh what is read is, and when that is said. */
#include "tests/unit/support/support.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/time.h"
#include "lib/io/metrics.h"
#include "sinks/core/freshness.h"

#define S KLX_US_PER_S
#define NOON INT64_C(1773230400000000)

static struct klx_clock_driven d;
static struct klx_freshness *f;
static int log_fd;

static int setup(void **state) {
    (void)state;
    klx_clock_driven_init(&d, NOON, 1);
    f = klx_freshness_new(&d.clock);
    log_fd = memfd_create("log", MFD_CLOEXEC);
    klx_log_to_fd(log_fd);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    klx_log_to_fd(-1);
    close(log_fd);
    klx_freshness_free(f);
    klx_metrics_reset();
    return 0;
}

static void hear(int32_t partition, const char *cluster, int64_t age_us) {
    const struct klx_event e = { .kind = KLX_KIND_HEARTBEAT,
                                 .cluster = klx_sv(cluster),
                                 .time_us = d.now_wall_us - age_us,
                                 .data = KLX_SV("{\"everyMs\":60000}") };
    assert_int_equal(klx_freshness_heard(f, KLX_TOPIC_NODES, partition, &e), 0);
}

/* A second at a time, as the timer does. */
static void wait_s(int64_t seconds, bool reading) {
    for (int64_t i = 0; i < seconds; i++) {
        klx_clock_driven_advance(&d, S);
        klx_freshness_look(f, reading);
    }
}

static size_t lines(const char *text) {
    char all[8192] = { 0 };
    size_t n = 0;
    assert_true(pread(log_fd, all, sizeof(all) - 1, 0) >= 0);
    for (const char *at = strstr(all, text); at != NULL; at = strstr(at + 1, text)) {
        n++;
    }
    return n;
}

static void assert_metric(const char *wanted) {
    struct klx_buf out;
    klx_buf_init(&out, 65536);
    klx_metrics_write(&out);
    if (strstr(klx_buf_str(&out), wanted) == NULL) {
        fail_msg("%s is not in\n%s", wanted, klx_buf_str(&out));
    }
    klx_buf_release(&out);
}

static void assert_describes(const char *wanted) {
    struct klx_buf out;
    klx_buf_init(&out, 65536);
    klx_freshness_describe(f, &out);
    assert_string_equal(klx_buf_str(&out), wanted);
    klx_buf_release(&out);
}

static void three_missing_heartbeats_are_said_once(void **state) {
    (void)state;
    assert_describes("heartbeats: none yet\n");
    hear(0, "prod", 0);
    wait_s(179, true);
    assert_describes("heartbeats: the stalest is 2 min 59 s old\n");
    assert_int_equal(klx_freshness_silent(f), 0);
    wait_s(100, true);
    assert_int_equal(klx_freshness_silent(f), 1);
    assert_int_equal(lines("no heartbeats"), 1);
    assert_describes("topic nodes of prod: no heartbeat for 4 min 39 s\n");
    assert_metric("klaxon_sink_freshness_seconds{topic=\"nodes\",cluster=\"prod\"} 279\n");
    hear(0, "prod", 0);
    wait_s(1, true);
    assert_int_equal(klx_freshness_silent(f), 0);
    assert_int_equal(lines("heartbeats come again"), 1);
    assert_metric("klaxon_sink_freshness_seconds{topic=\"nodes\",cluster=\"prod\"} 1\n");
}

static void the_stalest_partition_counts(void **state) {
    (void)state;
    hear(0, "prod", 0);
    hear(1, "prod", 0);
    for (int i = 0; i < 4; i++) {
        wait_s(60, true);
        hear(1, "prod", 0);
    }
    assert_int_equal(klx_freshness_silent(f), 1);
    /* Until somebody else reads it. */
    klx_freshness_revoke(f, KLX_TOPIC_NODES, 0);
    klx_freshness_revoke(f, KLX_TOPIC_GITOPS, 1);
    wait_s(1, true);
    assert_int_equal(klx_freshness_silent(f), 0);
    assert_metric("klaxon_sink_freshness_seconds{topic=\"nodes\",cluster=\"prod\"} 1\n");
}

static void catching_up_is_stale_and_not_silent(void **state) {
    (void)state;
    hear(0, "prod", 7200 * S);
    wait_s(1, true);
    assert_int_equal(klx_freshness_silent(f), 0);
    assert_metric("klaxon_sink_freshness_seconds{topic=\"nodes\",cluster=\"prod\"} 7201\n");
}

static void a_sink_that_does_not_read_blames_nobody(void **state) {
    (void)state;
    hear(0, "prod", 0);
    wait_s(1000, false);
    assert_int_equal(klx_freshness_silent(f), 0);
    klx_clock_driven_advance(&d, 1000 * S); /* it did not even run */
    klx_freshness_look(f, true);
    assert_int_equal(klx_freshness_silent(f), 0);
    wait_s(181, true);
    assert_int_equal(klx_freshness_silent(f), 1);
}

static void what_is_no_heartbeat_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "", "[]", "{}", "{\"everyMs\":0}", "{\"everyMs\":\"60\"}", "{\"everyMs\":9999999999}",
        "{\"everyMs\":9223372036854775807}"
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct klx_event e = { .cluster = KLX_SV("prod"), .data = klx_sv(bad[i]) };
        assert_true(klx_freshness_heard(f, KLX_TOPIC_NODES, 0, &e) < 0);
    }
}

static void there_is_a_limit(void **state) {
    (void)state;
    for (int minute = 0; minute < 5; minute++) { /* those that are watched go on to be */
        for (int32_t i = 0; i < KLX_FRESHNESS_MAX + 10; i++) {
            hear(i, "prod", 0);
        }
        hear(0, "another", 0);
        wait_s(60, true);
    }
    assert_int_equal(klx_freshness_silent(f), 0);
    assert_describes("heartbeats: the stalest is 1 min old\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(three_missing_heartbeats_are_said_once, setup, teardown),
        cmocka_unit_test_setup_teardown(the_stalest_partition_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(catching_up_is_stale_and_not_silent, setup, teardown),
        cmocka_unit_test_setup_teardown(a_sink_that_does_not_read_blames_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_heartbeat_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(there_is_a_limit, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
