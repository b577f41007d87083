/*
 * Routing: which channels of this process are told of an event, and for which team.
 *
 * A channel is told once, however many subscriptions match: the first in the order of the configuration names the team. History is kept
 * apart from news: an event that a relist found (resync) and that belongs to no incident goes only to subscriptions with
 * `history: true`; a replayed one (replayid) goes to no subscription. The end of an incident goes to whoever may have been told of some
 * of it: its own severity does not count, but that of the worst event before it.
 *
 * A name, label or namespace that the event does not have reads as empty text: "!kube-*" matches it, "prod" does not, and "?*" asks for
 * one. Subscriptions are indexed by topic; those that name no channel of this process are left out at the start.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/json.h"
#include "schema/event.h"
#include "sinks/core/settings.h"

struct klx_route;

struct klx_target {
    size_t channel; /* index into klx_sinks_settings.channels */
    const struct klx_subscription_settings *subscription;
};

/* Of the channels that are bound to `ops`. Borrows the settings. */
struct klx_route *klx_route_new(const struct klx_sinks_settings *s, const struct klx_sink_ops *ops);
void klx_route_free(struct klx_route *r);
/* Whether some subscription of this process reads the topic. */
bool klx_route_reads(const struct klx_route *r, enum klx_topic topic);
/* Whether some subscription names the channel. */
bool klx_route_names(const struct klx_route *r, size_t channel);
/* Without the event's data: false when no subscription can match, so that the data need not be parsed. */
bool klx_route_may_match(const struct klx_route *r, enum klx_topic topic,
                         const struct klx_event *e);
/* The number of targets; *ret is valid until the next call. */
size_t klx_route_match(struct klx_route *r, enum klx_topic topic, const struct klx_event *e,
                       const struct klx_json *data, const struct klx_target **ret);
