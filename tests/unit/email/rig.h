/*
 * A channel of sinks/email made from YAML, as a process would make it.
 */
#pragma once

#include "tests/unit/support/support.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "sinks/core/sink.h"

struct rig {
    struct klx_sink_env env;
    struct klx_config *yaml;
    void *config;
    void *channel;
};

static inline void rig_bind(struct rig *r, const char *yaml) {
    struct klx_error e = { 0 };
    if (klx_config_parse(klx_sv(yaml), "test.yaml", &r->yaml, &e) != 0) {
        fail_msg("%s", e.text);
    }
    r->config = klx_new_bytes(klx_sink_email.config_bytes);
    if (klx_config_bind(klx_config_root(r->yaml), klx_sink_email.fields, r->config, &e) != 0) {
        fail_msg("%s", e.text);
    }
}

static inline void rig_unbind(struct rig *r) {
    klx_config_unbind(klx_sink_email.fields, r->config);
    klx_config_free(r->yaml);
    free(r->config);
}

static inline void rig_open(struct rig *r, const char *yaml) {
    struct klx_loop *loop = klx_loop_new();
    struct klx_error e = { 0 };
    r->env = (struct klx_sink_env){ loop, klx_http_new(loop), klx_clock_real() };
    rig_bind(r, yaml);
    if (klx_sink_email.check(r->config, klx_config_root(r->yaml), &e) != 0 ||
        klx_sink_email.open(&r->env, "ops-mail", r->config, &r->channel, &e) != 0) {
        fail_msg("%s", e.text);
    }
}

/* The loop's free asserts that nothing of all this is alive. */
static inline void rig_close(struct rig *r) {
    if (r->channel != NULL) {
        klx_sink_email.close(r->channel);
    }
    klx_http_free(r->env.http);
    klx_loop_run(r->env.loop);
    klx_loop_free(r->env.loop);
    rig_unbind(r);
}
