/*
 * A card as a message of ntfy: JSON as docs.ntfy.sh/publish/#publish-as-json has it.
 *
 * `markdown` is not set, so title and message are text without markup. What ntfy's apps do make of text is a link of a web address.
 */
#pragma once

#include "sinks/core/card.h"
#include "sinks/ntfy/settings.h"

/* Appends the payload. What does not fit is left out, and said; without facts and links the rest always fits. */
void klx_ntfy_render(const struct klx_card *card, const struct klx_ntfy_config *c,
                     struct klx_buf *out);
