/* Who klaxon is where a mail server wants a token. */
#include <stddef.h>

#include "lib/base/mem.h"
#include "sinks/email/settings.h"

#define EXCHANGE_SCOPE "https://outlook.office365.com/.default"

static char *dup(const char *s) {
    return s != NULL ? klx_strdup(s) : NULL;
}

int klx_email_identity(const struct klx_email_config *c, bool anywhere,
                       struct klx_oauth_settings *ret, struct klx_error *e) {
    const struct klx_oauth_settings *o = &c->oauth;
    struct klx_oauth_settings s = {
        .authority = dup(o->authority),
        .tenant = dup(o->tenant),
        .token_url = dup(o->token_url),
        .client_id = dup(o->client_id),
        .scope = dup(o->scope),
        .client_secret = o->client_secret,
        .federated_token = o->federated_token,
        .token_ca = o->token_ca,
        .managed_identity = o->managed_identity,
    };
    int rc = klx_oauth_settings_complete(&s, EXCHANGE_SCOPE, anywhere, e);
    if (rc != 0) {
        klx_email_identity_release(c, &s);
        return rc;
    }
    *ret = s;
    return 0;
}

static void give_back(struct klx_secret **mine, const struct klx_secret *owned) {
    if (*mine == owned) {
        *mine = NULL;
    }
}

void klx_email_identity_release(const struct klx_email_config *c, struct klx_oauth_settings *s) {
    give_back(&s->client_secret, c->oauth.client_secret);
    give_back(&s->federated_token, c->oauth.federated_token);
    give_back(&s->token_ca, c->oauth.token_ca);
    klx_oauth_settings_release(s);
}
