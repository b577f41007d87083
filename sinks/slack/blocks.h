/*
 * The message: a card of sinks/core as the JSON that Slack takes, and the plain text that stands in for it.
 *
 *     text                        one line: what, of what, in which state. People see it above the rest and on a lock screen
 *     attachments[0].color        the severity; green when resolved
 *     attachments[0].blocks       header · summary and facts · what to do, with a command · footer, and what was left out
 *
 * Colour exists on attachments only, so the blocks stand in one, and the line above them is the notification's text. Slack folds an
 * attachment away after its fifth block: there are at most five. Nothing here is mrkdwn but the line, which is made inert.
 */
#pragma once

#include "lib/base/buf.h"
#include "lib/base/json.h"
#include "lib/base/sv.h"
#include "sinks/core/card.h"

/* Appends the message within the limits of limits.h; facts are left out from the last one on, and the message says how many. */
void klx_slack_render(const struct klx_card *card, struct klx_buf *out);
/* Appends the plain message of a rendered one: its line and its summary, no blocks. -EINVAL: `message` is not of klx_slack_render. */
int klx_slack_render_plain(struct klx_sv message, struct klx_buf *out) KLX_MUST_CHECK;

/* The Web API's: the same, as the members "text" and "attachments" of an object that the caller has begun. Brief: the line, the summary and
   the footer, for a reply below a message that has the rest. */
void klx_slack_write_members(struct klx_jw *w, const struct klx_card *card, bool brief);
/* Appends the plain text of a rendered message: its line and its summary, at most KLX_SLACK_UPDATE_UNITS_MAX. */
void klx_slack_add_plain_text(struct klx_buf *out, const struct klx_json *message);
