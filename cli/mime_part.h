/*
 * Parts of a mail that klaxon itself has made (sinks/email/mail.h), for people to look at. It is no reader of foreign mail.
 */
#pragma once

#include <stdbool.h>

#include "lib/base/buf.h"
#include "lib/base/sv.h"

/* Appends the first part of that type ("text/html"), decoded, its lines ended by LF. False: there is none. */
bool klx_mime_part(struct klx_sv message, const char *type, struct klx_buf *out);
