/* The times of samples, as polls show them, and as a start finds them in the state. */
#include "tests/unit/support/support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "collector/sample_times.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"

#define RECORDS_MAX 64
#define TIME_BASE_US INT64_C(1773212400000000)

static struct {
    char name[16];
    char *value;
} records[RECORDS_MAX];
static size_t records_n, writes;
static struct klx_sample_times *times;

static void put(void *arg, const char *name, struct klx_sv value) {
    (void)arg;
    size_t i = 0;
    while (i < records_n && strcmp(records[i].name, name) != 0) {
        i++;
    }
    assert_true(i < RECORDS_MAX);
    records_n = i == records_n ? i + 1 : records_n;
    free(records[i].value);
    records[i].value = value.n > 0 ? klx_sv_dup(value) : NULL;
    snprintf(records[i].name, sizeof(records[i].name), "%s", name);
    writes++;
}

static size_t kept(void) {
    size_t n = 0;
    for (size_t i = 0; i < records_n; i++) {
        n += records[i].value != NULL;
    }
    return n;
}

static int begin(void **state) {
    (void)state;
    times = klx_sample_times_new();
    writes = 0;
    return 0;
}

static int end(void **state) {
    (void)state;
    klx_sample_times_free(times);
    for (size_t i = 0; i < records_n; i++) {
        free(records[i].value);
        records[i].value = NULL;
    }
    records_n = 0;
    return 0;
}

/* The collector ends, and reads what was committed. */
static void restart(void) {
    klx_sample_times_free(times);
    times = klx_sample_times_new();
    for (size_t i = 0; i < records_n; i++) {
        assert_int_equal(
            klx_sample_times_restore(times, klx_sv(records[i].name), klx_sv(records[i].value)), 0);
    }
}

static bool sees(const char *object, int64_t second) {
    return klx_sample_times_is_new(times, klx_sv(object), TIME_BASE_US + second * KLX_US_PER_S);
}

static void flush(void) {
    klx_sample_times_flush(times, put, NULL);
}

static void whole(void) {
    klx_sample_times_end(times, put, NULL);
}

static void a_sample_is_new_once(void **state) {
    (void)state;
    assert_true(sees("a/1", 10));
    assert_true(sees("a/2", 12));
    whole();
    assert_false(sees("a/1", 10));
    assert_false(sees("a/2", 11)); /* another metrics-server, which is behind */
    whole();
    assert_true(sees("a/1", 25));
    assert_false(sees("a/2", 12));
    whole();
}

static void an_answer_without_news_writes_nothing(void **state) {
    (void)state;
    assert_true(sees("a/1", 10));
    whole();
    size_t before = writes;
    assert_false(sees("a/1", 10));
    flush();
    whole();
    assert_int_equal(writes, before);
}

/* After each flush the process may end: what was handed up is known, what was not is new. */
static void a_restart_repeats_and_loses_nothing(void **state) {
    (void)state;
    assert_true(sees("a/1", 10));
    assert_true(sees("a/2", 10));
    flush();
    assert_true(sees("a/3", 10));
    whole();
    restart();
    assert_false(sees("a/1", 10));
    assert_true(sees("a/1", 25));
    flush();
    restart(); /* in the middle of an answer */
    assert_false(sees("a/1", 25));
    assert_false(sees("a/2", 10));
    assert_false(sees("a/3", 10));
    assert_true(sees("a/2", 25));
    assert_true(sees("a/3", 25));
    flush();
    whole();
    restart();
    assert_false(sees("a/1", 25));
    assert_false(sees("a/2", 25));
    assert_false(sees("a/3", 25));
}

/* An answer that was broken off, and asked for again. */
static void a_broken_answer_is_not_forgotten(void **state) {
    (void)state;
    assert_true(sees("a/1", 10));
    assert_true(sees("a/2", 10));
    whole();
    assert_true(sees("a/1", 25));
    flush();
    assert_true(sees("a/1", 40)); /* the next attempt: no end came in between */
    flush();
    restart();
    assert_false(sees("a/1", 40));
    assert_false(sees("a/2", 10));
}

static void records_do_not_grow(void **state) {
    (void)state;
    for (int i = 0; i < 50; i++) {
        for (int k = 0; k < 5; k++) {
            char name[16];
            snprintf(name, sizeof(name), "a/%d", k);
            assert_true(sees(name, 15 * i));
            flush();
        }
        whole();
        assert_int_equal(kept(), 5);
        if (i % 7 == 0) {
            restart();
        }
    }
}

/* A pod that is gone is forgotten, and one with its name later is new. */
static void what_is_not_shown_is_forgotten(void **state) {
    (void)state;
    assert_true(sees("a/1", 10));
    assert_true(sees("a/2", 10));
    whole();
    assert_true(sees("a/1", 25));
    whole();
    assert_true(sees("a/2", 10)); /* as far as anybody knows */
}

static void there_is_a_limit(void **state) {
    (void)state;
    char name[32];
    for (int i = 0; i < KLX_SAMPLE_TIMES_MAX; i++) {
        snprintf(name, sizeof(name), "a/%d", i);
        assert_true(sees(name, 10));
    }
    assert_false(klx_sample_times_is_full(times));
    assert_false(sees("one/more", 10));
    assert_true(klx_sample_times_is_full(times));
    whole();
    restart();
    assert_false(sees("a/0", 10));
    assert_false(sees("a/49999", 10));
}

static void a_broken_record_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "{", "{\"version\":2}", "{\"version\":1,\"newest\":1,\"seen\":\"zzzzzzzzzzzz0000\"}"
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(klx_sample_times_restore(times, KLX_SV("a0"), klx_sv(bad[i])), -EBADMSG);
    }
    static const char *const names[] = { "", "a", "c0", "a-1", "a0x", "a99999999" };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_int_equal(klx_sample_times_restore(times, klx_sv(names[i]),
                                                  KLX_SV("{\"version\":1,\"seen\":\"\"}")),
                         -EBADMSG);
    }
    assert_int_equal(klx_sample_times_restore(times, KLX_SV("a0"), klx_sv(NULL)), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_sample_is_new_once, begin, end),
        cmocka_unit_test_setup_teardown(an_answer_without_news_writes_nothing, begin, end),
        cmocka_unit_test_setup_teardown(a_restart_repeats_and_loses_nothing, begin, end),
        cmocka_unit_test_setup_teardown(a_broken_answer_is_not_forgotten, begin, end),
        cmocka_unit_test_setup_teardown(records_do_not_grow, begin, end),
        cmocka_unit_test_setup_teardown(what_is_not_shown_is_forgotten, begin, end),
        cmocka_unit_test_setup_teardown(there_is_a_limit, begin, end),
        cmocka_unit_test_setup_teardown(a_broken_record_is_refused, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
