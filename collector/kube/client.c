#include "collector/kube/client.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"

#define USER_AGENT "User-Agent: klaxon-collector"

struct klx_kube_client {
    struct klx_loop *loop;
    struct klx_http *http;
    struct klx_kube_access *access;
    struct klx_credential *credential;
    uint64_t sent_with;
};

struct klx_kube_client *klx_kube_client_new(struct klx_loop *loop, struct klx_http *http,
                                            struct klx_clock *clock,
                                            struct klx_kube_access *access) {
    struct klx_kube_client *c = klx_alloc(struct klx_kube_client);
    c->loop = loop;
    c->http = http;
    c->access = access;
    c->credential = klx_credential_new(loop, http, clock, access);
    return c;
}

void klx_kube_client_free(struct klx_kube_client *c) {
    if (c != NULL) {
        klx_credential_free(c->credential);
        klx_kube_access_free(c->access);
        free(c);
    }
}

struct klx_loop *klx_kube_client_loop(struct klx_kube_client *c) {
    return c->loop;
}

struct klx_http *klx_kube_client_http(struct klx_kube_client *c) {
    return c->http;
}

const char *klx_kube_client_namespace(const struct klx_kube_client *c) {
    return c->access->namespace;
}

const char *klx_kube_client_server(const struct klx_kube_client *c) {
    const char *behind = strrchr(c->access->server, '@'); /* user:password@host */
    return behind != NULL ? behind + 1 : c->access->server;
}

const char *klx_kube_client_from(const struct klx_kube_client *c) {
    return c->access->from;
}

bool klx_kube_client_ready(struct klx_kube_client *c, struct klx_credential_waiter *w) {
    return klx_credential_ready(c->credential, w);
}

static const char *content_type(const struct klx_http_request *r) {
    return r->body.n == 0                    ? NULL
           : strcmp(r->method, "PATCH") == 0 ? "Content-Type: application/merge-patch+json"
                                             : "Content-Type: application/json";
}

static int start(struct klx_kube_client *c, const struct klx_identity *i,
                 struct klx_http_request *r, struct klx_http_call **ret, struct klx_error *e) {
    char *authorization =
        i->token.n > 0 ? klx_asprintf("Authorization: Bearer %.*s", KLX_SV_FMT(i->token)) : NULL;
    const char *headers[5] = { "Accept: application/json", USER_AGENT };
    size_t n = 2;
    r->method = r->method == NULL ? "GET" : r->method;
    if (content_type(r) != NULL) {
        headers[n++] = content_type(r);
    }
    headers[n] = authorization;
    const struct klx_tls tls = {
        .ca_pem = i->ca_pem,
        .cert_pem = i->cert_pem,
        .key_pem = i->key_pem,
        .server_name = c->access->tls_server_name,
        .insecure = c->access->insecure,
    };
    r->headers = headers;
    r->tls = &tls;
    r->proxy = c->access->proxy;
    int rc = klx_http_start(c->http, r, ret, e);
    r->headers = NULL;
    r->tls = NULL;
    klx_wipe(authorization);
    return rc;
}

int klx_kube_client_send(struct klx_kube_client *c, const char *path, const char *query,
                         struct klx_http_request *r, struct klx_http_call **ret,
                         struct klx_error *e) {
    struct klx_identity identity;
    if (!klx_credential_ready(c->credential, NULL)) {
        return klx_fail(e, -EAGAIN, "the credentials have not come yet");
    }
    int rc = klx_credential_get(c->credential, &identity, e);
    if (rc != 0) {
        return rc;
    }
    c->sent_with = identity.generation;
    char *url =
        klx_asprintf("%s%s%s%s", c->access->server, path, query[0] != '\0' ? "?" : "", query);
    r->url = url;
    rc = start(c, &identity, r, ret, e);
    free(url);
    r->url = NULL;
    return rc;
}

uint64_t klx_kube_client_credential(const struct klx_kube_client *c) {
    return c->sent_with;
}

void klx_kube_client_refresh(struct klx_kube_client *c, uint64_t credential) {
    klx_credential_refused(c->credential, credential);
}
