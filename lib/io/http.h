/*
 * HTTP client on the loop: whole-body requests and streams that go on for hours, through one connection pool.
 *
 * TLS is always verified unless the caller says insecure in klx_tls (and logs it). Redirects are not followed; only http and https;
 * no Accept-Encoding is sent (a compressed watch breaks, facts of 1.37). Headers and URL are refused when they hold CR, LF or NUL.
 * A request with a body goes out once: when the connection ends without an answer it fails, and request_sent says what is known. One without
 * a body is repeated, once the connection was an old one that the server may have closed.
 * A call ends with exactly one on_done, never from inside klx_http_start; after on_done, or klx_http_cancel, the call is gone.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/base/sv.h"
#include "lib/io/loop.h"

struct klx_http;      /* client: pool and multi handle, shared with lib/io/smtp.h */
struct klx_http_call; /* one request under way */

/* Certificates and keys as PEM text; empty views mean: not given. Copied. */
struct klx_tls {
    struct klx_sv ca_pem;   /* instead of the system's */
    struct klx_sv cert_pem; /* client certificate and its key */
    struct klx_sv key_pem;
    const char *server_name; /* NULL: the URL's host. The name to verify and to send as SNI */
    bool insecure;           /* do not verify; the caller has warned */
};

enum klx_http_failure {
    KLX_HTTP_OK = 0,    /* the response is complete; look at status */
    KLX_HTTP_CONNECT,   /* nothing was sent: DNS, refused, TLS handshake, proxy */
    KLX_HTTP_TLS,       /* the peer's certificate was not accepted: a mistake of configuration */
    KLX_HTTP_TIMEOUT,   /* a deadline passed */
    KLX_HTTP_BROKEN,    /* the connection ended inside request or response */
    KLX_HTTP_TOO_LARGE, /* the body passed body_bytes_max */
};

struct klx_http_result {
    enum klx_http_failure failure;
    bool request_sent;      /* the whole request went out: on a failure the outcome is unknown */
    int status;             /* 0 when no status line came */
    int64_t retry_after_ms; /* of the Retry-After header, seconds or date; -1: none */
    struct klx_sv body;     /* whole-body calls only; valid during on_done */
    const char
        *error; /* words for a person; "" when OK. Valid during on_done. Never holds the URL */
};

struct klx_http_request {
    const char *method;         /* "GET" */
    const char *url;            /* may hold a secret: is never put into an error */
    const char *const *headers; /* "Name: value", NULL-terminated; may be NULL */
    struct klx_sv body;
    const struct klx_tls *tls;  /* NULL: system CAs */
    const char *proxy;          /* NULL: the environment's */
    int64_t connect_timeout_ms; /* 0: 10 s */
    int64_t deadline_ms;        /* of the whole call; 0: none (streams set their own timer) */
    size_t body_bytes_max;      /* whole-body calls: 0 means 16 MiB */
    bool
        own_connection; /* a stream that should not share: a fresh HTTP/1.1 connection, keepalive and TCP_USER_TIMEOUT 30 s */
    /* Everything above is copied. */

    /* Streams set on_body: then no body is collected. on_status comes once, with the head of the answer. */
    void (*on_status)(void *arg, int status, int64_t retry_after_ms);
    void (*on_body)(void *arg, struct klx_sv chunk);
    void (*on_done)(void *arg, const struct klx_http_result *result);
    void *arg;
};

struct klx_http *klx_http_new(struct klx_loop *l);
/* Cancels what is under way without calling back. */
void klx_http_free(struct klx_http *h);
/* -EINVAL for a URL or header that is not acceptable. */
int klx_http_start(struct klx_http *h, const struct klx_http_request *r, struct klx_http_call **ret,
                   struct klx_error *e) KLX_MUST_CHECK;
/* No callback comes any more. May be called from everywhere, on_status and on_body of this or another call included. */
void klx_http_cancel(struct klx_http_call *c);
/* Back-pressure: while paused the socket is not read. May be called from on_body: the rest of what was read is kept. */
void klx_http_pause(struct klx_http_call *c);
void klx_http_resume(struct klx_http_call *c);
