/*
 * What the patterns of subscriptions are held against, taken out of an event once, and whether a subscription wants it.
 *
 * A name, label or namespace that the event does not have reads as empty text: "!kube-*" matches it, "prod" does not, and "?*" asks for
 * one. The end of an incident goes to whoever may have been told of some of it: its own severity does not count, but that of the worst
 * event before it, and neither do its kind and reason: they are the end's own. History is kept apart from news: an event that a relist found (resync) and that belongs to no incident goes only to
 * subscriptions with `history: true`.
 */
#pragma once

#include <stdbool.h>

#include "lib/base/json.h"
#include "schema/event.h"
#include "sinks/core/settings.h"

/* All borrowed from the event and its data. */
struct klx_subject {
    const struct klx_event *event;
    struct klx_sv cluster;
    struct klx_sv type; /* "node.ready"; of other producers whole */
    /* Of the data; empty without it. */
    struct klx_sv namespace, name, kind, reason;
    const struct klx_json *labels;
    enum klx_severity worst; /* of the incident so far */
    bool ends; /* an incident: by its phase, and as the kinds of events that end one do */
};

enum klx_subject_match {
    KLX_MATCH_NONE,
    KLX_MATCH_END, /* only because it ends an incident: to be told where some of that was told */
    KLX_MATCH_WHOLE,
};

void klx_subject_init(struct klx_subject *s, const struct klx_event *e,
                      const struct klx_json *data);
/* By the attributes alone: false means that nothing matches, whatever the data holds. */
bool klx_subject_may_match(const struct klx_subject *s,
                           const struct klx_subscription_settings *sub);
enum klx_subject_match klx_subject_match(const struct klx_subject *s,
                                         const struct klx_subscription_settings *sub);
/* Whether the event itself is as `match` asks, by its own severity, kind and reason, whatever somebody has been told before: for who looks at
   history. With all of the data. */
bool klx_subject_is(const struct klx_subject *s, const struct klx_subscription_settings *sub);
/* Whether `continue: false` of a subscription that matches keeps the event from those that stand after it. Not the end of an incident of
   which they may have been told: one whose other events this subscription leaves to them. */
bool klx_subject_stops(const struct klx_subject *s, const struct klx_subscription_settings *sub);
/* What is told: the event's own severity, raised or lowered. The end of an incident is not raised. */
enum klx_severity klx_subject_told(const struct klx_subject *s,
                                   const struct klx_subscription_settings *sub);
