#include "sinks/core/noise/hours.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "lib/base/zone.h"

#define MINUTE_US (60 * KLX_US_PER_S)
#define DAY_MINUTES (24 * 60)
#define LOOK_MINUTES (2 * DAY_MINUTES)

/* Both ends included, but of times: there the end is excluded. */
struct range {
    int from, to;
};

struct ranges {
    struct range *items;
    size_t n;
};

struct interval {
    struct interval *next;
    struct klx_zone *zone;
    struct ranges times, weekdays, days, months; /* none: always */
    bool critical_passes;
};

struct klx_hours {
    struct interval *first;
};

struct item {
    char *time_zone, *critical;
    struct klx_config_strings times, weekdays, days_of_month, months;
};

const struct klx_config_field klx_quiet_fields[] = {
    { .key = "time_zone",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct item, time_zone),
      .otherwise = "UTC",
      .help = "by its IANA name, for example Europe/Berlin" },
    { .key = "times",
      .kind = KLX_CFG_STR_LIST,
      .offset = offsetof(struct item, times),
      .help = "for example [\"22:00-06:00\"]; left out: all day" },
    { .key = "weekdays",
      .kind = KLX_CFG_STR_LIST,
      .offset = offsetof(struct item, weekdays),
      .help = "for example [\"monday:friday\", sunday]" },
    { .key = "days_of_month",
      .kind = KLX_CFG_STR_LIST,
      .offset = offsetof(struct item, days_of_month),
      .help = "for example [\"1:5\", \"-1\"], which is the last day" },
    { .key = "months",
      .kind = KLX_CFG_STR_LIST,
      .offset = offsetof(struct item, months),
      .help = "by name or number, for example [december, \"1:2\"]" },
    { .key = "critical",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct item, critical),
      .otherwise = "hold",
      .help = "pass: what is critical is told nevertheless; hold: it is not" },
    { .key = NULL },
};

static const char *const weekday_names[] = { "sunday",   "monday", "tuesday", "wednesday",
                                             "thursday", "friday", "saturday" };
static const char *const month_names[] = { "january",   "february", "march",    "april",
                                           "may",       "june",     "july",     "august",
                                           "september", "october",  "november", "december" };

static bool by_name(struct klx_sv text, const char *const *names, size_t n, int first, int *ret) {
    for (size_t i = 0; i < n; i++) {
        if (klx_sv_eq_nocase(text, klx_sv(names[i]))) {
            *ret = first + (int)i;
            return true;
        }
    }
    return false;
}

static bool by_number(struct klx_sv text, int min, int max, int *ret) {
    int64_t value = 0;
    if (klx_sv_int(text, &value) != 0 || value < min || value > max) {
        return false;
    }
    *ret = (int)value;
    return true;
}

static bool parse_weekday(struct klx_sv text, int *ret) {
    return by_name(text, weekday_names, KLX_COUNT(weekday_names), 0, ret);
}

static bool parse_month(struct klx_sv text, int *ret) {
    return by_name(text, month_names, KLX_COUNT(month_names), 1, ret) ||
           by_number(text, 1, 12, ret);
}

static bool parse_day(struct klx_sv text, int *ret) {
    return by_number(text, -31, 31, ret) && *ret != 0;
}

/* "HH:MM" in minutes, up to 24:00 */
static bool parse_clock(struct klx_sv text, int *ret) {
    int h = 0, m = 0;
    bool good = text.n == 5 && text.p[2] == ':' && by_number(klx_sv_n(text.p, 2), 0, 24, &h) &&
                by_number(klx_sv_n(text.p + 3, 2), 0, 59, &m) && h * 60 + m <= DAY_MINUTES;
    *ret = h * 60 + m;
    return good;
}

static bool parse_range(struct klx_sv text, char between, bool (*parse)(struct klx_sv, int *),
                        struct range *ret) {
    struct klx_sv rest = text;
    struct klx_sv from = klx_sv_trim(klx_sv_cut(&rest, between));
    bool single = from.n == klx_sv_trim(text).n;
    bool good = parse(from, &ret->from);
    ret->to = ret->from;
    return good && (single || parse(klx_sv_trim(rest), &ret->to));
}

