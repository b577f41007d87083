/*
 * The words of an operator in place of klaxon's own: `message:` of a channel or of a subscription.
 *
 *     message:                                          one entry, or a list of them
 *       - event: node.repair.failed                     one pattern or a list, as in `match:`; left out: every event. digest: digests, of a channel
 *         title: "{{cluster}}: {{title}}"               templates (docs/templates.md); what is left out stays as it is
 *         subject, summary, advice: "…"
 *         facts:                                        instead of the card's: each a name and a value, or `defaults`,
 *           - { name: Owner, value: "{{data.owner}}" }  which stands for those of the card that the list does not name;
 *           - defaults                                  one without a value is left out
 *         timezone: Europe/Berlin                       of …_local
 *
 * For each part the first entry counts that is for the event and has the part; those of the subscription stand before those of the channel. A
 * digest is a channel's, of many teams: only entries of the channel are for it, and only those that name it.
 *
 * What a template makes is plain text, like all of a card: one line without control characters, cut at the card's maximum. A title, subject or
 * summary that comes out empty stays the card's own, an advice or a fact is left out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/arena.h"
#include "lib/base/config.h"
#include "sinks/core/card.h"
#include "sinks/core/sink.h"

struct klx_wording;
struct klx_settings_reporter;

/* The keys: of an entry, of one of its facts. */
extern const struct klx_config_field klx_wording_fields[];
extern const struct klx_config_field klx_wording_fact_fields[];

/* Whose `message:` it is. */
enum klx_wording_owner { KLX_WORDING_OF_CHANNEL, KLX_WORDING_OF_SUBSCRIPTION };

/* Reports mistakes: of syntax, and names that lead to nothing. *ret needs klx_wording_free in any case. */
void klx_wording_bind(const struct klx_config_node *n, enum klx_wording_owner owner,
                      struct klx_wording **ret, struct klx_settings_reporter *r);
void klx_wording_free(struct klx_wording *w); /* NULL is allowed */

/* What a notice is told with; of a notice that is rendered once. */
struct klx_wording_use {
    const struct klx_wording *of_subscription, *of_channel; /* NULL: it has none */
    /* Set by klx_wording_apply: parts that stayed the card's own because their template could not be filled in, and why the first did, with
       the place of its template. */
    size_t failed;
    struct klx_error why;
};

/* Puts the words on the card, which is the notice's own; n->wording says whose words, and what went wrong. New texts live in the arena; one that it has no
   room for stays the card's own. */
void klx_wording_apply(struct klx_arena *a, const struct klx_notice *n, struct klx_card *card);

/*
 * Tries each template with an event of every kind that it is for, and a digest: what cannot be filled in, or is cut whatever comes, is reported to
 * `mistake`; what comes out empty whatever comes, and an entry that is for no kind, to `doubt`. A trial keeps the samples for the next wording.
 */
struct klx_wording_trial;
struct klx_wording_trial *klx_wording_trial_new(void);
void klx_wording_trial_free(struct klx_wording_trial *t);
void klx_wording_try(struct klx_wording_trial *t, const struct klx_wording *w,
                     klx_config_report_fn mistake, klx_config_report_fn doubt, void *arg);
