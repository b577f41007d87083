/*
 * The Slack channel: an incoming webhook, which posts to the one Slack channel it was made for.
 */
#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/base/secret.h"
#include "sinks/core/card.h"
#include "sinks/core/sink.h"
#include "sinks/slack/blocks.h"
#include "sinks/slack/limits.h"
#include "sinks/slack/post.h"
#include "sinks/slack/webhook.h"

#define CARD_BYTES_MAX (8u << 20) /* names are whole until the card cuts them */

struct config {
    struct klx_secret *webhook_url;
};

static const struct klx_config_field fields[] = {
    { .key = "webhook_url",
      .kind = KLX_CFG_SECRET,
      .offset = offsetof(struct config, webhook_url),
      .required = true,
      .help = "the URL of an incoming webhook, as {file: /path} or {env: NAME}" },
    { .key = NULL },
};

/* A webhook that cannot be read or cannot be one is found before the first message, not by it. */
static int slack_check(const void *config, const struct klx_config_node *at, struct klx_error *e) {
    const struct config *c = config;
    struct klx_sv url = { 0 };
    struct klx_error why = { 0 };
    int rc = klx_secret_get(c->webhook_url, &url, &why);
    if (rc == 0) {
        rc = klx_slack_webhook_check(klx_sv_trim(url), klx_secret_where(c->webhook_url), &why);
    }
    return rc == 0 ? 0 : klx_config_fail(klx_config_get(at, "webhook_url"), e, "%s", why.text);
}

static int slack_open(const struct klx_sink_env *env, const char *name, const void *config,
                      void **ret_channel, struct klx_error *e) {
    const struct config *c = config;
    (void)name;
    (void)e;
    *ret_channel = klx_slack_post_new(env, c->webhook_url);
    return 0;
}

static int slack_render(void *channel, const struct klx_notice *notice, struct klx_buf *out,
                        struct klx_error *e) {
    struct klx_arena arena;
    struct klx_card card;
    (void)channel;
    klx_arena_init(&arena, 16384, CARD_BYTES_MAX);
    int rc = klx_card_make(&arena, notice, &card);
    if (rc == 0) {
        klx_slack_render(&card, out);
        rc = klx_buf_check(out);
    }
    klx_arena_release(&arena);
    return rc == 0 ? 0 : klx_fail(e, rc, "the event is too large for a message to Slack");
}

/* A webhook has no idempotency key for the id, and no handle. */
static void slack_send(void *channel, const struct klx_send *send, klx_sent_fn done, void *arg) {
    klx_slack_post_start(channel, send->payloads[0], done, arg);
}

static void slack_close(void *channel) {
    klx_slack_post_free(channel);
}

const struct klx_sink_ops klx_sink_slack = {
    .name = "slack",
    .fields = fields,
    .config_bytes = sizeof(struct config),
    .payload_bytes_max = KLX_SLACK_PAYLOAD_BYTES_MAX,
    .min_interval_ms = KLX_SLACK_INTERVAL_MS,
    .check = slack_check,
    .open = slack_open,
    .render = slack_render,
    .send = slack_send,
    .close = slack_close,
};
