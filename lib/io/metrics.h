/*
 * The process's metrics, in Prometheus' text format 0.0.4. One registry for the process; series are made at start and never freed
 * before klx_metrics_reset. Names end in their unit (_seconds, _bytes, _total).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"

struct klx_counter;
struct klx_gauge;
struct klx_histogram;

struct klx_label {
    const char *name;
    const char *value; /* escaped when written */
};

/* The same name and labels give the same series. `labels` ends with a NULL name, or is NULL. help is a literal. */
struct klx_counter *klx_counter(const char *name, const char *help, const struct klx_label *labels);
struct klx_gauge *klx_gauge(const char *name, const char *help, const struct klx_label *labels);
/* Upper bounds in rising order; +Inf is added. bounds is a static array. */
struct klx_histogram *klx_histogram(const char *name, const char *help,
                                    const struct klx_label *labels, const double *bounds, size_t n);
#define KLX_LABELS(...) ((const struct klx_label[]){ __VA_ARGS__, { NULL, NULL } })
/* 1 ms … 60 s */
extern const double klx_latency_bounds[15];

void klx_counter_add(struct klx_counter *c, uint64_t n);
uint64_t klx_counter_value(const struct klx_counter *c);
void klx_gauge_set(struct klx_gauge *g, double v);
void klx_histogram_observe(struct klx_histogram *h, double v);

/* Everything, plus process_resident_memory_bytes, process_cpu_seconds_total, process_start_time_seconds, klaxon_build_info{version}. */
void klx_metrics_write(struct klx_buf *out);
void klx_metrics_set_version(const char *version);
/* For tests and the end of a process. */
void klx_metrics_reset(void);
