#include "tests/unit/support/support.h"

#include "history/record_bytes.h"
#include "lib/base/cleanup.h"

static void a_record_comes_back_and_no_part_of_it_does(void **state) {
    (void)state;
    static const struct klx_record_header headers[] = { { KLX_SV("ce_id"), KLX_SV("1") },
                                                        { KLX_SV("x"), { NULL, 0 } },
                                                        { KLX_SV("y"), KLX_SV("") } };
    const struct klx_record r = { .timestamp_ms = -5,
                                  .key = KLX_SV("k"),
                                  .value = { NULL, 0 },
                                  .headers = headers,
                                  .headers_n = KLX_COUNT(headers) };
    struct klx_buf b KLX_CLEANUP(klx_buf_release);
    struct klx_record_header room[3];
    struct klx_record back;
    klx_buf_init(&b, 4096);
    klx_record_pack(&r, &b);
    assert_int_equal(klx_record_unpack(klx_buf_sv(&b), room, 3, &back), 0);
    assert_int_equal(back.timestamp_ms, -5);
    assert_true(klx_sv_eq(back.key, r.key) && back.value.p == NULL && back.headers_n == 3);
    assert_true(klx_sv_eq(back.headers[0].name, headers[0].name) &&
                klx_sv_eq(back.headers[0].value, headers[0].value));
    assert_true(back.headers[1].value.p == NULL && back.headers[2].value.p != NULL);
    assert_int_equal(klx_record_unpack(klx_buf_sv(&b), room, 2, &back), -EBADMSG);
    for (size_t n = 0; n < b.len; n++) {
        assert_int_equal(klx_record_unpack(klx_sv_n(b.data, n), room, 3, &back), -EBADMSG);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(
        a_record_comes_back_and_no_part_of_it_does) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
