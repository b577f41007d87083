#include "collector/cluster_access.h"

#include "collector/kube/azure.h"
#include "collector/kube/in_cluster.h"
#include "collector/kube/kubeconfig.h"

int klx_cluster_access_load(const struct klx_cluster_settings *s, int64_t now_us,
                            struct klx_kube_access **ret, struct klx_error *e) {
    return s->in_cluster      ? klx_in_cluster_load(ret, e)
           : s->azure != NULL ? klx_azure_load(s->azure, s->kubeconfig, s->context, ret, e)
                              : klx_kubeconfig_load(s->kubeconfig, s->context, now_us, ret, e);
}