/* What one list of the map is made of. */
struct grammar {
    const char *key;
    char between;
    bool (*parse)(struct klx_sv text, int *ret);
    bool (*is_good)(const struct range *r);
    const char *expected;
};

static bool any_time(const struct range *r) {
    return r->from != r->to && r->from < DAY_MINUTES;
}

static bool rising(const struct range *r) {
    return r->from <= r->to;
}

/* From the end of the month, both or the second alone. */
static bool rising_days(const struct range *r) {
    return (r->from > 0 && r->to < 0) || ((r->from < 0) == (r->to < 0) && r->from <= r->to);
}

static const struct grammar times_grammar = { "times", '-', parse_clock, any_time,
                                              "a range of times like 22:00-06:00" };
static const struct grammar weekdays_grammar = { "weekdays", ':', parse_weekday, rising,
                                                 "a weekday like monday, or a range of sunday to "
                                                 "saturday like monday:friday" };
static const struct grammar days_grammar = { "days_of_month", ':', parse_day, rising_days,
                                             "a day from 1 to 31, or from -1 for the last one, or "
                                             "a rising range like 1:5" };
static const struct grammar months_grammar = { "months", ':', parse_month, rising,
                                               "a month like may or 5, or a rising range like "
                                               "june:august" };

static void report(const struct klx_config_node *at, struct klx_settings_reporter *r,
                   const char *expected, struct klx_sv found) {
    struct klx_error e;
    klx_config_fail(at, &e, "expected %s, found \"%.*s\"", expected, KLX_SV_FMT(found));
    klx_settings_report(r, &e);
}

static void bind_ranges(const struct klx_config_node *map, const struct klx_config_strings *texts,
                        const struct grammar *g, struct ranges *to,
                        struct klx_settings_reporter *r) {
    to->items = klx_alloc_n(struct range, texts->n);
    for (size_t i = 0; i < texts->n; i++) {
        struct range *one = &to->items[to->n];
        if (parse_range(texts->items[i], g->between, g->parse, one) && g->is_good(one)) {
            to->n++;
        } else {
            report(klx_config_get(map, g->key), r, g->expected, texts->items[i]);
        }
    }
}

static void bind_rest(const struct klx_config_node *n, const struct item *item, struct interval *to,
                      struct klx_settings_reporter *r) {
    struct klx_error e = { 0 }, why = { 0 };
    bind_ranges(n, &item->times, &times_grammar, &to->times, r);
    bind_ranges(n, &item->weekdays, &weekdays_grammar, &to->weekdays, r);
    bind_ranges(n, &item->days_of_month, &days_grammar, &to->days, r);
    bind_ranges(n, &item->months, &months_grammar, &to->months, r);
    if (item->times.n + item->weekdays.n + item->days_of_month.n + item->months.n == 0) {
        klx_config_fail(n, &e, "say when: times, weekdays, days_of_month or months");
        klx_settings_report(r, &e);
    }
    if (item->time_zone != NULL && klx_zone_new(klx_sv(item->time_zone), &to->zone, &why) != 0) {
        klx_config_fail(klx_config_get(n, "time_zone"), &e, "%s", why.text);
        klx_settings_report(r, &e);
    }
    struct klx_sv critical = klx_sv(item->critical);
    to->critical_passes = klx_sv_eq(critical, KLX_SV("pass"));
    if (critical.n > 0 && !to->critical_passes && !klx_sv_eq(critical, KLX_SV("hold"))) {
        report(klx_config_get(n, "critical"), r, "pass or hold", critical);
    }
}

static void bind_interval(const struct klx_config_node *n, struct klx_hours *h,
                          struct klx_settings_reporter *r) {
    struct item item = { 0 };
    struct interval *one = klx_alloc(struct interval);
    one->next = h->first;
    h->first = one;
    klx_config_bind_all(n, klx_quiet_fields, &item, klx_settings_report_text, r);
    if (klx_config_type(n) == KLX_CONFIG_MAP) {
        bind_rest(n, &item, one, r);
    }
    klx_config_unbind(klx_quiet_fields, &item);
}

