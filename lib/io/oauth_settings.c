#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/url.h"
#include "lib/io/oauth.h"

#define PUBLIC_CLOUD "https://login.microsoftonline.com"
#define METADATA_URL "http://169.254.169.254/metadata/identity/oauth2/token"
#define METADATA_HOST KLX_SV("169.254.169.254")

void klx_oauth_settings_release(struct klx_oauth_settings *s) {
    free(s->authority);
    free(s->tenant);
    free(s->token_url);
    free(s->client_id);
    free(s->scope);
    klx_secret_free(s->client_secret);
    klx_secret_free(s->federated_token);
    klx_secret_free(s->token_ca);
    *s = (struct klx_oauth_settings){ 0 };
}

static char *dup(const char *text) {
    return text != NULL ? klx_strdup(text) : NULL;
}

struct klx_oauth_settings klx_oauth_settings_copy(const struct klx_oauth_settings *s) {
    struct klx_oauth_settings copy = *s;
    copy.authority = dup(s->authority);
    copy.tenant = dup(s->tenant);
    copy.token_url = dup(s->token_url);
    copy.client_id = dup(s->client_id);
    copy.scope = dup(s->scope);
    return copy;
}

static void give_back(struct klx_secret **mine, const struct klx_secret *owned) {
    if (*mine == owned) {
        *mine = NULL;
    }
}

void klx_oauth_settings_release_copy(struct klx_oauth_settings *s,
                                     const struct klx_oauth_settings *of) {
    give_back(&s->client_secret, of->client_secret);
    give_back(&s->federated_token, of->federated_token);
    give_back(&s->token_ca, of->token_ca);
    klx_oauth_settings_release(s);
}

static const char *variable(const char *name, bool anywhere) {
    const char *value = anywhere ? NULL : getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static void otherwise(char **at, const char *value) {
    if (*at == NULL && value != NULL) {
        *at = klx_strdup(value);
    }
}

/* Whoever listens on the way to a server without TLS has the secret; so only this machine and the metadata service are asked so. */
static int check_url(const char *key, const char *text, struct klx_error *e) {
    struct klx_sv url = klx_sv(text);
    bool tls = klx_sv_starts(url, KLX_SV("https://"));
    if (!tls && !klx_sv_starts(url, KLX_SV("http://"))) {
        return klx_fail(e, -EINVAL, "%s must be a URL that begins with https://", key);
    }
    struct klx_sv rest = klx_sv_n(url.p + (tls ? 8 : 7), url.n - (tls ? 8 : 7));
    struct klx_sv authority = klx_sv_cut(&rest, '/');
    if (authority.n == 0 || klx_sv_find(authority, '@') < authority.n ||
        klx_sv_find(url, '?') < url.n || klx_sv_find(url, '#') < url.n) {
        return klx_fail(e, -EINVAL, "%s must be a URL of host and path, without user or query",
                        key);
    }
    struct klx_sv host = klx_url_host(authority, NULL);
    if (!tls && !klx_url_is_loopback(host) && !klx_sv_eq(host, METADATA_HOST)) {
        return klx_fail(e, -EINVAL,
                        "%s must begin with https://: without TLS anybody on the way could take "
                        "the secret and the token",
                        key);
    }
    return 0;
}

static int decide_way(struct klx_oauth_settings *s, bool anywhere, struct klx_error *e) {
    int ways =
        (s->client_secret != NULL) + (s->federated_token != NULL) + (s->managed_identity ? 1 : 0);
    if (ways > 1) {
        return klx_fail(e, -EINVAL,
                        "client_secret, federated_token_file and managed_identity exclude each "
                        "other: keep one of them");
    }
    const char *mounted = variable("AZURE_FEDERATED_TOKEN_FILE", anywhere);
    if (ways == 0 && mounted != NULL) {
        if (variable("AZURE_KUBERNETES_TOKEN_PROXY", anywhere) != NULL) {
            return klx_fail(e, -EINVAL,
                            "this pod uses identity bindings ($AZURE_KUBERNETES_TOKEN_PROXY), "
                            "whose token Entra ID does not take: give the identity a federated "
                            "credential for the service account (AKS workload identity)");
        }
        s->federated_token = klx_secret_from_file(klx_sv(mounted));
    } else if (ways == 0 && !anywhere) {
        return klx_fail(e, -EINVAL,
                        "nothing proves who klaxon is: in a pod with AKS workload identity "
                        "$AZURE_FEDERATED_TOKEN_FILE is set (label azure.workload.identity/use: "
                        "\"true\" on the pod); elsewhere configure client_secret, "
                        "federated_token_file or managed_identity: true");
    }
    s->way = s->managed_identity        ? KLX_OAUTH_MANAGED
             : s->client_secret != NULL ? KLX_OAUTH_SECRET
                                        : KLX_OAUTH_FEDERATED;
    return 0;
}

static int missing(const char *key, const char *name, struct klx_error *e) {
    return klx_fail(e, -EINVAL, "%s is missing, and $%s is not set", key, name);
}

/* "https://login.microsoftonline.com/" and the tenant, as AKS writes it, or without the slash. */
static int make_url(struct klx_oauth_settings *s, bool anywhere, struct klx_error *e) {
    otherwise(&s->tenant, variable("AZURE_TENANT_ID", anywhere));
    otherwise(&s->authority, variable("AZURE_AUTHORITY_HOST", anywhere));
    otherwise(&s->authority, anywhere ? NULL : PUBLIC_CLOUD);
    int rc = s->authority != NULL ? check_url("authority", s->authority, e) : 0;
    if (rc != 0 || s->tenant == NULL) {
        return rc != 0 || anywhere ? rc : missing("tenant", "AZURE_TENANT_ID", e);
    }
    for (const char *p = s->tenant; *p != '\0'; p++) {
        if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.", *p) ==
            NULL) {
            return klx_fail(e, -EINVAL, "tenant must be an id or a domain name");
        }
    }
    if (anywhere) {
        return 0; /* it is completed once more where the environment is */
    }
    const char *slash = klx_sv_ends(klx_sv(s->authority), KLX_SV("/")) ? "" : "/";
    s->token_url = klx_asprintf("%s%s%s/oauth2/v2.0/token", s->authority, slash, s->tenant);
    return 0;
}

static int complete_url(struct klx_oauth_settings *s, bool anywhere, struct klx_error *e) {
    if (s->token_url != NULL && (s->authority != NULL || s->tenant != NULL)) {
        return klx_fail(e, -EINVAL, "token_url beside authority or tenant: keep one of them");
    }
    if (s->token_url != NULL) {
        return check_url("token_url", s->token_url, e);
    }
    if (s->way == KLX_OAUTH_MANAGED) {
        s->token_url = klx_strdup(METADATA_URL);
        return 0;
    }
    return make_url(s, anywhere, e);
}

int klx_oauth_settings_complete(struct klx_oauth_settings *s, const char *scope, bool anywhere,
                                struct klx_error *e) {
    otherwise(&s->scope, scope);
    if (s->scope == NULL) {
        return klx_fail(e, -EINVAL, "scope is missing: what the token is for");
    }
    int rc = decide_way(s, anywhere, e);
    rc = rc == 0 ? complete_url(s, anywhere, e) : rc;
    if (rc != 0 || s->way == KLX_OAUTH_MANAGED) {
        return rc; /* a machine with one identity needs no name of it */
    }
    otherwise(&s->client_id, variable("AZURE_CLIENT_ID", anywhere));
    return s->client_id != NULL || anywhere ? 0 : missing("client_id", "AZURE_CLIENT_ID", e);
}
