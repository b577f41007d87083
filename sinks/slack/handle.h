/*
 * What the runtime keeps of an incident's first message, so that it can be edited and replied to, also by another process:
 *
 *     C024BE91L/1700000000.000100/warning
 *
 * the ID of the channel, as Slack's answer names it, the message's ts, and the worst severity that people were notified of. An edit notifies
 * nobody, so what is worse than that has to be posted as well.
 */
#pragma once

#include <stdbool.h>

#include "sinks/core/sink.h"

#define KLX_SLACK_ID_BYTES_MAX 64 /* a channel's ID has about eleven, a ts seventeen */

struct klx_slack_handle {
    char channel[KLX_SLACK_ID_BYTES_MAX + 1];
    char ts[KLX_SLACK_ID_BYTES_MAX + 1];
    enum klx_severity told;
};

/* False: it is none of ours, or empty. Without a severity nobody is taken to have been notified of more than information. */
bool klx_slack_handle_read(struct klx_sv text, struct klx_slack_handle *ret);
void klx_slack_handle_write(const struct klx_slack_handle *h,
                            char out[static KLX_HANDLE_BYTES_MAX + 1]);
/* The ID of a conversation, C…, G…, D…, or of a person, U…: not a name. */
bool klx_slack_is_id(struct klx_sv text);
bool klx_slack_is_ts(struct klx_sv text);
