/*
 * What ntfy takes (docs.ntfy.sh/publish, "Limitations"), in one place.
 */
#pragma once

enum {
    KLX_NTFY_MESSAGE_BYTES_MAX = 4096, /* a longer one becomes a file, where the server allows it */
    KLX_NTFY_TITLE_BYTES_MAX = 250,
    /* Of the whole request: a server reads twice the size of a message as JSON, and answers 413 to more (ntfy's server.go). */
    KLX_NTFY_PAYLOAD_BYTES_MAX = 8192,
    KLX_NTFY_TOPIC_BYTES_MAX = 64,

    /* Ours. */
    KLX_NTFY_TAGS_MAX = 5,
    KLX_NTFY_TAG_BYTES_MAX = 40,
    KLX_NTFY_INTERVAL_MS = 1000,
};
