/*
 * Internal of sinks/core/settings.c: one item of `subscriptions`.
 */
#pragma once

#include "sinks/core/settings.h"

/* Where mistakes go while the settings are bound. */
struct klx_settings_reporter {
    void (*report)(void *arg, const char *text);
    void *arg;
    size_t mistakes;
};

void klx_settings_report(struct klx_settings_reporter *r, const struct klx_error *e);
/* For klx_config_bind_all: `arg` is the reporter, which counts. */
void klx_settings_report_text(void *arg, const char *text);

/* What a subscription names. */
struct klx_subscription_env {
    const struct klx_topic_names *topics;
    const struct klx_channel_settings *channels;
    size_t channels_n;
};

/* Binds what can be bound and reports the rest; *ret needs klx_subscription_settings_release in any case. file_team: the `team` of the
   whole file, or NULL. */
void klx_subscription_settings_bind(const struct klx_config_node *n,
                                    const struct klx_config_node *file_team,
                                    const struct klx_subscription_env *env,
                                    struct klx_subscription_settings *ret,
                                    struct klx_settings_reporter *r);
/* The value of a `match:` alone, for who asks in the same language which events are meant: topics and channels stay empty. As above. */
void klx_subscription_match_bind(const struct klx_config_node *match,
                                 struct klx_subscription_settings *ret,
                                 struct klx_settings_reporter *r);
void klx_subscription_settings_release(struct klx_subscription_settings *s);
/* Patterns of kinds of events, one or a list; names that are no kind's are mistakes. NULL: none. With ret_digest the word "digest" is none of
   them, and sets it. */
struct klx_match *klx_event_patterns_bind(const struct klx_config_node *n, bool *ret_digest,
                                          struct klx_settings_reporter *r);
