/*
 * A channel of some kind made from YAML, as a process would make it.
 */
#pragma once

#include "tests/unit/support/support.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "sinks/core/sink.h"
#include "tests/unit/support/http_replies.h"

struct rig {
    const struct klx_sink_ops *ops;
    struct klx_clock *clock; /* NULL: the system's */
    struct klx_sink_env env;
    struct klx_config *yaml;
    void *config;
    void *channel;
};

static inline void rig_bind(struct rig *r, const struct klx_sink_ops *ops, const char *yaml) {
    struct klx_error e = { 0 };
    r->ops = ops;
    if (klx_config_parse(klx_sv(yaml), "test.yaml", &r->yaml, &e) != 0) {
        fail_msg("%s", e.text);
    }
    r->config = klx_new_bytes(ops->config_bytes);
    if (klx_config_bind(klx_config_root(r->yaml), ops->fields, r->config, &e) != 0) {
        fail_msg("%s", e.text);
    }
}

static inline void rig_unbind(struct rig *r) {
    klx_config_unbind(r->ops->fields, r->config);
    klx_config_free(r->yaml);
    free(r->config);
}

static inline void rig_open(struct rig *r, const struct klx_sink_ops *ops, const char *yaml) {
    struct klx_loop *loop = klx_loop_new();
    struct klx_error e = { 0 };
    r->env = (struct klx_sink_env){ loop, klx_http_new(loop),
                                    r->clock != NULL ? r->clock : klx_clock_real() };
    rig_bind(r, ops, yaml);
    if (ops->open(&r->env, "ops-test", r->config, &r->channel, &e) != 0) {
        fail_msg("%s", e.text);
    }
}

static inline void rig_send(struct rig *r, struct klx_sv payload, const struct klx_sv *recipients,
                            size_t n, klx_sent_fn done, void *arg) {
    static const struct klx_sv nobody_in_particular = { "", 0 };
    const struct klx_send send = { .payloads = &payload,
                                   .payloads_n = 1,
                                   .recipients =
                                       recipients != NULL ? recipients : &nobody_in_particular,
                                   .recipients_n = recipients != NULL ? n : 1,
                                   .id = KLX_SV("id") };
    r->ops->send(r->channel, &send, done, arg);
}

static inline void rig_close_channel(struct rig *r) {
    if (r->channel != NULL) {
        r->ops->close(r->channel);
        r->channel = NULL;
    }
}

struct rig_close_plan {
    struct rig *rig;
    const struct http_replies *server;
    int at;
    bool reached;
};

static inline void rig_close_when_served(void *arg) {
    struct rig_close_plan *p = arg;
    if (p->reached) {
        rig_close_channel(p->rig);
        klx_loop_stop(p->rig->env.loop);
    }
    p->reached = p->server->served >= p->at;
}

/* Runs the loop until the server has read so many requests and a moment more, in which an answer comes; then closes the channel. */
static inline void rig_run_and_close(struct rig *r, const struct http_replies *server, int at) {
    struct rig_close_plan plan = { .rig = r, .server = server, .at = at };
    struct klx_timer *timer = klx_timer_new(r->env.loop, rig_close_when_served, &plan);
    klx_timer_repeat(timer, 50);
    klx_loop_run(r->env.loop);
    klx_timer_free(timer);
}

/* The loop's free asserts that nothing of all this is alive. */
static inline void rig_close(struct rig *r) {
    rig_close_channel(r);
    klx_http_free(r->env.http);
    klx_loop_run(r->env.loop);
    klx_loop_free(r->env.loop);
    rig_unbind(r);
}
