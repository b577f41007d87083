/*
 * Inside lib/io only: what a token endpoint answered, and what its refusals mean. Pure.
 */
#pragma once

#include <stdint.h>

#include "lib/base/error.h"
#include "lib/base/sv.h"
#include "lib/io/http.h"
#include "lib/io/oauth.h"

#define KLX_OAUTH_ANSWER_BYTES_MAX 65536

struct klx_oauth_answer {
    char *token; /* owned */
    int64_t life_ms;
};

/* 0; or why there is no token: -EACCES (refused), -EHOSTUNREACH, -ETIMEDOUT, -EBUSY (429, 5xx: come again), -EPROTO (no such answer).
   `url` is what was asked; of it, only the host is told. */
int klx_oauth_answer_read(const struct klx_oauth_settings *s, const char *url,
                          const struct klx_http_result *r, struct klx_oauth_answer *ret,
                          struct klx_error *e) KLX_MUST_CHECK;
