/*
 * The API server of an AKS cluster, as an identity of Entra ID: with a token that klaxon asks for itself, where others run kubelogin.
 *
 *     azure: {}                                   # beside a kubeconfig: its cluster, not its user; AKS workload identity
 *     azure: { server: "https://…", ca: FILE }    # without a kubeconfig
 *     azure: { client_id: …, tenant: …, client_secret: { env: NAME } }    # KLX_OAUTH_FIELDS (lib/io/oauth.h)
 *
 * The scope is that of AKS's own application, the same for all clusters (Azure/kubelogin: --server-id).
 */
#pragma once

#include "collector/kube/access.h"
#include "lib/base/config.h"
#include "lib/base/error.h"
#include "lib/io/oauth.h"

struct klx_azure_settings {
    char *server; /* NULL: the kubeconfig's */
    char *ca;     /* a path. NULL: the system's */
    struct klx_oauth_settings oauth;
};

extern const struct klx_config_field klx_azure_fields[];

/* Reports what is wrong whatever the environment says. Needs klx_azure_settings_free in any case. */
struct klx_azure_settings *klx_azure_settings_bind(const struct klx_config_node *n,
                                                   klx_config_report_fn report, void *arg);
/* Takes what is missing from the environment: before klx_azure_load. -EINVAL with the place. */
int klx_azure_settings_complete(struct klx_azure_settings *s, const struct klx_config_node *n,
                                struct klx_error *e) KLX_MUST_CHECK;
void klx_azure_settings_free(struct klx_azure_settings *s);
/* Access borrows `s`. kubeconfig and context as in kubeconfig.h, when s has no server. */
int klx_azure_load(const struct klx_azure_settings *s, const char *kubeconfig, const char *context,
                   struct klx_kube_access **ret, struct klx_error *e) KLX_MUST_CHECK;
