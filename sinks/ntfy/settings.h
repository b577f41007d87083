/*
 * A channel of ntfy as the configuration has it: a server, a topic, and who klaxon is there.
 *
 *     ops-phone:
 *       ntfy:
 *         url: https://ntfy.example.com                # the server alone; https://ntfy.sh unless set
 *         topic: klaxon-ops
 *         token: { file: /run/secrets/ntfy }           # tk_…
 *         tags: [prod]
 */
#pragma once

#include "lib/base/config.h"
#include "lib/base/secret.h"

/* Bound by klx_ntfy_fields. */
struct klx_ntfy_config {
    char *url;
    char *topic;
    struct klx_secret *token; /* NULL: none */
    struct klx_config_strings tags;
};

extern const struct klx_config_field klx_ntfy_fields[];

/* -EINVAL with the place of the first mistake. Reads the token. */
int klx_ntfy_settings_check(const struct klx_ntfy_config *c, const struct klx_config_node *at,
                            struct klx_error *e) KLX_MUST_CHECK;
/* What is right, but better changed, and the key it is about; or NULL. */
const char *klx_ntfy_settings_doubt(const struct klx_ntfy_config *c, const char **ret_key);
