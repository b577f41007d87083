/*
 * Lines of several partitions, in the order of their time.
 *
 * Kafka hands out one partition after the other, so a span of history comes interleaved by partition. Lines are kept until the owner
 * drains them: at the end, when a short while nothing came, or when the limit is reached. Two runs over the same records give the same
 * order: time, then topic, partition and offset.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/record.h"
#include "lib/base/sv.h"

#define KLX_REORDER_LINES_MAX 100000
#define KLX_REORDER_BYTES_MAX (64u << 20)

struct klx_reorder_line;

struct klx_reorder {
    struct klx_reorder_line *lines;
    size_t n, allocated;
    size_t bytes;
};

void klx_reorder_init(struct klx_reorder *r);
void klx_reorder_release(struct klx_reorder *r);
/* Copies the line; the record gives topic, partition and offset. */
void klx_reorder_add(struct klx_reorder *r, int64_t time_us, const struct klx_record *record,
                     struct klx_sv line);
/* It must be drained before more is added. */
bool klx_reorder_full(const struct klx_reorder *r);
/* Drops all but the last n in order. */
void klx_reorder_keep_newest(struct klx_reorder *r, size_t n);
/* Hands out all lines in order until `fn` returns false; empty afterwards in either case. */
void klx_reorder_drain(struct klx_reorder *r, bool (*fn)(void *arg, struct klx_sv line), void *arg);
