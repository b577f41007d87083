/*
 * How fresh what a sink reads is: the heartbeats of each cluster on each topic, by partition.
 *
 * A topic on which nothing comes is quiet, or nobody writes it any more, or we do not get to read it. Heartbeats tell: their age is a
 * metric (of the stalest partition of ours), and when none has come for three of their periods it is said once, and once when they are
 * back. What stands still because the sink itself does not read is not counted as silence.
 *
 * Of a partition that no heartbeat has ever come on there is nothing to say: its writer may be older than heartbeats are. Bounded:
 * KLX_FRESHNESS_MAX partitions of clusters; more are not watched.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/sv.h"
#include "schema/event.h"

#define KLX_FRESHNESS_MAX 8192

struct klx_freshness;

struct klx_freshness *klx_freshness_new(struct klx_clock *clock);
void klx_freshness_free(struct klx_freshness *f);
/* A heartbeat was read. -EBADMSG: its data is not a heartbeat's. */
int klx_freshness_heard(struct klx_freshness *f, enum klx_topic topic, int32_t partition,
                        const struct klx_event *e) KLX_MUST_CHECK;
/* Somebody else reads the partition now. */
void klx_freshness_revoke(struct klx_freshness *f, enum klx_topic topic, int32_t partition);
/* Every second or so: the metrics, and what is to be said. `reading`: records may come. */
void klx_freshness_look(struct klx_freshness *f, bool reading);
/* Lines for /readyz: those that are silent, or how fresh the stalest is. */
void klx_freshness_describe(const struct klx_freshness *f, struct klx_buf *out);
/* Topics of clusters that are silent. */
size_t klx_freshness_silent(const struct klx_freshness *f);
