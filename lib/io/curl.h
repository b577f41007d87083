/*
 * Inside lib/io only: libcurl's multi handle on the loop, shared by HTTP and SMTP.
 *
 * An easy handle is added with the function that is called when its transfer has ended; never from inside klx_multi_add.
 */
#pragma once

#include <curl/curl.h>

#include "lib/io/loop.h"

/* Of an HTTP client, for SMTP. */
struct klx_http;
struct klx_multi;
struct klx_multi *klx_http_multi(struct klx_http *h);

struct klx_multi *klx_multi_new(struct klx_loop *l);
/* Every easy handle must have been removed. */
void klx_multi_free(struct klx_multi *m);
struct klx_loop *klx_multi_loop(struct klx_multi *m);
/* CURLOPT_PRIVATE is the multi's. The handle is removed before on_done. */
void klx_multi_add(struct klx_multi *m, CURL *easy, void (*on_done)(void *arg, CURLcode code),
                   void *arg);
/* The same for a handle with CURLOPT_CONNECT_ONLY, which stays in the multi, as curl_easy_send and curl_easy_recv need it, until
   klx_multi_remove; that also closes its connection. */
void klx_multi_connect(struct klx_multi *m, CURL *easy, void (*on_done)(void *arg, CURLcode code),
                       void *arg);
/* Ends the transfer without a call. Not from inside libcurl's own callbacks. */
void klx_multi_remove(struct klx_multi *m, CURL *easy);
/* After curl_easy_pause(CURLPAUSE_CONT): lets the multi look at the transfer again. */
void klx_multi_kick(struct klx_multi *m);

struct klx_tls;
/* Certificates, and TLS 1.2 at least; NULL: the system's CAs. */
void klx_curl_set_tls(CURL *easy, const struct klx_tls *tls);
/* The certificate of the other side, or one of ours, is not acceptable: a mistake of configuration. */
bool klx_curl_is_certificate_failure(CURLcode code);
