#include "collector/kube/frame.h"

#include <errno.h>
#include <string.h>

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

/* In a copy, as the text is borrowed. A backslash stands in strings only, and escapes one character or four digits behind a u. */
static struct klx_sv without_nul_escapes(struct klx_arena *a, struct klx_sv text) {
    static const char nul[] = "\\u0000", replacement[] = "\\ufffd";
    struct klx_sv copy = klx_arena_dup(a, text);
    char *p = (char *)(uintptr_t)copy.p;
    for (size_t i = 0; copy.p != NULL && i + 1 < copy.n; i++) {
        if (p[i] != '\\') {
            continue;
        }
        if (copy.n - i >= sizeof(nul) - 1 && memcmp(p + i, nul, sizeof(nul) - 1) == 0) {
            memcpy(p + i, replacement, sizeof(replacement) - 1);
        }
        i++;
    }
    return copy;
}

int klx_frame_parse(struct klx_arena *a, struct klx_sv text, const struct klx_json_limits *limits,
                    const struct klx_json **ret) {
    int rc = klx_json_parse(a, text, limits, ret, NULL);
    if (rc != 0 && klx_sv_find_sv(text, KLX_SV("\\u0000")) < text.n) {
        struct klx_sv repaired = without_nul_escapes(a, text);
        rc = repaired.p != NULL ? klx_json_parse(a, repaired, limits, ret, NULL) : -ENOMEM;
    }
    return rc;
}
