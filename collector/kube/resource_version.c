#include "collector/kube/resource_version.h"

bool klx_rv_valid(struct klx_sv rv) {
    if (rv.n == 0 || rv.n >= KLX_RV_BYTES_MAX || rv.p[0] == '0') {
        return false;
    }
    for (size_t i = 0; i < rv.n; i++) {
        if (rv.p[i] < '0' || rv.p[i] > '9') {
            return false;
        }
    }
    return true;
}

int klx_rv_cmp(struct klx_sv a, struct klx_sv b) {
    if (a.n != b.n) {
        return a.n < b.n ? -1 : 1;
    }
    return klx_sv_cmp(a, b);
}

void klx_rv_set(struct klx_rv *rv, struct klx_sv text) {
    rv->text[0] = '\0';
    if (klx_rv_valid(text)) {
        memcpy(rv->text, text.p, text.n);
        rv->text[text.n] = '\0';
    }
}
