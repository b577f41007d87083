/*
 * Sending one mail at a time.
 *
 *          start             on_done: a verdict for each recipient
 *   IDLE ────────▶ SENDING ──────────────▶ IDLE
 *    ▲  ╲                                   ▲
 *    │   ╲ no password, no CA, bad message  │
 *    └─── FAILED (verdicts in the next turn)┘
 *
 * Password and CA are looked at before each mail, so what was replaced counts from the next one on.
 */
#pragma once

#include "sinks/core/sink.h"
#include "sinks/email/settings.h"

struct klx_email_post;

/* The settings are borrowed until _free. */
struct klx_email_post *klx_email_post_new(const struct klx_sink_env *env,
                                          const struct klx_email_settings *s);
/* Only when idle, to at most KLX_EMAIL_RECIPIENTS_MAX; all is copied. done comes once, not from inside, and may start the next. */
void klx_email_post_start(struct klx_email_post *p, struct klx_sv message,
                          const struct klx_sv *recipients, size_t n, klx_sent_fn done, void *arg);
/* Cancels what is under way, without calling back. */
void klx_email_post_free(struct klx_email_post *p);
