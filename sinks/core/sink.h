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

#define KLX_HANDLE_BYTES_MAX 255

struct klx_verdict {
    enum klx_verdict_class class;
    int64_t retry_after_ms; /* RETRY_AFTER */
    char reason[64];  /* a code: the channel's own ("no_service"), or http_503, timeout, connect */
    char answer[512]; /* the verbatim answer, cut; never a secret */
    char handle[KLX_HANDLE_BYTES_MAX +
                1]; /* DELIVERED: what the other side calls the message, if it says so; else "" */
    bool handle_replaces; /* it is the incident's message from now on, in place of the first one */
};

/* Why somebody is told: of something new, of what is still open, of what another channel did not answer to, of what was held back. */
enum klx_notice_reason {
    KLX_NOTICE_NEWS,
    KLX_NOTICE_REMINDER,
    KLX_NOTICE_ESCALATION,
    KLX_NOTICE_DIGEST
};

/* One line of a digest: events that are told together. */
struct klx_digest_line {
    struct klx_sv text; /* plain and untrusted: "Node aks-1 (prod-weu): Node is not ready" */
    enum klx_severity severity; /* of the worst */
    size_t events;
};

/* What a channel was spared: one message instead of many. */
struct klx_digest {
    size_t events, incidents;            /* in all; `lines` may have fewer */
    int64_t since_us, until_us;          /* the times of the first and the last event */
    const struct klx_digest_line *lines; /* the worst first */
    size_t lines_n;
};

struct klx_links;
struct klx_wording_use;

/* What a renderer sees of one event. All borrowed for the call. */
struct klx_notice {
    const struct klx_event *event; /* of a digest: the last of its worst events */
    const struct klx_json *data;   /* the event's data, parsed */
    struct klx_sv team;            /* of the subscription */
    struct klx_sv channel;         /* the channel's name */
    struct klx_sv id; /* of the send, for what is told apart by it; empty where nothing is sent */
    enum klx_notice_reason reason;
    const struct klx_digest *digest; /* KLX_NOTICE_DIGEST, else NULL */
    struct klx_sv
        handle; /* of the incident's first message on this channel; empty: there is none, or it has no handle */
    const struct klx_links
        *links; /* pages of the configuration to link to (sinks/core/links.h); NULL: none */
    struct klx_wording_use
        *wording; /* whose words the card is in (sinks/core/wording.h); NULL: ours */
};

/* What is to be sent. All borrowed for the call that starts it. */
struct klx_send {
    const struct klx_sv *payloads; /* as rendered; more than one only with batch_bytes_max */
    size_t payloads_n;
    const struct klx_sv
        *recipients; /* a subset after partial success; one named "" where the channel knows none */
    size_t recipients_n;
    struct klx_sv id;     /* stable over retries; of a batch: of its first */
    struct klx_sv handle; /* as in the notice, when it is sent */
    /* The channel was told something newer of the incident, which must stay as it is. */
    bool is_old;
};

/* What a channel may use. Lives as long as the process. */
struct klx_sink_env {
    struct klx_loop *loop;
    struct klx_http *http;
    struct klx_clock *clock;
};

/* verdicts[i] belongs to recipients[i] of the send, or to payloads[i] of a batch. Called exactly once per send, never from inside it. */
typedef void (*klx_sent_fn)(void *arg, const struct klx_verdict *verdicts, size_t n);

struct klx_sink_ops {
    const char *
        name; /* "slack": the key under a channel, the consumer group klaxon-sink-slack, the label in metrics */

    /* The channel's configuration: a table bound to a struct of config_bytes. */
    const struct klx_config_field *fields;
    size_t config_bytes;
    /* Limits, and what the runtime keeps to. */
    size_t payload_bytes_max;
    int64_t
        min_interval_ms; /* from a send's answer, with concurrency from its beginning, to the next send of the channel; 0: none */
    size_t
        concurrency; /* sends of one channel that may be under way at once, of different incidents; 0: one */
    /* How much of it people bear: the throttle of a channel that has none of its own. 0: no limit. */
    size_t throttle_messages;
    int64_t throttle_per_ms;
    /* Not 0: payloads are sent together, as many as fit, when the first has waited for batch_age_ms or there are enough. Such a channel
       has no recipients of its own. */
    size_t batch_bytes_max, batch_n_max;
    int64_t batch_age_ms;

    /* MAY: what the table cannot say. `at` is for the error's place. A secret or file of the table that cannot be read is reported
       already: what is said at its place is dropped. */
    int (*check)(const void *config, const struct klx_config_node *at, struct klx_error *e);
    /* MAY: the same of what the environment of the process decides: not called where that is another (klaxon check --no-environment). */
    int (*check_here)(const void *config, const struct klx_config_node *at, struct klx_error *e);
    /* MAY: what is right, but better changed: words for an operator and the key they are about, or NULL. `klaxon check` warns of it. */
    const char *(*doubt)(const void *config, const char **ret_key);
    /* MAY: whether it is sent data for machines, in which an operator's words (`message:`) would be nowhere; NULL: a message for people. */
    bool (*sends_data)(const void *config);
    /* MUST: makes the channel; `config` stays valid until close. Sends nothing. */
    int (*open)(const struct klx_sink_env *env, const char *name, const void *config,
                void **ret_channel, struct klx_error *e);
    /* MAY: how many sends of this channel may be under way at once, when its configuration says less than `concurrency`; at least 1. */
    size_t (*concurrency_of)(const void *channel);
    /* MAY: the recipients of a message, each with a verdict of its own; NULL means one, named "". Valid until close. */
    size_t (*recipients)(void *channel, const struct klx_sv **ret);
    /* MUST: pure. Appends the payload to `out` (maximum payload_bytes_max), cutting content to fit the channel's limits and saying so. */
    int (*render)(void *channel, const struct klx_notice *notice, struct klx_buf *out,
                  struct klx_error *e);
    /* MUST: starts a send; at most `concurrency` at a time per channel. */
    void (*send)(void *channel, const struct klx_send *send, klx_sent_fn done, void *arg);
    /* MAY: whether the channel would take a message, without sending one; done gets one verdict. Not while a send is under way. */
    void (*probe)(void *channel, klx_sent_fn done, void *arg);
    /* MAY: appends what names the channel's credential (never the secret itself): channels with the same text share a circuit. */
    void (*credential)(const void *config, struct klx_buf *out);
    /* MUST: cancels sends and a probe under way without calling back. */
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
