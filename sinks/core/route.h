/*
 * Routing: which channels of this process are told of an event, for which team, and as how severe.
 *
 * Subscriptions are gone through in the order of the configuration. Each that matches (subject.h) has its channels told, and the next one
 * is asked, unless it says `continue: false`. A channel is told once, however many of them match: the first names team and severity. A
 * replayed event (replayid) goes to no subscription.
 *
 * One with `continue: false` counts also where none of its channels is this process's, so all kinds of sinks agree on who is told. Other
 * subscriptions of foreign channels are left out at the start. By topic, and in each by what is asked for (route_index.h), so 10,000
 * subscriptions cost little more than ten: tests/bench/matching.c measures it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/json.h"
#include "schema/event.h"
#include "sinks/core/settings.h"

struct klx_route;

/* A channel of `escalate:` is a target of the incident's events as well, unless some subscription tells it at once. */
struct klx_target {
    size_t channel; /* index into klx_sinks_settings.channels */
    const struct klx_subscription_settings *subscription;
    enum klx_severity severity; /* to tell */
    bool escalation;            /* only when nobody acknowledges the incident in time */
    bool
        end_only; /* only because it ends an incident (subject.h): where none of that was told, neither is its end */
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
