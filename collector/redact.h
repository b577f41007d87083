/*
 * Free text of a cluster (an error of git, of a plugin, of the API server) may quote credentials. Redacting blanks what stands between
 * "://" and "@", and what follows a word such as "password", "token" or "bearer" with a separator. It is a second line: what is known to
 * hold secrets is not published at all.
 */
#pragma once

#include "lib/base/arena.h"
#include "lib/base/sv.h"

/* At most bytes_max bytes of the text, on one line, redacted, in the arena. */
struct klx_sv klx_redact(struct klx_arena *a, struct klx_sv text, size_t bytes_max);
