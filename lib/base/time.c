#include "lib/base/time.h"

#include <stdbool.h>
#include <stdio.h>

#define US_PER_DAY (INT64_C(86400) * KLX_US_PER_S)

/* Days since 1970-01-01 of a proleptic Gregorian date (Howard Hinnant's algorithm: eras of 400 years that begin in March). */
int64_t klx_days_from_date(int64_t y, int64_t m, int64_t d) {
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

void klx_date_from_days(int64_t z, int *y, int *m, int *d) {
    z += 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *d = (int)(doy - (153 * mp + 2) / 5 + 1);
    *m = (int)(mp < 10 ? mp + 3 : mp - 9);
    *y = (int)(yoe + era * 400 + (*m <= 2));
}

/* Cuts exactly n digits off *s. */
static bool take_digits(struct klx_sv *s, size_t n, int64_t *ret) {
    if (s->n < n || klx_sv_int(klx_sv_n(s->p, n), ret) != 0 || s->p[0] == '-') {
        return false;
    }
    *s = klx_sv_n(s->p + n, s->n - n);
    return true;
}

static bool take_char(struct klx_sv *s, const char *any_of) {
    if (s->n == 0 || s->p[0] == '\0' || strchr(any_of, s->p[0]) == NULL) {
        return false;
    }
    *s = klx_sv_n(s->p + 1, s->n - 1);
    return true;
}

static bool take_date(struct klx_sv *s, int64_t *ret_days) {
    static const int lengths[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int64_t y = 0, m = 0, d = 0;
    if (!take_digits(s, 4, &y) || !take_char(s, "-") || !take_digits(s, 2, &m) ||
        !take_char(s, "-") || !take_digits(s, 2, &d) || m < 1 || m > 12 || d < 1 ||
        d > lengths[m - 1]) {
        return false;
    }
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    if (m == 2 && d == 29 && !leap) {
        return false;
    }
    *ret_days = klx_days_from_date(y, m, d);
    return true;
}

static bool take_fraction(struct klx_sv *s, int64_t *ret_us) {
    int64_t scale = 100000;
    size_t digits = 0;
    *ret_us = 0;
    while (s->n > 0 && s->p[0] >= '0' && s->p[0] <= '9') {
        *ret_us += (s->p[0] - '0') * scale;
        scale /= 10;
        *s = klx_sv_n(s->p + 1, s->n - 1);
        digits++;
    }
    return digits > 0;
}

/* HH:MM[:SS[.f]]; without seconds only when `short_form`. */
static bool take_clock(struct klx_sv *s, bool short_form, int64_t *ret_us) {
    int64_t h = 0, min = 0, sec = 0, us = 0;
    if (!take_digits(s, 2, &h) || !take_char(s, ":") || !take_digits(s, 2, &min) || h > 23 ||
        min > 59) {
        return false;
    }
    if (take_char(s, ":")) {
        if (!take_digits(s, 2, &sec) || sec > 60) {
            return false;
        }
        if (take_char(s, ".,") && !take_fraction(s, &us)) {
            return false;
        }
    } else if (!short_form) {
        return false;
    }
    *ret_us = ((h * 60 + min) * 60 + sec) * KLX_US_PER_S + us;
    return true;
}

static bool take_zone(struct klx_sv *s, int64_t *ret_us) {
    *ret_us = 0;
    if (take_char(s, "Zz")) {
        return true;
    }
    int64_t h = 0, m = 0;
    bool west = s->n > 0 && s->p[0] == '-';
    if (!take_char(s, "+-") || !take_digits(s, 2, &h) || !take_char(s, ":") ||
        !take_digits(s, 2, &m) || h > 23 || m > 59) {
        return false;
    }
    *ret_us = (west ? -1 : 1) * (h * 60 + m) * 60 * KLX_US_PER_S;
    return true;
}

int klx_time_parse(struct klx_sv text, int64_t *ret_us) {
    int64_t days = 0, clock_us = 0, zone_us = 0;
    if (!take_date(&text, &days) || !take_char(&text, "Tt ") ||
        !take_clock(&text, false, &clock_us) || !take_zone(&text, &zone_us) || text.n != 0) {
        return -EINVAL;
    }
    *ret_us = days * US_PER_DAY + clock_us - zone_us;
    return 0;
}

/* `width` digits and what stands behind them; returns the end. */
static char *put_number(char *p, unsigned width, int64_t n, char behind) {
    for (unsigned i = width; i > 0; i--) {
        p[i - 1] = (char)('0' + n % 10);
        n /= 10;
    }
    p[width] = behind;
    return p + width + 1;
}

size_t klx_time_format(int64_t us, enum klx_time_digits digits,
                       char out[static KLX_TIME_TEXT_BYTES]) {
    const int64_t first = klx_days_from_date(1, 1, 1) * US_PER_DAY;
    const int64_t last = klx_days_from_date(9999, 12, 31) * US_PER_DAY + US_PER_DAY - 1;
    us = us < first ? first : us > last ? last : us;
    int64_t days = us / US_PER_DAY - (us % US_PER_DAY < 0);
    int64_t rest = us - days * US_PER_DAY;
    int y = 0, m = 0, d = 0;
    klx_date_from_days(days, &y, &m, &d);
    int64_t sec = rest / KLX_US_PER_S;
    char *p = out;
    p = put_number(p, 4, y, '-');
    p = put_number(p, 2, m, '-');
    p = put_number(p, 2, d, 'T');
    p = put_number(p, 2, sec / 3600, ':');
    p = put_number(p, 2, sec / 60 % 60, ':');
    p = put_number(p, 2, sec % 60, digits == KLX_TIME_SECONDS ? 'Z' : '.');
    if (digits != KLX_TIME_SECONDS) {
        int64_t fraction = rest % KLX_US_PER_S / (digits == KLX_TIME_MILLIS ? 1000 : 1);
        p = put_number(p, (unsigned)digits, fraction, 'Z');
    }
    *p = '\0';
    return (size_t)(p - out);
}

static const struct {
    const char *name;
    int64_t ms;
} units[] = {
    { "ms", 1 },       { "s", 1000 },      { "m", 60000 },       { "h", 3600000 },
    { "d", 86400000 }, { "w", 604800000 }, { "y", 31536000000 },
};

static int64_t take_unit(struct klx_sv *s) {
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        struct klx_sv name = klx_sv(units[i].name);
        if (klx_sv_starts(*s, name)) {
            *s = klx_sv_n(s->p + name.n, s->n - name.n);
            return units[i].ms;
        }
    }
    return 0;
}

int klx_duration_parse(struct klx_sv text, int64_t *ret_ms) {
    if (klx_sv_eq(text, KLX_SV("0"))) {
        *ret_ms = 0;
        return 0;
    }
    if (text.n == 0) {
        return -EINVAL;
    }
    int64_t total = 0;
    while (text.n > 0) {
        size_t n = 0;
        while (n < text.n && text.p[n] >= '0' && text.p[n] <= '9') {
            n++;
        }
        int64_t value = 0;
        int rc = klx_sv_int(klx_sv_n(text.p, n), &value);
        if (rc != 0) {
            return rc;
        }
        text = klx_sv_n(text.p + n, text.n - n);
        int64_t unit = take_unit(&text);
        if (unit == 0) {
            return -EINVAL;
        }
        if (__builtin_mul_overflow(value, unit, &value) ||
            __builtin_add_overflow(total, value, &total)) {
            return -ERANGE;
        }
    }
    *ret_ms = total;
    return 0;
}

size_t klx_duration_words(int64_t ms, char out[static KLX_TIME_TEXT_BYTES]) {
    long long s = ms / 1000;
    int n = 0;
    if (ms < 1000) {
        n = snprintf(out, KLX_TIME_TEXT_BYTES, "%lld ms", (long long)ms);
    } else if (s < 60) {
        n = snprintf(out, KLX_TIME_TEXT_BYTES, "%lld s", s);
    } else if (s < 3600) {
        n = s % 60 == 0 || s >= 600
                ? snprintf(out, KLX_TIME_TEXT_BYTES, "%lld min", s / 60)
                : snprintf(out, KLX_TIME_TEXT_BYTES, "%lld min %lld s", s / 60, s % 60);
    } else if (s < 86400) {
        n = snprintf(out, KLX_TIME_TEXT_BYTES, "%lld h %lld min", s / 3600, s / 60 % 60);
    } else {
        n = snprintf(out, KLX_TIME_TEXT_BYTES, "%lld d %lld h", s / 86400, s / 3600 % 24);
    }
    return (size_t)n;
}

static int64_t start_of_day(int64_t us) {
    return us - ((us % US_PER_DAY) + US_PER_DAY) % US_PER_DAY;
}

static bool parse_relative(struct klx_sv text, int64_t now_us, int64_t *ret_us) {
    if (klx_sv_eq(text, KLX_SV("now"))) {
        *ret_us = now_us;
        return true;
    }
    if (klx_sv_eq(text, KLX_SV("today"))) {
        *ret_us = start_of_day(now_us);
        return true;
    }
    if (klx_sv_eq(text, KLX_SV("yesterday"))) {
        *ret_us = start_of_day(now_us) - US_PER_DAY;
        return true;
    }
    if (klx_sv_starts(text, KLX_SV("now-"))) {
        text = klx_sv_n(text.p + 4, text.n - 4);
    } else if (klx_sv_starts(text, KLX_SV("-"))) {
        text = klx_sv_n(text.p + 1, text.n - 1);
    }
    int64_t ms = 0;
    if (klx_duration_parse(text, &ms) != 0 || ms > INT64_MAX / 2000) {
        return false;
    }
    *ret_us = now_us - ms * KLX_US_PER_MS;
    return true;
}

static bool parse_absolute(struct klx_sv text, int64_t *ret_us) {
    int64_t number = 0;
    if ((text.n == 10 || text.n == 13) && klx_sv_int(text, &number) == 0) {
        *ret_us = number * (text.n == 10 ? KLX_US_PER_S : KLX_US_PER_MS);
        return true;
    }
    if (klx_time_parse(text, ret_us) == 0) {
        return true;
    }
    int64_t days = 0, clock_us = 0;
    if (!take_date(&text, &days)) {
        return false;
    }
    if (text.n > 0 &&
        (!take_char(&text, "T ") || !take_clock(&text, true, &clock_us) || text.n > 0)) {
        return false;
    }
    *ret_us = days * US_PER_DAY + clock_us;
    return true;
}

int klx_time_parse_human(struct klx_sv text, int64_t now_us, int64_t *ret_us, struct klx_error *e) {
    if (parse_absolute(text, ret_us) || parse_relative(text, now_us, ret_us)) {
        return 0;
    }
    return klx_fail(e, -EINVAL,
                    "\"%.*s\" is not a time: write 2026-03-11T07:52:18Z, \"2026-03-11 07:52\" "
                    "(UTC), 1773215538, 90m, -2h, now-1d, today",
                    KLX_SV_FMT(text));
}
