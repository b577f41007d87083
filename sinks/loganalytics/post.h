/*
 * Posting one batch at a time: as many requests as it takes until every row has its verdict (batch.h).
 *
 *          start        next range      token        204: next range; 400, 413: halves of it
 *   IDLE ────────▶ NEXT ───────────▶ TOKEN ─────▶ POSTING ──────────────────────────────────▶ NEXT
 *    ▲              │ none left        │ none        │ 401: a fresh token, once a batch ─────▶ NEXT, the same range
 *    └──────────────┴──────────────────┴─────────────┘ anything else: the verdict of all that is left
 *
 * A request is compressed, has the token of lib/io/oauth.h and an id by which Azure's support can find it; the same rows of the same batch
 * have the same id. Between two turns of the loop nothing is done twice: `done` is never called from inside of start.
 */
#pragma once

#include "sinks/core/sink.h"
#include "sinks/loganalytics/settings.h"

/* What a request may hold, compressed and not: 1 MB (learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits). */
#define KLX_LOGANALYTICS_BODY_BYTES_MAX (1u << 20)

struct klx_loganalytics_post;

/* Borrows the configuration; `name` is the channel's, for metrics. Fails when nothing proves who klaxon is. */
int klx_loganalytics_post_new(const struct klx_sink_env *env, const char *name,
                              const struct klx_loganalytics_config *c,
                              struct klx_loganalytics_post **ret,
                              struct klx_error *e) KLX_MUST_CHECK;
/* Only when idle. The rows are copied; done is called once, with a verdict for each, and may start the next. */
void klx_loganalytics_post_start(struct klx_loganalytics_post *p, const struct klx_send *send,
                                 klx_sent_fn done, void *arg);
/* Cancels what is under way, without calling back. */
void klx_loganalytics_post_free(struct klx_loganalytics_post *p);
