/* Order within a key, and the oldest key first; then the same with thousands of keys against a plain model. */
#include "tests/unit/support/support.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "sinks/core/queue.h"

static struct klx_message_pool *pool;
static struct klx_queue *q;
static const struct klx_subscription_settings subscription = { .team = KLX_SV("ops") };

static void on_message_done(void *arg, struct klx_message *m) {
    (void)arg;
    (void)m;
}

static int setup(void **state) {
    (void)state;
    pool = klx_message_pool_new(on_message_done, NULL);
    q = klx_queue_new();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    while (klx_queue_oldest(q) != NULL) {
        struct klx_delivery *d = klx_queue_oldest(q);
        klx_queue_remove(q, d);
        klx_delivery_done(d);
    }
    klx_queue_free(q);
    klx_message_pool_free(pool);
    return 0;
}

static struct klx_delivery *push(const char *key) {
    const struct klx_record r = { .topic = "klaxon.nodes" };
    struct klx_message *m = klx_message_new(pool, &r);
    m->record.key = klx_arena_dup(&m->arena, klx_sv(key));
    struct klx_delivery *d = klx_delivery_new(m, &subscription, 0);
    klx_message_unref(m);
    klx_queue_push(q, d);
    return d;
}

static void end(struct klx_delivery *d) {
    klx_queue_remove(q, d);
    klx_delivery_done(d);
}

static struct klx_delivery *take(void) {
    struct klx_delivery *d = klx_queue_next(q, 0);
    assert_non_null(d);
    klx_queue_take(q, d, false);
    return d;
}

static void one_of_a_key_at_a_time(void **state) {
    (void)state;
    struct klx_delivery *a1 = push("a"), *a2 = push("a"), *b1 = push("b"), *none = push("");
    assert_int_equal(klx_queue_due_us(q), INT64_MIN);
    assert_ptr_equal(take(), a1);
    assert_ptr_equal(take(), b1); /* a2 waits for a1 */
    assert_ptr_equal(take(), none);
    assert_null(klx_queue_next(q, INT64_MAX));
    assert_int_equal(klx_queue_due_us(q), INT64_MAX);
    end(a1);
    assert_ptr_equal(take(), a2);
    assert_int_equal(klx_queue_n(q), 3);
    assert_ptr_equal(klx_queue_oldest(q), a2);
}

static void what_rests_delays_no_other_key(void **state) {
    (void)state;
    struct klx_delivery *a1 = push("a"), *a2 = push("a"), *b1 = push("b"), *c1 = push("c");
    assert_ptr_equal(take(), a1);
    klx_queue_put_back(q, a1, 100, false);
    assert_ptr_equal(take(), b1);
    klx_queue_put_back(q, b1, 50, false);
    assert_ptr_equal(take(), c1);
    assert_null(klx_queue_next(q, 49));
    assert_int_equal(klx_queue_due_us(q), 50);
    assert_ptr_equal(klx_queue_next(q, 50), b1);
    assert_ptr_equal(klx_queue_next(q, 100), a1); /* the older one, now that both may */
    klx_queue_take(q, a1, false);
    end(a1);
    assert_ptr_equal(klx_queue_next(q, 100), a2);
    klx_queue_take(q, a2, false);
    klx_queue_put_back(q, a2, 1000, false);
    klx_queue_remove(q, a2); /* revoked: what comes next of the key does not rest for it */
    klx_delivery_done(a2);
    push("a");
    klx_queue_take(q, b1, false);
    assert_non_null(klx_queue_next(q, 100));
}

static void what_goes_behind_lets_others_go_first(void **state) {
    (void)state;
    struct klx_delivery *a1 = push("a"), *a2 = push("a"), *b1 = push("b");
    assert_ptr_equal(take(), a1);
    klx_queue_put_back(q, a1, INT64_MIN, true);
    struct klx_delivery *c1 = push("c");
    assert_ptr_equal(take(), b1);
    assert_ptr_equal(take(), a1); /* but not behind what came after that */
    end(a1);
    assert_ptr_equal(take(), a2); /* at its own place again */
    assert_ptr_equal(take(), c1);
}

static void a_batch_takes_several_of_a_key(void **state) {
    (void)state;
    struct klx_delivery *a1 = push("a"), *b1 = push("b"), *a2 = push("a"), *a3 = push("a");
    klx_queue_take(q, klx_queue_next(q, 0), true);
    klx_queue_take(q, klx_queue_next(q, 0), true);
    assert_ptr_equal(klx_queue_next(q, 0), a2); /* arrivals in order, over all keys */
    klx_queue_take(q, a2, true);
    klx_queue_seal(q, a1);
    klx_queue_seal(q, b1);
    klx_queue_seal(q, a2);
    assert_null(klx_queue_next(q, 0));
    end(a1);
    klx_queue_put_back(q, b1, INT64_MIN, false);
    klx_queue_put_back(q, a2, 10, false);
    assert_ptr_equal(klx_queue_next(q, 0), b1);
    assert_ptr_equal(klx_queue_next(q, 10), b1);
    klx_queue_take(q, b1, false);
    assert_ptr_equal(klx_queue_next(q, 10), a2); /* a3 stays behind it */
    klx_queue_remove(q, a2);
    klx_delivery_done(a2);
    assert_ptr_equal(klx_queue_next(q, 0), a3);
}

#define KEYS 500
#define STEPS 20000

/* Whatever happens, of each key the deliveries end in the order in which they came. */
static void order_holds_under_everything(void **state) {
    (void)state;
    struct klx_clock_driven clock;
    struct klx_delivery *under_way[32];
    uint64_t *ended = klx_alloc_n(uint64_t, KEYS);
    size_t n = 0, ends = 0;
    klx_clock_driven_init(&clock, 0, 7);
    for (int i = 0; i < STEPS; i++) {
        char key[16];
        uint64_t r = clock.clock.random(&clock.clock);
        snprintf(key, sizeof(key), "%llu", (unsigned long long)(r % KEYS));
        push(key);
        struct klx_delivery *d = klx_queue_next(q, i);
        if (d != NULL && n < KLX_COUNT(under_way)) {
            klx_queue_take(q, d, false);
            under_way[n++] = d;
        }
        if (n == 0 || r >> 60 < 4) {
            continue;
        }
        size_t at = (r >> 20) % n;
        d = under_way[at];
        under_way[at] = under_way[--n];
        if (r >> 62 == 1) {
            klx_queue_put_back(q, d, i + (int64_t)(r >> 40) % 300, (r >> 30) % 2 == 0);
            continue;
        }
        const struct klx_sv number = d->message->record.key;
        uint64_t of = 0;
        for (size_t c = 0; c < number.n; c++) {
            of = of * 10 + (uint64_t)(number.p[c] - '0');
        }
        assert_true(d->arrival > ended[of]);
        ended[of] = d->arrival;
        ends++;
        end(d);
    }
    assert_true(ends > STEPS / 4);
    free(ended);
}

#define QUEUE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        QUEUE_TEST(one_of_a_key_at_a_time),
        QUEUE_TEST(what_rests_delays_no_other_key),
        QUEUE_TEST(what_goes_behind_lets_others_go_first),
        QUEUE_TEST(a_batch_takes_several_of_a_key),
        QUEUE_TEST(order_holds_under_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
