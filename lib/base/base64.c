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

static int value_of(char c) {
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

static bool is_base64(struct klx_sv text, size_t digits) {
    for (size_t i = 0; i < digits; i++) {
        if (value_of(text.p[i]) < 0) {
            return false;
        }
    }
    return text.n % 4 == 0 && text.n - digits <= 2;
}

int klx_base64_decode(struct klx_buf *out, struct klx_sv text) {
    size_t digits = klx_sv_find(text, '=');
    uint32_t bits = 0;
    if (!is_base64(text, digits) || (digits < text.n && text.p[text.n - 1] != '=')) {
        return -EINVAL;
    }
    for (size_t i = 0; i < digits; i++) {
        bits = bits << 6 | (uint32_t)value_of(text.p[i]);
        if (i % 4 > 0) { /* the second digit ends a byte, the third and fourth as well */
            klx_buf_add_char(out, (char)(bits >> (6 - 2 * (i % 4)) & 0xFF));
        }
    }
    return 0;
}
