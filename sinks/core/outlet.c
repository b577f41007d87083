#include "sinks/core/outlet.h"

#include <stdlib.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "sinks/core/edition.h"

#define CREDENTIAL_BYTES_MAX 4096

/* What it is by, and what it will be by. */
struct edition {
    const struct klx_channel_settings *channel;
    const struct klx_links *links;
    struct klx_edition *kept; /* a reference */
    void *opened;             /* of ops->open, until the lane has it */
};

struct klx_outlet {
    struct klx_outlet_options o;
    struct edition now, next, prepared; /* without `opened`: there is none */
    bool removed, stopped, held;
    struct klx_lane *lane;
    struct klx_timer *timer, *turn;
    void (*on_gone)(void *arg, struct klx_outlet *t);
    void *gone_arg;
};

static void on_outcome(void *arg, const struct klx_outcome *outcome) {
    struct klx_outlet *t = arg;
    t->o.on_outcome(t->o.arg, outcome);
}

static void on_change(void *arg) {
    struct klx_outlet *t = arg;
    if ((t->next.opened != NULL || t->removed) && !klx_lane_is_sending(t->lane)) {
        klx_timer_start(t->turn, 0); /* the lane is on the stack below us */
    }
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

static int open_edition(const struct klx_outlet_options *o, struct edition *ret,
                        struct klx_error *e) {
    void *opened = NULL;
    int rc = o->ops->open(&o->env, o->channel->name, o->channel->config, &opened, e);
    if (rc != 0) {
        return klx_fail_in(e, rc, "channel %s", o->channel->name);
    }
    *ret = (struct edition){ .channel = o->channel,
                             .links = o->links,
                             .kept = o->edition != NULL ? klx_edition_ref(o->edition) : NULL,
                             .opened = opened };
    return 0;
}

static struct klx_lane *new_lane(struct klx_outlet *t, struct edition *of) {
    struct klx_buf credential KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&credential, CREDENTIAL_BYTES_MAX);
    if (t->o.ops->credential != NULL) {
        t->o.ops->credential(of->channel->config, &credential);
    }
    const struct klx_lane_callbacks cb = {
        .on_outcome = on_outcome, .on_change = on_change, .schedule = schedule_lane, .arg = t
    };
    const struct klx_lane_options lane = {
        .ops = t->o.ops,
        .channel = of->opened,
        .name = of->channel->name,
        .clock = t->o.env.clock,
        .links = of->links,
        .queue_max = t->o.queue_max,
        .give_up_after_ms = t->o.give_up_after_ms,
        .circuits = t->o.circuits,
        .credential = klx_buf_sv(&credential),
    };
    of->opened = NULL;
    return klx_lane_new(&lane, &cb);
}

/* Nothing of the old lane is under way any more. */
static void use_next(struct klx_outlet *t) {
    struct klx_lane *old = t->lane;
    struct edition before = t->now;
    t->now = t->next;
    t->next = (struct edition){ 0 };
    t->lane = new_lane(t, &t->now);
    klx_lane_hold(t->lane, t->held);
    klx_lane_take_over(t->lane, old);
    klx_lane_free(old);
    klx_edition_unref(before.kept);
}

static void on_turn(void *arg) {
    struct klx_outlet *t = arg;
    if (t->stopped || klx_lane_is_sending(t->lane)) {
        return;
    }
    if (t->removed) {
        klx_lane_give_up_all(t->lane, "channel_removed");
        t->on_gone(t->gone_arg, t);
    } else if (t->next.opened != NULL) {
        use_next(t);
    }
}

int klx_outlet_new(const struct klx_outlet_options *o, struct klx_outlet **ret,
                   struct klx_error *e) {
    struct edition first = { 0 };
    int rc = open_edition(o, &first, e);
    if (rc != 0) {
        return rc;
    }
    struct klx_outlet *t = klx_alloc(struct klx_outlet);
    t->o = *o;
    t->now = first;
    t->timer = klx_timer_new(o->env.loop, on_lane_timer, t);
    t->turn = klx_timer_new(o->env.loop, on_turn, t);
    t->lane = new_lane(t, &t->now);
    *ret = t;
    return 0;
}

static void drop(struct klx_outlet *t, struct edition *of) {
    if (of->opened != NULL) {
        t->o.ops->close(of->opened);
        klx_edition_unref(of->kept);
        *of = (struct edition){ 0 };
    }
}

void klx_outlet_cancel(struct klx_outlet *t) {
    drop(t, &t->prepared);
}

int klx_outlet_prepare(struct klx_outlet *t, const struct klx_outlet_options *o,
                       struct klx_error *e) {
    klx_outlet_cancel(t);
    return open_edition(o, &t->prepared, e);
}

static void begin_turn(struct klx_outlet *t) {
    klx_lane_stop(t->lane);
    if (!klx_lane_is_sending(t->lane)) {
        klx_timer_start(t->turn, 0);
    }
}

bool klx_outlet_commit(struct klx_outlet *t) {
    if (t->prepared.opened == NULL) {
        return false;
    }
    drop(t, &t->next); /* an earlier change that has not come to its turn */
    t->next = t->prepared;
    t->prepared = (struct edition){ 0 };
    begin_turn(t);
    return true;
}

void klx_outlet_remove(struct klx_outlet *t, void (*on_gone)(void *arg, struct klx_outlet *t),
                       void *arg) {
    drop(t, &t->prepared);
    drop(t, &t->next);
    t->removed = true;
    t->on_gone = on_gone;
    t->gone_arg = arg;
    begin_turn(t);
}

const struct klx_channel_settings *klx_outlet_settings(const struct klx_outlet *t) {
    return t->next.opened != NULL ? t->next.channel : t->now.channel;
}

void klx_outlet_free(struct klx_outlet *t) {
    if (t != NULL) {
        klx_lane_free(t->lane);
        drop(t, &t->prepared);
        drop(t, &t->next);
        klx_edition_unref(t->now.kept);
        klx_timer_free(t->timer);
        klx_timer_free(t->turn);
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
    t->held = held;
    klx_lane_hold(t->lane, held);
}

void klx_outlet_look(struct klx_outlet *t) {
    klx_lane_look(t->lane);
}

void klx_outlet_stop(struct klx_outlet *t) {
    t->stopped = true;
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
