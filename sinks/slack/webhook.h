/*
 * The URL of an incoming webhook. It is a credential: whoever has it may post. It is never part of an error, a log line or a receipt.
 */
#pragma once

#include "lib/base/error.h"
#include "lib/base/sv.h"

/* -EINVAL with what is wrong: https with a host and a path, or http to loopback; no user, space or control character; not a trigger of
   Slack's Workflow Builder, which takes no messages. `where` names the secret in the text. */
int klx_slack_webhook_check(struct klx_sv url, const char *where,
                            struct klx_error *e) KLX_MUST_CHECK;
