/*
 * What Teams takes, in one place.
 *
 * A message may have about 28 KB (learn.microsoft.com/connectors/teams, "Known issues"), but what is too large is found by the flow after it has
 * answered 202, so nobody is told of it. Teams counts in UTF-16 and everything included: cards of 14 to 15 KB of JSON were seen to fail
 * (prometheus-msteams), others at 21 KB. What is sent stays under the least of them.
 */
#pragma once

enum {
    KLX_TEAMS_PAYLOAD_BYTES_MAX = 14000, /* of the whole message, as JSON */
    KLX_TEAMS_MENTIONS_MAX = 10,         /* of the 20 that a message may have */
    KLX_TEAMS_MENTION_NAME_BYTES_MAX = 64,
    KLX_TEAMS_MENTION_ID_BYTES_MAX = 128, /* a user principal name has at most 113 */

    /* Ours: a line for a lock screen, and the sentence when there is no room for all of it. */
    KLX_TEAMS_LINE_BYTES_MAX = 240,
    KLX_TEAMS_SHORT_SUMMARY_BYTES_MAX = 250,

    /* A channel takes about 60 messages a minute of one flow; what is faster is throttled inside the flow, where nobody sees it. */
    KLX_TEAMS_INTERVAL_MS = 1000,
    /* A flow that answers after the post has 120 s for it (Power Automate's limit for a synchronous request). Who gives up earlier does not
       know whether the message is there, and sends it twice. */
    KLX_TEAMS_DEADLINE_MS = 130000,
};
