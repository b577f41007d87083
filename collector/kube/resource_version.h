/*
 * resourceVersions: decimals up to 2^128-1, comparable within one resource type (KEP-5504): by length, then by bytes.
 */
#pragma once

#include <stdbool.h>

#include "lib/base/sv.h"

#define KLX_RV_BYTES_MAX 40

/* A copy that lives in a struct; empty: none. */
struct klx_rv {
    char text[KLX_RV_BYTES_MAX];
};

/* Digits only, no leading zero, not longer than 39; "0" is not a live version. */
bool klx_rv_valid(struct klx_sv rv);
int klx_rv_cmp(struct klx_sv a, struct klx_sv b);
/* Leaves *rv empty when the text is not valid. */
void klx_rv_set(struct klx_rv *rv, struct klx_sv text);
static inline struct klx_sv klx_rv_sv(const struct klx_rv *rv) {
    return klx_sv(rv->text);
}
