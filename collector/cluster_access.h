/*
 * How the API server of a configured cluster is reached, and as whom: as the pod's service account, as an identity of Entra ID, or as a
 * kubeconfig says.
 */
#pragma once

#include <stdint.h>

#include "collector/kube/access.h"
#include "collector/settings.h"
#include "lib/base/error.h"

/* Access may borrow from `s`. */
int klx_cluster_access_load(const struct klx_cluster_settings *s, int64_t now_us,
                            struct klx_kube_access **ret, struct klx_error *e) KLX_MUST_CHECK;
