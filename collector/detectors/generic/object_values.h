/*
 * What an operator follows of an object (collector/generic.h), as JSON text: {"spec.replicas":3,"spec.paused":null}.
 *
 * A member for each field, in their order. What is not there is null; a path with [*] makes a list. Texts are redacted (collector/redact.h),
 * and what stands under a key, or in an `env` entry of a name, that speaks of a secret is "***". A value of more than
 * KLX_OBJECT_VALUE_BYTES_MAX is cut to {"truncated":"its beginning…","bytes":123456,"digest":"…"}: another value is another text still.
 */
#pragma once

#include "collector/generic.h"
#include "lib/base/arena.h"
#include "lib/base/buf.h"

#define KLX_OBJECT_VALUE_BYTES_MAX 512
/* Of all: an escape takes up to two bytes for one, as there are no control characters. */
#define KLX_OBJECT_VALUES_BYTES_MAX (KLX_GENERIC_FIELDS_MAX * (4 * KLX_OBJECT_VALUE_BYTES_MAX))

/* `a`: scratch memory. */
void klx_object_values_write(struct klx_arena *a, const struct klx_generic *g,
                             const struct klx_json *object, struct klx_buf *out);
/* Whether a member's value was cut. */
bool klx_object_value_is_cut(const struct klx_json *value);
