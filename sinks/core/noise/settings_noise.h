/*
 * The keys of the configuration that noise control has: of a channel, and of a subscription.
 *
 *     channels:
 *       ops-slack: { slack: {…}, throttle: { messages: 20, per: 1m, burst: 10 } }    # messages: 0 is no limit; left out: the kind's own
 *     subscriptions:
 *       - quiet:    { time_zone: Europe/Berlin, times: ["22:00-06:00"], critical: pass }     # hours.h
 *         repeat:   4h                                         # tell of what is still open, and not acknowledged
 *         escalate: { after: 30m, channels: [ops-pager] }      # tell these as well, when it is so for so long
 */
#pragma once

#include "lib/base/config.h"
#include "sinks/core/settings_subscription.h"

extern const struct klx_config_field klx_throttle_fields[];
extern const struct klx_config_field klx_escalate_fields[];

/* n NULL: what the kind of sink has (ops), which may be nothing. Reports mistakes. */
void klx_throttle_bind(const struct klx_config_node *n, const struct klx_sink_ops *ops,
                       struct klx_throttle_settings *ret, struct klx_settings_reporter *r);
/* Binds `after`, and says where the names of the channels stand; NULL: nowhere. Reports mistakes. */
const struct klx_config_node *klx_escalate_bind(const struct klx_config_node *n,
                                                int64_t *ret_after_ms,
                                                struct klx_settings_reporter *r);
