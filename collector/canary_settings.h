/*
 * What an operator says of the canary (collector/canary.h), and whether it can be one:
 *
 *     canary: { every: 30s, namespace: klaxon }     # default: every 60 s, in the namespace of klaxon's own objects
 *     canary: false                                 # none
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/source_settings.h"
#include "lib/base/config.h"

/* The keys of `canary:`. */
extern const struct klx_config_field klx_canary_fields[];

struct klx_canary_settings {
    bool off;
    int64_t every_ms;
    char *namespace; /* NULL: that of klaxon's own objects (klx_kube_access.namespace) */
};

/* `n` may be NULL. Each mistake is handed to `report`; *ret needs _release in any case. */
void klx_canary_settings_bind(const struct klx_config_node *n, struct klx_canary_settings *ret,
                              klx_config_report_fn report, void *arg);
void klx_canary_settings_release(struct klx_canary_settings *s);

/* Why there is no canary in that namespace, in words that can follow "off: "; NULL: there is one. */
const char *klx_canary_obstacle(const struct klx_canary_settings *s,
                                const struct klx_source_settings *sources, size_t sources_n,
                                const char *namespace);
/* Whether somebody wants one and it cannot be seen: worth a warning. */
bool klx_canary_is_blind(const struct klx_canary_settings *s,
                         const struct klx_source_settings *sources, size_t sources_n,
                         const char *namespace);
