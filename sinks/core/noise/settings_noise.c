#include "sinks/core/noise/settings_noise.h"

#include <stddef.h>

#define PER_MS_MAX (24LL * 3600 * 1000)
#define DAYS_MS(n) ((n)*86400LL * 1000)

const struct klx_config_field klx_throttle_fields[] = {
    { .key = "messages",
      .kind = KLX_CFG_INT,
      .offset = offsetof(struct klx_throttle_settings, messages),
      .required = true,
      .min = 0,
      .max = 100000,
      .help = "the channel gets at most so many in any stretch of `per`; 0: no limit" },
    { .key = "per",
      .kind = KLX_CFG_DURATION,
      .offset = offsetof(struct klx_throttle_settings, per_ms),
      .otherwise = "1m",
      .min = 1000,
      .max = PER_MS_MAX,
      .help = "the stretch of time that `messages` is about" },
    { .key = "burst",
      .kind = KLX_CFG_INT,
      .offset = offsetof(struct klx_throttle_settings, burst),
      .otherwise = "0",
      .min = 0,
      .max = 100000,
      .help = "so many of them may come at once, the others are spread; 0: half of them" },
    { .key = NULL },
};

struct escalate {
    int64_t after_ms;
    const struct klx_config_node *channels;
};

const struct klx_config_field klx_escalate_fields[] = {
    { .key = "after",
      .kind = KLX_CFG_DURATION,
      .offset = offsetof(struct escalate, after_ms),
      .required = true,
      .min = 10000,
      .max = DAYS_MS(7),
      .help = "so long an incident may be open and not acknowledged" },
    { .key = "channels",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct escalate, channels),
      .required = true,
      .help = "names from `channels:`; these are told then" },
    { .key = NULL },
};

void klx_throttle_bind(const struct klx_config_node *n, const struct klx_sink_ops *ops,
                       struct klx_throttle_settings *ret, struct klx_settings_reporter *r) {
    struct klx_error e;
    if (n == NULL) {
        *ret = (struct klx_throttle_settings){ .messages = (int64_t)ops->throttle_messages,
                                               .per_ms = ops->throttle_per_ms };
        return;
    }
    if (klx_config_bind_all(n, klx_throttle_fields, ret, klx_settings_report_text, r) > 0) {
        return;
    }
    if (ret->messages > 1 && ret->burst >= ret->messages) {
        klx_config_fail(klx_config_get(n, "burst"), &e,
                        "less than messages (%lld): what does not come at once is spread over "
                        "`per`, and there must be some of it",
                        (long long)ret->messages);
        klx_settings_report(r, &e);
    }
}

const struct klx_config_node *klx_escalate_bind(const struct klx_config_node *n,
                                                int64_t *ret_after_ms,
                                                struct klx_settings_reporter *r) {
    struct escalate item = { 0 };
    klx_config_bind_all(n, klx_escalate_fields, &item, klx_settings_report_text, r);
    *ret_after_ms = item.after_ms;
    return item.channels;
}
