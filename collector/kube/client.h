/*
 * One API server: its address, certificates and credentials (collector/kube/credential.h), and requests to it.
 *
 * A 401 makes the client fetch its credentials again before the next request. The token goes into a header and nowhere else.
 *
 *     if (!klx_kube_client_ready(client, &waiter)) return;   // waiter.fn is called when a plugin has ended
 *     rc = klx_kube_client_send(client, …); sent_with = klx_kube_client_credential(client);
 *     … 401: klx_kube_client_refresh(client, sent_with);
 */
#pragma once

#include "collector/kube/access.h"
#include "collector/kube/credential.h"
#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/io/http.h"
#include "lib/io/loop.h"

struct klx_kube_client;

/* Takes `access`, which klx_kube_client_free frees. */
struct klx_kube_client *klx_kube_client_new(struct klx_loop *loop, struct klx_http *http,
                                            struct klx_clock *clock,
                                            struct klx_kube_access *access);
void klx_kube_client_free(struct klx_kube_client *c);
struct klx_loop *klx_kube_client_loop(struct klx_kube_client *c);
/* For requests elsewhere. */
struct klx_http *klx_kube_client_http(struct klx_kube_client *c);
/* klx_kube_access.namespace */
const char *klx_kube_client_namespace(const struct klx_kube_client *c);
/* klx_credential_ready of its credentials: false while a plugin runs. Whoever waits calls klx_credential_forget before it is gone. */
bool klx_kube_client_ready(struct klx_kube_client *c, struct klx_credential_waiter *w);
/* Whom the requests go to, and what says so (klx_kube_access.from): for the log. */
const char *klx_kube_client_server(const struct klx_kube_client *c);
const char *klx_kube_client_from(const struct klx_kube_client *c);
/* A request to path?query with the client's TLS and credentials; `r` brings the method (NULL: GET), a body of JSON (PATCH: a merge patch),
   callbacks, deadlines and limits; url, headers, tls, proxy are filled here. -EAGAIN while a plugin runs; other errors when there are no credentials (the text says which file or plugin). */
int klx_kube_client_send(struct klx_kube_client *c, const char *path, const char *query,
                         struct klx_http_request *r, struct klx_http_call **ret,
                         struct klx_error *e) KLX_MUST_CHECK;
/* What the last request was sent with, for klx_kube_client_refresh. */
uint64_t klx_kube_client_credential(const struct klx_kube_client *c);
/* After a 401 to a request with that credential: the next request has a fresh one, unless it has already. */
void klx_kube_client_refresh(struct klx_kube_client *c, uint64_t credential);
