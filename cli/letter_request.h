/*
 * The request of a dead letter: what its channel would be sent if it was redriven now. What was sent then is not kept; it can differ from this only
 * where the configuration, or klaxon, has changed since.
 */
#pragma once

#include "cli/channels.h"
#include "cli/letter.h"

struct klx_letter_request {
    struct klx_buf text;  /* as the channel's sender is given it; empty with an error */
    size_t bytes_max;     /* the channel's limit */
    struct klx_error why; /* why there is none: its text is empty otherwise */
};

/* The letter's record is needed. channels NULL: the configuration has mistakes, so there is no request. *ret needs klx_letter_request_release. */
void klx_letter_request_make(const struct klx_cli_channels *channels, const struct klx_letter *l,
                             struct klx_letter_request *ret);
void klx_letter_request_release(struct klx_letter_request *r);
/* Lines with a heading, harmless for a terminal; a member "request" of an object: {bytes, bytesMax, text} or {error}. */
void klx_letter_request_write(const struct klx_letter_request *r, struct klx_buf *out);
void klx_letter_request_write_json(const struct klx_letter_request *r, struct klx_jw *w);
