/*
 * A Slack channel as the configuration has it: a webhook, or a bot's token and the channel it posts to.
 *
 *     ops-slack: { slack: { webhook_url: { file: /run/secrets/ops-slack } } }
 *     ops-slack:
 *       slack:
 *         token: { file: /run/secrets/slack-bot }     # xoxb-…
 *         channel: C024BE91L                          # an ID, or a name
 *         updates: both                               # edit | thread | both
 *         broadcast: true                             # what is worse is shown in the channel, not in the thread alone
 *         base_url: https://slack-gov.com/api/        # GovSlack
 */
#pragma once

#include <stdbool.h>

#include "lib/base/config.h"
#include "lib/base/secret.h"
#include "sinks/core/sink.h"

enum klx_slack_updates {
    KLX_SLACK_BOTH,   /* the first message is edited; what is worse, and the end, are replies too */
    KLX_SLACK_EDIT,   /* it is edited, and that is all but for reminders */
    KLX_SLACK_THREAD, /* each update is a reply */
};

/* Bound by klx_slack_fields. */
struct klx_slack_config {
    struct klx_secret *webhook_url; /* or the others */
    struct klx_secret *token;
    char *channel;
    char *base_url;
    char *updates;
    bool broadcast;
};

extern const struct klx_config_field klx_slack_fields[];

/* -EINVAL with the place of the first mistake. Reads the secrets. */
int klx_slack_settings_check(const struct klx_slack_config *c, const struct klx_config_node *at,
                             struct klx_error *e) KLX_MUST_CHECK;
/* What the table's text means; it was checked. */
enum klx_slack_updates klx_slack_settings_updates(const struct klx_slack_config *c);
/* For klx_http_post: what is wrong with a token, beside its characters; or NULL. */
const char *klx_slack_token_problem(struct klx_sv token);
