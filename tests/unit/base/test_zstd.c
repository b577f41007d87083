#include "tests/unit/support/support.h"

#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/zstd.h"

static void compress(struct klx_buf *out, size_t step, size_t n) {
    struct klx_zstd *z = klx_zstd_new();
    char text[1000];
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = (char)('a' + i % 7);
    }
    klx_buf_init(out, 1 << 20);
    for (size_t done = 0; done < n;) {
        size_t at = done % sizeof(text), left = n - done, now = step < left ? step : left;
        now = at + now > sizeof(text) ? sizeof(text) - at : now;
        klx_zstd_add(z, klx_sv_n(text + at, now), out);
        done += now;
    }
    klx_zstd_end(z, out);
    klx_zstd_free(z);
}

static void the_same_text_is_the_same_bytes_however_it_is_cut(void **state) {
    (void)state;
    struct klx_buf whole KLX_CLEANUP(klx_buf_release), cut KLX_CLEANUP(klx_buf_release),
        other KLX_CLEANUP(klx_buf_release);
    compress(&whole, 1000, 500000);
    compress(&cut, 37, 500000);
    compress(&other, 37, 499999);
    assert_false(whole.failed);
    assert_true(whole.len > 10 && whole.len < 50000);
    assert_memory_equal(whole.data, "\x28\xB5\x2F\xFD", 4); /* the magic number of RFC 8878 */
    assert_true(klx_sv_eq(klx_buf_sv(&whole), klx_buf_sv(&cut)));
    assert_false(klx_sv_eq(klx_buf_sv(&whole), klx_buf_sv(&other)));
}

static void what_does_not_fit_fails(void **state) {
    (void)state;
    struct klx_zstd *z = klx_zstd_new();
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, 4);
    klx_zstd_add(z, KLX_SV("text"), &out);
    klx_zstd_end(z, &out);
    assert_true(out.failed);
    klx_zstd_free(z);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_text_is_the_same_bytes_however_it_is_cut),
        cmocka_unit_test(what_does_not_fit_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
