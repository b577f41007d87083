#include "lib/base/quantity.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/cleanup.h"

#define EXPONENT_MAX 30
#define BYTES_MAX 1e24 /* what is shown at most, so that the text fits */
#define DIGITS_MAX 40  /* longer ones are no quantity of a cluster */

struct suffix {
    const char *text;
    int tens; /* a power of ten … */
    int twos; /* … or of two */
};

static const struct suffix suffixes[] = {
    { "n", -9, 0 },  { "u", -6, 0 },  { "m", -3, 0 },  { "", 0, 0 },
    { "k", 3, 0 },   { "M", 6, 0 },   { "G", 9, 0 },   { "T", 12, 0 },
    { "P", 15, 0 },  { "E", 18, 0 },  { "Ki", 0, 10 }, { "Mi", 0, 20 },
    { "Gi", 0, 30 }, { "Ti", 0, 40 }, { "Pi", 0, 50 }, { "Ei", 0, 60 },
};

static double scaled(double value, double by, int times) {
    double factor = 1;
    for (int i = 0; i < (times < 0 ? -times : times); i++) {
        factor *= by;
    }
    return times < 0 ? value / factor : value * factor; /* one rounding, not one a step */
}

static bool is_digit(struct klx_sv s) {
    return s.n > 0 && s.p[0] >= '0' && s.p[0] <= '9';
}

static void skip(struct klx_sv *s, size_t n) {
    if (n > 0) { /* an empty view may have no pointer to move */
        s->p += n;
        s->n -= n;
    }
}

/* Digits with at most one point; *ret_tens is what the point makes of them. */
static int parse_digits(struct klx_sv *rest, double *ret, int *ret_tens) {
    bool point = false;
    size_t digits = 0;
    double value = 0;
    int tens = 0;
    while (is_digit(*rest) || (rest->n > 0 && rest->p[0] == '.' && !point)) {
        if (rest->p[0] == '.') {
            point = true;
        } else {
            value = value * 10 + (rest->p[0] - '0');
            digits++;
            tens -= point;
        }
        skip(rest, 1);
    }
    *ret = value;
    *ret_tens = tens;
    return digits == 0 || digits > DIGITS_MAX ? -EINVAL : 0;
}

/* "e3", "E-2" */
static int parse_exponent(struct klx_sv rest, int *ret) {
    int64_t exponent = 0;
    if (rest.n < 2 || (rest.p[0] != 'e' && rest.p[0] != 'E')) {
        return -EINVAL;
    }
    skip(&rest, 1);
    bool plus = rest.p[0] == '+';
    skip(&rest, plus);
    if ((plus && !is_digit(rest)) || klx_sv_int(rest, &exponent) != 0) {
        return -EINVAL;
    }
    if (exponent > EXPONENT_MAX || exponent < -EXPONENT_MAX) {
        return -ERANGE;
    }
    *ret = (int)exponent;
    return 0;
}

static int parse_scale(struct klx_sv rest, struct suffix *ret) {
    for (size_t i = 0; i < KLX_COUNT(suffixes); i++) {
        if (klx_sv_eq(rest, klx_sv(suffixes[i].text))) {
            *ret = suffixes[i];
            return 0;
        }
    }
    *ret = (struct suffix){ 0 };
    return parse_exponent(rest, &ret->tens);
}

int klx_quantity_parse(struct klx_sv text, double *ret) {
    struct klx_sv rest = text;
    struct suffix scale;
    double value = 0;
    int tens = 0;
    bool negative = rest.n > 0 && rest.p[0] == '-';
    skip(&rest, rest.n > 0 && (rest.p[0] == '-' || rest.p[0] == '+'));
    int rc = parse_digits(&rest, &value, &tens);
    rc = rc == 0 ? parse_scale(rest, &scale) : rc;
    if (rc != 0) {
        return rc;
    }
    value = scaled(scaled(value, 10, tens + scale.tens), 2, scale.twos);
    *ret = negative ? -value : value;
    return 0;
}

size_t klx_quantity_bytes(double bytes, char out[static KLX_QUANTITY_TEXT_BYTES]) {
    static const char *const units[] = { "", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei" };
    size_t unit = 0;
    bytes = bytes > BYTES_MAX ? BYTES_MAX : bytes;
    /* 1023.96 would be written as 1024.0 */
    while (bytes >= 1023.95 && unit + 1 < KLX_COUNT(units)) {
        bytes /= 1024;
        unit++;
    }
    int n = snprintf(out, KLX_QUANTITY_TEXT_BYTES, "%.*f", unit > 0, bytes);
    if (n > 2 && memcmp(out + n - 2, ".0", 2) == 0) {
        n -= 2;
    }
    n += snprintf(out + n, KLX_QUANTITY_TEXT_BYTES - (size_t)n, "%s", units[unit]);
    return (size_t)n;
}
