/*
 * What a template may say of a notice: one JSON tree, made of the event, of its data and of the card that every channel tells.
 * docs/templates.md has the list for operators, with an example of each; a name that is there stays.
 *
 *   title subject state word summary advice code footer      the card's texts (sinks/core/card.h), ready to be shown
 *   facts [{name, value}], has_facts; links [{title, url}], has_links; link, link_title: the first of them
 *   kind "node.ready", type, id, cluster, severity, team, channel, why (news, reminder, escalation, digest)
 *   is {info|warning|critical, open|update|resolved, news|reminder|…: true}
 *   time, time_local, time_unix; date, clock, date_local, clock_local
 *   object {kind, name, namespace}; labels [{key, value}]
 *   incident {id, short, number, severity, opened, opened_local, duration, seconds}      absent: the event belongs to none
 *   digest {events, incidents, since, since_local, until, until_local, duration, lines [{text, severity, events}]}     absent: it is none
 *   event {id, source, type, subject, time, …}: the CloudEvents attributes as they came; data: the event's data
 *
 * Each item of facts, links, labels and lines says whether it is the `last`, for the commas between them.
 *
 * Everything is plain text on one line without control characters, and untrusted: the renderer's escaper makes it harmless. `…_local` is the
 * time of the zone that the channel names, with its abbreviation.
 */
#pragma once

#include "lib/base/arena.h"
#include "lib/base/json.h"
#include "lib/base/zone.h"
#include "sinks/core/card.h"
#include "sinks/core/sink.h"

/* zone NULL: UTC. Everything lives in the arena. -ENOMEM: it is full. */
int klx_context_make(struct klx_arena *a, const struct klx_notice *notice,
                     const struct klx_zone *zone, const struct klx_json **ret) KLX_MUST_CHECK;
/* The same with a card that is made already. */
int klx_context_of_card(struct klx_arena *a, const struct klx_notice *notice,
                        const struct klx_card *card, const struct klx_zone *zone,
                        const struct klx_json **ret) KLX_MUST_CHECK;
