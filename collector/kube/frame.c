#include "collector/kube/frame.h"

void klx_framer_init(struct klx_framer *f) {
    *f = (struct klx_framer){ 0 };
    klx_buf_init(&f->partial, KLX_FRAME_BYTES_MAX);
}

void klx_framer_release(struct klx_framer *f) {
    klx_buf_release(&f->partial);
}

void klx_framer_reset(struct klx_framer *f) {
    klx_buf_reset(&f->partial);
    f->chunk = klx_sv(NULL);
    f->partial_is_out = false;
}

void klx_framer_feed(struct klx_framer *f, struct klx_sv chunk) {
    f->chunk = chunk;
}

static int keep_beginning(struct klx_framer *f) {
    klx_buf_add_sv(&f->partial, f->chunk);
    f->chunk = klx_sv(NULL);
    return klx_buf_check(&f->partial);
}

/* The next line of the chunk, joined to what was kept of it. 1, 0 or -EMSGSIZE. */
static int next_line(struct klx_framer *f, struct klx_sv *ret) {
    size_t at = klx_sv_find(f->chunk, '\n');
    if (at == f->chunk.n) {
        return keep_beginning(f);
    }
    struct klx_sv line = klx_sv_n(f->chunk.p, at);
    f->chunk = klx_sv_n(f->chunk.p + at + 1, f->chunk.n - at - 1);
    if (f->partial.len > 0) {
        klx_buf_add_sv(&f->partial, line);
        line = klx_buf_sv(&f->partial);
        f->partial_is_out = true;
    }
    *ret = line;
    return f->partial.failed || line.n > KLX_FRAME_BYTES_MAX ? -EMSGSIZE : 1;
}

int klx_framer_next(struct klx_framer *f, struct klx_sv *ret) {
    int rc = 0;
    do {
        if (f->partial_is_out) {
            klx_buf_reset(&f->partial);
            f->partial_is_out = false;
        }
        if (f->chunk.n == 0) {
            return 0;
        }
        rc = next_line(f, ret);
    } while (rc > 0 && ret->n == 0);
    return rc;
}
