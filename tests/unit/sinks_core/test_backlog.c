/* What is read of klaxon.retry, for whom, and where next. */
#include "tests/unit/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sinks/core/parking/backlog.h"

#define LOG_MAX 400
#define HOLD 4
#define CHANNELS 3

/* One partition as Kafka has it, and who reads it. */
static struct {
    struct klx_backlog *backlog;
    int owner[LOG_MAX]; /* index of the channel; -1: another kind's */
    int64_t end, position;
    struct klx_backlog_item *taken[CHANNELS][LOG_MAX]; /* in order */
    size_t taken_n[CHANNELS], done_n[CHANNELS];
    size_t reads;
} w;

static const char *const names[CHANNELS] = { "a", "b", "c" };

static int setup(void **state) {
    (void)state;
    memset(&w, 0, sizeof(w));
    w.backlog = klx_backlog_new(HOLD);
    klx_backlog_assign(w.backlog, 0);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    klx_backlog_free(w.backlog);
    return 0;
}

static void append(const char *channels) {
    for (; *channels != '\0'; channels++) {
        w.owner[w.end++] = *channels == '-' ? -1 : *channels - 'a';
    }
}

static void follow_seek(void) {
    int64_t to = 0;
    if (klx_backlog_seek_to(w.backlog, 0, &to)) {
        assert_true(to <= w.end);
        w.position = to;
    }
}

/* One record, or the end. */
static void read_one(void) {
    if (w.position == w.end) {
        klx_backlog_end(w.backlog, 0, w.end);
        follow_seek();
        return;
    }
    int c = w.owner[w.position];
    struct klx_sv name = c < 0 ? klx_sv("") : klx_sv(names[c]);
    struct klx_backlog_item *i = klx_backlog_read(w.backlog, 0, w.position, name);
    w.position++;
    w.reads++;
    if (i != NULL) {
        assert_true(c >= 0);
        assert_int_equal(w.owner[i->offset], c);
        w.taken[c][w.taken_n[c]++] = i;
        assert_true(w.taken_n[c] - w.done_n[c] <= HOLD);
    }
    follow_seek();
}

static void read_all(void) {
    for (int i = 0; i < 3 * LOG_MAX; i++) {
        read_one();
    }
}

static void finish(int channel) {
    klx_backlog_done(w.backlog, w.taken[channel][w.done_n[channel]]);
    w.done_n[channel]++;
    follow_seek();
}

static struct klx_backlog_progress progress[CHANNELS];

static void keep_progress(void *arg, const struct klx_backlog_progress *p) {
    (void)arg;
    for (int c = 0; c < CHANNELS; c++) {
        if (klx_sv_eq(p->channel, klx_sv(names[c]))) {
            progress[c] = *p;
        }
    }
}

static const struct klx_backlog_progress *progress_of(int channel) {
    memset(progress, 0, sizeof(progress));
    klx_backlog_each(w.backlog, keep_progress, NULL);
    return &progress[channel];
}

static void one_channel_is_drained_in_order(void **state) {
    (void)state;
    append("a-aa");
    read_all();
    assert_int_equal(w.taken_n[0], 3);
    assert_int_equal(klx_backlog_settled(w.backlog, 0), 0);
    finish(0);
    assert_int_equal(klx_backlog_settled(w.backlog, 0), 2);
    assert_int_equal(progress_of(0)->drained.offset, 1);
    assert_false(progress_of(0)->closed);
    finish(0);
    finish(0);
    assert_int_equal(klx_backlog_settled(w.backlog, 0), 4);
    assert_true(progress_of(0)->closed);
    assert_int_equal(progress_of(0)->drained.offset, 3);
    append("a");
    read_one();
    assert_false(progress_of(0)->closed);
    finish(0);
    assert_false(progress_of(0)->closed); /* there may be more */
    read_one();
    assert_true(progress_of(0)->closed);
}

/* a is down: b shares its partition, and is told at once. */
static void a_channel_that_waits_holds_up_nobody(void **state) {
    (void)state;
    append("aaaaaaaaab");
    read_all();
    assert_int_equal(w.taken_n[0], HOLD);
    assert_int_equal(w.taken_n[1], 1);
    finish(1);
    assert_true(progress_of(1)->closed);
    assert_int_equal(progress_of(1)->drained.offset, 9);
    assert_false(progress_of(0)->closed);
    assert_int_equal(klx_backlog_settled(w.backlog, 0), 0);
    for (int i = 0; i < 9; i++) {
        append("b");
        read_all();
        finish(1);
        assert_int_equal(w.taken_n[0], HOLD); /* nothing more in memory */
    }
    while (w.done_n[0] < 9) {
        finish(0);
        read_all();
    }
    assert_int_equal(w.taken_n[0], 9);
    assert_int_equal(w.taken_n[1], 10); /* none of them twice */
    assert_true(progress_of(0)->closed);
    assert_int_equal(klx_backlog_settled(w.backlog, 0), w.end);
}

static void what_a_predecessor_did_is_not_done_again(void **state) {
    (void)state;
    append("abab");
    klx_backlog_resume(w.backlog, KLX_SV("a"), (struct klx_place){ 0, 2 });
    klx_backlog_resume(w.backlog, KLX_SV("b"),
                       (struct klx_place){ 7, 100 }); /* not our partition */
    read_all();
    assert_int_equal(w.taken_n[0], 0);
    assert_int_equal(w.taken_n[1], 2);
    finish(1);
    finish(1);
    assert_true(progress_of(0)->closed);
    assert_int_equal(klx_backlog_settled(w.backlog, 0), 4);
}

