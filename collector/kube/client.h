/*
 * One API server: its address, certificates and credentials (collector/kube/kubeconfig.h), and requests to it.
 *
 * A 401 makes the client read its credentials again before the next request. The token goes into a header and nowhere else.
 */
#pragma once

#include "collector/kube/kubeconfig.h"
#include "lib/base/error.h"
#include "lib/io/http.h"
#include "lib/io/loop.h"

struct klx_kube_client;

/* Takes `access`, which klx_kube_client_free frees. */
struct klx_kube_client *klx_kube_client_new(struct klx_loop *loop, struct klx_http *http,
                                            struct klx_kube_access *access);
void klx_kube_client_free(struct klx_kube_client *c);
struct klx_loop *klx_kube_client_loop(struct klx_kube_client *c);
/* GET path?query with the client's TLS and credentials; `r` brings callbacks, deadlines and limits (method, url, headers, tls, proxy are
   filled here). -EACCES when the credentials cannot be read (the text says which file). */
int klx_kube_client_get(struct klx_kube_client *c, const char *path, const char *query,
                        struct klx_http_request *r, struct klx_http_call **ret,
                        struct klx_error *e) KLX_MUST_CHECK;
/* After a 401: credentials are read again; true when they have changed (worth an immediate retry). */
bool klx_kube_client_refresh(struct klx_kube_client *c);
