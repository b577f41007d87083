/*
 * What a source that is asked for on an interval does with an answer (collector/source_poll.h is the asking). Pure: no I/O, no clock.
 *
 * A reader reads the answers of one request of the source, one after the other, each in chunks as they come; a list may be several answers:
 *
 *     open → restore … → [ begin → take … → end ] …  → close
 *
 * An answer that breaks off has no `end`; the next `begin` follows. Whatever a call writes into the outbox is committed together.
 */
#pragma once

#include "collector/observation.h"
#include "collector/outbox.h"
#include "lib/base/error.h"

struct klx_source_settings;

/* Where a reader puts what it has read. */
struct klx_poll_sink {
    struct klx_sv cluster;
    struct klx_outbox *out;
    /* To the detectors. */
    void (*observe)(struct klx_poll_sink *s, const struct klx_observation *o);
    /* The record `name` of this reader's state, given to `restore` at the next start; empty: removed. */
    void (*state)(struct klx_poll_sink *s, const char *name, struct klx_sv value);
    uint64_t samples; /* counted by the reader, for a metric */
    uint64_t skipped; /* what could not be read, or was too much */
};

struct klx_poll_ops {
    const char *accept; /* the header's value */
    /* Of the i-th request that the settings make (klx_source_watches). The settings outlive it. */
    void *(*open)(const struct klx_source_settings *s, size_t i);
    void (*close)(void *reader);
    /* `more`: it goes on where the answer before ended. */
    void (*begin)(void *reader, int64_t asked_us, bool more);
    /* -EBADMSG, -EMSGSIZE: the answer is given up. */
    int (*take)(void *reader, struct klx_sv chunk, struct klx_poll_sink *sink, struct klx_error *e);
    /* *ret_more: the continuation to ask for next, borrowed until the next call; empty: that was all. */
    int (*end)(void *reader, struct klx_poll_sink *sink, struct klx_sv *ret_more,
               struct klx_error *e);
    /* MAY be NULL: it has no state. */
    int (*restore)(void *reader, struct klx_sv name, struct klx_sv value);
};
