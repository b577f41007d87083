/*
 * Text for Slack that stays text.
 *
 * Slack reads <…> as mentions and links everywhere, so & < > are always escaped. A plain_text object with "emoji": false takes nothing
 * else as markup. The top-level text of a message is mrkdwn, for whose * _ ~ ` : no escape exists: there they become characters that
 * look the same. Input is valid UTF-8 without control characters (sinks/core/card.h).
 */
#pragma once

#include <stddef.h>

#include "lib/base/buf.h"
#include "lib/base/sv.h"

/* For plain_text and rich_text. At most units_max UTF-16 units are appended; "…" stands where the rest was cut. */
void klx_slack_add_plain(struct klx_buf *out, struct klx_sv text, size_t units_max);
/* For mrkdwn: on one line, no markup, emoji or link. */
void klx_slack_add_inert(struct klx_buf *out, struct klx_sv text, size_t units_max);
/* As klx_slack_add_inert, for text that klx_slack_add_plain has made: entities stay as they are. */
void klx_slack_add_inert_escaped(struct klx_buf *out, struct klx_sv text, size_t units_max);
/* The UTF-16 units of valid UTF-8. */
size_t klx_slack_units(struct klx_sv text);
