/*
 * Sending to a webhook, several messages at once.
 *
 *          start                              answer, failure
 *   ─────────────▶ UNDER WAY ───────────────────────────────────────▶ done, with a verdict
 *    ╲
 *     ╲ a secret cannot be read or used: NOT SENT ──── next turn ───▶ done, credential_broken
 *
 * Secrets (URL, headers, keys, those of the template) are read for each message, so a rotated one counts from the next on, and what was made
 * of them is wiped when the message has ended. None of them is part of a verdict: what the server repeats of them is "…".
 */
#pragma once

#include "sinks/core/sink.h"
#include "sinks/webhook/settings.h"

struct klx_webhook_post;

/* Both borrowed. */
struct klx_webhook_post *klx_webhook_post_new(const struct klx_sink_env *env,
                                              const struct klx_webhook_settings *s);
/* The payload is copied; done is called once, not from inside, with one verdict. */
void klx_webhook_post_start(struct klx_webhook_post *p, const struct klx_send *send,
                            klx_sent_fn done, void *arg);
/* Cancels what is under way, without calling back. */
void klx_webhook_post_free(struct klx_webhook_post *p);
