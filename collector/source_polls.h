/*
 * The polls of a cluster (collector/source_poll.h), as one: the sources of its settings that are asked for on an interval.
 */
#pragma once

#include "collector/settings.h"
#include "collector/source_poll.h"

struct klx_source_polls;

struct klx_source_polls *klx_source_polls_new(const struct klx_source_poll_env *env,
                                              const struct klx_cluster_settings *s);
/* A record of `klaxon.state`, without the cluster in its key. False: it is none of a poll, and left alone. What polls that are not
   configured any more remembered is taken over by those of the same source, and their records are removed at the start. */
bool klx_source_polls_restore(struct klx_source_polls *p, struct klx_sv key, struct klx_sv value);
/* Whether one that has something to remember has never had an answer. */
bool klx_source_polls_are_new(const struct klx_source_polls *p);
void klx_source_polls_start(struct klx_source_polls *p);
void klx_source_polls_pause(struct klx_source_polls *p, bool pause);
/* Appends a line for each. */
void klx_source_polls_describe(const struct klx_source_polls *p, struct klx_buf *out);
void klx_source_polls_stop(struct klx_source_polls *p);
void klx_source_polls_free(struct klx_source_polls *p);
