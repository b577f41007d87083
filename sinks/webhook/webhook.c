/*
 * The webhook channel: any service that takes HTTPS requests. Most new kinds of channel are a webhook and a template, and need no C.
 */
#include <stdlib.h>

#include "lib/base/mem.h"
#include "sinks/core/sink.h"
#include "sinks/webhook/body.h"
#include "sinks/webhook/post.h"
#include "sinks/webhook/settings.h"

struct channel {
    struct klx_webhook_settings settings;
    struct klx_webhook_post *post;
};

static const struct klx_config_node *place_of_template(const struct klx_webhook_config *c,
                                                       const struct klx_config_node *at) {
    const struct klx_config_node *n =
        klx_config_get(at, c->template != NULL ? "template" : "template_file");
    return n != NULL ? n : at;
}

static int webhook_check(const void *config, const struct klx_config_node *at,
                         struct klx_error *e) {
    struct klx_webhook_settings s;
    struct klx_error why = { 0 };
    int rc = klx_webhook_settings_read(config, at, &s, e);
    if (rc == 0 && s.format == KLX_WEBHOOK_TEMPLATE && klx_webhook_try(&s, &why) != 0) {
        rc = klx_config_fail(place_of_template(config, at), e, "%s", why.text);
    }
    klx_webhook_settings_release(&s);
    return rc;
}

static int webhook_check_here(const void *config, const struct klx_config_node *at,
                              struct klx_error *e) {
    struct klx_webhook_settings s;
    int rc = klx_webhook_settings_read(config, at, &s, e);
    rc = rc == 0 ? klx_webhook_settings_check(&s, at, e) : rc;
    klx_webhook_settings_release(&s);
    return rc;
}

static int webhook_open(const struct klx_sink_env *env, const char *name, const void *config,
                        void **ret_channel, struct klx_error *e) {
    struct channel *c = klx_alloc(struct channel);
    (void)name;
    int rc = klx_webhook_settings_read(config, NULL, &c->settings, e);
    if (rc != 0) {
        klx_webhook_settings_release(&c->settings);
        free(c);
        return rc;
    }
    c->post = klx_webhook_post_new(env, &c->settings);
    *ret_channel = c;
    return 0;
}

static size_t webhook_concurrency_of(const void *channel) {
    const struct channel *c = channel;
    return (size_t)c->settings.config->concurrency;
}

static int webhook_render(void *channel, const struct klx_notice *notice, struct klx_buf *out,
                          struct klx_error *e) {
    const struct channel *c = channel;
    return klx_webhook_render(&c->settings, notice, out, e);
}

static void webhook_send(void *channel, const struct klx_send *send, klx_sent_fn done, void *arg) {
    struct channel *c = channel;
    klx_webhook_post_start(c->post, send, done, arg);
}

/* Channels that log in with the same secret share its fate. */
static void webhook_credential(const void *config, struct klx_buf *out) {
    const struct klx_webhook_config *c = config;
    struct klx_secret *secret = c->bearer_token != NULL ? c->bearer_token : c->password;
    if (secret != NULL) {
        klx_buf_printf(out, "%s %s", c->user != NULL ? c->user : "bearer",
                       klx_secret_where(secret));
    }
}

static void webhook_close(void *channel) {
    struct channel *c = channel;
    klx_webhook_post_free(c->post);
    klx_webhook_settings_release(&c->settings);
    free(c);
}

/* CloudEvents are the events themselves; a template has the card's texts. */
static bool webhook_sends_data(const void *config) {
    const struct klx_webhook_config *c = config;
    return c->template == NULL && c->template_file == NULL;
}

const struct klx_sink_ops klx_sink_webhook = {
    .name = "webhook",
    .fields = klx_webhook_fields,
    .config_bytes = sizeof(struct klx_webhook_config),
    .payload_bytes_max = KLX_WEBHOOK_PAYLOAD_BYTES_MAX,
    .concurrency = KLX_WEBHOOK_CONCURRENCY_MAX,
    .check = webhook_check,
    .check_here = webhook_check_here,
    .sends_data = webhook_sends_data,
    .open = webhook_open,
    .concurrency_of = webhook_concurrency_of,
    .render = webhook_render,
    .send = webhook_send,
    .credential = webhook_credential,
    .close = webhook_close,
};
