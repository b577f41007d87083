/*
 * Zstandard (RFC 8878), for files that are written once: a frame, as it grows, by one thread. The same text gives the same bytes, however it
 * is cut into additions, with the same version of the library.
 */
#pragma once

#include "lib/base/buf.h"
#include "lib/base/sv.h"

struct klx_zstd;

struct klx_zstd *klx_zstd_new(void);
void klx_zstd_free(struct klx_zstd *z);
/* Appends what is ready. What `out` may not hold fails it. */
void klx_zstd_add(struct klx_zstd *z, struct klx_sv text, struct klx_buf *out);
/* Appends the rest and the end of the frame; what is added after it begins another one. */
void klx_zstd_end(struct klx_zstd *z, struct klx_buf *out);
