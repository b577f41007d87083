/* sv, buf, arena, error, hash, backoff: the small things everything stands on. */
#include "tests/unit/support/support.h"

#include <errno.h>
#include <string.h>

#include "lib/base/arena.h"
#include "lib/base/backoff.h"
#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/base/hash.h"

static void sv_cuts_trims_and_compares(void **state) {
    (void)state;
    struct klx_sv rest = KLX_SV("a,b,,c");
    assert_sv(klx_sv_cut(&rest, ','), "a");
    assert_sv(klx_sv_cut(&rest, ','), "b");
    assert_sv(klx_sv_cut(&rest, ','), "");
    assert_sv(klx_sv_cut(&rest, ','), "c");
    assert_int_equal(rest.n, 0);
    assert_sv(klx_sv_trim(KLX_SV(" \t x y \r\n")), "x y");
    assert_true(klx_sv_cmp(KLX_SV("9"), KLX_SV("10")) > 0);
    assert_true(klx_sv_cmp(KLX_SV("1"), KLX_SV("10")) < 0);
    assert_true(klx_sv_eq_nocase(KLX_SV("Retry-After"), KLX_SV("retry-AFTER")));
    assert_true(klx_sv_starts(KLX_SV("prod-weu"), KLX_SV("prod-")));
    assert_false(klx_sv_ends(KLX_SV("c"), KLX_SV("abc")));
}

static void sv_reads_numbers_strictly(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int rc;
        int64_t value;
    } cases[] = {
        { "0", 0, 0 },         { "-9223372036854775808", 0, INT64_MIN },
        { "42", 0, 42 },       { "9223372036854775808", -ERANGE, 0 },
        { "", -EINVAL, 0 },    { "-", -EINVAL, 0 },
        { "12x", -EINVAL, 0 }, { " 1", -EINVAL, 0 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t value = 0;
        assert_int_equal(klx_sv_int(klx_sv(cases[i].text), &value), cases[i].rc);
        assert_true(value == cases[i].value);
    }
}

static void sv_never_cuts_a_character(void **state) {
    (void)state;
    struct klx_sv text = KLX_SV("a\xC3\xA9\xF0\x9F\x9A\xA8z");
    assert_int_equal(klx_sv_utf8_prefix(text, 2).n, 1);
    assert_int_equal(klx_sv_utf8_prefix(text, 3).n, 3);
    assert_int_equal(klx_sv_utf8_prefix(text, 6).n, 3);
    assert_int_equal(klx_sv_utf8_prefix(text, 7).n, 7);
    assert_int_equal(klx_sv_utf8_prefix(text, 99).n, text.n);
}

static void buf_stops_at_its_maximum_and_stays_failed(void **state) {
    (void)state;
    struct klx_buf b;
    klx_buf_init(&b, 10);
    klx_buf_add_str(&b, "12345");
    klx_buf_add_int(&b, 67890);
    klx_buf_reserve(&b, 0);
    assert_int_equal(klx_buf_check(&b), 0);
    klx_buf_add_char(&b, 'x');
    assert_int_equal(klx_buf_check(&b), -EMSGSIZE);
    assert_sv(klx_buf_sv(&b), "1234567890");
    klx_buf_add_str(&b, "");
    assert_int_equal(klx_buf_check(&b), -EMSGSIZE);
    klx_buf_reset(&b);
    klx_buf_add_str(&b, "abc");
    klx_buf_consume(&b, 2);
    assert_string_equal(klx_buf_str(&b), "c");
    klx_buf_release(&b);
}

static void arena_refuses_past_its_maximum_and_is_reused(void **state) {
    (void)state;
    struct klx_arena a;
    klx_arena_init(&a, 1024, 4096);
    assert_non_null(klx_arena_alloc(&a, 3000));
    assert_non_null(klx_arena_alloc(&a, 900));
    assert_null(klx_arena_alloc(&a, 3000));
    assert_null(klx_arena_alloc(&a, SIZE_MAX));
    klx_arena_reset(&a);
    for (int i = 0; i < 100; i++) {
        klx_arena_reset(&a);
        assert_sv(klx_arena_printf(&a, "%d-%s", 7, "x"), "7-x");
    }
    assert_true(a.held_bytes <= 4096);
    klx_arena_release(&a);
}

