/*
 * The row: an event as one flat JSON object, whose members are the columns of columns.def. What a column has no value for is left out,
 * since Azure counts bytes.
 *
 * Nothing is cut in silence, which is what Azure does: a value that is longer than a field may be is cut here, ends in "…", and its column
 * is named in `Adjusted`. Data that is too long for `Payload` loses its largest members; `klaxonLeftOut` in it names them with their size.
 *
 * Azure replaces a TimeGenerated that is older than two days, or more than a day ahead, by the time it receives the row. So we do, an hour
 * early because a row may wait for its channel, and say so: then TimeGenerated is the time of rendering, `Adjusted` names it, and EventTime
 * is the event's own as always.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/time.h"
#include "sinks/core/sink.h"

#define KLX_LOGANALYTICS_FIELD_BYTES_MAX 65536 /* of UTF-8; Azure cuts what is longer */
#define KLX_LOGANALYTICS_NAME_BYTES_MAX                                                            \
    1024 /* of a column that is no text: ours, so that a row is bounded */
/* A text of 64 KB of characters that JSON writes as six bytes, the payload, and the names. */
#define KLX_LOGANALYTICS_ROW_BYTES_MAX (640u << 10)

/* Azure's two days and one day (learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview), with an hour to wait in. */
#define KLX_LOGANALYTICS_OLD_US (47 * 3600 * KLX_US_PER_S)
#define KLX_LOGANALYTICS_AHEAD_US (23 * 3600 * KLX_US_PER_S)

/* "NAME" and "type" of each column, in order; NULL ends. */
struct klx_loganalytics_column {
    const char *name, *type, *about;
};
extern const struct klx_loganalytics_column klx_loganalytics_columns[];

/* Appends the row; at most KLX_LOGANALYTICS_ROW_BYTES_MAX. -EMSGSIZE: `out` is smaller than it needs. */
int klx_loganalytics_row(const struct klx_notice *notice, int64_t now_us,
                         struct klx_buf *out) KLX_MUST_CHECK;
