/*
 * A parked delivery, as it stands on klaxon.retry: the event's record with value and headers as they were read, so that any tool can read
 * it, and beside them what the delivery is.
 *
 *     key      the channel                                  timestamp   when it was parked, since retention counts from there
 *     headers  ce_*, content-type, …                        of the event's record, those named klaxon-* left out
 *              klaxon-channel, -sink, -team, -subscription  "ops-slack", "slack", "operations", "operations.yaml:12"
 *              klaxon-reason, -severity, -repeat, -digest   news, reminder …; after raise or lower; the digest as JSON
 *              klaxon-recipients                            JSON: those without a final verdict; left out: all of the channel's
 *              klaxon-parked-since, -not-before             RFC 3339
 *              klaxon-attempts, -ambiguous, -first-attempt, -last-attempt, -verdict, -code, -answer      when it was tried
 *              klaxon-original-topic, -partition, -offset, -timestamp, -key
 *
 * A record has at most 64 headers: of one that has many of its own the first are kept, CloudEvents' attributes before others.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/base/record.h"
#include "sinks/core/settings.h"
#include "sinks/core/sink.h"

struct klx_parked {
    struct klx_sv channel, sink, team;
    struct klx_sv subscription; /* "operations.yaml:12" */
    enum klx_notice_reason reason;
    enum klx_severity severity;
    uint32_t repeat;
    const struct klx_digest *digest; /* NULL: none */
    bool some_recipients;            /* only these are left; false: all of the channel's */
    const struct klx_sv *recipients;
    size_t recipients_n;
    int64_t parked_us;
    int64_t not_before_us; /* KLX_TIME_NONE: at once */
    unsigned attempts, ambiguous;
    int64_t first_us, last_us; /* KLX_TIME_NONE without an attempt */
    struct klx_verdict last;   /* with attempts */
    struct klx_record
        original; /* as it was read: topic, partition, offset, timestamp, key, value, headers */
};

/* The parts of `subscription`; line 0: it has none. */
struct klx_sv klx_parked_place(const struct klx_parked *p, unsigned *ret_line);
/* The subscription that it is told by, which may stand elsewhere by now: of the team, and telling the channel; at the place that was written
   down, or else the first. NULL: there is none any more. */
const struct klx_subscription_settings *klx_parked_subscription(const struct klx_parked *p,
                                                                const struct klx_sinks_settings *s);

/* Everything of *ret is in the arena or borrowed from *p. -ENOMEM: the arena is full. */
int klx_parked_encode(struct klx_arena *a, const char *retry_topic, const struct klx_parked *p,
                      struct klx_record *ret) KLX_MUST_CHECK;
/* Whose it is, without looking further; views into the record, empty where it does not say. */
void klx_parked_whose(const struct klx_record *r, struct klx_sv *ret_sink,
                      struct klx_sv *ret_channel);
/* Borrows from the record and the arena. -EBADMSG with what is wrong: it is no parked delivery of ours. */
int klx_parked_decode(struct klx_arena *a, const struct klx_record *r, struct klx_parked *ret,
                      struct klx_error *e) KLX_MUST_CHECK;

/* What is told, beside the event: reason, severity, repeat and digest of *p. The dead letter has the same headers, so that it can be told after all. */
#define KLX_PARKED_NOTICE_HEADERS 4
int klx_parked_encode_notice(struct klx_arena *a, const struct klx_parked *p,
                             struct klx_record_header ret[static KLX_PARKED_NOTICE_HEADERS],
                             size_t *ret_n) KLX_MUST_CHECK;
/* Sets them. -EBADMSG with what is wrong. */
int klx_parked_decode_notice(struct klx_arena *a, const struct klx_record *r, struct klx_parked *p,
                             struct klx_error *e) KLX_MUST_CHECK;
