/* Quiet hours. */
#include "tests/unit/support/support.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/time.h"
#include "sinks/core/noise/hours.h"

struct said {
    char text[4096];
};

static void on_mistake(void *arg, const char *text) {
    struct said *s = arg;
    size_t n = strlen(s->text);
    snprintf(s->text + n, sizeof(s->text) - n, "%s\n", text);
}

static size_t bind(const char *yaml, struct klx_hours **ret, struct said *said) {
    struct klx_config *c = NULL;
    struct klx_error e = { .text = "" };
    said->text[0] = '\0';
    struct klx_settings_reporter r = { on_mistake, said, 0 };
    if (klx_config_parse(klx_sv(yaml), "s.yaml", &c, &e) != 0) {
        fail_msg("%s", e.text);
    }
    klx_hours_bind(klx_config_get(klx_config_root(c), "quiet"), ret, &r);
    klx_config_free(c);
    return r.mistakes;
}

static struct klx_hours *hours(const char *yaml) {
    struct klx_hours *h = NULL;
    struct said said;
    if (bind(yaml, &h, &said) != 0) {
        fail_msg("%s", said.text);
    }
    return h;
}

static int64_t at(const char *text) {
    int64_t us = 0;
    assert_int_equal(klx_time_parse(klx_sv(text), &us), 0);
    return us;
}

static bool quiet(const struct klx_hours *h, const char *text) {
    return klx_hours_are_quiet(h, KLX_SEVERITY_WARNING, at(text));
}

static void until(const struct klx_hours *h, const char *from, const char *to) {
    char text[KLX_TIME_TEXT_BYTES];
    klx_time_format(klx_hours_until_us(h, KLX_SEVERITY_WARNING, at(from)), KLX_TIME_SECONDS, text);
    assert_string_equal(text, to);
}

static void times_of_the_day(void **state) {
    (void)state;
    struct klx_hours *h = hours("quiet: {times: [\"12:00-13:30\", \"23:00-24:00\"]}");
    assert_false(quiet(h, "2026-03-11T11:59:59.999Z"));
    assert_true(quiet(h, "2026-03-11T12:00:00Z"));
    assert_true(quiet(h, "2026-03-11T13:29:59Z"));
    assert_false(quiet(h, "2026-03-11T13:30:00Z"));
    assert_true(quiet(h, "2026-03-11T23:59:59Z"));
    assert_false(quiet(h, "2026-03-12T00:00:00Z"));
    until(h, "2026-03-11T12:10:07Z", "2026-03-11T13:30:00Z");
    until(h, "2026-03-11T23:10:07Z", "2026-03-12T00:00:00Z");
    until(h, "2026-03-11T11:10:07Z", "2026-03-11T11:10:07Z");
    assert_false(quiet(NULL, "2026-03-11T12:00:00Z"));
    klx_hours_free(h);
}

static void a_night_belongs_to_the_day_it_begins_on(void **state) {
    (void)state;
    struct klx_hours *h = hours("quiet: {times: [\"22:00-06:00\"], weekdays: [friday]}");
    assert_false(quiet(h, "2026-03-13T05:00:00Z")); /* a Friday: the night began on Thursday */
    assert_true(quiet(h, "2026-03-13T22:00:00Z"));
    assert_true(quiet(h, "2026-03-14T05:59:59Z"));
    assert_false(quiet(h, "2026-03-14T06:00:00Z"));
    assert_false(quiet(h, "2026-03-14T22:00:00Z"));
    klx_hours_free(h);
}

static void clocks_change_in_the_night(void **state) {
    (void)state;
    struct klx_hours *h = hours("quiet: {time_zone: Europe/Berlin, times: [\"22:00-06:00\"]}");
    assert_false(quiet(h, "2026-03-28T20:59:00Z"));
    assert_true(quiet(h, "2026-03-28T21:00:00Z"));            /* CET */
    until(h, "2026-03-28T23:00:00Z", "2026-03-29T04:00:00Z"); /* CEST: an hour is missing */
    until(h, "2026-10-24T23:00:00Z", "2026-10-25T05:00:00Z"); /* an hour is there twice */
    klx_hours_free(h);
    /* 02:00-03:00 does not exist on that day, and exists twice in October. */
    h = hours("quiet: {time_zone: Europe/Berlin, times: [\"02:00-03:00\"]}");
    assert_false(quiet(h, "2026-03-29T00:59:00Z"));
    assert_false(quiet(h, "2026-03-29T01:00:00Z"));
    assert_true(quiet(h, "2026-10-25T00:30:00Z"));
    assert_true(quiet(h, "2026-10-25T01:30:00Z"));
    assert_false(quiet(h, "2026-10-25T02:00:00Z"));
    klx_hours_free(h);
}

