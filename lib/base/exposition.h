/*
 * Prometheus' text format 0.0.4, as it arrives (prometheus.io/docs/instrumenting/exposition_formats).
 *
 *     klx_exposition_feed(x, chunk);
 *     while ((rc = klx_exposition_next(x, &sample)) != 0) { rc == 1: a sample; -EBADMSG: a line that is none, go on with the next }
 *     … at the end of the body: rc = klx_exposition_end(x)       -EBADMSG: the last line is cut off; it is not read, its value might be too
 *
 * A sample is a line: the buckets, sum and count of a histogram are samples like others. Comments, HELP and TYPE are passed over, and so is
 * the exemplar of an OpenMetrics line. Both LF and CRLF end a line. Memory is bounded by KLX_EXPOSITION_LINE_BYTES_MAX; a longer line is no
 * sample.
 */
#pragma once

#include <locale.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/base/sv.h"

#define KLX_EXPOSITION_LINE_BYTES_MAX 65536
#define KLX_EXPOSITION_LABELS_MAX 64

struct klx_exposition_label {
    struct klx_sv name, value; /* value: without its escapes */
};

/* Borrowed until the next call. */
struct klx_exposition_sample {
    struct klx_sv name;
    const struct klx_exposition_label *labels;
    size_t labels_n;
    double value;    /* may be NaN or infinite */
    int64_t time_us; /* KLX_TIME_NONE: the instant of the scrape */
};

struct klx_exposition {
    struct klx_sv chunk;    /* what is left of it */
    struct klx_buf partial; /* the line that is being put together */
    bool partial_is_out;
    bool skipping;          /* to the end of a line that is too long */
    struct klx_buf escaped; /* values of this line that had escapes */
    locale_t c_locale;      /* numbers have a point, wherever the process runs */
    struct klx_exposition_label labels[KLX_EXPOSITION_LABELS_MAX];
};

void klx_exposition_init(struct klx_exposition *x);
void klx_exposition_release(struct klx_exposition *x);
/* Forgets everything: another body. */
void klx_exposition_reset(struct klx_exposition *x);
/* The chunk before must be used up. Borrowed until klx_exposition_next has returned 0. */
void klx_exposition_feed(struct klx_exposition *x, struct klx_sv chunk);
int klx_exposition_next(struct klx_exposition *x, struct klx_exposition_sample *ret) KLX_MUST_CHECK;
int klx_exposition_end(struct klx_exposition *x) KLX_MUST_CHECK;
