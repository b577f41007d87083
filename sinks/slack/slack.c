/*
 * The Slack channel: an incoming webhook, which posts to the one Slack channel it was made for, or a bot, which can also edit what it posted.
 */
#include <stdlib.h>

#include "lib/base/mem.h"
#include "sinks/core/card.h"
#include "sinks/core/sink.h"
#include "sinks/slack/blocks.h"
#include "sinks/slack/bot.h"
#include "sinks/slack/bot_message.h"
#include "sinks/slack/limits.h"
#include "sinks/slack/post.h"
#include "sinks/slack/settings.h"

#define CARD_BYTES_MAX (8u << 20) /* names are whole until the card cuts them */

struct channel {
    const struct klx_slack_config *config;
    struct klx_slack_post *post; /* a webhook, */
    struct klx_slack_bot *bot;   /* or a bot; the other is NULL */
};

static int slack_check(const void *config, const struct klx_config_node *at, struct klx_error *e) {
    return klx_slack_settings_check(config, at, e);
}

static int slack_open(const struct klx_sink_env *env, const char *name, const void *config,
                      void **ret_channel, struct klx_error *e) {
    struct channel *ch = klx_alloc(struct channel);
    (void)name;
    (void)e;
    ch->config = config;
    if (ch->config->webhook_url != NULL) {
        ch->post = klx_slack_post_new(env, ch->config->webhook_url);
    } else {
        ch->bot = klx_slack_bot_new(env, ch->config);
    }
    *ret_channel = ch;
    return 0;
}

static int slack_render(void *channel, const struct klx_notice *notice, struct klx_buf *out,
                        struct klx_error *e) {
    const struct channel *ch = channel;
    struct klx_arena arena;
    struct klx_card card;
    klx_arena_init(&arena, 16384, CARD_BYTES_MAX);
    int rc = klx_card_make(&arena, notice, &card);
    if (rc == 0 && ch->bot != NULL) {
        bool thread = klx_slack_settings_updates(ch->config) == KLX_SLACK_THREAD;
        klx_slack_render_bot(&card, notice, thread, out);
    } else if (rc == 0) {
        klx_slack_render(&card, out);
    }
    rc = rc == 0 ? klx_buf_check(out) : rc;
    klx_arena_release(&arena);
    return rc == 0 ? 0 : klx_fail(e, rc, "the event is too large for a message to Slack");
}

/* Slack has no idempotency key for the id, and a webhook names no message. */
static void slack_send(void *channel, const struct klx_send *send, klx_sent_fn done, void *arg) {
    struct channel *ch = channel;
    if (ch->bot != NULL) {
        klx_slack_bot_start(ch->bot, send, done, arg);
    } else {
        klx_slack_post_start(ch->post, send->payloads[0], done, arg);
    }
}

static void slack_probe(void *channel, klx_sent_fn done, void *arg) {
    struct channel *ch = channel;
    if (ch->bot != NULL) {
        klx_slack_bot_probe(ch->bot, done, arg);
    } else {
        klx_slack_post_probe(ch->post, done, arg);
    }
}

/* A webhook stands for itself; a token may serve many channels. */
static void slack_credential(const void *config, struct klx_buf *out) {
    const struct klx_slack_config *c = config;
    if (c->token != NULL) {
        klx_buf_printf(out, "%s at %s", klx_secret_where(c->token), c->base_url);
    } else if (c->webhook_url != NULL) {
        klx_buf_add_str(out, klx_secret_where(c->webhook_url));
    }
}

static void slack_close(void *channel) {
    struct channel *ch = channel;
    klx_slack_post_free(ch->post);
    klx_slack_bot_free(ch->bot);
    free(ch);
}

const struct klx_sink_ops klx_sink_slack = {
    .name = "slack",
    .fields = klx_slack_fields,
    .config_bytes = sizeof(struct klx_slack_config),
    .payload_bytes_max = KLX_SLACK_PAYLOAD_BYTES_MAX,
    .min_interval_ms = KLX_SLACK_INTERVAL_MS,
    .throttle_messages = 30,
    .throttle_per_ms = INT64_C(60000),
    .check = slack_check,
    .open = slack_open,
    .render = slack_render,
    .send = slack_send,
    .probe = slack_probe,
    .credential = slack_credential,
    .close = slack_close,
};
