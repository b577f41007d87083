/*
 * Quiet hours and mute times of a subscription: when its people do not want to be told.
 *
 *     quiet:                                   # one, or a list of which any is enough
 *       time_zone: Europe/Berlin               # left out: UTC
 *       times: ["22:00-06:00", "12:00-13:00"]  # start included, end excluded, 24:00 is the end of the day
 *       weekdays: ["monday:friday", sunday]
 *       days_of_month: ["1:5", "-3:-1"]        # -1 is the last day of the month
 *       months: [december, "1:2"]
 *       critical: pass                         # what is critical is told nevertheless; hold: it is not
 *
 * Alertmanager's time intervals, but that a range of times may pass midnight: then it belongs to the day on which it begins, so fridays from
 * 22:00-06:00 end on Saturday morning. What is left out holds always; at least one of times, weekdays, days and months is there. Times are
 * those of the clock on the wall: an hour that daylight saving time repeats is quiet twice, one that it skips is not there.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/config.h"
#include "schema/event.h"
#include "sinks/core/settings_subscription.h"

extern const struct klx_config_field klx_quiet_fields[];

struct klx_hours;

/* Reports every mistake; *ret is set when there is none. */
void klx_hours_bind(const struct klx_config_node *n, struct klx_hours **ret,
                    struct klx_settings_reporter *r);
void klx_hours_free(struct klx_hours *h);
/* h NULL: never. */
bool klx_hours_are_quiet(const struct klx_hours *h, enum klx_severity severity, int64_t now_us);
/* The first full minute at which it is not quiet any more, or two days from now if that is later: look again then. now_us when it is not
   quiet. */
int64_t klx_hours_until_us(const struct klx_hours *h, enum klx_severity severity, int64_t now_us);
