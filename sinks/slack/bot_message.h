/*
 * What a bot's send is given: what Slack is to show, and what the sender must know to choose between editing, replying and posting.
 *
 *     {"severity": "warning", "why": "news" | "again" | "resolved",
 *      "message": {"text": …, "attachments": […], "metadata": {…}},     as it stands in the channel
 *      "reply":   {"text": …, "attachments": […], "metadata": {…}}}     as it stands in its thread
 *
 * "again": a reminder or an escalation. The metadata names the event, so that a message whose answer was lost can be found in the channel's
 * history; apps of the workspace can read it.
 */
#pragma once

#include "lib/base/buf.h"
#include "sinks/core/card.h"
#include "sinks/core/sink.h"

/* Appends the object. whole_reply: the thread is all there is, so a reply tells everything. */
void klx_slack_render_bot(const struct klx_card *card, const struct klx_notice *notice,
                          bool whole_reply, struct klx_buf *out);
