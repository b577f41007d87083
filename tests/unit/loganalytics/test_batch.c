/* Halving until every row has its verdict, against an other side that refuses what the test says. */
#include "tests/unit/support/support.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "sinks/loganalytics/batch.h"

#define ROWS_MAX 500

struct world {
    struct klx_batch *batch;
    char rows[ROWS_MAX][32];
    bool bad[ROWS_MAX];
    size_t n, requests, largest_body;
};

static void fill(struct world *w, size_t n, size_t body_bytes_max) {
    struct klx_sv rows[ROWS_MAX];
    w->n = n;
    for (size_t i = 0; i < n; i++) {
        snprintf(w->rows[i], sizeof(w->rows[i]), "{\"n\":%zu}", i);
        rows[i] = klx_sv(w->rows[i]);
    }
    w->batch = klx_batch_new(rows, n, body_bytes_max);
}

static struct klx_verdict verdict(enum klx_verdict_class class, const char *reason) {
    struct klx_verdict v = { 0 };
    klx_verdict_set(&v, class, reason, KLX_SV("words"));
    return v;
}

/* The body is the rows of the range, as they were given. */
static void check_body(struct world *w) {
    struct klx_buf body KLX_CLEANUP(klx_buf_release), expected KLX_CLEANUP(klx_buf_release);
    size_t first, n = klx_batch_rows(w->batch, &first);
    klx_buf_init(&body, 1 << 20);
    klx_buf_init(&expected, 1 << 20);
    klx_batch_body(w->batch, &body);
    for (size_t i = first; i < first + n; i++) {
        klx_buf_printf(&expected, "%c%s", i == first ? '[' : ',', w->rows[i]);
    }
    klx_buf_add_char(&expected, ']');
    assert_string_equal(klx_buf_str(&body), klx_buf_str(&expected));
    w->largest_body = body.len > w->largest_body ? body.len : w->largest_body;
}

static bool holds_bad(const struct world *w) {
    size_t first, n = klx_batch_rows(w->batch, &first);
    for (size_t i = first; i < first + n; i++) {
        if (w->bad[i]) {
            return true;
        }
    }
    return false;
}

static const struct klx_verdict *run(struct world *w, bool too_large) {
    const struct klx_verdict good = verdict(KLX_VERDICT_DELIVERED, "http_204"),
                             bad = verdict(KLX_VERDICT_REJECT_MESSAGE, "http_400");
    size_t n = 0;
    while (klx_batch_next(w->batch)) {
        w->requests++;
        check_body(w);
        if (holds_bad(w)) {
            klx_batch_refused(w->batch, &bad, too_large);
        } else {
            klx_batch_taken(w->batch, &good);
        }
    }
    const struct klx_verdict *verdicts = klx_batch_verdicts(w->batch, &n);
    assert_int_equal(n, w->n);
    return verdicts;
}

static void check_isolated(struct world *w) {
    const struct klx_verdict *v = run(w, false);
    for (size_t i = 0; i < w->n; i++) {
        assert_int_equal(v[i].class,
                         w->bad[i] ? KLX_VERDICT_REJECT_MESSAGE : KLX_VERDICT_DELIVERED);
    }
    klx_batch_free(w->batch);
}

static void a_good_batch_is_one_request(void **state) {
    (void)state;
    static struct world w;
    memset(&w, 0, sizeof(w));
    fill(&w, 500, 1 << 20);
    check_isolated(&w);
    assert_int_equal(w.requests, 1);
}

static void one_bad_row_is_found_wherever_it_is(void **state) {
    (void)state;
    static const size_t places[] = { 0, 1, 249, 250, 333, 499 };
    for (size_t i = 0; i < KLX_COUNT(places); i++) {
        static struct world w;
        memset(&w, 0, sizeof(w));
        fill(&w, 500, 1 << 20);
        w.bad[places[i]] = true;
        check_isolated(&w);
        assert_in_range(w.requests, 17, 19); /* twice the height of the tree, and the first */
    }
}

static void several_bad_rows_and_every_size(void **state) {
    (void)state;
    for (size_t n = 1; n <= 40; n++) {
        for (unsigned bad = 0; bad < 40; bad++) {
            static struct world w;
            memset(&w, 0, sizeof(w));
            fill(&w, n, 1 << 20);
            w.bad[bad % n] = true;
            w.bad[(bad * 7 + 3) % n] = true;
            check_isolated(&w);
            assert_in_range(w.requests, 1, 2 * n);
        }
    }
}

