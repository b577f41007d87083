/*
 * The email channel: one mail for each event, to all addresses of the channel, each with a verdict of its own.
 */
#include <stdlib.h>

#include "lib/base/cleanup.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "sinks/core/card.h"
#include "sinks/core/sink.h"
#include "sinks/email/mail.h"
#include "sinks/email/post.h"
#include "sinks/email/settings.h"

#define CARD_BYTES_MAX (8u << 20) /* names are whole until the card cuts them */
#define INTERVAL_MS 1000          /* relays count connections and mails a minute */

struct channel {
    struct klx_email_settings settings;
    struct klx_template *html;
    struct klx_email_post *post;
};

/* What cannot be sent with is found before the first mail, not by it. */
static int email_check(const void *config, const struct klx_config_node *at, struct klx_error *e) {
    struct klx_email_settings s;
    struct klx_sv pem = { 0 };
    struct klx_error why = { 0 };
    int rc = klx_email_settings_read(config, at, &s, e);
    if (rc == 0 && klx_email_settings_ca(&s, &pem, &why) != 0) {
        rc = klx_config_fail(klx_config_get(at, "ca_file"), e, "%s", why.text);
    }
    return rc;
}

/* Who klaxon is may be what AKS says in the environment. */
static int email_check_here(const void *config, const struct klx_config_node *at,
                            struct klx_error *e) {
    struct klx_email_settings s;
    struct klx_oauth_settings identity;
    struct klx_error why = { 0 };
    int rc = klx_email_settings_read(config, at, &s, e);
    if (rc != 0 || s.auth != KLX_SMTP_AUTH_XOAUTH2) {
        return rc;
    }
    if (klx_email_identity(config, false, &identity, &why) != 0) {
        return klx_config_fail(klx_config_get(at, "auth"), e, "%s", why.text);
    }
    klx_oauth_settings_release_copy(&identity, &s.config->oauth);
    return 0;
}

static int email_open(const struct klx_sink_env *env, const char *name, const void *config,
                      void **ret_channel, struct klx_error *e) {
    struct klx_email_settings s;
    int rc = klx_email_settings_read(config, NULL, &s, e);
    if (rc != 0) {
        return rc;
    }
    struct channel *c = klx_alloc(struct channel);
    c->settings = s;
    rc = klx_email_post_new(env, &c->settings, &c->post, e);
    if (rc != 0) {
        free(c);
        return rc;
    }
    if (s.tls_mode == KLX_SMTP_OPPORTUNISTIC) {
        klx_log_warn("TLS is opportunistic: whoever is on the way can have the mail in clear",
                     KLX_F_STR("channel", name));
    }
    c->html = klx_email_html_template();
    *ret_channel = c;
    return 0;
}

static size_t email_recipients(void *channel, const struct klx_sv **ret) {
    const struct channel *c = channel;
    *ret = c->settings.config->to.items;
    return c->settings.config->to.n;
}

static int email_render(void *channel, const struct klx_notice *notice, struct klx_buf *out,
                        struct klx_error *e) {
    const struct channel *c = channel;
    struct klx_arena arena;
    struct klx_card card;
    klx_arena_init(&arena, 16384, CARD_BYTES_MAX);
    int rc = klx_card_make(&arena, notice, &card);
    if (rc == 0) {
        rc = klx_email_render(&c->settings, c->html, notice, &card, &arena, out);
    }
    klx_arena_release(&arena);
    return rc == 0 ? 0 : klx_fail(e, rc, "the event is too large for a mail");
}

static void email_send(void *channel, const struct klx_send *send, klx_sent_fn done, void *arg) {
    struct channel *c = channel;
    struct klx_buf message KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&message, KLX_EMAIL_MESSAGE_BYTES_MAX);
    klx_email_with_id(send->payloads[0], send->id, &message);
    klx_email_post_start(c->post, klx_buf_sv(&message), send->recipients, send->recipients_n, done,
                         arg);
}

static void email_probe(void *channel, klx_sent_fn done, void *arg) {
    struct channel *c = channel;
    klx_email_post_probe(c->post, done, arg);
}

/* Where the password is from, or who asks for tokens; without either, nothing that channels could share. */
static void email_credential(const void *config, struct klx_buf *out) {
    const struct klx_email_config *c = config;
    if (c->user == NULL) {
        return;
    }
    klx_buf_printf(out, "%s at %s", c->user, c->smtp);
    if (c->password != NULL) {
        klx_buf_printf(out, " by %s", klx_secret_where(c->password));
    } else if (c->oauth.client_id != NULL) {
        klx_buf_printf(out, " by %s", c->oauth.client_id);
    }
}

static void email_close(void *channel) {
    struct channel *c = channel;
    klx_email_post_free(c->post);
    klx_template_free(c->html);
    free(c);
}

const struct klx_sink_ops klx_sink_email = {
    .name = "email",
    .fields = klx_email_fields,
    .config_bytes = sizeof(struct klx_email_config),
    .payload_bytes_max = KLX_EMAIL_MESSAGE_BYTES_MAX,
    .min_interval_ms = INTERVAL_MS,
    .throttle_messages = 20,
    .throttle_per_ms = INT64_C(600000),
    .check = email_check,
    .check_here = email_check_here,
    .open = email_open,
    .recipients = email_recipients,
    .render = email_render,
    .send = email_send,
    .probe = email_probe,
    .credential = email_credential,
    .close = email_close,
};
