/*
 * Base64 (RFC 4648, the common alphabet, with padding).
 */
#pragma once

#include "lib/base/buf.h"
#include "lib/base/sv.h"

/* Appends the bytes' text, on one line. */
void klx_base64_add(struct klx_buf *out, struct klx_sv bytes);
/* Appends the bytes that a text stands for. -EINVAL: it is not base64 with its padding; then nothing was appended. */
int klx_base64_decode(struct klx_buf *out, struct klx_sv text) KLX_MUST_CHECK;
