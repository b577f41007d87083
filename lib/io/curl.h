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
/* CURLOPT_PRIVATE is the multi's. */
void klx_multi_add(struct klx_multi *m, CURL *easy, void (*on_done)(void *arg, CURLcode code),
                   void *arg);
/* Ends the transfer without a call. Not from inside libcurl's own callbacks. */
void klx_multi_remove(struct klx_multi *m, CURL *easy);
/* After curl_easy_pause(CURLPAUSE_CONT): lets the multi look at the transfer again. */
void klx_multi_kick(struct klx_multi *m);
