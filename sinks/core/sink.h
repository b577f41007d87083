/*
 * What a kind of channel is: the ops that a sink implements, and the verdicts a delivery ends in.
 *
 * A sink is a folder with these functions, a line in sinks/core/list.def, and a main of one line:
 * return klx_sink_main(&klx_sink_slack, argc, argv). Everything else, from consuming to receipts, is the runtime's (sinks/core).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/config.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/io/http.h"
#include "lib/io/loop.h"
#include "schema/event.h"

/* The nine classes of outcome. NAME, name in receipts and metrics, final (settled at once). */
#define KLX_VERDICTS(X)                                                                            \
    X(DELIVERED, "delivered", true)                                                                \
    X(ACCEPTED, "accepted", true)             /* taken, delivery not confirmed */                  \
    X(RETRY_AFTER, "retry_after", false)      /* the other side said when */                       \
    X(RETRY_BACKOFF, "retry_backoff", false)  /* 5xx, network */                                   \
    X(AMBIGUOUS, "ambiguous", false)          /* sent whole, no answer: a retry may duplicate */   \
    X(REJECT_MESSAGE, "reject_message", true) /* this message is bad: dead letter */               \
    X(REJECT_RECIPIENT, "reject_recipient",                                                        \
      true) /* this recipient is bad: dead letter for it alone */                                  \
    X(DESTINATION_BROKEN, "destination_broken",                                                    \
      false) /* archived channel, deleted webhook: circuit, messages kept */                       \
    X(CREDENTIAL_BROKEN, "credential_broken", false) /* revoked token: circuit, messages kept */

enum klx_verdict_class {
#define KLX_VERDICT_ENUM(NAME, name, final) KLX_VERDICT_##NAME,
    KLX_VERDICTS(KLX_VERDICT_ENUM)
#undef KLX_VERDICT_ENUM
        KLX_VERDICTS_N,
};

const char *klx_verdict_name(enum klx_verdict_class c);
bool klx_verdict_is_final(enum klx_verdict_class c);

struct klx_verdict {
    enum klx_verdict_class class;
    int64_t retry_after_ms; /* RETRY_AFTER */
    char reason[64];  /* a code: the channel's own ("no_service"), or http_503, timeout, connect */
    char answer[512]; /* the verbatim answer, cut; never a secret */
};

/* What a renderer sees of one event. All borrowed for the call. */
struct klx_notice {
    const struct klx_event *event;
    const struct klx_json *data; /* the event's data, parsed */
    struct klx_sv team;          /* of the subscription */
    struct klx_sv channel;       /* the channel's name */
};

/* What a channel may use. Lives as long as the process. */
struct klx_sink_env {
    struct klx_loop *loop;
    struct klx_http *http;
    struct klx_clock *clock;
};

/* verdicts[i] belongs to recipients[i] of the send. Called exactly once per send, never from inside it. */
typedef void (*klx_sent_fn)(void *arg, const struct klx_verdict *verdicts, size_t n);

struct klx_sink_ops {
    const char *
        name; /* "slack": the key under a channel, the consumer group klaxon-sink-slack, the label in metrics */

    /* The channel's configuration: a table bound to a struct of config_bytes. */
    const struct klx_config_field *fields;
    size_t config_bytes;
    /* Limits, and what the runtime keeps to. */
    size_t payload_bytes_max;
    int64_t min_interval_ms; /* from a send's answer to the next send of the channel; 0: none */

    /* MAY: what the table cannot say. `at` is for the error's place. A secret or file of the table that cannot be read is reported
       already: what is said at its place is dropped. */
    int (*check)(const void *config, const struct klx_config_node *at, struct klx_error *e);
    /* MUST: makes the channel; `config` stays valid until close. Sends nothing. */
    int (*open)(const struct klx_sink_env *env, const char *name, const void *config,
                void **ret_channel, struct klx_error *e);
    /* MAY: the recipients of a message, each with a verdict of its own; NULL means one, named "". Valid until close. */
    size_t (*recipients)(void *channel, const struct klx_sv **ret);
    /* MUST: pure. Appends the payload to `out` (maximum payload_bytes_max), cutting content to fit the channel's limits and saying so. */
    int (*render)(void *channel, const struct klx_notice *notice, struct klx_buf *out,
                  struct klx_error *e);
    /* MUST: starts sending the payload to these recipients (a subset after partial success). `id` is stable over retries.
       One send at a time per channel. */
    void (*send)(void *channel, struct klx_sv payload, struct klx_sv id,
                 const struct klx_sv *recipients, size_t n, klx_sent_fn done, void *arg);
    /* MUST: cancels a send under way without calling back. */
    void (*close)(void *channel);
};

#define KLX_SINK(name) extern const struct klx_sink_ops klx_sink_##name;
#include "sinks/core/list.def"
#undef KLX_SINK

/* The whole process. `klaxon-sink-slack --config FILE [--check]`; ends in an exit code of lib/base/options.h. */
int klx_sink_main(const struct klx_sink_ops *ops, int argc, char **argv);

/* Verdicts that every HTTP channel shares: failures of the transport, 408/429/5xx. Returns false when the status is the channel's to judge. */
bool klx_verdict_from_http(const struct klx_http_result *r, struct klx_verdict *ret);
/* Fills a verdict in one statement. */
void klx_verdict_set(struct klx_verdict *v, enum klx_verdict_class class, const char *reason,
                     struct klx_sv answer);
