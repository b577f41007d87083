#include "lib/base/zone_rule.h"

#include <ctype.h>
#include <string.h>

#define SECONDS_PER_DAY INT64_C(86400)

static bool take(struct klx_sv *s, char c) {
    if (s->n == 0 || s->p[0] != c) {
        return false;
    }
    *s = klx_sv_n(s->p + 1, s->n - 1);
    return true;
}

static bool take_number(struct klx_sv *s, int max, int *ret) {
    size_t n = 0;
    int value = 0;
    while (n < s->n && n < 4 && s->p[n] >= '0' && s->p[n] <= '9') {
        value = value * 10 + (s->p[n++] - '0');
    }
    *s = klx_sv_n(s->p + n, s->n - n);
    *ret = value;
    return n > 0 && value <= max;
}

/* "-3:30", "167:59:59" */
static bool take_time(struct klx_sv *s, int32_t *ret) {
    int h = 0, m = 0, seconds = 0;
    bool negative = take(s, '-');
    if (!negative) {
        take(s, '+');
    }
    if (!take_number(s, 167, &h) || (take(s, ':') && !take_number(s, 59, &m)) ||
        (take(s, ':') && !take_number(s, 59, &seconds))) {
        return false;
    }
    *ret = (negative ? -1 : 1) * ((h * 60 + m) * 60 + seconds);
    return true;
}

/* "CET", "<+0330>" */
static bool take_name(struct klx_sv *s, struct klx_zone_period *ret) {
    bool quoted = take(s, '<');
    size_t n = 0;
    while (n < s->n && (quoted ? s->p[n] != '>' : isalpha((unsigned char)s->p[n]) != 0)) {
        n++;
    }
    if (n == 0 || n >= sizeof(ret->abbreviation)) {
        return false;
    }
    memcpy(ret->abbreviation, s->p, n);
    ret->abbreviation[n] = '\0';
    *s = klx_sv_n(s->p + n, s->n - n);
    return !quoted || take(s, '>');
}

static bool take_day(struct klx_sv *s, struct klx_zone_change *c) {
    if (take(s, 'M')) {
        c->form = KLX_ZONE_DAY_OF_MONTH;
        return take_number(s, 12, &c->month) && take(s, '.') && take_number(s, 5, &c->week) &&
               take(s, '.') && take_number(s, 6, &c->day) && c->month >= 1 && c->week >= 1;
    }
    c->form = take(s, 'J') ? KLX_ZONE_DAY_WITHOUT_LEAP : KLX_ZONE_DAY_OF_YEAR;
    return take_number(s, 365, &c->day) && (c->form == KLX_ZONE_DAY_OF_YEAR || c->day >= 1);
}

static bool take_change(struct klx_sv *s, struct klx_zone_change *c) {
    c->time_s = 2 * 3600;
    return take(s, ',') && take_day(s, c) && (!take(s, '/') || take_time(s, &c->time_s));
}

int klx_zone_rule_parse(struct klx_sv text, struct klx_zone_rule *ret) {
    struct klx_zone_rule r = { 0 };
    if (!take_name(&text, &r.standard) || !take_time(&text, &r.standard.offset_s)) {
        return -EINVAL;
    }
    r.standard.offset_s = -r.standard.offset_s; /* POSIX counts to the west */
    r.has_summer = text.n > 0;
    if (r.has_summer) {
        r.summer.offset_s = r.standard.offset_s + 3600;
        if (!take_name(&text, &r.summer)) {
            return -EINVAL;
        }
        if (text.n > 0 && text.p[0] != ',') {
            if (!take_time(&text, &r.summer.offset_s)) {
                return -EINVAL;
            }
            r.summer.offset_s = -r.summer.offset_s;
        }
        if (!take_change(&text, &r.begin) || !take_change(&text, &r.end)) {
            return -EINVAL;
        }
    }
    if (text.n > 0) {
        return -EINVAL;
    }
    *ret = r;
    return 0;
}

static bool is_leap(int64_t y) {
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

/* 0 = Sunday; 1970-01-01 was a Thursday. */
static int weekday_of(int64_t days) {
    return (int)(((days + 4) % 7 + 7) % 7);
}

static int64_t day_of(const struct klx_zone_change *c, int64_t year) {
    int64_t first = klx_days_from_date(year, 1, 1);
    if (c->form == KLX_ZONE_DAY_OF_YEAR) {
        return first + c->day;
    }
    if (c->form == KLX_ZONE_DAY_WITHOUT_LEAP) {
        return first + c->day - 1 + (is_leap(year) && c->day >= 60);
    }
    int64_t month = klx_days_from_date(year, c->month, 1);
    int64_t next = c->month == 12 ? klx_days_from_date(year + 1, 1, 1)
                                  : klx_days_from_date(year, c->month + 1, 1);
    int64_t day = month + (c->day - weekday_of(month) + 7) % 7 + 7 * (c->week - 1);
    return day < next ? day : day - 7; /* the fifth may be the fourth: "the last" */
}

const struct klx_zone_period *klx_zone_rule_at(const struct klx_zone_rule *r, int64_t unix_s) {
    if (!r->has_summer) {
        return &r->standard;
    }
    int64_t local = unix_s + r->standard.offset_s;
    int year = 0, month = 0, day = 0;
    klx_date_from_days(local / SECONDS_PER_DAY - (local % SECONDS_PER_DAY < 0), &year, &month,
                       &day);
    int64_t begin =
        day_of(&r->begin, year) * SECONDS_PER_DAY + r->begin.time_s - r->standard.offset_s;
    int64_t end = day_of(&r->end, year) * SECONDS_PER_DAY + r->end.time_s - r->summer.offset_s;
    bool summer = begin < end ? unix_s >= begin && unix_s < end : unix_s >= begin || unix_s < end;
    return summer ? &r->summer : &r->standard;
}
