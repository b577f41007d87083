/*
 * kubeconfig: from a file and a context to an address, certificates and credentials (k8s.io/client-go tools/clientcmd/api/v1).
 *
 * Understood: server, certificate-authority(-data), tls-server-name, insecure-skip-tls-verify, proxy-url; client-certificate(-data),
 * client-key(-data), token, tokenFile. Unknown keys are accepted, as kubectl does. exec, auth-provider, username/password and
 * impersonation are refused with a message. Relative paths are relative to the kubeconfig; data wins over files; tokenFile over token.
 * A client certificate that has expired, or is not valid yet, is an error that names the date.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/base/secret.h"
#include "lib/base/sv.h"

struct klx_kube_access {
    char *server; /* "https://host:443", no trailing slash */
    char *proxy;  /* NULL: none given */
    char *tls_server_name;
    bool insecure;                           /* the caller warns, loudly */
    struct klx_sv ca_pem, cert_pem, key_pem; /* owned; empty: none */
    struct klx_secret *token; /* a tokenFile, read again when it changes; NULL: none */
    char *static_token;       /* NULL: none */
    char *context;            /* the name that was used */
};

/* path NULL: $KUBECONFIG (its first existing file), then ~/.kube/config; a leading ~/ is the home. context NULL: current-context. */
int klx_kubeconfig_load(const char *path, const char *context, int64_t now_us,
                        struct klx_kube_access **ret, struct klx_error *e) KLX_MUST_CHECK;
int klx_kubeconfig_parse(struct klx_sv text, const char *file, const char *context, int64_t now_us,
                         struct klx_kube_access **ret, struct klx_error *e) KLX_MUST_CHECK;
void klx_kube_access_free(struct klx_kube_access *a);
