#include "sinks/core/outlets.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"

static struct klx_outlet *find(const struct klx_outlets *o, const char *name) {
    for (size_t i = 0; o != NULL && i < o->n; i++) {
        if (o->items[i] != NULL && strcmp(klx_outlet_name(o->items[i]), name) == 0) {
            return o->items[i];
        }
    }
    return NULL;
}

static bool holds(const struct klx_outlets *o, const struct klx_outlet *t) {
    for (size_t i = 0; o != NULL && i < o->n; i++) {
        if (o->items[i] == t) {
            return true;
        }
    }
    return false;
}

static int prepare_one(const struct klx_outlets_change *c, size_t i, struct klx_outlet **ret,
                       struct klx_error *e) {
    struct klx_outlet_options o = c->options;
    struct klx_outlet *before = find(c->before, c->settings->channels[i].name);
    o.channel = &c->settings->channels[i];
    if (before == NULL) {
        return klx_outlet_new(&o, ret, e);
    }
    *ret = before;
    bool same = klx_config_equal(klx_outlet_settings(before)->at, o.channel->at);
    return same && !c->all ? 0 : klx_outlet_prepare(before, &o, e);
}

static void undo(const struct klx_outlets_change *c, struct klx_outlets *o) {
    for (size_t i = 0; i < o->n; i++) {
        if (o->items[i] != NULL && holds(c->before, o->items[i])) {
            klx_outlet_cancel(o->items[i]);
        } else {
            klx_outlet_free(o->items[i]);
        }
    }
    free(o->items);
}

int klx_outlets_prepare(const struct klx_outlets_change *c, struct klx_outlets *ret,
                        struct klx_error *e) {
    struct klx_outlets now = { .n = c->settings->channels_n };
    now.items = klx_alloc_n(struct klx_outlet *, now.n);
    for (size_t i = 0; i < now.n; i++) {
        int rc = klx_route_names(c->route, i) ? prepare_one(c, i, &now.items[i], e) : 0;
        if (rc != 0) {
            undo(c, &now);
            return rc;
        }
    }
    *ret = now;
    return 0;
}

size_t klx_outlets_commit(const struct klx_outlets *before, const struct klx_outlets *now,
                          struct klx_outlet **gone) {
    size_t gone_n = 0;
    for (size_t i = 0; i < now->n; i++) {
        struct klx_outlet *t = now->items[i];
        if (t != NULL && !holds(before, t)) {
            klx_log_info("the channel is new", KLX_F_STR("channel", klx_outlet_name(t)));
        } else if (t != NULL && klx_outlet_commit(t)) {
            klx_log_info("the channel is configured differently",
                         KLX_F_STR("channel", klx_outlet_name(t)));
        }
    }
    for (size_t i = 0; i < before->n; i++) {
        struct klx_outlet *t = before->items[i];
        if (t != NULL && !holds(now, t)) {
            klx_log_info("the channel is not configured any more, or nobody subscribes to it",
                         KLX_F_STR("channel", klx_outlet_name(t)),
                         KLX_F_INT("given_up", klx_outlet_depth(t)));
            gone[gone_n++] = t;
        }
    }
    return gone_n;
}
