/*
 * A request of a source that cannot be watched, made again and again: what it answers goes through the source's reader
 * (collector/sources/poll.h) to the detectors and topics, in chunks as it comes.
 *
 *          start             due                     whole
 *     IDLE ─────▶ WAITING ─────────▶ ASKING ──────────────────▶ WAITING for the next of its instants
 *                    ▲                 │  a continuation: ASKING again
 *                    └─────────────────┘ an error, a status, a timeout, no text of its kind: backoff, not before Retry-After
 *
 * Its instants are `every` apart, at a place of the interval that is its own, so that not all polls of a fleet come at once; one that is
 * due while another answer is under way is left out. A trouble is said once, until it is another or over. While the batch is full no new
 * request is made and the socket is not read.
 */
#pragma once

#include "collector/detection.h"
#include "collector/kube/client.h"
#include "collector/publish.h"
#include "collector/source_settings.h"
#include "lib/base/clock.h"
#include "lib/io/http.h"

struct klx_source_poll;

/* What the polls of a cluster share; all of it lives longer than they do. */
struct klx_source_poll_env {
    const char *cluster;
    struct klx_loop *loop;
    struct klx_kube_client *client;
    struct klx_publisher *publisher;
    struct klx_detection *detection;
    struct klx_clock *clock;
};

/* The i-th request of the settings. */
struct klx_source_poll *klx_source_poll_new(const struct klx_source_poll_env *env,
                                            const struct klx_source_settings *s, size_t i);
/* "podmetrics@kube-system", with the digest of its selectors: the poll in `klaxon.state`. */
const char *klx_source_poll_key(const struct klx_source_poll *p);
const struct klx_source_ops *klx_source_poll_ops(const struct klx_source_poll *p);
/* A record of the state of this source, before the start. */
int klx_source_poll_restore(struct klx_source_poll *p, struct klx_sv name,
                            struct klx_sv value) KLX_MUST_CHECK;
void klx_source_poll_start(struct klx_source_poll *p);
/* Back-pressure. */
void klx_source_poll_pause(struct klx_source_poll *p, bool pause);
/* "poll prod/podmetrics: answers" */
void klx_source_poll_describe(const struct klx_source_poll *p, struct klx_buf *out);
/* Nothing is asked any more. */
void klx_source_poll_stop(struct klx_source_poll *p);
void klx_source_poll_free(struct klx_source_poll *p);
