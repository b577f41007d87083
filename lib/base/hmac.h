/*
 * HMAC-SHA-256 (RFC 2104): proves to who has the same key that a text is ours.
 */
#pragma once

#include <stddef.h>

#include "lib/base/sv.h"

#define KLX_HMAC_BYTES 32

/* Of the parts one after the other. */
void klx_hmac_sha256(struct klx_sv key, const struct klx_sv *parts, size_t n,
                     unsigned char out[static KLX_HMAC_BYTES]);
