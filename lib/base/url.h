/*
 * URLs: the authority of one, what stands between "//" and the next '/' ("mail", "mail:587", "[::1]:25"), and links for people.
 */
#pragma once

#include <stdbool.h>

#include "lib/base/buf.h"

/* The host, of an IPv6 address without its brackets. ret_port (may be NULL): what follows the colon after it, empty when there is none.
   Checks nothing: both are whatever stands there. */
struct klx_sv klx_url_host(struct klx_sv authority, struct klx_sv *ret_port);
/* "localhost", 127.0.0.0/8 or ::1, in the usual forms. */
bool klx_url_is_loopback(struct klx_sv host);

#define KLX_URL_LINK_BYTES_MAX 2000
/* What a person may be given to follow: http or https, a host, no credentials, and only the characters that a URL is made of (RFC 3986), so
   that it can stand wherever a renderer puts it between quotes. */
bool klx_url_is_link(struct klx_sv url);
/* Appends text as one segment of a path or one value of a query: everything but letters, digits and "-._~" in the form %2F. */
void klx_url_add_encoded(struct klx_buf *out, struct klx_sv text);
