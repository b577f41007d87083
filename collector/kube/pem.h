/*
 * What of TLS material a kubeconfig needs: base64, and how long a certificate is good for.
 */
#pragma once

#include <stdint.h>

#include "lib/base/error.h"
#include "lib/base/sv.h"

/* The decoded text, NUL-terminated, the caller's. -EINVAL. */
int klx_pem_from_base64(struct klx_sv text, struct klx_sv *ret) KLX_MUST_CHECK;
/* -EINVAL: not a certificate; -EKEYEXPIRED: expired or not valid yet, with the date. */
int klx_pem_check_certificate(struct klx_sv pem, int64_t now_us,
                              struct klx_error *e) KLX_MUST_CHECK;
