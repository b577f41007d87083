#include "lib/base/gzip.h"

#include <assert.h>
#include <zlib.h>

#define GZIP_WINDOW_BITS                                                                           \
    (15 + 16) /* the largest window; 16 asks for gzip's header instead of zlib's */
#define MEMORY_LEVEL 8
#define CHUNK_BYTES 65536

void klx_gzip_add(struct klx_buf *out, struct klx_sv text) {
    unsigned char chunk[CHUNK_BYTES];
    z_stream z = { .next_in = (z_const Bytef *)text.p, .avail_in = (uInt)text.n };
    assert(text.n <= UINT32_MAX);
    if (deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW_BITS, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        out->failed = true; /* no memory */
        return;
    }
    int rc = Z_OK;
    while (rc == Z_OK) {
        z.next_out = chunk;
        z.avail_out = sizeof(chunk);
        rc = deflate(&z, Z_FINISH);
        klx_buf_add(out, chunk, sizeof(chunk) - z.avail_out);
    }
    assert(rc == Z_STREAM_END);
    deflateEnd(&z);
}
