#include "collector/kube/in_cluster.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"

#define ACCOUNT_DIR "/var/run/secrets/kubernetes.io/serviceaccount"

static struct klx_secret *account_file(const char *name) {
    const char *moved = getenv("KLAXON_SERVICEACCOUNT");
    char *path = klx_asprintf("%s/%s", moved != NULL ? moved : ACCOUNT_DIR, name);
    struct klx_secret *file = klx_secret_from_file(klx_sv(path));
    free(path);
    return file;
}

static int read_once(struct klx_kube_access *a, struct klx_error *e) {
    struct klx_sv unused;
    int rc = klx_secret_get(a->ca.file, &unused, e);
    return rc == 0 ? klx_secret_get(a->token, &unused, e) : rc;
}

static char *own_namespace(void) {
    struct klx_error unused;
    struct klx_sv name;
    struct klx_secret *file = account_file("namespace");
    int rc = klx_secret_get(file, &name, &unused);
    char *copy = klx_sv_dup(rc == 0 && name.n > 0 ? name : KLX_SV("default"));
    klx_secret_free(file);
    return copy;
}

int klx_in_cluster_load(struct klx_kube_access **ret, struct klx_error *e) {
    const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
    if (host == NULL || host[0] == '\0' || port == NULL || port[0] == '\0') {
        return klx_fail(e, -ENOENT,
                        "in_cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not "
                        "set, so this is not a pod: name a `kubeconfig:` instead");
    }
    struct klx_kube_access *a = klx_alloc(struct klx_kube_access);
    bool v6 = strchr(host, ':') != NULL && host[0] != '[';
    a->server = klx_asprintf(v6 ? "https://[%s]:%s" : "https://%s:%s", host, port);
    a->context = klx_strdup("in-cluster");
    a->from = klx_strdup("in-cluster");
    a->namespace = own_namespace();
    a->ca.file = account_file("ca.crt");
    a->token = account_file("token");
    int rc = read_once(a, e);
    if (rc != 0) {
        klx_kube_access_free(a);
        return klx_fail_in(e, rc, "in_cluster");
    }
    *ret = a;
    return 0;
}
