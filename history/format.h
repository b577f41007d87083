/*
 * An event of history as text, in the forms that analysts read. Each is one line, and the same for the same record.
 *
 *   ndjson  a CloudEvent in structured mode: its attributes as they stand in the record (the time in UTC), where it stood as extensions
 *           (kafkatopic, kafkapartition, kafkaoffset, kafkatime, and partitionkey, the record's key), and its data as it is
 *   rows    a flat object: always the columns of history/columns.def, null for what is not known
 *   csv     the same columns (RFC 4180), after a line with their names; empty for what is not known
 *   raw     the record's value and a newline, whatever it is
 *
 * A text in a CSV that a spreadsheet would take for a formula (it begins with = + - @, a tab or a carriage return) gets a ' before it.
 */
#pragma once

#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/json.h"
#include "lib/base/record.h"
#include "schema/event.h"

enum klx_history_format { KLX_HISTORY_NDJSON, KLX_HISTORY_ROWS, KLX_HISTORY_CSV, KLX_HISTORY_RAW };

#define KLX_HISTORY_LINE_BYTES_MAX (48u << 20)

struct klx_history_event {
    const struct klx_record *record;
    const struct klx_event *event; /* not needed by raw */
    const struct klx_json *data;   /* for rows and csv; NULL: no JSON */
};

/* When it was recorded, as far as the event says: its extension recordedtime; KLX_TIME_NONE without. */
int64_t klx_history_recorded_us(const struct klx_record *r);
/* The line with the names, for csv; nothing for the others. */
void klx_history_format_head(enum klx_history_format f, struct klx_buf *out);
void klx_history_format(enum klx_history_format f, const struct klx_history_event *h,
                        struct klx_buf *out);
