#include "tests/unit/support/support.h"

#include <float.h>
#include <math.h>

#include "lib/base/cleanup.h"
#include "lib/base/quantity.h"

static const struct {
    const char *text;
    double value;
} good[] = {
    { "0", 0 },
    { "5Gi", 5368709120.0 },
    { "14Gi", 15032385536.0 },
    { "3112345600", 3112345600.0 },
    { "123456m", 123.456 },
    { "12345678n", 0.012345678 },
    { "250u", 0.00025 },
    { "54321Ki", 55624704.0 },
    { "1.5Mi", 1572864.0 },
    { ".5", 0.5 },
    { "5.", 5 },
    { "+7k", 7000 },
    { "-3", -3 },
    { "1e3", 1000 },
    { "1E3", 1000 },
    { "12e-3", 0.012 },
    { "1E+2", 100 },
    { "2E", 2e18 },
    { "1Ei", 1152921504606846976.0 },
    { "1Pi", 1125899906842624.0 },
    { "4M", 4e6 },
    { "4T", 4e12 },
    { "9223372036854775807", 9223372036854775807.0 },
};

static const char *const bad[] = {
    "",     "Gi",  ".",     "-",         "1 Gi",
    "1gi",  "1K",  "1mi",   "1Gi ",      "0x10",
    "1..2", "1e",  "1e3Gi", "1e1.5",     "1e+-3",
    "--1",  "NaN", "Inf",   "1\xce\xbc", "99999999999999999999999999999999999999999",
};

static void quantities_are_read(void **state) {
    (void)state;
    for (size_t i = 0; i < KLX_COUNT(good); i++) {
        double value = -1;
        if (klx_quantity_parse(klx_sv(good[i].text), &value) != 0 ||
            fabs(value - good[i].value) > 1e-12 * (1 + fabs(good[i].value))) {
            fail_msg("\"%s\" is read as %.17g", good[i].text, value);
        }
    }
}

static void what_is_none_is_refused(void **state) {
    (void)state;
    double value = 42;
    for (size_t i = 0; i < KLX_COUNT(bad); i++) {
        if (klx_quantity_parse(klx_sv(bad[i]), &value) != -EINVAL) {
            fail_msg("\"%s\" is read as %.17g", bad[i], value);
        }
    }
    assert_int_equal(klx_quantity_parse(KLX_SV("1e31"), &value), -ERANGE);
    assert_int_equal(klx_quantity_parse(KLX_SV("1e-31"), &value), -ERANGE);
    assert_int_equal(klx_quantity_parse(KLX_SV("1e99999999999999999999"), &value), -EINVAL);
    assert_true(value == 42);
}

static void bytes_are_written_for_people(void **state) {
    (void)state;
    static const struct {
        double bytes;
        const char *text;
    } cases[] = {
        { 0, "0" },
        { 1000, "1000" },
        { 1024, "1Ki" },
        { 524288000, "500Mi" },
        { 7516192768, "7Gi" },
        { 5798205849, "5.4Gi" },
        { 15032385536, "14Gi" },
        { 1073741823, "1Gi" },
        { 2e18, "1.7Ei" },
        { DBL_MAX, "867361.7Ei" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        char text[KLX_QUANTITY_TEXT_BYTES];
        size_t n = klx_quantity_bytes(cases[i].bytes, text);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(n, strlen(text));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantities_are_read),
        cmocka_unit_test(what_is_none_is_refused),
        cmocka_unit_test(bytes_are_written_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
