/*
 * One call of Slack's Web API at a time (docs.slack.dev/reference/methods), as sinks/core/http_post.h sends: the token is read anew for each, and
 * nothing of it is in what comes back. done is called exactly once for each call, never from inside it, and may make the next one or free the api.
 */
#pragma once

#include "sinks/slack/handle.h"
#include "sinks/slack/settings.h"

struct klx_slack_api;

/* Borrowed for the call. */
struct klx_slack_answer {
    struct klx_verdict verdict; /* without a handle */
    /* DELIVERED, and Slack named the message; else "". */
    char channel[KLX_SLACK_ID_BYTES_MAX + 1], ts[KLX_SLACK_ID_BYTES_MAX + 1];
};
typedef void (*klx_slack_answer_fn)(void *arg, const struct klx_slack_answer *answer);

/* Borrows the configuration. */
struct klx_slack_api *klx_slack_api_new(const struct klx_sink_env *env,
                                        const struct klx_slack_config *c);
/* Only when idle. `method`: "chat.postMessage"; the body, a JSON object, is copied. */
void klx_slack_api_call(struct klx_slack_api *a, const char *method, struct klx_sv body,
                        klx_slack_answer_fn done, void *arg);
/* Cancels what is under way, without calling back. */
void klx_slack_api_free(struct klx_slack_api *a);
