#include "lib/base/zstd.h"

#include <stdlib.h>
#include <zstd.h>

#include "lib/base/mem.h"

#define LEVEL 3
#define CHUNK_BYTES (128u << 10)

struct klx_zstd {
    ZSTD_CCtx *context;
    char chunk[CHUNK_BYTES];
};

struct klx_zstd *klx_zstd_new(void) {
    struct klx_zstd *z = klx_alloc(struct klx_zstd);
    z->context = ZSTD_createCCtx();
    if (z->context == NULL) {
        abort(); /* as for every small allocation */
    }
    ZSTD_CCtx_setParameter(z->context, ZSTD_c_compressionLevel, LEVEL);
    ZSTD_CCtx_setParameter(z->context, ZSTD_c_checksumFlag, 1);
    return z;
}

void klx_zstd_free(struct klx_zstd *z) {
    if (z != NULL) {
        ZSTD_freeCCtx(z->context);
        free(z);
    }
}

static void run(struct klx_zstd *z, struct klx_sv text, ZSTD_EndDirective how,
                struct klx_buf *out) {
    ZSTD_inBuffer in = { text.p, text.n, 0 };
    size_t left = 0;
    do {
        ZSTD_outBuffer to = { z->chunk, sizeof(z->chunk), 0 };
        left = ZSTD_compressStream2(z->context, &to, &in, how);
        if (ZSTD_isError(left)) {
            out->failed = true; /* no memory: nothing else can go wrong */
            return;
        }
        klx_buf_add(out, z->chunk, to.pos);
    } while (how == ZSTD_e_end ? left > 0 : in.pos < in.size);
}

void klx_zstd_add(struct klx_zstd *z, struct klx_sv text, struct klx_buf *out) {
    run(z, text, ZSTD_e_continue, out);
}

void klx_zstd_end(struct klx_zstd *z, struct klx_buf *out) {
    run(z, klx_sv_n(NULL, 0), ZSTD_e_end, out);
}
