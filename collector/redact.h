/*
 * Free text of a cluster (an error of git, of a plugin, of the API server) may quote credentials. Redacting blanks what stands between
 * "://" and "@", and what follows a word such as "password" or "token" with ":" or "=", or "bearer" with a blank. It is a second line: what
 * is known to hold secrets is not published at all. The name of a Secret (secret "db" not found) is none.
 */
#pragma once

#include "lib/base/arena.h"
#include "lib/base/sv.h"

/* At most bytes_max bytes of the text, on one line, redacted, in the arena. */
struct klx_sv klx_redact(struct klx_arena *a, struct klx_sv text, size_t bytes_max);
/* The same with its lines as they are, of a text of at most KLX_REDACT_BYTES_MAX; a text without secrets is handed back as it is, at the cost
   of looking at it. */
#define KLX_REDACT_BYTES_MAX 16384
struct klx_sv klx_redact_lines(struct klx_arena *a, struct klx_sv text);
