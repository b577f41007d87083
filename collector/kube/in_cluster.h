/*
 * The API server of the cluster that this process is a pod of, as its service account.
 *
 * The address is $KUBERNETES_SERVICE_HOST and $KUBERNETES_SERVICE_PORT; ca.crt and token are in
 * /var/run/secrets/kubernetes.io/serviceaccount, or in $KLAXON_SERVICEACCOUNT where they are mounted elsewhere.
 */
#pragma once

#include "collector/kube/access.h"

/* -ENOENT outside of a pod; other errors name the file. Both files are read once here. */
int klx_in_cluster_load(struct klx_kube_access **ret, struct klx_error *e) KLX_MUST_CHECK;
