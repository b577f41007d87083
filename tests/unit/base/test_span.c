/* What a person means by a range; expected instants are those of Python's zoneinfo. */
#include "tests/unit/support/support.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/span.h"

#define NOW (INT64_C(1773216138) * KLX_US_PER_S) /* 2026-03-11T08:02:18Z */
#define OPEN KLX_TIME_NONE
#define S(seconds) (INT64_C(seconds) * KLX_US_PER_S)

static void a_time_is_of_the_zone(void **state) {
    (void)state;
    static const struct {
        const char *zone, *text;
        int64_t unix_s;
    } cases[] = {
        { NULL, "2026-03-11", 1773187200 },
        { "Europe/Berlin", "2026-03-11", 1773183600 },
        { "Europe/Berlin", "2026-03-11 09:02:18", 1773216138 },
        { "Europe/Berlin", "2026-03-11T08:02:18Z", 1773216138 },
        { "Europe/Berlin", "2026-03-11T09:02:18+01:00", 1773216138 },
        { "Europe/Berlin", "1773216138", 1773216138 },
        { "Europe/Berlin", "1h", 1773212538 },
        { "Europe/Berlin", "today", 1773183600 },
        { "America/New_York", "today", 1773201600 },
        { "Asia/Kolkata", "yesterday", 1773081000 },
        { "Pacific/Auckland", "today", 1773140400 }, /* it is 21:02 there */
        /* Summer begins at 02:00: a day of 23 hours, and times that the clock does not show. */
        { "Europe/Berlin", "2026-03-29", 1774738800 },
        { "Europe/Berlin", "2026-03-29 01:59", 1774745940 },
        { "Europe/Berlin", "2026-03-29 02:30", 1774747800 },
        { "Europe/Berlin", "2026-03-29 03:00", 1774746000 },
        { "Europe/Berlin", "2026-03-30", 1774821600 },
        /* It ends at 03:00: 02:30 is there twice, the first is meant. */
        { "Europe/Berlin", "2026-10-25 02:30", 1792888200 },
        { "Europe/Berlin", "2026-10-25 03:00", 1792893600 },
        { "Europe/Berlin", "2026-10-26", 1792969200 },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_zone *z = NULL;
        int64_t us = 0;
        assert_int_equal(klx_span_zone(cases[i].zone, &z, NULL), 0);
        assert_int_equal(klx_span_time(klx_sv(cases[i].text), z, NOW, &us, NULL), 0);
        if (us != cases[i].unix_s * KLX_US_PER_S) {
            fail_msg("%s in %s: %lld, expected %lld", cases[i].text, klx_zone_name(z),
                     (long long)(us / KLX_US_PER_S), (long long)cases[i].unix_s);
        }
        klx_zone_free(z);
    }
}

static void a_range_has_two_ends(void **state) {
    (void)state;
    static const struct {
        struct klx_span_words w;
        struct klx_span expected;
    } cases[] = {
        { { 0 }, { OPEN, OPEN } },
        { { .since = "1h" }, { NOW - S(3600), OPEN } },
        { { .until = "1h" }, { OPEN, NOW - S(3600) } },
        { { .since = "2h", .until = "1h" }, { NOW - S(7200), NOW - S(3600) } },
        { { .since = "now-2h", .until = "1h" }, { NOW - S(7200), NOW - S(3600) } },
        { { .since = "2026-03-11 07:00", .until = "1h" }, { S(1773212400), S(1773216000) } },
        { { .since = "2026-03-11 07:00", .until = "-1h" }, { S(1773212400), NOW - S(3600) } },
        { { .since = "yesterday", .until = "1d" }, { S(1773100800), S(1773187200) } },
        { { .since = "1h", .until = "1h" }, { NOW - S(3600), NOW - S(3600) } },
        { { .at = "2h:1h" }, { NOW - S(7200), NOW - S(3600) } },
        { { .at = "yesterday:today" }, { S(1773100800), S(1773187200) } },
        { { .at = "2026-03-11T07:00:00Z:1h" }, { S(1773212400), S(1773216000) } },
        { { .at = "2026-03-11 07:00:1h30m" }, { S(1773212400), S(1773217800) } },
        { { .at = "2026-03-11 07:00:00:2026-03-11 08:00:00" }, { S(1773212400), S(1773216000) } },
        { { .at = "2026-03-11T07:00:00+00:00:1773216000" }, { S(1773212400), S(1773216000) } },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_span s = { 0 };
        struct klx_error e = { 0 };
        if (klx_span_parse(&cases[i].w, NULL, NOW, &s, &e) != 0) {
            fail_msg("case %zu: %s", i, e.text);
        }
        assert_int_equal(s.since_us, cases[i].expected.since_us);
        assert_int_equal(s.until_us, cases[i].expected.until_us);
    }
}

static void what_is_wrong_is_named(void **state) {
    (void)state;
    static const struct {
        struct klx_span_words w;
        const char *message;
    } cases[] = {
        { { .since = "noon" }, "--since: \"noon\" is not a time" },
        { { .until = "noon" }, "--until: \"noon\" is not a time" },
        { { .since = "1h", .until = "noon" }, "--until: \"noon\" is not a time" },
        { { .since = "1h", .until = "2h" }, "--until 2h is before --since 1h" },
        { { .at = "2h" }, "--at: \"2h\" is no range of two times" },
        { { .at = "1h:2h" }, "--at 1h:2h ends before it begins" },
        { { .at = "2026-03-11 07:00" }, "no range of two times" },
        { { .at = "2h:1h", .since = "1h" }, "leave --since out" },
        { { .at = "2h:1h", .until = "1h" }, "leave --until out" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_span s = { 0 };
        struct klx_error e = { 0 };
        assert_int_equal(klx_span_parse(&cases[i].w, NULL, NOW, &s, &e), -EINVAL);
        if (strstr(e.text, cases[i].message) == NULL) {
            fail_msg("expected: %s\nfound:    %s", cases[i].message, e.text);
        }
    }
}

static void the_zone_is_named_or_the_machines(void **state) {
    (void)state;
    struct klx_zone *z = NULL;
    struct klx_error e = { 0 };
    setenv("TZ", "Asia/Kolkata", 1);
    assert_int_equal(klx_span_zone("local", &z, NULL), 0);
    assert_string_equal(klx_zone_name(z), "Asia/Kolkata");
    klx_zone_free(z);
    unsetenv("TZ");
    assert_int_equal(klx_span_zone("local", &z, NULL), 0);
    klx_zone_free(z);
    assert_int_equal(klx_span_zone(NULL, &z, NULL), 0);
    assert_null(z);
    assert_int_not_equal(klx_span_zone("Europe/Nowhere", &z, &e), 0);
    assert_non_null(strstr(e.text, "--tz: there is no time zone \"Europe/Nowhere\""));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_time_is_of_the_zone),
        cmocka_unit_test(a_range_has_two_ends),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(the_zone_is_named_or_the_machines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
