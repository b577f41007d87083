/*
 * A plugin of a kubeconfig that prints credentials: what it is told, and what it says (client.authentication.k8s.io v1 and v1beta1,
 * k8s.io/client-go plugin/pkg/client/auth/exec). For Entra ID the plugin is kubelogin.
 *
 * It gets no terminal and no input, 60 s, and 64 KiB for its answer. When it fails, the words are its exit code and the beginning of its
 * stderr, in which what looks like a secret, or was given to it as one, is hidden. Nothing of its answer is ever in an error.
 */
#pragma once

#include <stdint.h>

#include "collector/kube/access.h"
#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/base/sv.h"
#include "lib/io/process.h"

/* A token, or a certificate and its key, or all of them. */
struct klx_exec_credential {
    char *token;                     /* NULL: none */
    struct klx_sv cert_pem, key_pem; /* owned */
    int64_t expires_us;              /* KLX_TIME_NONE: with the process */
};

void klx_exec_credential_release(struct klx_exec_credential *c);
/* Appends the value of $KUBERNETES_EXEC_INFO; the cluster is in it when the kubeconfig says so. */
int klx_exec_plugin_info(struct klx_kube_access *a, struct klx_buf *out,
                         struct klx_error *e) KLX_MUST_CHECK;
/* Starts a->exec. on_done as in lib/io/process.h. */
int klx_exec_plugin_start(struct klx_loop *l, struct klx_kube_access *a,
                          void (*on_done)(void *arg, const struct klx_process_result *r), void *arg,
                          struct klx_process **ret, struct klx_error *e) KLX_MUST_CHECK;
/* What came of it: the credential, or why there is none. */
int klx_exec_plugin_result(const struct klx_kube_exec *x, const struct klx_process_result *r,
                           struct klx_exec_credential *ret, struct klx_error *e) KLX_MUST_CHECK;
