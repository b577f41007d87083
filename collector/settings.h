/*
 * The collector's part of the configuration.
 *
 *     collector:
 *       listen: "127.0.0.1:9464"    # /metrics, /healthz, /readyz; default: not at all
 *       transactions: auto          # auto, on, off (lib/io/transaction.h); default: auto
 *     clusters:
 *       - name: prod-weu              # in every key and id: do not change it later
 *         kubeconfig: ~/.kube/config  # default: $KUBECONFIG, ~/.kube/config
 *         context: prod-weu           # default: current-context
 *         in_cluster: true            # instead of both: as the pod's service account
 *         azure: {}                   # as an identity of Entra ID (kube/azure.h), beside a kubeconfig or with a server of its own
 *         dead_after: 2m              # a watch that died in silence is noticed within this, 2s to 1h; default: 5m15s (nodes: 10m15s)
 *         lease: { namespace: klaxon } # several collectors, of which one works (kube/lease.h); default: there is no other
 *         canary: { every: 30s }      # default: every 60 s; false: none (collector/canary_settings.h)
 *         heartbeat: 60s              # the event that tells readers that the cluster is watched, 1s to 1h
 *         sources: { events: {}, hpa: { namespaces: [kube-system] } }         # collector/source_settings.h
 *         detectors: { autoscaling: { at_max_after: 5m } }    # default: as each detector says
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "collector/canary_settings.h"
#include "collector/detector_settings.h"
#include "collector/kube/azure.h"
#include "collector/kube/lease_state.h"
#include "collector/source_settings.h"
#include "lib/base/error.h"
#include "lib/io/kafka_config.h"
#include "lib/io/transaction.h"
#include "schema/settings.h"

/* The keys of `collector:`, of an item of `clusters:`, and of its `lease:`. */
extern const struct klx_config_field klx_collector_fields[];
extern const struct klx_config_field klx_lease_fields[];
extern const struct klx_config_field klx_cluster_fields[];

struct klx_lease_settings {
    bool wanted;
    char *namespace; /* NULL: the context's, or the pod's */
    char *name;      /* NULL: klaxon-collector-<cluster> */
    struct klx_lease_times times;
};

struct klx_cluster_settings {
    char *name; /* [a-z0-9.-], at most 63 */
    char *kubeconfig;
    char *context;
    bool in_cluster;                  /* instead of a kubeconfig */
    struct klx_azure_settings *azure; /* NULL: none */
    int64_t dead_after_ms;            /* 0: the watch's own */
    struct klx_lease_settings lease;
    struct klx_source_settings sources[KLX_SOURCES_MAX];
    size_t sources_n;
    struct klx_detector_settings detectors;
    struct klx_canary_settings canary;
    int64_t heartbeat_ms;
    const struct klx_config_node *at; /* where it stands, for messages */
};

/* The name of its Lease; the caller frees it. */
char *klx_lease_name(const struct klx_cluster_settings *c);

struct klx_collector_settings {
    struct klx_kafka_config *kafka;
    struct klx_cluster_settings *clusters;
    size_t clusters_n;
    char *listen; /* NULL: no server */
    enum klx_txn_mode transactions;
};

/* Reports every mistake and returns their number; *ret holds what could be bound and needs klx_collector_settings_release in any case.
   For `klaxon check`: no clusters at all is no mistake, and the Kafka properties are left out (`kafka` is NULL). */
size_t klx_collector_settings_bind(const struct klx_settings *s, struct klx_collector_settings *ret,
                                   klx_config_report_fn report, void *arg);
/* Takes from the environment what a cluster's access needs of it; klx_collector_settings_load has done so. */
int klx_cluster_settings_complete(struct klx_cluster_settings *c,
                                  struct klx_error *e) KLX_MUST_CHECK;
int klx_collector_settings_load(const struct klx_settings *s, struct klx_collector_settings *ret,
                                struct klx_error *e) KLX_MUST_CHECK;
void klx_collector_settings_release(struct klx_collector_settings *c);
