/*
 * Headers and bodies that carry any text through any mail server: ASCII only, CRLF only, lines of at most 76 characters where that is
 * possible (RFC 5322, 2045, 2047).
 *
 * A header's text becomes one line first (klx_utf8_line), so no line end of it can begin another header. What is not plain ASCII becomes
 * encoded words, never inside of a token that a parser reads (an address, an id).
 */
#pragma once

#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/sv.h"

#define KLX_MIME_TEXT_BYTES_MAX 500 /* of a header; the rest is cut with "…" */

/* "Name: text". */
void klx_mime_text(struct klx_buf *out, const char *name, struct klx_sv text);
/* "Name: token token …", folded between the tokens, which are ours or checked: ASCII without spaces. */
void klx_mime_tokens(struct klx_buf *out, const char *name, const struct klx_sv *tokens, size_t n);
/* "Name: display <address>", or the address alone; the address was checked. */
void klx_mime_mailbox(struct klx_buf *out, const char *name, struct klx_sv display,
                      struct klx_sv address);
/* "Date: Wed, 11 Mar 2026 07:52:18 +0000", within the years 1970 to 9999. */
void klx_mime_date(struct klx_buf *out, int64_t us);
/* The text, whose lines end in LF, as quoted-printable, which always ends in CRLF. */
void klx_mime_quoted_printable(struct klx_buf *out, struct klx_sv text);
