/* What takes memory by the size of its input refuses when there is none, and stays usable. */
#include "tests/unit/support/support.h"

#include <errno.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/json.h"
#include "tests/unit/support/alloc.h"

static void a_buffer_fails_and_works_again(void **state) {
    (void)state;
    struct klx_buf b;
    klx_buf_init(&b, 1 << 20);
    klx_buf_add_str(&b, "kept");
    test_fail_allocation(1);
    for (int i = 0; i < 1000; i++) {
        klx_buf_add_str(&b, "0123456789");
    }
    test_fail_allocation(0);
    assert_int_equal(klx_buf_check(&b), -EMSGSIZE);
    klx_buf_reset(&b);
    klx_buf_add_str(&b, "again");
    assert_int_equal(klx_buf_check(&b), 0);
    assert_sv(klx_buf_sv(&b), "again");
    klx_buf_release(&b);
}

static void an_arena_gives_nothing_and_works_again(void **state) {
    (void)state;
    struct klx_arena a;
    klx_arena_init(&a, 1024, 1 << 20);
    assert_non_null(klx_arena_alloc(&a, 512));
    test_fail_allocation(1);
    assert_null(klx_arena_alloc(&a, 4096));
    test_fail_allocation(0);
    assert_non_null(klx_arena_alloc(&a, 4096));
    klx_arena_release(&a);
}

/* Wherever in the parsing memory runs out, the answer is -ENOMEM and nothing leaks. */
static void a_document_is_refused_at_every_allocation(void **state) {
    (void)state;
    static const char text[] = "{\"a\":[1,2,{\"b\":\"a string that is not short\"}],\"c\":null}";
    unsigned n = 1;
    for (int rc = -ENOMEM; rc != 0; n++) {
        struct klx_arena a;
        const struct klx_json *v = NULL;
        klx_arena_init(&a, 64, 1 << 20);
        test_fail_allocation(n);
        rc = klx_json_parse(&a, klx_sv(text), NULL, &v, NULL);
        test_fail_allocation(0);
        assert_true(rc == 0 || rc == -ENOMEM);
        klx_arena_release(&a);
    }
    assert_true(n > 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_fails_and_works_again),
        cmocka_unit_test(an_arena_gives_nothing_and_works_again),
        cmocka_unit_test(a_document_is_refused_at_every_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
