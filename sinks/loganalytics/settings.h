/*
 * A table of Log Analytics as the configuration has it.
 *
 *     history:
 *       loganalytics:
 *         endpoint: https://klaxon-abcd.westeurope-1.ingest.monitor.azure.com   # of the data collection rule (kind Direct) or endpoint
 *         dcr: dcr-00000000000000000000000000000000       # its immutable id, not its resource id
 *         stream: Custom-Klaxon                           # as the rule declares it; this unless given
 *         cloud: public                                   # usgov, china; left out: what the endpoint's host says
 *         api_version: "2023-01-01"
 *         ca_file: /etc/klaxon/proxy-ca.crt               # to trust for the endpoint, instead of the system's
 *         # who klaxon is (lib/io/oauth.h): nothing with AKS workload identity; or one of
 *         managed_identity: true
 *         client_secret: { file: /run/secrets/loganalytics }    # with client_id and tenant
 *
 * Scope and authority are the cloud's, unless they are given: https://monitor.azure.com/.default, login.microsoftonline.com.
 */
#pragma once

#include "lib/base/config.h"
#include "lib/base/secret.h"
#include "lib/io/oauth.h"

/* Bound by klx_loganalytics_fields. */
struct klx_loganalytics_config {
    char *endpoint, *dcr, *stream, *cloud, *api_version;
    struct klx_secret *ca_file;
    struct klx_oauth_settings oauth; /* as it is written; klx_loganalytics_oauth completes it */
};

extern const struct klx_config_field klx_loganalytics_fields[];

/* -EINVAL with the place of the first mistake that is one everywhere; at NULL: without a place. */
int klx_loganalytics_config_check(const struct klx_loganalytics_config *c,
                                  const struct klx_config_node *at,
                                  struct klx_error *e) KLX_MUST_CHECK;
/* Who klaxon is, with what cloud and environment add. `anywhere` as in klx_oauth_settings_complete. For klx_oauth_settings_release_copy. */
int klx_loganalytics_oauth(const struct klx_loganalytics_config *c, bool anywhere,
                           struct klx_oauth_settings *ret, struct klx_error *e) KLX_MUST_CHECK;
/* "https://HOST/dataCollectionRules/DCR/streams/STREAM?api-version=VERSION"; the caller frees. */
char *klx_loganalytics_url(const struct klx_loganalytics_config *c);
