#include "cli/mime_part.h"

#include <string.h>

static const struct klx_sv line_end = { "\r\n", 2 };

/* The rest from behind the first `what` on; empty when there is none. */
static struct klx_sv behind(struct klx_sv text, struct klx_sv what) {
    const char *at = text.n > 0 ? memmem(text.p, text.n, what.p, what.n) : NULL;
    return at != NULL ? klx_sv_n(at + what.n, text.n - (size_t)(at - text.p) - what.n) : klx_sv("");
}

static struct klx_sv before(struct klx_sv text, struct klx_sv what) {
    const char *at = text.n > 0 ? memmem(text.p, text.n, what.p, what.n) : NULL;
    return at != NULL ? klx_sv_n(text.p, (size_t)(at - text.p)) : text;
}

static int digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Quoted-printable, RFC 2045 6.7. */
static void decode(struct klx_sv body, struct klx_buf *out) {
    for (size_t i = 0; i < body.n; i++) {
        struct klx_sv rest = klx_sv_n(body.p + i, body.n - i);
        if (rest.p[0] == '=' && rest.n > 2 && rest.p[1] == '\r' && rest.p[2] == '\n') {
            i += 2;
        } else if (rest.p[0] == '=' && rest.n > 2 && digit(rest.p[1]) >= 0 &&
                   digit(rest.p[2]) >= 0) {
            klx_buf_add_char(out, (char)(digit(rest.p[1]) * 16 + digit(rest.p[2])));
            i += 2;
        } else if (!klx_sv_starts(rest, line_end)) {
            klx_buf_add_char(out, rest.p[0]);
        }
    }
}

bool klx_mime_part(struct klx_sv message, const char *type, struct klx_buf *out) {
    const struct klx_sv boundary = KLX_SV("\r\n--=_"), blank = KLX_SV("\r\n\r\n");
    struct klx_sv rest = behind(message, boundary);
    while (rest.n > 0) {
        struct klx_sv part = before(rest, boundary);
        struct klx_sv headers = before(part, blank);
        struct klx_sv named = behind(headers, KLX_SV("Content-Type: "));
        if (klx_sv_starts(named, klx_sv(type))) {
            decode(behind(part, blank), out);
            return true;
        }
        rest = behind(rest, boundary);
    }
    return false;
}
