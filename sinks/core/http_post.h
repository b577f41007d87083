/*
 * Sending to a URL that is a credential (sinks/core/secret_url.h), or with a token, one request at a time, with nothing of either in what comes
 * back.
 *
 *            start                       answer, failure
 *    IDLE ─────────▶ UNDER WAY ──────────────────────────────▶ IDLE, done
 *       ╲
 *        ╲ no URL or token, or none that may be used       next turn of the loop
 *         └─────────────────────────────▶ NOT SENT ──────────────────────────────▶ IDLE, done
 *
 * URL and token are read anew for each request, so a rotated secret counts from the next one on, and wiped from memory when the request has ended.
 * done is called exactly once for each start, never from inside it, and may start the next one or free the post.
 */
#pragma once

#include "lib/base/secret.h"
#include "sinks/core/sink.h"

struct klx_http_post;

/* What is wrong with a token, or NULL. The words end a sentence that begins "the token in file /run/secrets/x". */
typedef const char *(*klx_http_post_problem_fn)(struct klx_sv token);

struct klx_http_post_options {
    const struct klx_sink_env *env; /* copied */
    struct klx_secret *url;         /* borrowed */
    /* A URL that is no secret, in place of `url`. Borrowed, and read at each start. */
    const char *address;
    struct klx_secret *bearer_token;        /* MAY: sent as Authorization: Bearer. Borrowed */
    klx_http_post_problem_fn token_problem; /* MAY: what else it must be than printable ASCII */
    /* With `url`: whether this URL may be used; the text of its error holds nothing of it, `where` names the secret. */
    int (*check)(struct klx_sv url, const char *where, struct klx_error *e);
    const char *const
        *headers;        /* as in klx_http_request; may be NULL. Borrowed, and read at each start */
    int64_t deadline_ms; /* 0: 30 s */
    size_t answer_bytes_max; /* 0: 256 KiB, a proxy's error page with room to spare */
};

/* How it ended. Borrowed for the call. */
struct klx_http_post_end {
    const struct klx_http_result
        *result;          /* its body has URL and token taken out; NULL: nothing was sent */
    const char *not_sent; /* words that say why, without URL and token */
};
typedef void (*klx_http_post_fn)(void *arg, const struct klx_http_post_end *end);

struct klx_http_post *klx_http_post_new(const struct klx_http_post_options *o);
/* Only when idle. The body is copied. */
void klx_http_post_start(struct klx_http_post *p, struct klx_sv body, klx_http_post_fn done,
                         void *arg);
/* For a sink's check: whether a token can be read and sent. 0, or the error that a send would end with; the words name its place. */
int klx_http_post_check_token(struct klx_secret *token, klx_http_post_problem_fn problem_of,
                              struct klx_error *e) KLX_MUST_CHECK;
/* Cancels what is under way, without calling back. */
void klx_http_post_free(struct klx_http_post *p);
