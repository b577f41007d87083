#include "lib/base/utf8.h"

#include "lib/base/cleanup.h"
#include "lib/base/json.h"

#define ELLIPSIS "…"

uint32_t klx_utf8_first(struct klx_sv s, size_t *ret_n) {
    uint8_t lead = (uint8_t)s.p[0];
    size_t n = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    uint32_t c = n == 1 ? lead : lead & (0x7fu >> n);
    for (size_t i = 1; i < n && i < s.n; i++) {
        c = (c << 6) | ((uint8_t)s.p[i] & 0x3fu);
    }
    *ret_n = n < s.n ? n : s.n;
    return c;
}

bool klx_utf8_is_control(uint32_t c) {
    static const struct {
        uint32_t from, to;
    } ranges[] = {
        { 0x00, 0x1f },     { 0x7f, 0x9f },     { 0x061c, 0x061c }, { 0x200e, 0x200f },
        { 0x2028, 0x202e }, { 0x2066, 0x2069 }, { 0xfeff, 0xfeff }, { 0xe0000, 0xe007f },
    };
    for (size_t i = 0; i < KLX_COUNT(ranges); i++) {
        if (c >= ranges[i].from && c <= ranges[i].to) {
            return true;
        }
    }
    return false;
}

/* `max` leaves room for a replacement of every byte. */
static struct klx_sv without_controls(struct klx_buf *clean, struct klx_sv valid) {
    bool gap = false;
    while (valid.n > 0) {
        size_t n = 0;
        uint32_t c = klx_utf8_first(valid, &n);
        if (c == ' ' || klx_utf8_is_control(c)) {
            gap = clean->len > 0;
        } else {
            if (gap) {
                klx_buf_add_char(clean, ' ');
            }
            klx_buf_add(clean, valid.p, n);
            gap = false;
        }
        valid = klx_sv_n(valid.p + n, valid.n - n);
    }
    return klx_buf_sv(clean);
}

void klx_utf8_line(struct klx_buf *out, struct klx_sv text, size_t bytes_max) {
    struct klx_buf valid KLX_CLEANUP(klx_buf_release);
    struct klx_buf clean KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&valid, 3 * text.n + 1);
    klx_buf_init(&clean, 3 * text.n + 1);
    klx_utf8_sanitize(&valid, text);
    struct klx_sv line = without_controls(&clean, klx_buf_sv(&valid));
    if (line.n <= bytes_max) {
        klx_buf_add_sv(out, line);
        return;
    }
    size_t room = bytes_max > strlen(ELLIPSIS) ? bytes_max - strlen(ELLIPSIS) : 0;
    klx_buf_add_sv(out, klx_sv_trim(klx_sv_utf8_prefix(line, room)));
    klx_buf_add_str(out, room > 0 ? ELLIPSIS : "");
}
