#include "tests/unit/support/support.h"

#include "cli/reorder.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"

struct sink {
    struct klx_buf text;
    size_t left;
};

static bool collect(void *arg, struct klx_sv line) {
    struct sink *s = arg;
    klx_buf_add_sv(&s->text, line);
    s->left--;
    return s->left > 0;
}

static void add(struct klx_reorder *r, int64_t time_us, const char *topic, int32_t partition,
                int64_t offset, const char *line) {
    const struct klx_record record = { .topic = topic, .partition = partition, .offset = offset };
    klx_reorder_add(r, time_us, &record, klx_sv(line));
}

static void lines_come_in_the_order_of_time(void **state) {
    (void)state;
    struct klx_reorder r;
    klx_reorder_init(&r);
    add(&r, 5, "b", 0, 9, "f");
    add(&r, 5, "a", 1, 2, "d");
    add(&r, 5, "a", 1, 10, "e");
    add(&r, 5, "a", 0, 7, "c");
    add(&r, -3, "z", 3, 1, "a");
    add(&r, 4, "z", 3, 2, "b");
    struct sink s = { .left = 100 };
    klx_buf_init(&s.text, 100);
    klx_reorder_drain(&r, collect, &s);
    assert_sv(klx_buf_sv(&s.text), "abcdef");
    klx_buf_reset(&s.text);
    klx_reorder_drain(&r, collect, &s);
    assert_int_equal(s.text.len, 0);
    klx_buf_release(&s.text);
    klx_reorder_release(&r);
}

static void only_the_newest_are_kept(void **state) {
    (void)state;
    struct klx_reorder r;
    struct sink s = { .left = 100 };
    klx_reorder_init(&r);
    klx_buf_init(&s.text, 100);
    klx_reorder_keep_newest(&r, 3);
    for (int i = 0; i < 10; i++) {
        char line[] = { (char)('0' + (i * 7) % 10), '\0' };
        add(&r, (i * 7) % 10, "a", 0, i, line);
    }
    klx_reorder_keep_newest(&r, 20);
    assert_int_equal(r.n, 10);
    klx_reorder_keep_newest(&r, 3);
    assert_int_equal(r.bytes, 3);
    add(&r, 5, "a", 0, 11, "x");
    klx_reorder_drain(&r, collect, &s);
    assert_sv(klx_buf_sv(&s.text), "x789");
    klx_buf_release(&s.text);
    klx_reorder_release(&r);
}

static void the_receiver_ends_it(void **state) {
    (void)state;
    struct klx_reorder r;
    struct sink s = { .left = 2 };
    klx_reorder_init(&r);
    klx_buf_init(&s.text, 100);
    for (int i = 0; i < 100; i++) {
        add(&r, 100 - i, "a", 0, i, i < 98 ? "x" : "y");
    }
    klx_reorder_drain(&r, collect, &s);
    assert_sv(klx_buf_sv(&s.text), "yy");
    assert_int_equal(r.n, 0);
    klx_buf_release(&s.text);
    klx_reorder_release(&r);
}

static void there_is_a_limit(void **state) {
    (void)state;
    static char large[1 << 20];
    const struct klx_record record = { .topic = "a" };
    struct klx_reorder r;
    size_t n = 0;
    klx_reorder_init(&r);
    while (!klx_reorder_full(&r) && n < 1000) {
        klx_reorder_add(&r, 0, &record, klx_sv_n(large, sizeof(large)));
        n++;
    }
    assert_int_equal(n, KLX_REORDER_BYTES_MAX / sizeof(large));
    klx_reorder_release(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_in_the_order_of_time),
        cmocka_unit_test(only_the_newest_are_kept),
        cmocka_unit_test(the_receiver_ends_it),
        cmocka_unit_test(there_is_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
