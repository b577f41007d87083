/*
 * The channels and subscriptions of the configuration, for commands that look at them or try one. No Kafka is needed.
 */
#pragma once

#include "cli/event_file.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "schema/settings.h"
#include "sinks/core/settings.h"

/* Every kind of sink that this klaxon has. */
#define KLX_SINKS_MAX 16
size_t klx_cli_sinks(const struct klx_sink_ops *ret[static KLX_SINKS_MAX]);

struct klx_cli_channels {
    struct klx_settings settings;
    struct klx_sinks_settings sinks;
};

/* KLX_EXIT_OK, or the exit code after it has said what is wrong. A secret that cannot be read is no mistake: who tries a channel need not
   have those of all others. */
int klx_cli_channels_load(const char *command, const char *file,
                          struct klx_cli_channels *ret) KLX_MUST_CHECK;
void klx_cli_channels_release(struct klx_cli_channels *c);
/* NULL, after it has said which is nearest, when there is none of that name. */
const struct klx_channel_settings *
klx_cli_channel_find(const char *command, const struct klx_cli_channels *c, const char *name);
/* How many subscriptions name the channel. */
size_t klx_cli_channel_subscriptions(const struct klx_cli_channels *c, size_t channel);

/* A channel that is opened as its sink would, on a loop of its own. */
struct klx_cli_channel {
    const struct klx_cli_channels *all;
    const struct klx_channel_settings *settings;
    const struct klx_sink_ops *ops;
    struct klx_sink_env env;
    void *channel;
    const char *name;
};

/* *ret needs klx_cli_channel_close also when it fails. */
int klx_cli_channel_open(const struct klx_cli_channels *all, const struct klx_channel_settings *s,
                         struct klx_cli_channel *ret, struct klx_error *e) KLX_MUST_CHECK;
/* Appends what the lane would send: with the configuration's links, the channel's words, and the severity, the team and the words of the first
   subscription (of `team`, when one is given) that sends the event to the channel; as the event is, for the team "test", when none does. `out`
   has the channel's maximum. Says on stderr which templates cannot be filled in. */
int klx_cli_channel_render(const struct klx_cli_channel *c, const struct klx_event_file *f,
                           const char *team, struct klx_buf *out,
                           struct klx_error *e) KLX_MUST_CHECK;
/* The same of a notice that is known, in the words of the channel and of the subscription (NULL: it has none). Its links and words are set here. */
int klx_cli_notice_render(const struct klx_cli_channel *c, const struct klx_notice *notice,
                          const struct klx_subscription_settings *subscription, struct klx_buf *out,
                          struct klx_error *e) KLX_MUST_CHECK;
void klx_cli_channel_close(struct klx_cli_channel *c);

/* Asks channels by name who their recipients are. Zeroed but for `all`; the channel asked last stays open. */
struct klx_cli_recipients {
    const struct klx_cli_channels *all;
    struct klx_cli_channel last;
};

/* False: the channel is there, and the recipient is none of its own. */
bool klx_cli_recipients_may_have(struct klx_cli_recipients *r, struct klx_sv channel,
                                 struct klx_sv recipient);
void klx_cli_recipients_release(struct klx_cli_recipients *r);
