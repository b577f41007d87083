/*
 * What a flow's answer means.
 *
 * The trigger of a flow answers 202 with no body: the message was taken, and whether it is ever posted nobody says. A flow with a Response
 * action (deploy/azure/teams-flow.json) answers when it has posted: {"messageId": …}, the handle by which later messages of the incident
 * become replies, with "reply": false when it stands under no other (the one it was to reply to is gone); or {"error": {"code", "message"}}, where the code post_413 says what Teams answered to the flow. Power Automate's own
 * errors have the same form. A code of the table in answer.c counts more than the status: a flow that is off or deleted says so with 400.
 */
#pragma once

#include "lib/io/http.h"
#include "sinks/core/sink.h"

/* The result's body is without secrets already (sinks/core/http_post.h). */
void klx_teams_judge(const struct klx_http_result *r, struct klx_verdict *ret);
/* The answer was 2xx and speaks of an error nevertheless: worth a line in the log, whatever was made of it. */
bool klx_teams_says_error(const struct klx_http_result *r);
