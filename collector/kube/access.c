#include "collector/kube/access.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"

int klx_kube_pem_get(struct klx_kube_pem *p, struct klx_sv *ret, struct klx_error *e) {
    if (p->file != NULL) {
        return klx_secret_get(p->file, ret, e);
    }
    *ret = p->data;
    return 0;
}

static void release_pem(struct klx_kube_pem *p) {
    char *data = (char *)(uintptr_t)p->data.p;
    if (data != NULL) {
        explicit_bzero(data, p->data.n);
        free(data);
    }
    klx_secret_free(p->file);
}

static void wipe_list(char **list) {
    for (size_t i = 0; list != NULL && list[i] != NULL; i++) {
        klx_wipe(list[i]);
    }
    free(list);
}

static void free_exec(struct klx_kube_exec *x) {
    if (x != NULL) {
        wipe_list(x->argv);
        wipe_list(x->env);
        free(x->api_version);
        free(x->install_hint);
        free(x);
    }
}

void klx_kube_access_free(struct klx_kube_access *a) {
    if (a == NULL) {
        return;
    }
    release_pem(&a->ca);
    release_pem(&a->cert);
    release_pem(&a->key);
    klx_secret_free(a->token);
    klx_wipe(a->static_token);
    free_exec(a->exec);
    free(a->server);
    free(a->proxy);
    free(a->tls_server_name);
    free(a->context);
    free(a->from);
    free(a->namespace);
    free(a);
}
