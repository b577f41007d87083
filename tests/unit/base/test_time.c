#include "tests/unit/support/support.h"

#include <errno.h>

#include "lib/base/time.h"

static void parses_rfc3339(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
    } good[] = {
        { "1970-01-01T00:00:00Z", 0 },
        { "2026-03-11T07:52:18Z", 1773215538000000 },
        { "2026-03-11T07:52:18.316045Z", 1773215538316045 },
        { "2026-03-11T07:52:18.3160459999Z", 1773215538316045 },
        { "2026-03-11 09:22:18.5+01:30", 1773215538500000 },
        { "2024-02-29T23:59:60Z", 1709251200000000 },
        { "0001-01-01T00:00:00Z", -62135596800000000 },
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        int64_t us = 1;
        assert_int_equal(klx_time_parse(klx_sv(good[i].text), &us), 0);
        assert_true(us == good[i].us);
    }
    static const char *const bad[] = { "",
                                       "2026-03-11",
                                       "2026-02-29T00:00:00Z",
                                       "2026-13-01T00:00:00Z",
                                       "2026-03-11T24:00:00Z",
                                       "2026-03-11T07:52:18",
                                       "2026-03-11T07:52:18.Z",
                                       "2026-03-11T07:52:18Zx",
                                       "null" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t us = 1;
        assert_int_equal(klx_time_parse(klx_sv(bad[i]), &us), -EINVAL);
        assert_true(us == 1);
    }
}

static void formats_what_it_parses(void **state) {
    (void)state;
    char text[KLX_TIME_TEXT_BYTES];
    klx_time_format(1773215538316045, KLX_TIME_MICROS, text);
    assert_string_equal(text, "2026-03-11T07:52:18.316045Z");
    klx_time_format(-1, KLX_TIME_MILLIS, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
    klx_time_format(INT64_MAX, KLX_TIME_SECONDS, text);
    assert_string_equal(text, "9999-12-31T23:59:59Z");
    for (int64_t us = -62135596800000000; us < 253402300799000000;
         us += 86400000000 * 97 + 12345678) {
        int64_t again = 0;
        klx_time_format(us, KLX_TIME_MICROS, text);
        assert_int_equal(klx_time_parse(klx_sv(text), &again), 0);
        assert_true(again == us);
    }
}

static void durations(void **state) {
    (void)state;
    int64_t ms = -1;
    assert_int_equal(klx_duration_parse(KLX_SV("1d12h"), &ms), 0);
    assert_true(ms == 129600000);
    assert_int_equal(klx_duration_parse(KLX_SV("250ms"), &ms), 0);
    assert_true(ms == 250);
    assert_int_equal(klx_duration_parse(KLX_SV("5"), &ms), -EINVAL);
    assert_int_equal(klx_duration_parse(KLX_SV("soon"), &ms), -EINVAL);
    assert_int_equal(klx_duration_parse(KLX_SV("999999999999y"), &ms), -ERANGE);
    char words[KLX_TIME_TEXT_BYTES];
    klx_duration_words(4000, words);
    assert_string_equal(words, "4 s");
    klx_duration_words(605000, words);
    assert_string_equal(words, "10 min");
    klx_duration_words(7500000, words);
    assert_string_equal(words, "2 h 5 min");
}

static void what_a_person_types(void **state) {
    (void)state;
    const int64_t now = 1773215538000000; /* 2026-03-11T07:52:18Z */
    static const struct {
        const char *text;
        int64_t us;
    } cases[] = {
        { "2026-03-11", 1773187200000000 }, { "2026-03-11 07:52", 1773215520000000 },
        { "1773215538", 1773215538000000 }, { "1773215538123", 1773215538123000 },
        { "now", 1773215538000000 },        { "now-1h", 1773211938000000 },
        { "90m", 1773210138000000 },        { "-2h", 1773208338000000 },
        { "today", 1773187200000000 },      { "yesterday", 1773100800000000 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t us = 0;
        assert_int_equal(klx_time_parse_human(klx_sv(cases[i].text), now, &us, NULL), 0);
        assert_true(us == cases[i].us);
    }
    int64_t us = 0;
    struct klx_error e = { 0 };
    assert_int_equal(klx_time_parse_human(KLX_SV("half past"), now, &us, &e), -EINVAL);
    assert_memory_equal(e.text, "\"half past\" is not a time", 25);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_rfc3339),
        cmocka_unit_test(formats_what_it_parses),
        cmocka_unit_test(durations),
        cmocka_unit_test(what_a_person_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
