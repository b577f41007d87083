/*
 * Internal of lib/base/zone.c: the rule at the end of a TZif file, in the form of the variable TZ (POSIX, and RFC 9636 section 3.3.1):
 * "CET-1CEST,M3.5.0,M10.5.0/3", "<+0330>-3:30".
 */
#pragma once

#include <stdbool.h>

#include "lib/base/zone.h"

/* What holds for a part of the year. */
struct klx_zone_period {
    int32_t offset_s; /* east of UTC */
    char abbreviation[KLX_ZONE_ABBREVIATION_BYTES];
};

enum klx_zone_day_form { KLX_ZONE_DAY_OF_MONTH, KLX_ZONE_DAY_OF_YEAR, KLX_ZONE_DAY_WITHOUT_LEAP };

/* When a period begins: "M10.5.0/3" is the last Sunday of October at 3. */
struct klx_zone_change {
    enum klx_zone_day_form form;
    int month, week, day; /* of the other forms: day alone */
    int32_t time_s;       /* of the clock before the change */
};

struct klx_zone_rule {
    struct klx_zone_period standard, summer;
    bool has_summer;
    struct klx_zone_change begin, end; /* of summer */
};

int klx_zone_rule_parse(struct klx_sv text, struct klx_zone_rule *ret) KLX_MUST_CHECK;
const struct klx_zone_period *klx_zone_rule_at(const struct klx_zone_rule *r, int64_t unix_s);
