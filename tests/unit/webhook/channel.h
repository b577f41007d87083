/*
 * A webhook's settings from YAML, and what they say when they are wrong.
 */
#pragma once

#include "tests/unit/support/sink_rig.h"

#include "lib/base/cleanup.h"
#include "sinks/webhook/body.h"
#include "sinks/webhook/settings.h"

struct channel_rig {
    struct rig r;
    struct klx_webhook_settings s;
};

static inline void channel_bind(struct channel_rig *c, const char *yaml) {
    struct klx_error e = { 0 };
    rig_bind(&c->r, &klx_sink_webhook, yaml);
    if (klx_webhook_settings_read(c->r.config, klx_config_root(c->r.yaml), &c->s, &e) != 0) {
        fail_msg("%s", e.text);
    }
}

static inline void channel_unbind(struct channel_rig *c) {
    klx_webhook_settings_release(&c->s);
    rig_unbind(&c->r);
}
