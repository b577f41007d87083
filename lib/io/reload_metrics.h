/*
 * What every process that reads its configuration again shows of it:
 *
 *     klaxon_config_reload_failed               1: the files hold a configuration that cannot be used
 *     klaxon_config_loaded_timestamp_seconds    when the one in use was last found to be what the files hold
 *     klaxon_config_hash                        a number made of the one in use: equal for equal files
 */
#pragma once

#include "lib/base/clock.h"

/* hash: hex digits. */
void klx_reload_metrics_good(const char *hash, struct klx_clock *clock);
void klx_reload_metrics_bad(void);
