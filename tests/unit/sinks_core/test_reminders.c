/* What time makes due of an incident. */
#include "tests/unit/support/support.h"

#include <stdio.h>

#include "sinks/core/noise/reminders.h"

#define T0 INT64_C(1773216000000000) /* 2026-03-11T08:00:00Z */
#define MINUTE (60 * KLX_US_PER_S)
#define HOUR (60 * MINUTE)

static char event[] = "{}";

static struct klx_incident told(void) {
    return (struct klx_incident){ .was_told = true,
                                  .severity = KLX_SEVERITY_WARNING,
                                  .opened_us = T0,
                                  .told_us = T0 + MINUTE,
                                  .changed_us = T0 + MINUTE,
                                  .event = event };
}

static void next_is(const struct klx_incident *i, const struct klx_reminder_rules *r, int64_t now,
                    enum klx_due due, int64_t at) {
    int64_t at_us = 0;
    assert_int_equal(klx_reminders_next(i, r, now, &at_us), due);
    assert_true(at_us == at);
}

static void an_open_incident_is_told_again(void **state) {
    (void)state;
    struct klx_incident i = told();
    struct klx_reminder_rules r = { .repeat_us = 4 * HOUR };
    next_is(&i, &r, T0 + MINUTE, KLX_DUE_REMINDER, T0 + MINUTE + 4 * HOUR);
    next_is(&i, &r, T0 + 5 * HOUR, KLX_DUE_REMINDER, T0 + MINUTE + 4 * HOUR);
    r.acknowledged = true;
    next_is(&i, &r, T0 + MINUTE, KLX_DUE_FORGET, T0 + MINUTE + KLX_INCIDENT_STALE_US);
    r.acknowledged = false;
    i.resolved = true;
    next_is(&i, &r, T0 + MINUTE, KLX_DUE_FORGET, T0 + MINUTE + KLX_INCIDENT_KEEP_US);
    i = told();
    i.told_us = KLX_TIME_NONE; /* on its way for the first time */
    next_is(&i, &r, T0, KLX_DUE_FORGET, T0 + MINUTE + KLX_INCIDENT_STALE_US);
    i = told();
    next_is(&i, &(struct klx_reminder_rules){ 0 }, T0, KLX_DUE_FORGET,
            T0 + MINUTE + KLX_INCIDENT_STALE_US);
}

static struct klx_hours *night(const char *critical) {
    char yaml[128];
    struct klx_config *c = NULL;
    struct klx_error e;
    struct klx_hours *h = NULL;
    struct klx_settings_reporter r = { 0 };
    snprintf(yaml, sizeof(yaml), "{times: [\"12:00-14:00\"], critical: %s}", critical);
    assert_int_equal(klx_config_parse(klx_sv(yaml), "s", &c, &e), 0);
    klx_hours_bind(klx_config_root(c), &h, &r);
    klx_config_free(c);
    assert_non_null(h);
    return h;
}

static void quiet_hours_hold_up_what_is_due(void **state) {
    (void)state;
    struct klx_hours *h = night("pass");
    struct klx_incident i = told();
    struct klx_reminder_rules r = { .repeat_us = 4 * HOUR, .quiet = h };
    /* 08:01 + 4 h is in 12:00-14:00 */
    next_is(&i, &r, T0 + MINUTE, KLX_DUE_REMINDER, T0 + 6 * HOUR);
    i.severity = KLX_SEVERITY_CRITICAL;
    next_is(&i, &r, T0 + MINUTE, KLX_DUE_REMINDER, T0 + MINUTE + 4 * HOUR);
    i.severity = KLX_SEVERITY_WARNING;
    next_is(&i, &r, T0 + 7 * HOUR, KLX_DUE_REMINDER, T0 + MINUTE + 4 * HOUR); /* overdue */
    /* News that waited for them. */
    i.waits = KLX_WAITS_FOR_HOURS;
    next_is(&i, &r, T0 + 5 * HOUR, KLX_DUE_NEWS, T0 + 6 * HOUR);
    next_is(&i, &r, T0 + 6 * HOUR, KLX_DUE_NEWS, 0);
    r.quiet = NULL; /* they were taken out of the configuration */
    next_is(&i, &r, T0 + 5 * HOUR, KLX_DUE_NEWS, 0);
    klx_hours_free(h);
}

static void silenced_news_are_looked_at_again(void **state) {
    (void)state;
    struct klx_incident i = told();
    struct klx_reminder_rules r = { 0 };
    i.waits = KLX_WAITS_FOR_SILENCE;
    next_is(&i, &r, T0, KLX_DUE_NEWS, 0);
    i.look_us = T0 + HOUR;
    next_is(&i, &r, T0, KLX_DUE_NEWS, T0 + HOUR);
    i.event = NULL; /* it was too large to keep */
    next_is(&i, &r, T0, KLX_DUE_FORGET, T0 + MINUTE + KLX_INCIDENT_STALE_US);
}

static void an_escalation_waits_from_the_beginning(void **state) {
    (void)state;
    struct klx_incident i = told();
    struct klx_reminder_rules r = { .escalate_after_us = 30 * MINUTE, .repeat_us = HOUR };
    i.waits = KLX_WAITS_TO_ESCALATE;
    i.told_us = KLX_TIME_NONE;
    next_is(&i, &r, T0, KLX_DUE_ESCALATION, T0 + 30 * MINUTE);
    i.look_us = T0 + 40 * MINUTE; /* silenced when it was due */
    next_is(&i, &r, T0, KLX_DUE_ESCALATION, T0 + 40 * MINUTE);
    r.acknowledged = true;
    next_is(&i, &r, T0, KLX_DUE_FORGET, T0 + MINUTE + KLX_INCIDENT_STALE_US);
    r.acknowledged = false;
    r.escalate_after_us = 0; /* not configured any more */
    next_is(&i, &r, T0, KLX_DUE_FORGET, T0 + MINUTE + KLX_INCIDENT_STALE_US);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_open_incident_is_told_again),
        cmocka_unit_test(quiet_hours_hold_up_what_is_due),
        cmocka_unit_test(silenced_news_are_looked_at_again),
        cmocka_unit_test(an_escalation_waits_from_the_beginning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