static void a_record_that_is_read_twice_is_taken_once(void **state) {
    (void)state;
    append("aab");
    read_all();
    w.position = 0; /* the client began again by itself */
    assert_null(klx_backlog_read(w.backlog, 0, 0, KLX_SV("a")));
    assert_null(klx_backlog_read(w.backlog, 0, 1, KLX_SV("a")));
    finish(0);
    finish(0);
    finish(1);
    assert_int_equal(klx_backlog_settled(w.backlog, 0), 3);
}

static void a_revoked_partition_moves_nothing(void **state) {
    (void)state;
    append("aa");
    read_all();
    klx_backlog_revoke(w.backlog, 0);
    assert_int_equal(klx_backlog_settled(w.backlog, 0), -1);
    finish(0);
    klx_backlog_assign(w.backlog, 0);
    finish(0); /* late, of the time before */
    assert_int_equal(klx_backlog_settled(w.backlog, 0), -1);
    w.position = 0;
    read_all();
    assert_int_equal(w.taken_n[0], 4);
    finish(0);
    finish(0);
    assert_int_equal(klx_backlog_settled(w.backlog, 0), 2);
}

static void random_step(void) {
    int c = rand() % CHANNELS;
    switch (rand() % 8) {
    case 0:
        if (w.end < LOG_MAX) {
            w.owner[w.end++] = rand() % (CHANNELS + 1) - 1;
        }
        break;
    case 1:
        /* c fails most of the time, a never */
        if (w.done_n[c] < w.taken_n[c] && (c == 0 || rand() % (c * 20) == 0)) {
            finish(c);
        }
        break;
    default:
        read_one();
    }
    int64_t settled = klx_backlog_settled(w.backlog, 0);
    for (c = 0; c < CHANNELS; c++) {
        if (w.done_n[c] < w.taken_n[c]) {
            assert_true(settled <= w.taken[c][w.done_n[c]]->offset);
        }
    }
}

/* Any interleaving: each channel is given all of its records once, in the order of the log, and no offset moves past one that is not done. */
static void nothing_is_lost_and_order_holds(void **state) {
    (void)state;
    assert_int_equal(teardown(NULL), 0);
    for (unsigned seed = 1; seed <= 60; seed++) {
        assert_int_equal(setup(NULL), 0);
        srand(seed);
        for (int i = 0; i < 8000; i++) {
            random_step();
        }
        for (int i = 0; i < LOG_MAX; i++) {
            read_all();
            for (int c = 0; c < CHANNELS; c++) {
                if (w.done_n[c] < w.taken_n[c]) {
                    finish(c);
                }
            }
        }
        size_t expected[CHANNELS] = { 0 };
        for (int64_t o = 0; o < w.end; o++) {
            if (w.owner[o] >= 0) {
                expected[w.owner[o]]++;
            }
        }
        for (int c = 0; c < CHANNELS; c++) {
            assert_int_equal(w.taken_n[c], expected[c]);
            assert_int_equal(w.done_n[c], expected[c]);
        }
        assert_int_equal(klx_backlog_settled(w.backlog, 0), w.end);
        assert_int_equal(teardown(NULL), 0);
    }
    assert_int_equal(setup(NULL), 0);
}

/* A channel that is far behind costs no reading while it waits, and a bounded part of the log for each that it takes. */
static void reading_back_is_bounded(void **state) {
    (void)state;
    for (int i = 0; i < 100; i++) {
        append("aab");
    }
    read_all();
    size_t before = w.reads;
    read_all();
    assert_int_equal(w.reads, before); /* waits: nothing is read */
    while (w.done_n[0] < 200) {
        finish(0);
        read_all();
        while (w.done_n[1] < w.taken_n[1]) {
            finish(1);
            read_all();
        }
    }
    assert_true(w.reads - before < 4 * 300);
}

static void count_channel(void *arg, const struct klx_backlog_progress *p) {
    (void)p;
    ++*(size_t *)arg;
}

/* Names that come and go, for as long as the partition is ours. */
static void channels_that_are_gone_make_room(void **state) {
    (void)state;
    struct klx_backlog_item *waits = klx_backlog_read(w.backlog, 0, 0, KLX_SV("waits"));
    assert_non_null(waits);
    for (int64_t i = 1; i < 5000; i++) {
        char name[32];
        snprintf(name, sizeof(name), "ops-%lld", (long long)i);
        struct klx_backlog_item *item = klx_backlog_read(w.backlog, 0, i, klx_sv(name));
        assert_non_null(item);
        klx_backlog_done(w.backlog, item);
    }
    size_t n = 0;
    klx_backlog_each(w.backlog, count_channel, &n);
    assert_in_range(n, 2, 500);
    assert_int_equal(klx_backlog_settled(w.backlog, 0), 0); /* who waits is not forgotten */
    assert_null(klx_backlog_read(w.backlog, 0, 1, KLX_SV("ops-1"))); /* nor what was done */
    klx_backlog_done(w.backlog, waits);
    assert_int_equal(klx_backlog_settled(w.backlog, 0), 5000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_channel_is_drained_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_channel_that_waits_holds_up_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_predecessor_did_is_not_done_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_record_that_is_read_twice_is_taken_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_revoked_partition_moves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_lost_and_order_holds, setup, teardown),
        cmocka_unit_test_setup_teardown(reading_back_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(channels_that_are_gone_make_room, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
