/*
 * Channels and subscriptions, as the configuration has them, bound and checked.
 *
 *     sinks:                                        # how the processes run; all of it may be left out
 *       slack: { listen: "127.0.0.1:9465", queue: 1000, give_up_after: 24h }
 *     channels:                                     # names: 1 to 63 of letters, digits, '-', '_', '.'; they stand in keys of records
 *       ops-slack: { slack: { webhook_url: { file: /run/secrets/ops-slack } } }    # exactly one kind of sink a channel; throttle: {…}
 *     subscriptions:
 *       - team: operations                          # team (also once for a file of subscriptions.d/), topics and channels are required
 *         topics: [nodes]                           # event topics: kubernetes, nodes, scaling, gitops, metrics
 *         match:                                    # each one or a list of patterns (lib/base/match.h); left out: everything
 *           cluster: "prod-*"
 *           severity: [warning, critical]
 *           event: "node.*"                         # the event's type without "io.klaxon."
 *           namespace, name, kind, reason: of the event's object; kind "Node", "Pod"
 *           labels: { agentpool: system, spot: { exists: false } }    # of the event's data
 *         channels: [ops-slack]
 *         severity: { raise_to: critical }          # or lower_to: what is told, not what is recorded
 *         continue: true                            # false: an event that this one matches goes to none that stands after it
 *         history: false                            # true: also what a relist found and that belongs to no incident
 *         quiet, repeat, escalate                   # sinks/core/noise/settings_noise.h
 *         message: { title: "{{cluster}}: {{title}}" }    # words of one's own; a channel has it too (sinks/core/wording.h)
 *
 * A sink process binds the channels of its own kind and knows of the others only that they exist; `klaxon check` binds them all.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/match.h"
#include "schema/event.h"
#include "schema/settings.h"
#include "sinks/core/links.h"
#include "sinks/core/sink.h"

/* The keys: under a kind of `sinks:`, of a subscription, of its `match`. */
extern const struct klx_config_field klx_sink_process_fields[];
extern const struct klx_config_field klx_subscription_fields[];
extern const struct klx_config_field klx_match_fields[];
/* Of `severity` of a subscription, and of a label that is asked for by {exists: …}. */
extern const struct klx_config_field klx_subscription_severity_fields[];
extern const struct klx_config_field klx_label_fields[];

struct klx_wording;

/* At most `messages` in any stretch of `per`, and at most `burst` at once (sinks/core/noise/throttle.h). messages 0: no limit. */
struct klx_throttle_settings {
    int64_t messages, per_ms, burst;
};

struct klx_channel_settings {
    const char *name;
    const char *sink;                 /* "slack" */
    const struct klx_sink_ops *ops;   /* NULL: not among those that were asked for */
    void *config;                     /* bound to ops->fields; NULL without ops */
    const struct klx_config_node *at; /* where it stands */
    struct klx_throttle_settings throttle;
    struct klx_wording *wording; /* NULL: none of its own */
};

enum klx_label_rule_kind { KLX_LABEL_MATCHES, KLX_LABEL_EXISTS, KLX_LABEL_ABSENT };

struct klx_label_rule {
    struct klx_sv key;
    enum klx_label_rule_kind kind;
    struct klx_match *value; /* KLX_LABEL_MATCHES */
};

struct klx_hours;

struct klx_subscription_settings {
    struct klx_sv team;
    bool topics[KLX_TOPICS_N];
    bool severities[KLX_SEVERITY_CRITICAL + 1];
    struct klx_match *cluster, *event, *namespace, *name, *kind, *reason; /* NULL: everything */
    struct klx_label_rule *labels;
    size_t labels_n;
    enum klx_severity raise_to; /* what is told is at least this; INFO: as it is */
    bool lowers;                /* and at most lower_to */
    enum klx_severity lower_to;
    bool stops;       /* `continue: false` */
    size_t *channels; /* indexes into klx_sinks_settings.channels */
    size_t channels_n;
    bool history;
    struct klx_hours *quiet;     /* NULL: never */
    struct klx_wording *wording; /* before those of its channels; NULL: none */
    int64_t repeat_ms;           /* 0: never */
    int64_t escalate_after_ms;   /* 0: never */
    size_t *escalate_to;         /* indexes, as `channels` */
    size_t escalate_to_n;
    const char *file; /* where it stands, for receipts and messages */
    unsigned line;
};

/* Of one kind of sink: the process's own. */
struct klx_sink_process_settings {
    char *listen;             /* of /metrics, /healthz, /readyz; NULL: none */
    int64_t queue;            /* deliveries that may wait for one channel; then reading stops */
    int64_t give_up_after_ms; /* a delivery that was tried for so long becomes a dead letter */
    int64_t park_after_ms;    /* a channel that has failed for so long is parked on klaxon.retry */
};

/* Whether what it is sent is for machines, so that no `message:` counts for it. False of a kind that is not bound. */
bool klx_channel_sends_data(const struct klx_channel_settings *c);
/* Whether it tells the channel, at once or by its escalation. */
bool klx_subscription_names(const struct klx_subscription_settings *s, size_t channel);
/* How often a pattern of its `match:` took too long and so did not match. */
size_t klx_subscription_limit_hits(const struct klx_subscription_settings *s);

struct klx_sinks_settings {
    struct klx_sink_process_settings process; /* of ops[0] */
    struct klx_links *links;                  /* what `links:` says (sinks/core/links.h) */
    struct klx_channel_settings *channels;
    size_t channels_n;
    struct klx_subscription_settings *subscriptions;
    size_t subscriptions_n;
};

/* Every mistake is handed to `report` ("file:line:column: path: …"), and what can still be checked is: the result is their number, and
   *ret is set only when it is 0. `ops` are the kinds to bind; views borrow from `s`, which must outlive *ret. */
size_t klx_sinks_settings_bind(const struct klx_settings *s, const struct klx_sink_ops *const *ops,
                               size_t ops_n, struct klx_sinks_settings *ret,
                               void (*report)(void *arg, const char *text), void *arg);
/* The same where the secrets are not, such as the checks of a pull request: one that cannot be read is no mistake. */
size_t klx_sinks_settings_bind_anywhere(const struct klx_settings *s,
                                        const struct klx_sink_ops *const *ops, size_t ops_n,
                                        struct klx_sinks_settings *ret,
                                        void (*report)(void *arg, const char *text), void *arg);
void klx_sinks_settings_release(struct klx_sinks_settings *s);
