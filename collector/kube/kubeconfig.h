/*
 * kubeconfig: from a file and a context to an address, certificates and credentials (k8s.io/client-go tools/clientcmd/api/v1).
 *
 * Understood: server, certificate-authority(-data), tls-server-name, insecure-skip-tls-verify, proxy-url; client-certificate(-data),
 * client-key(-data), token, tokenFile, exec (exec_plugin.h). Unknown keys are accepted, as kubectl does. auth-provider, username/password
 * and impersonation are refused with a message, and so is a plugin that must ask a person. Relative paths are relative to the kubeconfig,
 * a plugin's command too when it holds a '/'; data wins over files; tokenFile over token. A client certificate that has expired, or is
 * not valid yet, is an error that names the date.
 */
#pragma once

#include <stdint.h>

#include "collector/kube/access.h"
#include "lib/base/error.h"
#include "lib/base/sv.h"

/* path NULL: $KUBECONFIG (its first existing file), then ~/.kube/config; a leading ~/ is the home. context NULL: current-context. */
int klx_kubeconfig_load(const char *path, const char *context, int64_t now_us,
                        struct klx_kube_access **ret, struct klx_error *e) KLX_MUST_CHECK;
/* Only how the cluster is reached: the context's user is not looked at. */
int klx_kubeconfig_load_cluster(const char *path, const char *context, struct klx_kube_access **ret,
                                struct klx_error *e) KLX_MUST_CHECK;
int klx_kubeconfig_parse(struct klx_sv text, const char *file, const char *context, int64_t now_us,
                         struct klx_kube_access **ret, struct klx_error *e) KLX_MUST_CHECK;
