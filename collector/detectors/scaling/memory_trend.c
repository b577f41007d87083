#include "collector/detectors/scaling/memory_trend.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/time.h"

#define PAIRS_MAX (KLX_TREND_SAMPLES * (KLX_TREND_SAMPLES - 1) / 2)
#define SILENCE_US (15 * 60 * (int64_t)KLX_US_PER_S)
#define SPAN_MIN_US (60 * (int64_t)KLX_US_PER_S)
#define RISING_SHARE 0.85 /* of the pairs; one step in a flat line makes half of them rise */

#define WHOLE_MAX 9007199254740991.0 /* 2^53 - 1 */

int64_t klx_trend_whole(double value) {
    double up = value > -WHOLE_MAX ? value : -WHOLE_MAX; /* NaN too */
    return (int64_t)(up < WHOLE_MAX ? up : WHOLE_MAX);
}

static bool begins_anew(const struct klx_trend *t, int64_t at_us, double bytes) {
    const struct klx_trend_sample *last = &t->samples[t->n - 1];
    return at_us - last->at_us > SILENCE_US || bytes < last->bytes / 2;
}

void klx_trend_add(struct klx_trend *t, int64_t at_us, double bytes) {
    if (t->n > 0 && at_us <= t->samples[t->n - 1].at_us) {
        return;
    }
    if (t->n > 0 && begins_anew(t, at_us, bytes)) {
        t->n = 0;
    }
    if (t->n == KLX_TREND_SAMPLES) {
        memmove(t->samples, t->samples + 1, (KLX_TREND_SAMPLES - 1) * sizeof(t->samples[0]));
        t->n--;
    }
    t->samples[t->n++] = (struct klx_trend_sample){ at_us, bytes };
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t n) {
    qsort(values, n, sizeof(*values), compare);
    return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static double seconds_between(const struct klx_trend_sample *a, const struct klx_trend_sample *b) {
    return (double)(b->at_us - a->at_us) / (double)KLX_US_PER_S;
}

void klx_trend_fit(const struct klx_trend *t, struct klx_trend_line *ret) {
    double slopes[PAIRS_MAX], now[KLX_TREND_SAMPLES];
    size_t pairs = 0, rise = 0;
    *ret = (struct klx_trend_line){ 0 };
    if (t->n < KLX_TREND_SAMPLES_MIN) {
        return;
    }
    const struct klx_trend_sample *last = &t->samples[t->n - 1];
    for (size_t i = 0; i < t->n; i++) {
        for (size_t k = i + 1; k < t->n; k++) {
            const struct klx_trend_sample *a = &t->samples[i], *b = &t->samples[k];
            slopes[pairs++] = (b->bytes - a->bytes) / seconds_between(a, b);
            rise += b->bytes > a->bytes;
        }
    }
    ret->bytes_per_s = median(slopes, pairs);
    for (size_t i = 0; i < t->n; i++) {
        now[i] = t->samples[i].bytes + ret->bytes_per_s * seconds_between(&t->samples[i], last);
    }
    ret->bytes = median(now, t->n);
    ret->span_us = last->at_us - t->samples[0].at_us;
    ret->rising = ret->bytes_per_s > 0 && (double)rise >= RISING_SHARE * (double)pairs &&
                  ret->span_us >= SPAN_MIN_US;
}
