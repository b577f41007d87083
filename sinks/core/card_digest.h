/*
 * Inside sinks/core only: what a card says of a digest.
 */
#pragma once

#include "sinks/core/card.h"

/* Everything but the footer, in the arena; an arena that is full leaves texts out. */
void klx_card_fill_digest(struct klx_arena *a, const struct klx_digest *digest,
                          struct klx_card *card);
