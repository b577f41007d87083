/*
 * What Slack takes, in one place. Lengths are counted in UTF-16 units of the text as it is sent (escaped): Slack does not say how it
 * counts, and no other way of counting gives more.
 *
 * Sources: docs.slack.dev (block reference), node-slack-sdk (types), and for the sum slackapi/bolt-js issues 2509 and 2867: the limit is
 * not documented, was seen between 11,341 and 13,297, and structure counts as well as text. So the whole JSON text of the blocks is
 * measured, not only what people read.
 */
#pragma once

enum {
    KLX_SLACK_BLOCKS_MAX = 50,          /* of a message, and of an attachment */
    KLX_SLACK_BLOCKS_UNITS_MAX = 12000, /* of the about 13,200 that were seen to pass */
    KLX_SLACK_HEADER_UNITS_MAX = 150,
    KLX_SLACK_SECTION_UNITS_MAX = 3000,
    KLX_SLACK_FIELDS_MAX = 10, /* of a section */
    KLX_SLACK_FIELD_UNITS_MAX = 2000,

    KLX_SLACK_UPDATE_UNITS_MAX = 4000, /* of the text of chat.update: past it, msg_too_long */

    /* Ours, well under any limit: a line for a lock screen, a footer, a plain-text message. */
    KLX_SLACK_LINE_UNITS_MAX = 400, /* with what a plain message adds, under that of an update */
    KLX_SLACK_FOOTER_UNITS_MAX = 500,
    KLX_SLACK_FALLBACK_UNITS_MAX = 3500,

    /* 12,000 units of at most three bytes, the line above them, and for the Web API the reply, of a summary and a footer. */
    KLX_SLACK_PAYLOAD_BYTES_MAX = 65536,
    /* One message a second for a webhook, short bursts tolerated (docs.slack.dev/apis/web-api/rate-limits). */
    KLX_SLACK_INTERVAL_MS = 1000,
};
