/*
 * Posting one message at a time to an incoming webhook.
 *
 *          start              rejected             1 s passed
 *   IDLE ────────▶ MESSAGE ─────────────▶ PAUSE ───────────────▶ PLAIN ──▶ IDLE
 *    ▲  ╲             │ any other answer, or none was sent          │
 *    │   ╲ too large  └──────────────────▶ IDLE, verdict ◀──────────┘
 *    └─── FAILED (verdict in the next turn)
 *
 * A message that Slack rejects is sent once more as plain text, after the second that a webhook must wait. Its verdict is the delivery's,
 * with both answers; when it is rejected too, the reason is the first one's.
 */
#pragma once

#include "lib/base/secret.h"
#include "sinks/core/sink.h"

struct klx_slack_post;

/* The secret is the webhook's URL, read again for each message; borrowed until _free. */
struct klx_slack_post *klx_slack_post_new(const struct klx_sink_env *env,
                                          struct klx_secret *webhook_url);
/* Only when idle. The payload is copied; done is called once, not from inside, with one verdict, and may start the next. */
void klx_slack_post_start(struct klx_slack_post *p, struct klx_sv payload, klx_sent_fn done,
                          void *arg);
/* Only when idle: whether the webhook would take a message. It is sent an empty one, which Slack refuses without showing anything. */
void klx_slack_post_probe(struct klx_slack_post *p, klx_sent_fn done, void *arg);
/* Cancels what is under way, without calling back. */
void klx_slack_post_free(struct klx_slack_post *p);
