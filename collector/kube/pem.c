#include "collector/kube/pem.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/base/time.h"

int klx_pem_from_base64(struct klx_sv text, struct klx_sv *ret) {
    text = klx_sv_trim(text);
    if (text.n == 0 || text.n % 4 != 0 || text.n > (1u << 20)) {
        return -EINVAL;
    }
    char *out = klx_new_bytes(text.n / 4 * 3 + 1);
    int n = EVP_DecodeBlock((unsigned char *)out, (const unsigned char *)text.p, (int)text.n);
    if (n < 0) {
        free(out);
        return -EINVAL;
    }
    n -= (text.p[text.n - 1] == '=') + (text.p[text.n - 2] == '=');
    out[n] = '\0';
    *ret = klx_sv_n(out, (size_t)n);
    return 0;
}

static int date_error(const ASN1_TIME *when, const char *what, struct klx_error *e) {
    char date[64] = "";
    BIO *out = BIO_new(BIO_s_mem());
    ASN1_TIME_print(out, when);
    int n = BIO_read(out, date, (int)sizeof(date) - 1);
    date[n > 0 ? n : 0] = '\0';
    BIO_free(out);
    return klx_fail(e, -EKEYEXPIRED, "the client certificate %s %s: get a new kubeconfig", what,
                    date);
}

int klx_pem_check_certificate(struct klx_sv pem, int64_t now_us, struct klx_error *e) {
    BIO *in = BIO_new_mem_buf(pem.p, (int)pem.n);
    X509 *certificate = PEM_read_bio_X509(in, NULL, NULL, NULL);
    BIO_free(in);
    if (certificate == NULL) {
        return klx_fail(e, -EINVAL, "the client certificate is not a PEM certificate");
    }
    time_t now = (time_t)(now_us / KLX_US_PER_S);
    int rc = 0;
    if (X509_cmp_time(X509_get0_notAfter(certificate), &now) < 0) {
        rc = date_error(X509_get0_notAfter(certificate), "expired on", e);
    } else if (X509_cmp_time(X509_get0_notBefore(certificate), &now) > 0) {
        rc = date_error(X509_get0_notBefore(certificate), "is not valid before", e);
    }
    X509_free(certificate);
    return rc;
}
