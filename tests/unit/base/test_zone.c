/* What the clock on the wall says; expected values are those of Python's zoneinfo. */
#include "tests/unit/support/support.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/zone.h"
#include "lib/base/zone_rule.h"

static void says_what_the_clock_on_the_wall_says(void **state) {
    (void)state;
    static const struct {
        const char *zone;
        int64_t unix_s;
        const char *expected;
    } cases[] = {
        { "UTC", 1773216138, "2026-03-11 08:02:18 UTC" },
        { "Europe/Berlin", INT64_C(-3000000000), "1874-12-07 19:33:28 LMT" },
        { "Europe/Berlin", 0, "1970-01-01 01:00:00 CET" },
        { "Europe/Berlin", 1773216138, "2026-03-11 09:02:18 CET" },
        { "Europe/Berlin", 1774745999, "2026-03-29 01:59:59 CET" },
        { "Europe/Berlin", 1774746000, "2026-03-29 03:00:00 CEST" },
        { "Europe/Berlin", 1792889999, "2026-10-25 02:59:59 CEST" },
        { "Europe/Berlin", 1792890000, "2026-10-25 02:00:00 CET" },
        { "Europe/Berlin", INT64_C(4102444800), "2100-01-01 01:00:00 CET" },
        { "Europe/Berlin", INT64_C(4118252400), "2100-07-03 01:00:00 CEST" },
        { "America/New_York", 0, "1969-12-31 19:00:00 EST" },
        { "America/New_York", INT64_C(4118252400), "2100-07-02 19:00:00 EDT" },
        { "Asia/Kolkata", 1773216138, "2026-03-11 13:32:18 IST" },
        { "Australia/Lord_Howe", 1773216138, "2026-03-11 19:02:18 +11" },
        { "Australia/Lord_Howe", INT64_C(4118252400), "2100-07-03 09:30:00 +1030" },
        { "Australia/Lord_Howe", INT64_C(4130000000), "2100-11-16 09:13:20 +11" },
        { "Europe/Dublin", INT64_C(4118252400), "2100-07-03 00:00:00 IST" },
        { "Europe/Dublin", INT64_C(4130000000), "2100-11-15 22:13:20 GMT" },
        { "Pacific/Apia", INT64_C(4118252400), "2100-07-03 12:00:00 +13" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_zone *z = NULL;
        struct klx_error e = { 0 };
        char text[KLX_TIME_TEXT_BYTES];
        if (klx_zone_new(klx_sv(cases[i].zone), &z, &e) != 0) {
            fail_msg("%s", e.text);
        }
        assert_int_equal(klx_zone_format(z, cases[i].unix_s * KLX_US_PER_S, text),
                         strlen(cases[i].expected));
        assert_string_equal(text, cases[i].expected);
        assert_string_equal(klx_zone_name(z), cases[i].zone);
        klx_zone_free(z);
    }
}

static void no_zone_is_utc(void **state) {
    (void)state;
    struct klx_zone_time t;
    char text[KLX_TIME_TEXT_BYTES];
    klx_zone_at(NULL, -1, &t); /* Wednesday, the last second before 1970 */
    assert_int_equal(t.year, 1969);
    assert_int_equal(t.second, 59);
    assert_int_equal(t.weekday, 3);
    assert_int_equal(klx_zone_format(NULL, KLX_TIME_NONE, text), 0);
    assert_string_equal(klx_zone_name(NULL), "UTC");
}

static void refuses_what_is_no_zone(void **state) {
    (void)state;
    struct klx_zone *z = NULL;
    struct klx_error e = { 0 };
    assert_int_equal(klx_zone_new(KLX_SV("../../etc/passwd"), &z, &e), -EINVAL);
    assert_int_equal(klx_zone_new(KLX_SV("/etc/passwd"), &z, &e), -EINVAL);
    assert_int_equal(klx_zone_new(KLX_SV(""), &z, &e), -EINVAL);
    assert_int_equal(klx_zone_new(KLX_SV("Europe/Berlim"), &z, &e), -ENOENT);
    assert_non_null(strstr(e.text, "there is no time zone \"Europe/Berlim\""));
    assert_int_equal(klx_zone_new(KLX_SV("tzdata.zi"), &z, &e), -EINVAL);
    setenv("TZDIR", KLX_TESTS_DIR, 1);
    assert_int_equal(klx_zone_new(KLX_SV("UTC"), &z, &e), 0);
    klx_zone_free(z);
    assert_int_equal(klx_zone_new(KLX_SV("unit"), &z, &e), -ENOENT); /* a directory */
    unsetenv("TZDIR");
}

static void rules_of_every_form(void **state) {
    (void)state;
    static const struct {
        const char *rule;
        int64_t unix_s;
        const char *expected; /* NULL: no rule */
        int32_t offset_s;
    } cases[] = {
        { "UTC0", 0, "UTC", 0 },
        { "<+0330>-3:30", 0, "+0330", 12600 },
        { "A1B,J60,J300", 1772323200 + 3600 * 3, "B",
          0 }, /* 1 March 2026 at 2, in a year without a leap */
        { "A1B,J60,J300", 1772323200 + 3600 * 3 - 1, "A", -3600 },
        { "A1B,59,299/0", 1772323200 + 3600 * 3, "B", 0 },
        { "A-1B-3,M1.1.0,M12.5.6/-1", 1780000000, "B", 10800 },
        { "", 0, NULL, 0 },
        { "CET", 0, NULL, 0 },
        { "CET-1CEST", 0, NULL, 0 },
        { "CET-1CEST,M13.1.0,M1.1.0", 0, NULL, 0 },
        { "CET-1CEST,M3.5.0,M10.5.0/3x", 0, NULL, 0 },
        { "<CET-1", 0, NULL, 0 },
        { "CET-1:60", 0, NULL, 0 },
        { "ABCDEFGHIJKLMNOPQ1", 0, NULL, 0 },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_zone_rule r;
        int rc = klx_zone_rule_parse(klx_sv(cases[i].rule), &r);
        if ((rc == 0) != (cases[i].expected != NULL)) {
            fail_msg("%s: %d", cases[i].rule, rc);
        }
        if (rc == 0) {
            const struct klx_zone_period *p = klx_zone_rule_at(&r, cases[i].unix_s);
            assert_string_equal(p->abbreviation, cases[i].expected);
            assert_int_equal(p->offset_s, cases[i].offset_s);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_the_clock_on_the_wall_says),
        cmocka_unit_test(no_zone_is_utc),
        cmocka_unit_test(refuses_what_is_no_zone),
        cmocka_unit_test(rules_of_every_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
