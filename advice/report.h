/*
 * Advice as it is shown: text for a terminal, JSON, an SVG picture, and what an operator applies. All names in it are names of Kubernetes
 * (klx_autoscaler_is_name) and harmless where they stand. Pure.
 */
#pragma once

#include "advice/search.h"
#include "lib/base/buf.h"

#define KLX_REPORT_BYTES_MAX (16u << 20)
#define KLX_SERIES_COLUMNS_MAX 2000

/* What happened in one column of a plot: the greatest of it. */
struct klx_series_column {
    bool known;                           /* false: a gap of the record */
    double total;                         /* memory of all pods, as recorded */
    int32_t recorded;                     /* pods */
    int32_t now, proposed;                /* replicas */
    double largest_now, largest_proposed; /* bytes of the largest pod */
};

struct klx_series {
    int64_t from_us, to_us;
    size_t n;
    struct klx_series_column columns[KLX_SERIES_COLUMNS_MAX];
};

struct klx_report {
    const struct klx_evidence *history;
    const struct klx_load *load;
    const struct klx_search_options *options;
    const struct klx_advice *advice;
};

/* Plays both settings again and sorts what comes of it into n columns. */
struct klx_series *klx_series_new(const struct klx_report *r, size_t n);
void klx_series_free(struct klx_series *s);

struct klx_report_style {
    bool utf8;
    const char *strong, *weak, *alarm, *plain; /* sequences of the terminal, "" for none */
    size_t width;                              /* of the plot */
};

void klx_report_text(const struct klx_report *r, const struct klx_report_style *style,
                     struct klx_buf *out);
void klx_report_plot(const struct klx_report *r, const struct klx_report_style *style,
                     struct klx_buf *out);
/* One JSON object, docs/advice.md. */
void klx_report_json(const struct klx_report *r, struct klx_buf *out);
void klx_report_svg(const struct klx_report *r, struct klx_buf *out);
/* A line for a shell: kubectl patch. */
void klx_report_patch(const struct klx_report *r, struct klx_buf *out);
/* The HPA as YAML, to be applied or committed. */
void klx_report_manifest(const struct klx_report *r, struct klx_buf *out);
/* The same as values of a Helm chart. */
void klx_report_values(const struct klx_report *r, struct klx_buf *out);

/* The sentences of the recommendation, a line each: what to do, and why. */
void klx_report_recommendation(const struct klx_report *r, struct klx_buf *out);
/* What cannot be changed, a line each; nothing where all can. */
void klx_report_fixed(const struct klx_report *r, struct klx_buf *out);
