#include "collector/kube/client.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/hash.h"
#include "lib/base/mem.h"

#define USER_AGENT "User-Agent: klaxon-collector"

struct klx_kube_client {
    struct klx_loop *loop;
    struct klx_http *http;
    struct klx_kube_access *access;
    struct klx_tls tls;
    char token_digest
        [KLX_HASH_TEXT_BYTES]; /* of the token that was sent last, to see whether it has changed */
};

struct klx_kube_client *klx_kube_client_new(struct klx_loop *loop, struct klx_http *http,
                                            struct klx_kube_access *access) {
    struct klx_kube_client *c = klx_alloc(struct klx_kube_client);
    c->loop = loop;
    c->http = http;
    c->access = access;
    c->tls = (struct klx_tls){
        .ca_pem = access->ca_pem,
        .cert_pem = access->cert_pem,
        .key_pem = access->key_pem,
        .server_name = access->tls_server_name,
        .insecure = access->insecure,
    };
    return c;
}

void klx_kube_client_free(struct klx_kube_client *c) {
    if (c != NULL) {
        klx_kube_access_free(c->access);
        free(c);
    }
}

struct klx_loop *klx_kube_client_loop(struct klx_kube_client *c) {
    return c->loop;
}

static int token_of(struct klx_kube_client *c, struct klx_sv *ret, struct klx_error *e) {
    *ret = klx_sv(c->access->static_token);
    return c->access->token != NULL ? klx_secret_get(c->access->token, ret, e) : 0;
}

int klx_kube_client_get(struct klx_kube_client *c, const char *path, const char *query,
                        struct klx_http_request *r, struct klx_http_call **ret,
                        struct klx_error *e) {
    struct klx_sv token;
    if (token_of(c, &token, e) != 0) {
        return klx_fail_in(e, -EACCES, "token of the API server");
    }
    klx_hash_parts(&token, 1, c->token_digest);
    char *url =
        klx_asprintf("%s%s%s%s", c->access->server, path, query[0] != '\0' ? "?" : "", query);
    char *authorization =
        token.n > 0 ? klx_asprintf("Authorization: Bearer %.*s", KLX_SV_FMT(token)) : NULL;
    const char *headers[] = { "Accept: application/json", USER_AGENT, authorization, NULL };
    r->method = "GET";
    r->url = url;
    r->headers = headers;
    r->tls = &c->tls;
    r->proxy = c->access->proxy;
    int rc = klx_http_start(c->http, r, ret, e);
    free(url);
    if (authorization != NULL) {
        explicit_bzero(authorization, strlen(authorization));
        free(authorization);
    }
    return rc;
}

bool klx_kube_client_refresh(struct klx_kube_client *c) {
    struct klx_sv token;
    char digest[KLX_HASH_TEXT_BYTES];
    if (token_of(c, &token, NULL) != 0) {
        return false;
    }
    klx_hash_parts(&token, 1, digest);
    return strcmp(digest, c->token_digest) != 0;
}
