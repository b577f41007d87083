/* What is compressed comes out again, of any size, and a buffer that is too small is failed. */
#include "tests/unit/support/support.h"

#include "lib/base/cleanup.h"
#include "lib/base/gzip.h"
#include "tests/unit/support/gunzip.h"

static void check_round(struct klx_sv text, size_t packed_max) {
    struct klx_buf packed KLX_CLEANUP(klx_buf_release), again KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&packed, text.n + 1024);
    klx_buf_init(&again, text.n + 1);
    klx_gzip_add(&packed, text);
    assert_int_equal(klx_buf_check(&packed), 0);
    assert_in_range(packed.len, 1, packed_max);
    test_gunzip(&again, klx_buf_sv(&packed));
    assert_true(klx_sv_eq(klx_buf_sv(&again), text));
}

static void what_goes_in_comes_out(void **state) {
    (void)state;
    static char text[1 << 20];
    check_round(KLX_SV(""), 20);
    check_round(KLX_SV("[]"), 30);
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = "{\"Cluster\":\"prod-weu\"},"[i % 23];
    }
    check_round(klx_sv_n(text, sizeof(text)), sizeof(text) / 50);
    uint32_t noise = 1; /* what cannot be compressed is larger than one chunk */
    for (size_t i = 0; i < sizeof(text); i++) {
        noise = noise * 1664525u + 1013904223u;
        text[i] = (char)(noise >> 24);
    }
    check_round(klx_sv_n(text, sizeof(text)), sizeof(text) + 1024);
}

static void what_does_not_fit_fails_the_buffer(void **state) {
    (void)state;
    struct klx_buf packed KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&packed, 8);
    klx_gzip_add(&packed, KLX_SV("[]"));
    assert_int_equal(klx_buf_check(&packed), -EMSGSIZE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(what_does_not_fit_fails_the_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
