#include "history/record_bytes.h"

#include <string.h>

#define NOTHING UINT32_MAX /* the length of what is not there */

static void add_length(struct klx_buf *out, struct klx_sv s) {
    uint32_t n = s.p == NULL ? NOTHING : (uint32_t)s.n;
    klx_buf_add(out, &n, sizeof(n));
}

void klx_record_pack(const struct klx_record *r, struct klx_buf *out) {
    uint32_t n = (uint32_t)r->headers_n;
    klx_buf_add(out, &r->timestamp_ms, sizeof(r->timestamp_ms));
    klx_buf_add(out, &n, sizeof(n));
    add_length(out, r->key);
    add_length(out, r->value);
    for (size_t i = 0; i < r->headers_n; i++) {
        add_length(out, r->headers[i].name);
        add_length(out, r->headers[i].value);
        klx_buf_add_sv(out, r->headers[i].name);
        klx_buf_add_sv(out, r->headers[i].value);
    }
    klx_buf_add_sv(out, r->key);
    klx_buf_add_sv(out, r->value);
}

static bool take(struct klx_sv *from, void *to, size_t n) {
    if (from->n < n) {
        return false;
    }
    memcpy(to, from->p, n);
    *from = klx_sv_n(from->p + n, from->n - n);
    return true;
}

static bool cut(struct klx_sv *from, uint32_t n, struct klx_sv *ret) {
    *ret = klx_sv_n(NULL, 0);
    if (n == NOTHING) {
        return true;
    }
    if (from->n < n) {
        return false;
    }
    *ret = klx_sv_n(from->p, n);
    *from = klx_sv_n(from->p + n, from->n - n);
    return true;
}

static bool take_header(struct klx_sv *from, struct klx_record_header *ret) {
    uint32_t name = 0, value = 0;
    return take(from, &name, sizeof(name)) && take(from, &value, sizeof(value)) &&
           cut(from, name, &ret->name) && cut(from, value, &ret->value);
}

int klx_record_unpack(struct klx_sv bytes, struct klx_record_header *headers, size_t max,
                      struct klx_record *ret) {
    struct klx_record r = { .partition = -1, .headers = headers };
    uint32_t n = 0, key = 0, value = 0;
    bool good = take(&bytes, &r.timestamp_ms, sizeof(r.timestamp_ms)) &&
                take(&bytes, &n, sizeof(n)) && take(&bytes, &key, sizeof(key)) &&
                take(&bytes, &value, sizeof(value)) && n <= max;
    for (r.headers_n = 0; good && r.headers_n < n; r.headers_n++) {
        good = take_header(&bytes, &headers[r.headers_n]);
    }
    if (!good || !cut(&bytes, key, &r.key) || !cut(&bytes, value, &r.value) || bytes.n > 0) {
        return -EBADMSG;
    }
    *ret = r;
    return 0;
}
