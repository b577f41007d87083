/*
 * What Slack's answer to a post means.
 *
 * A webhook answers with a status and a code as plain text ("no_service"), the Web API with 200 and {"ok": false, "error": code}; both
 * are read here, because Slack mixes them. Codes and their classes: the table in errors.c. A code that is not in it goes by its status.
 */
#pragma once

#include <stdbool.h>

#include "lib/io/http.h"
#include "sinks/core/sink.h"

/* `body` is the result's, with the URL taken out: all that is read or shown. */
void klx_slack_judge(const struct klx_http_result *r, struct klx_sv body, struct klx_verdict *ret);
/* Whether this answer to an edit or a reply says that there is nothing to edit or to reply to, so that a new message is what helps. */
bool klx_slack_is_gone(const char *code);
