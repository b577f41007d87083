#include "collector/kube/azure.h"

#include <stdlib.h>

#include "collector/kube/kubeconfig.h"
#include "lib/base/mem.h"
#include "lib/base/url.h"

#define AKS_SCOPE "6dae42f8-4368-4678-94ff-3960e28e3630/.default"

const struct klx_config_field klx_azure_fields[] = {
    { .key = "server",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_azure_settings, server),
      .help = "the URL of the API server; left out: that of the kubeconfig" },
    { .key = "ca",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_azure_settings, ca),
      .help = "certificates (PEM) to trust there, beside server" },
    KLX_OAUTH_FIELDS(struct klx_azure_settings, oauth),
    { .key = NULL },
};

/* Who listens on the way has the token. */
static int check_server(const struct klx_azure_settings *s, struct klx_error *e) {
    struct klx_sv rest = klx_sv(s->server);
    if (s->server == NULL) {
        return s->ca == NULL ? 0
                             : klx_fail(e, -EINVAL,
                                        "ca is for server; a kubeconfig has "
                                        "certificate-authority");
    }
    bool tls = klx_sv_starts(rest, KLX_SV("https://"));
    klx_sv_cut(&rest, '/');
    klx_sv_cut(&rest, '/');
    struct klx_sv host = klx_url_host(klx_sv_cut(&rest, '/'), NULL);
    bool loopback =
        klx_sv_starts(klx_sv(s->server), KLX_SV("http://")) && klx_url_is_loopback(host);
    return host.n > 0 && (tls || loopback)
               ? 0
               : klx_fail(e, -EINVAL, "server must be a URL that begins with https://");
}

static int fail_at(const struct klx_config_node *n, const struct klx_error *why,
                   struct klx_error *e) {
    return klx_config_fail(n, e, "%s", why->text);
}

struct klx_azure_settings *klx_azure_settings_bind(const struct klx_config_node *n,
                                                   klx_config_report_fn report, void *arg) {
    struct klx_azure_settings *s = klx_alloc(struct klx_azure_settings);
    struct klx_error e = { 0 }, at;
    if (klx_config_bind_all(n, klx_azure_fields, s, report, arg) > 0) {
        return s;
    }
    int rc = check_server(s, &e);
    rc = rc == 0 ? klx_oauth_settings_complete(&s->oauth, AKS_SCOPE, true, &e) : rc;
    if (rc != 0) {
        fail_at(n, &e, &at);
        report(arg, at.text);
    }
    return s;
}

int klx_azure_settings_complete(struct klx_azure_settings *s, const struct klx_config_node *n,
                                struct klx_error *e) {
    struct klx_error why = { 0 };
    int rc = klx_oauth_settings_complete(&s->oauth, AKS_SCOPE, false, &why);
    return rc != 0 ? fail_at(n, &why, e) : 0;
}

void klx_azure_settings_free(struct klx_azure_settings *s) {
    if (s != NULL) {
        klx_oauth_settings_release(&s->oauth);
        free(s->server);
        free(s->ca);
        free(s);
    }
}

static int load_server(const struct klx_azure_settings *s, struct klx_kube_access *a,
                       struct klx_error *e) {
    struct klx_sv server = klx_sv(s->server), unused;
    while (klx_sv_ends(server, KLX_SV("/"))) {
        server.n--;
    }
    a->server = klx_sv_dup(server);
    a->context = klx_strdup("azure");
    a->from = klx_strdup("azure");
    a->namespace = klx_strdup("default");
    if (s->ca == NULL) {
        return 0;
    }
    a->ca.file = klx_secret_from_file(klx_sv(s->ca));
    return klx_kube_pem_get(&a->ca, &unused, e);
}

int klx_azure_load(const struct klx_azure_settings *s, const char *kubeconfig, const char *context,
                   struct klx_kube_access **ret, struct klx_error *e) {
    struct klx_kube_access *a = NULL;
    int rc = 0;
    if (s->server == NULL) {
        rc = klx_kubeconfig_load_cluster(kubeconfig, context, &a, e);
    } else {
        a = klx_alloc(struct klx_kube_access);
        rc = load_server(s, a, e);
    }
    if (rc != 0) {
        klx_kube_access_free(s->server != NULL ? a : NULL);
        return rc;
    }
    a->oauth = &s->oauth;
    *ret = a;
    return 0;
}