void klx_hours_bind(const struct klx_config_node *n, struct klx_hours **ret,
                    struct klx_settings_reporter *r) {
    size_t before = r->mistakes;
    struct klx_hours *h = klx_alloc(struct klx_hours);
    if (klx_config_type(n) == KLX_CONFIG_LIST) {
        for (n = klx_config_first(n); n != NULL; n = klx_config_next(n)) {
            bind_interval(n, h, r);
        }
    } else {
        bind_interval(n, h, r);
    }
    if (r->mistakes != before) {
        klx_hours_free(h);
        return;
    }
    *ret = h;
}

void klx_hours_free(struct klx_hours *h) {
    while (h != NULL && h->first != NULL) {
        struct interval *one = h->first;
        h->first = one->next;
        klx_zone_free(one->zone);
        free(one->times.items);
        free(one->weekdays.items);
        free(one->days.items);
        free(one->months.items);
        free(one);
    }
    free(h);
}

static bool is_in(const struct ranges *r, int value) {
    for (size_t i = 0; i < r->n; i++) {
        if (value >= r->items[i].from && value <= r->items[i].to) {
            return true;
        }
    }
    return r->n == 0;
}

static int month_days(const struct klx_zone_time *c) {
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (c->year % 4 == 0 && c->year % 100 != 0) || c->year % 400 == 0;
    return c->month == 2 && leap ? 29 : days[c->month - 1];
}

static bool is_day_in(const struct ranges *r, const struct klx_zone_time *c) {
    for (size_t i = 0; i < r->n; i++) {
        int from = r->items[i].from, to = r->items[i].to;
        from = from < 0 ? month_days(c) + 1 + from : from;
        to = to < 0 ? month_days(c) + 1 + to : to;
        if (c->day >= from && c->day <= to) {
            return true;
        }
    }
    return r->n == 0;
}

static bool is_date_in(const struct interval *v, const struct klx_zone_time *c) {
    return is_in(&v->weekdays, c->weekday) && is_day_in(&v->days, c) && is_in(&v->months, c->month);
}

static bool holds(const struct interval *v, int64_t now_us) {
    struct klx_zone_time c, yesterday;
    klx_zone_at(v->zone, now_us, &c);
    int minute = c.hour * 60 + c.minute;
    if (v->times.n == 0) {
        return is_date_in(v, &c);
    }
    for (size_t i = 0; i < v->times.n; i++) {
        const struct range *t = &v->times.items[i];
        bool passes_midnight = t->to < t->from;
        if (minute >= t->from && (passes_midnight || minute < t->to) && is_date_in(v, &c)) {
            return true;
        }
        if (passes_midnight && minute < t->to) {
            /* Noon of the day before: no change of the clock is that large. */
            int64_t before_us = now_us - (minute + DAY_MINUTES / 2) * MINUTE_US;
            klx_zone_at(v->zone, before_us, &yesterday);
            if (is_date_in(v, &yesterday)) {
                return true;
            }
        }
    }
    return false;
}

bool klx_hours_are_quiet(const struct klx_hours *h, enum klx_severity severity, int64_t now_us) {
    const struct interval *v = h != NULL ? h->first : NULL;
    for (; v != NULL; v = v->next) {
        bool passes = v->critical_passes && severity == KLX_SEVERITY_CRITICAL;
        if (!passes && holds(v, now_us)) {
            return true;
        }
    }
    return false;
}

int64_t klx_hours_until_us(const struct klx_hours *h, enum klx_severity severity, int64_t now_us) {
    int64_t at_us = now_us;
    for (int i = 0; i < LOOK_MINUTES && klx_hours_are_quiet(h, severity, at_us); i++) {
        at_us = (at_us / MINUTE_US + 1) * MINUTE_US;
    }
    return at_us;
}
