#include <stdint.h>

#include "collector/kube/kubeconfig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct klx_kube_access *access = NULL;
    struct klx_error e;
    /* A folder that does not exist: the paths inside lead nowhere. */
    int rc = klx_kubeconfig_parse(klx_sv_n((const char *)data, size), "/nonexistent/kubeconfig", NULL, 0, &access, &e);
    if (rc == 0) {
        klx_kube_access_free(access);
    }
    return 0;
}
