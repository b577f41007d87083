#include "sinks/webhook/sign.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/base64.h"
#include "lib/base/cleanup.h"
#include "lib/base/hmac.h"

#define KEY_BYTES_MAX 1024
#define PREFIX KLX_SV("whsec_")

/* The bytes of a key; released with what held them wiped. */
static int read_key(struct klx_buf *out, struct klx_sv text) {
    if (klx_sv_starts(text, PREFIX)) {
        int rc = klx_base64_decode(out, klx_sv_n(text.p + PREFIX.n, text.n - PREFIX.n));
        return rc == 0 && out->len == 0 ? -EINVAL : rc;
    }
    klx_buf_add_sv(out, text);
    return klx_buf_check(out);
}

int klx_webhook_sign_check(struct klx_sv keys, const char *where, struct klx_error *e) {
    size_t n = 0;
    while (keys.n > 0) {
        struct klx_sv line = klx_sv_trim(klx_sv_cut(&keys, '\n'));
        struct klx_buf key;
        klx_buf_init(&key, KEY_BYTES_MAX);
        bool good = line.n == 0 || (line.n <= KEY_BYTES_MAX && read_key(&key, line) == 0);
        klx_buf_wipe(&key);
        n += line.n > 0;
        if (!good) {
            return klx_fail(e, -EINVAL,
                            "%s holds \"whsec_\" without a key in Base64 behind it, or "
                            "a key of more than %d bytes",
                            where, KEY_BYTES_MAX);
        }
    }
    return n >= 1 && n <= KLX_WEBHOOK_KEYS_MAX
               ? 0
               : klx_fail(e, -EINVAL, "%s holds %zu keys: expected 1 to %d, one a line", where, n,
                          KLX_WEBHOOK_KEYS_MAX);
}

void klx_webhook_sign(struct klx_buf *out, struct klx_sv keys, struct klx_sv id, int64_t unix_s,
                      struct klx_sv body) {
    char timestamp[32];
    int length = snprintf(timestamp, sizeof(timestamp), ".%lld.", (long long)unix_s);
    const struct klx_sv parts[] = { id, klx_sv_n(timestamp, (size_t)length), body };
    size_t start = out->len;
    while (keys.n > 0) {
        struct klx_sv line = klx_sv_trim(klx_sv_cut(&keys, '\n'));
        unsigned char digest[KLX_HMAC_BYTES];
        struct klx_buf key;
        klx_buf_init(&key, KEY_BYTES_MAX);
        if (line.n > 0 && read_key(&key, line) == 0) {
            klx_hmac_sha256(klx_buf_sv(&key), parts, KLX_COUNT(parts), digest);
            klx_buf_add_str(out, out->len > start ? " v1," : "v1,");
            klx_base64_add(out, klx_sv_n((const char *)digest, sizeof(digest)));
        }
        klx_buf_wipe(&key);
    }
}
