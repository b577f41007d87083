#include "sinks/slack/settings.h"

#include <stddef.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "sinks/core/http_post.h"
#include "sinks/core/secret_url.h"
#include "sinks/slack/handle.h"
#include "sinks/slack/webhook.h"

/* 80 characters, and most of them may be letters of any script. */
#define CHANNEL_NAME_BYTES_MAX 240

static const char *const update_names[] = { "both", "edit", "thread", NULL };

const struct klx_config_field klx_slack_fields[] = {
    { .key = "webhook_url",
      .kind = KLX_CFG_SECRET,
      .offset = offsetof(struct klx_slack_config, webhook_url),
      .help =
          "the URL of an incoming webhook, as {file: /path} or {env: NAME}; or token and channel" },
    { .key = "token",
      .kind = KLX_CFG_SECRET,
      .offset = offsetof(struct klx_slack_config, token),
      .help = "a bot's token, xoxb-…, as {file: /path} or {env: NAME}" },
    { .key = "channel",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_slack_config, channel),
      .help = "where the bot posts: the channel's ID, C024BE91L, or its name" },
    { .key = "updates",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_slack_config, updates),
      .otherwise = "both",
      .help = "what a bot does with news of an incident: edit its message, reply in its thread, or "
              "both" },
    { .key = "broadcast",
      .kind = KLX_CFG_BOOL,
      .offset = offsetof(struct klx_slack_config, broadcast),
      .otherwise = "true",
      .help = "whether replies that tell of something worse, and reminders, are shown in the "
              "channel too" },
    { .key = "base_url",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_slack_config, base_url),
      .otherwise = "https://slack.com/api/",
      .help = "the Web API; of GovSlack https://slack-gov.com/api/" },
    { .key = NULL },
};

static int refuse(const struct klx_config_node *at, const char *key, const char *words,
                  struct klx_error *e) {
    const struct klx_config_node *n = klx_config_get(at, key);
    return klx_config_fail(n != NULL ? n : at, e, "%s", words);
}

/* #operations, operations, or an ID. */
static const char *channel_problem(struct klx_sv channel) {
    if (channel.n > 0 && channel.p[0] == '#') {
        channel = klx_sv_n(channel.p + 1, channel.n - 1);
    }
    if (channel.n == 0) {
        return "this is not a channel: write its ID (C024BE91L) or its name";
    }
    for (size_t i = 0; i < channel.n; i++) {
        unsigned char c = (unsigned char)channel.p[i];
        if (c <= ' ' || c == 0x7f || strchr("\"\\/<>&,@:", (char)c) != NULL) {
            return "a channel's ID or name holds no space and none of \" \\ / < > & , @ :";
        }
    }
    return channel.n <= CHANNEL_NAME_BYTES_MAX ? NULL
                                               : "a channel's name has at most 80 characters";
}

/* No secret, but what goes there is one: the same rules. */
static const char *base_problem(struct klx_sv url) {
    struct klx_secret_url parts = { 0 };
    const char *problem = klx_secret_url_parse(url, &parts);
    if (problem == NULL && parts.query.n > 0) {
        problem = "has a query: write https://slack.com/api/";
    }
    return problem;
}

static bool is_known(struct klx_sv word, const char *const *words) {
    while (*words != NULL && !klx_sv_eq(word, klx_sv(*words))) {
        words++;
    }
    return *words != NULL;
}

static int check_bot(const struct klx_slack_config *c, const struct klx_config_node *at,
                     struct klx_error *e) {
    struct klx_error why = { 0 };
    const char *problem = channel_problem(klx_sv(c->channel));
    if (problem != NULL) {
        return refuse(at, "channel", problem, e);
    }
    problem = base_problem(klx_sv(c->base_url));
    if (problem != NULL) {
        klx_fail(&why, -EINVAL, "this URL %s", problem);
        return refuse(at, "base_url", why.text, e);
    }
    if (!is_known(klx_sv(c->updates), update_names)) {
        return refuse(at, "updates", "expected edit, thread or both", e);
    }
    return klx_http_post_check_token(c->token, klx_slack_token_problem, &why) == 0
               ? 0
               : refuse(at, "token", why.text, e);
}

static int check_webhook(const struct klx_slack_config *c, const struct klx_config_node *at,
                         struct klx_error *e) {
    static const char *const bots[] = { "channel", "updates", "broadcast", "base_url" };
    struct klx_sv url = { 0 };
    struct klx_error why = { 0 };
    for (size_t i = 0; i < KLX_COUNT(bots); i++) {
        if (klx_config_get(at, bots[i]) != NULL) {
            return refuse(
                at, bots[i],
                "a webhook has none of this: it posts to the channel it was made for, and "
                "changes nothing; a bot's token can",
                e);
        }
    }
    int rc = klx_secret_get(c->webhook_url, &url, &why);
    if (rc == 0) {
        rc = klx_slack_webhook_check(klx_sv_trim(url), klx_secret_where(c->webhook_url), &why);
    }
    return rc == 0 ? 0 : refuse(at, "webhook_url", why.text, e);
}

/* A webhook that cannot be read or cannot be one is found before the first message, not by it. */
int klx_slack_settings_check(const struct klx_slack_config *c, const struct klx_config_node *at,
                             struct klx_error *e) {
    if (c->webhook_url != NULL && c->token != NULL) {
        return refuse(at, "token", "webhook_url or token, not both", e);
    }
    if (c->webhook_url != NULL) {
        return check_webhook(c, at, e);
    }
    if (c->token == NULL) {
        return klx_config_fail(at, e,
                               "a Slack channel needs webhook_url, or token and channel: "
                               "webhook_url: {file: /path}");
    }
    if (c->channel == NULL) {
        return klx_config_fail(at, e, "a token needs a channel to post to: channel: C024BE91L");
    }
    return check_bot(c, at, e);
}

enum klx_slack_updates klx_slack_settings_updates(const struct klx_slack_config *c) {
    struct klx_sv word = klx_sv(c->updates);
    return klx_sv_eq(word, KLX_SV("edit"))     ? KLX_SLACK_EDIT
           : klx_sv_eq(word, KLX_SV("thread")) ? KLX_SLACK_THREAD
                                               : KLX_SLACK_BOTH;
}

const char *klx_slack_token_problem(struct klx_sv token) {
    if (klx_sv_starts(token, KLX_SV("http"))) {
        return "is a URL: write webhook_url in place of token";
    }
    if (klx_sv_starts(token, KLX_SV("xapp-"))) {
        return "is an app-level token (xapp-): take the bot's, xoxb-, from OAuth & Permissions";
    }
    return klx_sv_starts(token, KLX_SV("xox"))
               ? NULL
               : "is not a token of Slack: a bot's begins with xoxb-";
}
