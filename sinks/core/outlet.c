#include "sinks/core/outlet.h"

#include <stdlib.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#define CREDENTIAL_BYTES_MAX 4096

struct klx_outlet {
    struct klx_outlet_options o;
    struct klx_lane *lane;
    struct klx_timer *timer;
};

static void on_outcome(void *arg, const struct klx_outcome *outcome) {
    struct klx_outlet *t = arg;
    t->o.on_outcome(t->o.arg, outcome);
}

static void on_change(void *arg) {
    struct klx_outlet *t = arg;
    t->o.on_change(t->o.arg);
}

static void schedule_lane(void *arg, int64_t delay_ms) {
    struct klx_outlet *t = arg;
    if (delay_ms < 0) {
        klx_timer_stop(t->timer);
    } else {
        klx_timer_start(t->timer, delay_ms);
    }
}

static void on_lane_timer(void *arg) {
    klx_lane_wake(((struct klx_outlet *)arg)->lane);
}

int klx_outlet_new(const struct klx_outlet_options *o, struct klx_outlet **ret,
                   struct klx_error *e) {
    void *channel = NULL;
    int rc = o->ops->open(&o->env, o->channel->name, o->channel->config, &channel, e);
    if (rc != 0) {
        return klx_fail_in(e, rc, "channel %s", o->channel->name);
    }
    struct klx_outlet *t = klx_alloc(struct klx_outlet);
    struct klx_buf credential KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&credential, CREDENTIAL_BYTES_MAX);
    if (o->ops->credential != NULL) {
        o->ops->credential(o->channel->config, &credential);
    }
    const struct klx_lane_callbacks cb = {
        .on_outcome = on_outcome, .on_change = on_change, .schedule = schedule_lane, .arg = t
    };
    const struct klx_lane_options lane = {
        .ops = o->ops,
        .channel = channel,
        .name = o->channel->name,
        .clock = o->env.clock,
        .links = o->links,
        .queue_max = o->queue_max,
        .give_up_after_ms = o->give_up_after_ms,
        .circuits = o->circuits,
        .credential = klx_buf_sv(&credential),
    };
    t->o = *o;
    t->timer = klx_timer_new(o->env.loop, on_lane_timer, t);
    t->lane = klx_lane_new(&lane, &cb);
    *ret = t;
    return 0;
}

void klx_outlet_free(struct klx_outlet *t) {
    if (t != NULL) {
        klx_lane_free(t->lane);
        klx_timer_free(t->timer);
        free(t);
    }
}

void klx_outlet_push(struct klx_outlet *t, struct klx_delivery *d) {
    klx_lane_push(t->lane, d);
}

void klx_outlet_retry_now(struct klx_outlet *t) {
    klx_lane_retry_now(t->lane);
}

void klx_outlet_drop_revoked(struct klx_outlet *t) {
    klx_lane_drop_revoked(t->lane);
}

void klx_outlet_hold(struct klx_outlet *t, bool held) {
    klx_lane_hold(t->lane, held);
}

void klx_outlet_look(struct klx_outlet *t) {
    klx_lane_look(t->lane);
}

void klx_outlet_stop(struct klx_outlet *t) {
    klx_lane_stop(t->lane);
}

bool klx_outlet_is_sending(const struct klx_outlet *t) {
    return klx_lane_is_sending(t->lane);
}

bool klx_outlet_full(const struct klx_outlet *t) {
    return klx_lane_full(t->lane);
}

bool klx_outlet_has_room(const struct klx_outlet *t) {
    return klx_lane_has_room(t->lane);
}

bool klx_outlet_is_broken(const struct klx_outlet *t) {
    return klx_lane_is_broken(t->lane);
}

size_t klx_outlet_depth(const struct klx_outlet *t) {
    return klx_lane_depth(t->lane);
}

const char *klx_outlet_name(const struct klx_outlet *t) {
    return klx_lane_name(t->lane);
}

void klx_outlet_describe(const struct klx_outlet *t, struct klx_buf *out) {
    klx_lane_describe(t->lane, out);
}