static void days_and_months(void **state) {
    (void)state;
    struct klx_hours *h = hours("quiet: {weekdays: [\"Monday:Tuesday\", sunday]}");
    assert_true(quiet(h, "2026-03-15T12:00:00Z")); /* a Sunday */
    assert_true(quiet(h, "2026-03-17T12:00:00Z"));
    assert_false(quiet(h, "2026-03-18T12:00:00Z"));
    until(h, "2026-03-15T12:00:00Z", "2026-03-17T12:00:00Z"); /* two days: look again */
    klx_hours_free(h);
    h = hours("quiet: {days_of_month: [\"1:2\", \"-2:-1\", \"15\"]}");
    assert_true(quiet(h, "2026-02-27T12:00:00Z"));
    assert_false(quiet(h, "2026-02-26T12:00:00Z"));
    assert_true(quiet(h, "2026-02-15T12:00:00Z"));
    assert_true(quiet(h, "2026-03-02T12:00:00Z"));
    assert_false(quiet(h, "2026-03-29T12:00:00Z"));
    klx_hours_free(h);
    h = hours("quiet: {days_of_month: [\"10:-5\"], months: [february, \"11:12\"]}");
    assert_true(quiet(h, "2026-02-24T12:00:00Z"));
    assert_false(quiet(h, "2026-02-25T12:00:00Z"));
    assert_true(quiet(h, "2026-11-10T12:00:00Z"));
    assert_false(quiet(h, "2026-10-10T12:00:00Z"));
    klx_hours_free(h);
}

static void critical_may_pass_and_any_of_several_is_enough(void **state) {
    (void)state;
    struct klx_hours *h = hours("quiet:\n"
                                "  - {times: [\"00:00-06:00\"], critical: pass}\n"
                                "  - {times: [\"05:00-07:00\"], critical: hold}\n");
    assert_false(klx_hours_are_quiet(h, KLX_SEVERITY_CRITICAL, at("2026-03-11T04:00:00Z")));
    assert_true(klx_hours_are_quiet(h, KLX_SEVERITY_CRITICAL, at("2026-03-11T05:00:00Z")));
    assert_true(klx_hours_are_quiet(h, KLX_SEVERITY_INFO, at("2026-03-11T04:00:00Z")));
    until(h, "2026-03-11T04:00:00Z", "2026-03-11T07:00:00Z");
    klx_hours_free(h);
}

static void mistakes_have_their_place(void **state) {
    (void)state;
    static const struct {
        const char *yaml, *says;
    } cases[] = {
        { "quiet: {times: [\"22:00\"]}", "s.yaml:1:16: quiet.times: expected a range of times" },
        { "quiet: {times: [\"22:00-22:00\"]}", "found \"22:00-22:00\"" },
        { "quiet: {times: [\"24:00-06:00\"]}", "found \"24:00-06:00\"" },
        { "quiet: {times: [\"9:00-10:00\"]}", "found \"9:00-10:00\"" },
        { "quiet: {times: [\"09:00-24:01\"]}", "found \"09:00-24:01\"" },
        { "quiet: {weekdays: [mon]}", "expected a weekday like monday" },
        { "quiet: {weekdays: [\"friday:monday\"]}", "found \"friday:monday\"" },
        { "quiet: {days_of_month: [\"0\"]}", "expected a day from 1 to 31" },
        { "quiet: {days_of_month: [\"-1:-3\"]}", "found \"-1:-3\"" },
        { "quiet: {days_of_month: [\"32\"]}", "found \"32\"" },
        { "quiet: {months: [\"13\"]}", "expected a month" },
        { "quiet: {months: [\"may:\"]}", "found \"may:\"" },
        { "quiet: {time_zone: Europe/Berln, months: [may]}",
          "there is no time zone \"Europe/Berln\"" },
        { "quiet: {critical: always, months: [may]}", "expected pass or hold, found \"always\"" },
        { "quiet: {critical: pass}", "say when" },
        { "quiet: {tims: [\"22:00-06:00\"], months: [may]}", "times" },
        { "quiet: [nights]", "quiet" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_hours *h = NULL;
        struct said said;
        size_t n = bind(cases[i].yaml, &h, &said);
        if (n != 1 || h != NULL || strstr(said.text, cases[i].says) == NULL) {
            fail_msg("%s: %zu mistakes: %s", cases[i].yaml, n, said.text);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_of_the_day),
        cmocka_unit_test(a_night_belongs_to_the_day_it_begins_on),
        cmocka_unit_test(clocks_change_in_the_night),
        cmocka_unit_test(days_and_months),
        cmocka_unit_test(critical_may_pass_and_any_of_several_is_enough),
        cmocka_unit_test(mistakes_have_their_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
