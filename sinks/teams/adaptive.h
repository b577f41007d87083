/*
 * The message: a card of sinks/core as what the flow takes.
 *
 *     type, attachments[0]   what every flow of Teams' template posts: one Adaptive Card, version 1.4
 *     summary                one line: what, of what, in which state
 *     replyToId              the message that this one belongs under; only when the flow has said what it posted (answer.h)
 *     klaxon                 what a flow may decide by: event, incident, number, phase, severity, reason, channel, team
 *
 * The card is a coloured head (title, state, what it is about), the sentence, the facts, what to do with a command to copy, whom it
 * concerns, and a footer; a button for each of the event's links. Its texts are TextRuns, where markdown means nothing; facts and fallbackText,
 * which are markdown, are made inert (text.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/buf.h"
#include "sinks/core/card.h"
#include "sinks/teams/settings.h"

/* What stands around the card; borrowed for the call. */
struct klx_teams_envelope {
    const struct klx_notice *notice;
    const struct klx_teams_mention *mentions;
    size_t mentions_n;
};

/* Appends at most KLX_TEAMS_PAYLOAD_BYTES_MAX bytes. What does not fit is left out, facts from the last one on, and the message says so. */
void klx_teams_render(const struct klx_card *card, const struct klx_teams_envelope *envelope,
                      struct klx_buf *out);
