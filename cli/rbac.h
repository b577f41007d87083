/*
 * The rights that the collector needs in a cluster: list and watch on what its sources read, create and patch on events where its canary is,
 * its Lease where it has one, and nothing else. In the whole cluster where a source looks everywhere or what it reads is in no namespace; else in its namespaces.
 */
#pragma once

#include "cli/table.h"
#include "collector/settings.h"
#include "lib/base/buf.h"

struct klx_rbac_account {
    const char *name; /* of the ServiceAccount and of all roles */
    const char *namespace;
};

/* What is granted to whom. */
struct klx_rbac {
    const struct klx_cluster_settings *cluster;
    struct klx_rbac_account account;
    const char *
        own_namespace; /* of klaxon's own objects, where nothing else is configured (klx_kube_access.namespace) */
};

/* ServiceAccount, roles and bindings: what `kubectl apply -f` takes. */
void klx_rbac_yaml(const struct klx_rbac *r, struct klx_buf *out);
/* A row for each rule: cluster, namespace, API group, resources, verbs. */
#define KLX_RBAC_COLUMNS 5
extern const char *const klx_rbac_heads[KLX_RBAC_COLUMNS];
void klx_rbac_rows(const struct klx_rbac *r, struct klx_table *table);
