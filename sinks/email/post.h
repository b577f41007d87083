/*
 * Sending one mail at a time, over a connection that is kept for the next one.
 *
 *          start, probe                    on_done: a verdict for each recipient
 *   IDLE ───────────────────────▶ SENDING ──────────────────────────────────────▶ IDLE
 *    │ ╲        ╲ xoauth2          ▲   │ the token was refused, once                ▲
 *    │  ╲        ╲ token asked for │   ▼                                            │
 *    │   ╲        ─────────────▶ TOKEN ── none to be had ──▶ FAILED ────────────────┤
 *    │    ╲ no password, no CA, bad message                                         │
 *    └──── FAILED (verdicts in the next turn) ──────────────────────────────────────┘
 *
 * Password and CA are looked at before each mail, so what was replaced counts from the next one on.
 */
#pragma once

#include "sinks/core/sink.h"
#include "sinks/email/settings.h"

struct klx_email_post;

/* The settings are borrowed until _free. Fails when who klaxon is cannot be said (auth: xoauth2). */
int klx_email_post_new(const struct klx_sink_env *env, const struct klx_email_settings *s,
                       struct klx_email_post **ret, struct klx_error *e) KLX_MUST_CHECK;
/* Only when idle, to at most KLX_EMAIL_RECIPIENTS_MAX; all is copied. done comes once, not from inside, and may start the next. */
void klx_email_post_start(struct klx_email_post *p, struct klx_sv message,
                          const struct klx_sv *recipients, size_t n, klx_sent_fn done, void *arg);
/* Only when idle: connects, logs in and says NOOP; one verdict. */
void klx_email_post_probe(struct klx_email_post *p, klx_sent_fn done, void *arg);
/* Cancels what is under way, without calling back. */
void klx_email_post_free(struct klx_email_post *p);