static void what_is_too_long_for_one_request_is_several(void **state) {
    (void)state;
    static struct world w;
    memset(&w, 0, sizeof(w));
    fill(&w, 10, 2 + 3 * 8); /* three rows of seven bytes */
    w.bad[4] = true;
    check_isolated(&w);
    assert_int_equal(w.largest_body, 1 + 3 * 8);
    assert_int_equal(w.requests, 4 + 4); /* 3 + 3 + 3 + 1, and the second of them halved twice */
    memset(&w, 0, sizeof(w));
    fill(&w, 3, 4); /* a row that no request may hold is sent alone nevertheless */
    check_isolated(&w);
    assert_int_equal(w.requests, 3);
}

/* Nothing is taken: it is not the rows. */
static void a_table_that_refuses_everything_keeps_everything(void **state) {
    (void)state;
    static const struct {
        size_t n, requests_max;
        enum klx_verdict_class class;
    } cases[] = {
        { 1, 1, KLX_VERDICT_REJECT_MESSAGE },        { 7, 13, KLX_VERDICT_REJECT_MESSAGE },
        { 8, 15, KLX_VERDICT_DESTINATION_BROKEN },   { 20, 39, KLX_VERDICT_DESTINATION_BROKEN },
        { 500, 64, KLX_VERDICT_DESTINATION_BROKEN },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        static struct world w;
        memset(&w, 0, sizeof(w));
        fill(&w, cases[i].n, 1 << 20);
        memset(w.bad, true, sizeof(w.bad));
        const struct klx_verdict *v = run(&w, false);
        for (size_t j = 0; j < w.n; j++) {
            assert_int_equal(v[j].class, cases[i].class);
            assert_string_equal(v[j].reason, cases[i].class == KLX_VERDICT_REJECT_MESSAGE
                                                 ? "http_400"
                                                 : "all_refused");
            assert_string_equal(v[j].answer, "words");
        }
        assert_in_range(w.requests, 1, cases[i].requests_max);
        klx_batch_free(w.batch);
    }
}

/* The first half bad, the second good: what is taken proves the destination. */
static void half_a_batch_may_be_bad(void **state) {
    (void)state;
    static struct world w;
    memset(&w, 0, sizeof(w));
    fill(&w, 500, 1 << 20);
    memset(w.bad, true, 250);
    check_isolated(&w);
}

static void too_large_is_always_the_row(void **state) {
    (void)state;
    static struct world w;
    memset(&w, 0, sizeof(w));
    fill(&w, 100, 1 << 20);
    memset(w.bad, true, sizeof(w.bad));
    const struct klx_verdict *v = run(&w, true);
    for (size_t i = 0; i < w.n; i++) {
        assert_int_equal(v[i].class, KLX_VERDICT_REJECT_MESSAGE);
    }
    klx_batch_free(w.batch);
}

static void an_end_is_for_all_that_is_left(void **state) {
    (void)state;
    static struct world w;
    const struct klx_verdict good = verdict(KLX_VERDICT_DELIVERED, "http_204"),
                             lost = verdict(KLX_VERDICT_AMBIGUOUS, "timeout"),
                             later = verdict(KLX_VERDICT_RETRY_BACKOFF, "timeout"),
                             bad = verdict(KLX_VERDICT_REJECT_MESSAGE, "http_400");
    size_t n = 0;
    memset(&w, 0, sizeof(w));
    fill(&w, 4, 1 << 20);
    assert_true(klx_batch_next(w.batch));
    klx_batch_refused(w.batch, &bad, false);
    assert_true(klx_batch_next(w.batch)); /* 0, 1 */
    klx_batch_taken(w.batch, &good);
    assert_true(klx_batch_next(w.batch)); /* 2, 3 */
    klx_batch_again(w.batch);
    assert_true(klx_batch_next(w.batch)); /* the same */
    klx_batch_refused(w.batch, &bad, false);
    assert_true(klx_batch_next(w.batch)); /* 2 */
    klx_batch_end(w.batch, &lost, &later);
    assert_false(klx_batch_next(w.batch));
    const struct klx_verdict *v = klx_batch_verdicts(w.batch, &n);
    static const enum klx_verdict_class classes[] = { KLX_VERDICT_DELIVERED, KLX_VERDICT_DELIVERED,
                                                      KLX_VERDICT_AMBIGUOUS,
                                                      KLX_VERDICT_RETRY_BACKOFF };
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(v[i].class, classes[i]);
    }
    klx_batch_free(w.batch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_batch_is_one_request),
        cmocka_unit_test(one_bad_row_is_found_wherever_it_is),
        cmocka_unit_test(several_bad_rows_and_every_size),
        cmocka_unit_test(what_is_too_long_for_one_request_is_several),
        cmocka_unit_test(a_table_that_refuses_everything_keeps_everything),
        cmocka_unit_test(half_a_batch_may_be_bad),
        cmocka_unit_test(too_large_is_always_the_row),
        cmocka_unit_test(an_end_is_for_all_that_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
