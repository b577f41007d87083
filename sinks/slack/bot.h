/*
 * Telling one delivery at a time through a bot: editing the incident's message, replying in its thread, or posting a new one.
 *
 *            start, with a handle        ok, and people are to be notified
 *    IDLE ───────────────────────▶ EDIT ──────────────────────────────────▶ REPLY ──▶ IDLE, verdict
 *      │ ╲                          │ nothing there to edit                   │ nothing there to reply to
 *      │  ╲ without one             ▼                                         │
 *      │   └─────────────────────▶ NEW ◀──────────────────────────────────────┘
 *      │ probe
 *      └──▶ PROBE ──▶ IDLE, verdict
 *
 *    Before any post that follows another one of the same delivery: PAUSE, the second that Slack asks for.
 *
 * `updates: both` edits, and replies when it is worse than people were notified of, when it is over, and for reminders and escalations;
 * `edit` replies for the latter alone; `thread` does not edit, each update is a reply. A message that Slack refuses is sent once more as plain
 * text, in the same place; its verdict is the delivery's, with both answers. What is older than what the message says (send.is_old) is a
 * reply as well, whatever `updates` says: an edit would take the message back to a state that is over.
 *
 * An edit may be made twice and nobody sees it, so one without an answer is not ambiguous. Editing comes before replying: when the
 * reply has to be tried again, the edit is what is repeated.
 */
#pragma once

#include "sinks/slack/settings.h"

struct klx_slack_bot;

/* Borrows the configuration. */
struct klx_slack_bot *klx_slack_bot_new(const struct klx_sink_env *env,
                                        const struct klx_slack_config *c);
/* Only when idle. The payload is of klx_slack_render_bot, and copied. done comes once, not from inside, with one verdict, and may start the
   next. */
void klx_slack_bot_start(struct klx_slack_bot *b, const struct klx_send *send, klx_sent_fn done,
                         void *arg);
/* Only when idle: whether the token is good (auth.test). */
void klx_slack_bot_probe(struct klx_slack_bot *b, klx_sent_fn done, void *arg);
/* Cancels what is under way, without calling back. */
void klx_slack_bot_free(struct klx_slack_bot *b);