static void arena_packs_texts_and_aligns_memory(void **state) {
    (void)state;
    struct klx_arena a;
    klx_arena_init(&a, 256, 256);
    struct klx_sv one = klx_arena_dup(&a, KLX_SV("ab"));
    struct klx_sv two = KLX_CONCAT(&a, KLX_SV("c"), klx_sv(NULL), KLX_SV("/"), one);
    assert_sv(one, "ab");
    assert_sv(two, "c/ab");
    assert_int_equal(two.p[two.n], '\0');
    assert_int_equal(a.used_bytes, 3 + 5);
    assert_int_equal((uintptr_t)klx_arena_alloc(&a, 1) % _Alignof(max_align_t), 0);
    assert_int_equal(a.used_bytes, 16 + 1);
    assert_null(KLX_CONCAT(&a, klx_sv_n(two.p, 4), klx_sv_n((char[300]){ 0 }, 300)).p);
    klx_arena_release(&a);
}

static void errors_carry_their_context(void **state) {
    (void)state;
    struct klx_error e = { 0 };
    assert_int_equal(klx_fail(&e, -EINVAL, "no %s", "value"), -EINVAL);
    assert_int_equal(klx_fail_in(&e, e.code, "klaxon.yaml:%d", 3), -EINVAL);
    assert_string_equal(e.text, "klaxon.yaml:3: no value");
    char huge[2000];
    memset(huge, 'x', sizeof(huge) - 1);
    huge[sizeof(huge) - 1] = '\0';
    klx_fail_in(&e, -EIO, "%s", huge);
    assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
    assert_int_equal(klx_fail(NULL, -EIO, "nobody listens"), -EIO);
}

static void ids_depend_on_the_parts_and_their_borders(void **state) {
    (void)state;
    char a[KLX_HASH_TEXT_BYTES], b[KLX_HASH_TEXT_BYTES], c[KLX_HASH_TEXT_BYTES];
    const struct klx_sv one[] = { KLX_SV("ab"), KLX_SV("c") };
    const struct klx_sv two[] = { KLX_SV("a"), KLX_SV("bc") };
    klx_hash_parts(one, 2, a);
    klx_hash_parts(two, 2, b);
    klx_hash_parts(one, 2, c);
    assert_string_equal(a, c);
    assert_string_not_equal(a, b);
    /* Part of the data format: this value may never change. */
    assert_string_equal(a, "f2eda2708bcfd51cc05c0ee4c9f60440");
}

static void backoff_grows_jitters_and_obeys_retry_after(void **state) {
    (void)state;
    struct klx_clock_driven d;
    klx_clock_driven_init(&d, 0, 42);
    struct klx_backoff b;
    klx_backoff_init(&b, 50, 800, 30000);
    bool differs = false;
    int64_t first = klx_backoff_next(&b, &d.clock);
    assert_true(first >= 50 && first <= 800);
    for (int i = 0; i < 100; i++) {
        int64_t delay = klx_backoff_next(&b, &d.clock);
        assert_true(delay >= 50 && delay <= 30000);
        differs = differs || delay != first;
    }
    assert_true(differs);
    assert_true(klx_backoff_next_after(&b, &d.clock, 45000) == 45000);
    klx_backoff_reset(&b);
    assert_true(klx_backoff_next(&b, &d.clock) <= 800);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sv_cuts_trims_and_compares),
        cmocka_unit_test(sv_reads_numbers_strictly),
        cmocka_unit_test(sv_never_cuts_a_character),
        cmocka_unit_test(buf_stops_at_its_maximum_and_stays_failed),
        cmocka_unit_test(arena_refuses_past_its_maximum_and_is_reused),
        cmocka_unit_test(arena_packs_texts_and_aligns_memory),
        cmocka_unit_test(errors_carry_their_context),
        cmocka_unit_test(ids_depend_on_the_parts_and_their_borders),
        cmocka_unit_test(backoff_grows_jitters_and_obeys_retry_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
