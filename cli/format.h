/*
 * One record of `klaxon tail` as a line: for a person, or as a JSON object.
 */
#pragma once

#include <stdint.h>

#include "cli/terminal.h"
#include "lib/base/buf.h"
#include "lib/base/json.h"
#include "lib/base/record.h"
#include "schema/event.h"

#define KLX_FORMAT_LINE_BYTES_MAX (8u << 20)

struct klx_shown {
    const struct klx_record *record;
    const struct klx_event *event; /* NULL: it does not decode, and `problem` says why */
    const struct klx_json *data;   /* NULL: no JSON */
    const char *problem;
};

/* When it happened: the event's time, or the record's when it does not decode. */
int64_t klx_format_time(const struct klx_shown *s);
/* "07:52:18 ▲ prod-weu     Node/aks-1  Node aks-1 is not ready", with a date unless it is today's; the time is UTC. */
void klx_format_line(const struct klx_terminal *t, const struct klx_shown *s, int64_t now_us,
                     struct klx_buf *out);
/* {topic, partition, offset, time, type, source, cluster, severity, incident, phase, seq, resync, subject, id, data}: always these members, null when
   there is none; {topic, partition, offset, time, error} for what does not decode. */
void klx_format_json(const struct klx_shown *s, struct klx_buf *out);
