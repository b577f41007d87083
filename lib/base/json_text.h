/*
 * JSON that stays text: is it valid, and on one line? For what is carried on and not looked into: nothing is decoded, so numbers and the
 * order of members stay as they came.
 */
#pragma once

#include "lib/base/buf.h"
#include "lib/base/sv.h"

/* Appends one value without white space outside of its strings, always as valid UTF-8. -EINVAL: it is no JSON (RFC 8259), or nested more
   than 64 deep; then nothing was appended. */
int klx_json_compact(struct klx_buf *out, struct klx_sv text) KLX_MUST_CHECK;
