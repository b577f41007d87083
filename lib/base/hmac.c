#include "lib/base/hmac.h"

#include <assert.h>
#include <openssl/evp.h>

/* Every call of libcrypto here fails only without memory, or without SHA-256: neither leaves anything to do. */
void klx_hmac_sha256(struct klx_sv key, const struct klx_sv *parts, size_t n,
                     unsigned char out[static KLX_HMAC_BYTES]) {
    static const char nothing[1] = "";
    size_t length = KLX_HMAC_BYTES;
    EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(
        EVP_PKEY_HMAC, NULL, (const unsigned char *)(key.p != NULL ? key.p : nothing), key.n);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int rc = EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, pkey);
    assert(rc == 1);
    for (size_t i = 0; i < n; i++) {
        rc = EVP_DigestSignUpdate(context, parts[i].p != NULL ? parts[i].p : nothing, parts[i].n);
        assert(rc == 1);
    }
    rc = EVP_DigestSignFinal(context, out, &length);
    assert(rc == 1 && length == KLX_HMAC_BYTES);
    (void)rc;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(pkey);
}
