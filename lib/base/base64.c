#include "lib/base/base64.h"

void klx_base64_add(struct klx_buf *out, struct klx_sv bytes) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes.n; i += 3) {
        size_t left = bytes.n - i;
        uint32_t group = (uint32_t)(unsigned char)bytes.p[i] << 16;
        group |= left > 1 ? (uint32_t)(unsigned char)bytes.p[i + 1] << 8 : 0;
        group |= left > 2 ? (uint32_t)(unsigned char)bytes.p[i + 2] : 0;
        klx_buf_add_char(out, digits[group >> 18]);
        klx_buf_add_char(out, digits[group >> 12 & 63]);
        klx_buf_add_char(out, left > 1 ? digits[group >> 6 & 63] : '=');
        klx_buf_add_char(out, left > 2 ? digits[group & 63] : '=');
    }
}
