/*
 * Signatures of Standard Webhooks (github.com/standard-webhooks/standard-webhooks, spec 1.0): base64 of HMAC-SHA-256 over
 * "<id>.<timestamp>.<body>". A key is "whsec_" and base64, or any text as it stands. Several lines are several keys: the header then has a
 * signature of each, so that a receiver can be given the next key before the old one goes.
 */
#pragma once

#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/base/sv.h"

#define KLX_WEBHOOK_KEYS_MAX 4

/* -EINVAL: no key, too many, or "whsec_" without base64 behind it; `where` names the secret in the text. */
int klx_webhook_sign_check(struct klx_sv keys, const char *where,
                           struct klx_error *e) KLX_MUST_CHECK;
/* Appends "v1,<base64> v1,…". The keys are acceptable. */
void klx_webhook_sign(struct klx_buf *out, struct klx_sv keys, struct klx_sv id, int64_t unix_s,
                      struct klx_sv body);
