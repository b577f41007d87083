/*
 * The time of the last sample of each object of a poll, so that a sample that is shown again is no second record: not within a window of
 * metrics-server, and not after a restart.
 *
 *     for each chunk of an answer:  klx_sample_times_is_new(t, "namespace/name", time) … klx_sample_times_flush(t, …)
 *     when it was whole:            klx_sample_times_end(t, …)
 *
 * What is remembered is written in the transaction of the samples it is about: each flush writes one record, "a0", "a1" …, and the end of an
 * answer removes those of the answer before, "b0" … An answer that was broken off is followed by one that goes on counting. So whatever is
 * committed of an answer, its samples are known, and those before it still are. An answer without news writes nothing.
 *
 * An object is a digest of 48 bits, its time is kept in seconds: 8 bytes in a record.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/base/sv.h"

#define KLX_SAMPLE_TIMES_MAX 50000 /* objects of one poll; the samples of more are not taken */

struct klx_sample_times;

/* The record `name` of the poll's state; an empty value removes it. */
typedef void (*klx_sample_times_write_fn)(void *arg, const char *name, struct klx_sv value);

struct klx_sample_times *klx_sample_times_new(void);
void klx_sample_times_free(struct klx_sample_times *t);
/* False: a sample of this object that is as new was there before, or there are too many objects (klx_sample_times_is_full). */
bool klx_sample_times_is_new(struct klx_sample_times *t, struct klx_sv object, int64_t time_us);
bool klx_sample_times_is_full(const struct klx_sample_times *t);
void klx_sample_times_flush(struct klx_sample_times *t, klx_sample_times_write_fn write, void *arg);
/* What this answer did not show is forgotten. */
void klx_sample_times_end(struct klx_sample_times *t, klx_sample_times_write_fn write, void *arg);
/* A record as it was written. -EBADMSG: it was not. */
int klx_sample_times_restore(struct klx_sample_times *t, struct klx_sv name,
                             struct klx_sv value) KLX_MUST_CHECK;
