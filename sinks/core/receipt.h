/*
 * What a sink writes of its work: a receipt for every final verdict, and a dead letter for what was refused for good or given up.
 *
 *   receipt       io.klaxon.delivery     klaxon.deliveries, key: the channel
 *   dead letter   io.klaxon.deadletter   klaxon.dlq, key: the channel; in addition the record as it was read (`original`), and the
 *                                        headers __connect.errors.* that tools for Kafka Connect's dead letters know
 *
 * A record that is no event has no channel: its dead letter has the sink's name as key, and the reason `not_cloudevent`.
 *
 * A receipt of something that was not sent on purpose has the verdict `suppressed`, and why as its reason; `answer` says what by.
 *
 * Ids are deterministic: the same verdict for the same event, channel and recipient has the same id, also when a crash makes it come
 * again. `reason` says why it ended (a final verdict, gave_up, not_cloudevent), `verdict` is the class of the last answer, `code` and
 * `answer` are the channel's own words.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/record.h"
#include "schema/topics.h"
#include "sinks/core/lane.h"

#define KLX_ORIGINAL_BYTES_MAX (256u << 10) /* a larger record is cut in its dead letter */
#define KLX_ORIGINAL_CUT_BYTES (32u << 10)  /* to this */

/* Why a channel was not told of an event: NAME, name in receipts and metrics, what stands between the event's title and the channel. */
#define KLX_SUPPRESSIONS(X)                                                                        \
    X(SILENCED, "silenced", "silenced, not told to")                                               \
    X(QUIET_HOURS, "quiet_hours", "not told in the quiet hours of")                                \
    X(SUPERSEDED, "superseded", "older than what is told to")                                      \
    X(REPEATED, "repeated", "told before to")                                                      \
    X(NOT_TOLD, "not_told", "the end of what was not told to")                                     \
    X(ESCALATION, "escalation_pending", "to be told when nobody acknowledges it, to")              \
    X(DIGESTED, "digested", "told in a digest to")

enum klx_suppression {
#define KLX_SUPPRESSION_ENUM(NAME, name, words) KLX_SUPPRESSION_##NAME,
    KLX_SUPPRESSIONS(KLX_SUPPRESSION_ENUM)
#undef KLX_SUPPRESSION_ENUM
        KLX_SUPPRESSIONS_N,
};

const char *klx_suppression_name(enum klx_suppression why);

/* An event that one channel was not sent. Borrowed for the call. */
struct klx_suppressed {
    const struct klx_message *message;
    const struct klx_subscription_settings *subscription;
    const char *channel;
    enum klx_suppression why;
    struct klx_sv detail; /* by what: "silence 3f9c", the id of a digest; may be empty */
};

struct klx_receipt_env {
    const struct klx_topic_names *topics;
    const char *sink; /* "slack" */
    int64_t now_us;
};

/* "operations.yaml:12": which subscription, for whoever wants to change it. The folder is this machine's, and says nothing. */
struct klx_sv klx_subscription_place(struct klx_arena *a,
                                     const struct klx_subscription_settings *s);

/* Everything of *ret is in the arena. -ENOMEM: it is full. */
int klx_receipt_encode(struct klx_arena *a, const struct klx_receipt_env *env,
                       const struct klx_outcome *o, struct klx_record *ret) KLX_MUST_CHECK;
int klx_suppressed_encode(struct klx_arena *a, const struct klx_receipt_env *env,
                          const struct klx_suppressed *s, struct klx_record *ret) KLX_MUST_CHECK;
int klx_deadletter_encode(struct klx_arena *a, const struct klx_receipt_env *env,
                          const struct klx_outcome *o, struct klx_record *ret) KLX_MUST_CHECK;
/* `why`: what is not a CloudEvent about it. */
int klx_deadletter_encode_unreadable(struct klx_arena *a, const struct klx_receipt_env *env,
                                     const struct klx_record *r, const char *why,
                                     struct klx_record *ret) KLX_MUST_CHECK;
