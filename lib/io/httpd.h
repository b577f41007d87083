/*
 * The small HTTP server of every process: GET /metrics, /healthz, /readyz. Runs on the loop, no thread of its own.
 *
 * Binds to loopback unless the address says otherwise; answers only GET and HEAD, 404 elsewhere, no body is read, connections are
 * limited to 32 and time out after 10 s.
 */
#pragma once

#include <stdbool.h>

#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/io/loop.h"

struct klx_httpd;

/* Appends what is the case to `why` (lines such as "watch prod/events: connected"), returns whether the process is ready. */
typedef bool (*klx_ready_fn)(void *arg, struct klx_buf *why);

/* address: "127.0.0.1:9464", "[::1]:0", ":9464" (loopback), port 0 picks one. -EADDRINUSE and the like with the address in the text. */
int klx_httpd_new(struct klx_loop *l, const char *address, klx_ready_fn ready, void *arg,
                  struct klx_httpd **ret, struct klx_error *e) KLX_MUST_CHECK;
/* Whether the address can be understood; opens nothing. */
int klx_httpd_check_address(const char *address, struct klx_error *e) KLX_MUST_CHECK;
unsigned klx_httpd_port(const struct klx_httpd *h);
void klx_httpd_free(struct klx_httpd *h);
