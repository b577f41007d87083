/*
 * Text for an Adaptive Card that stays text.
 *
 * A TextRun takes no markdown, so text from a cluster goes there as it is, but for two things that Teams or a renderer look for in any text:
 * <at>…</at>, and {{DATE(…)}}. Facts, the text of a TextBlock and fallbackText are markdown, for which no escape works on desktop, iOS and
 * Android alike: there the characters that could begin markup become others that look the same. Input is valid UTF-8 without control
 * characters (sinks/core/card.h); line ends become spaces.
 */
#pragma once

#include "lib/base/buf.h"
#include "lib/base/sv.h"

/* For TextRun and the titles of buttons. */
void klx_teams_add_plain(struct klx_buf *out, struct klx_sv text);
/* For markdown. An underscore between letters or digits may stand, as in prod_weu: no renderer reads it as emphasis. */
void klx_teams_add_inert(struct klx_buf *out, struct klx_sv text);
