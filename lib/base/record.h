/*
 * A record of a log, as schema makes and reads it and lib/io carries it. Plain data that owns nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/sv.h"

struct klx_record_header {
    struct klx_sv name;
    struct klx_sv value;
};

struct klx_record {
    const char *topic;
    int32_t partition;    /* read: where it stood; written: -1 lets the key decide */
    int64_t offset;       /* read only */
    int64_t timestamp_ms; /* since the epoch */
    struct klx_sv key;
    struct klx_sv value; /* p == NULL: no value, a tombstone on a compacted topic */
    const struct klx_record_header *headers;
    size_t headers_n;
};
