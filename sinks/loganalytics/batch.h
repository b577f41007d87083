/*
 * The rows of one send: which of them go into the next request, and what became of each. Pure: no network, no clock.
 *
 *   one range, or as many as keep the limit ──▶ next ──▶ taken:    a verdict for each row of it
 *                                       ▲        │──▶ refused:  a single row has its verdict; a longer range is halved, and
 *                                       └────────┘              its halves go to the end of the queue
 *                                                └──▶ ended:    the range and all that are left have theirs
 *
 * Halving breadth first finds k bad rows of n with about 2k·log2(n/k) requests, and takes most of the good ones with the first few.
 *
 * When not one row is taken, it is not the rows: a rule or table that does not fit refuses everything, and nobody wants a thousand dead
 * letters of that. So with KLX_BATCH_ALL_BAD rows or more refused and none taken (or after KLX_BATCH_REFUSALS_MAX requests that took none)
 * all of them are DESTINATION_BROKEN, reason all_refused: they are kept. A row that is refused for its size alone is always final.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/buf.h"
#include "sinks/core/sink.h"

#define KLX_BATCH_ALL_BAD 8
#define KLX_BATCH_REFUSALS_MAX 64

struct klx_batch;

/* Copies the rows; body_bytes_max is for the array with its brackets and commas. A row that is too long for it alone is sent alone. */
struct klx_batch *klx_batch_new(const struct klx_sv *rows, size_t n, size_t body_bytes_max);
void klx_batch_free(struct klx_batch *b);
/* Takes the next range. False: every row has its verdict. */
bool klx_batch_next(struct klx_batch *b);
/* Appends the range as a JSON array. */
void klx_batch_body(const struct klx_batch *b, struct klx_buf *out);
/* The range's first row, and its number of rows. */
size_t klx_batch_rows(const struct klx_batch *b, size_t *ret_first);
/* What became of the range: one of these, once for each klx_batch_next. */
void klx_batch_taken(struct klx_batch *b, const struct klx_verdict *v);
void klx_batch_refused(struct klx_batch *b, const struct klx_verdict *v, bool too_large);
void klx_batch_again(struct klx_batch *b); /* it comes next once more */
/* `now` is the range's, `rest` that of all that were not sent. */
void klx_batch_end(struct klx_batch *b, const struct klx_verdict *now,
                   const struct klx_verdict *rest);
/* One a row, in order; valid until _free. After klx_batch_next was false. */
const struct klx_verdict *klx_batch_verdicts(struct klx_batch *b, size_t *ret_n);
