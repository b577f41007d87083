/*
 * The channel of ntfy: messages to a topic of a server, which pushes them to phones.
 */
#include <stdlib.h>

#include "lib/base/mem.h"
#include "sinks/core/card.h"
#include "sinks/core/http_post.h"
#include "sinks/ntfy/answer.h"
#include "sinks/ntfy/limits.h"
#include "sinks/ntfy/message.h"

#define CARD_BYTES_MAX (8u << 20) /* names are whole until the card cuts them */

struct channel {
    const struct klx_ntfy_config *config;
    struct klx_http_post *post;
    klx_sent_fn done;
    void *arg;
};

static const char *const headers[] = { "Content-Type: application/json", "User-Agent: klaxon",
                                       NULL };

static int ntfy_check(const void *config, const struct klx_config_node *at, struct klx_error *e) {
    return klx_ntfy_settings_check(config, at, e);
}

static const char *ntfy_doubt(const void *config, const char **ret_key) {
    return klx_ntfy_settings_doubt(config, ret_key);
}

static int ntfy_open(const struct klx_sink_env *env, const char *name, const void *config,
                     void **ret_channel, struct klx_error *e) {
    struct channel *ch = klx_alloc(struct channel);
    (void)name;
    (void)e;
    ch->config = config;
    ch->post = klx_http_post_new(&(struct klx_http_post_options){
        .env = env,
        .address = ch->config->url,
        .bearer_token = ch->config->token,
        .headers = headers,
    });
    *ret_channel = ch;
    return 0;
}

static int ntfy_render(void *channel, const struct klx_notice *notice, struct klx_buf *out,
                       struct klx_error *e) {
    const struct channel *ch = channel;
    struct klx_arena arena;
    struct klx_card card;
    klx_arena_init(&arena, 16384, CARD_BYTES_MAX);
    int rc = klx_card_make(&arena, notice, &card);
    if (rc == 0) {
        klx_ntfy_render(&card, ch->config, out);
        rc = klx_buf_check(out);
    }
    klx_arena_release(&arena);
    return rc == 0 ? 0 : klx_fail(e, rc, "the event is too large for a message to ntfy");
}

static void on_end(void *arg, const struct klx_http_post_end *end) {
    struct channel *ch = arg;
    struct klx_verdict v = { 0 };
    if (end->result == NULL) {
        klx_verdict_set(&v, KLX_VERDICT_CREDENTIAL_BROKEN, "token", klx_sv(end->not_sent));
    } else {
        klx_ntfy_judge(end->result, &v);
    }
    ch->done(ch->arg, &v, 1); /* may start the next, or close the channel */
}

/* ntfy has no idempotency key for the id. */
static void ntfy_send(void *channel, const struct klx_send *send, klx_sent_fn done, void *arg) {
    struct channel *ch = channel;
    ch->done = done;
    ch->arg = arg;
    klx_http_post_start(ch->post, send->payloads[0], on_end, ch);
}

/* A token may serve many topics. */
static void ntfy_credential(const void *config, struct klx_buf *out) {
    const struct klx_ntfy_config *c = config;
    if (c->token != NULL) {
        klx_buf_printf(out, "%s at %s", klx_secret_where(c->token), c->url);
    }
}

static void ntfy_close(void *channel) {
    struct channel *ch = channel;
    klx_http_post_free(ch->post);
    free(ch);
}

const struct klx_sink_ops klx_sink_ntfy = {
    .name = "ntfy",
    .fields = klx_ntfy_fields,
    .config_bytes = sizeof(struct klx_ntfy_config),
    .payload_bytes_max = KLX_NTFY_PAYLOAD_BYTES_MAX,
    .min_interval_ms = KLX_NTFY_INTERVAL_MS,
    .throttle_messages = 30,
    .throttle_per_ms = INT64_C(60000),
    .check = ntfy_check,
    .doubt = ntfy_doubt,
    .open = ntfy_open,
    .render = ntfy_render,
    .send = ntfy_send,
    .credential = ntfy_credential,
    .close = ntfy_close,
};
