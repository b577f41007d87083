/*
 * The endpoints of the source prometheus:
 *
 *     prometheus:
 *       every: 30s
 *       endpoints:
 *         - { name: apiserver, path: /metrics, metrics: "apiserver_request_total", labels: [verb, code] }
 *         - name: ksm
 *           path: /api/v1/namespaces/kube-system/services/ama-metrics-ksm:8080/proxy/metrics
 *           metrics: ["kube_horizontalpodautoscaler_*"]
 *           labels: [namespace, horizontalpodautoscaler]
 *         - { name: outside, url: "https://host:9100/metrics", ca_file: /etc/ca.pem, token_file: /run/secrets/token, metrics: ["node_*"] }
 */
#pragma once

#include "lib/base/config.h"
#include "lib/base/match.h"
#include "lib/base/secret.h"

#define KLX_ENDPOINTS_MAX 32
#define KLX_SAMPLES_MAX_DEFAULT 5000

struct klx_endpoint_settings {
    char *name;
    char *url;  /* of anything that answers HTTP; or … */
    char *path; /* … of the API server, with the cluster's credentials */
    struct klx_secret *ca, *token;
    struct klx_config_strings metrics; /* names and globs; never empty */
    struct klx_config_strings labels;  /* those that are kept */
    int64_t samples_max;               /* of one scrape */
    struct klx_match *match;           /* of `metrics` */
};

extern const struct klx_config_field klx_endpoint_fields[];

/* Binds the list `n`; each mistake is handed to `report`. What is returned needs klx_endpoints_free. */
void klx_endpoints_bind(const struct klx_config_node *n, struct klx_endpoint_settings **ret,
                        size_t *ret_n, klx_config_report_fn report, void *arg);
void klx_endpoints_free(struct klx_endpoint_settings *items, size_t n);
