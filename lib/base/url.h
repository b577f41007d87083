/*
 * The authority of a URL, what stands between "//" and the next '/': "mail", "mail:587", "[::1]:25".
 */
#pragma once

#include <stdbool.h>

#include "lib/base/sv.h"

/* The host, of an IPv6 address without its brackets. ret_port (may be NULL): what follows the colon after it, empty when there is none.
   Checks nothing: both are whatever stands there. */
struct klx_sv klx_url_host(struct klx_sv authority, struct klx_sv *ret_port);
/* "localhost", 127.0.0.0/8 or ::1, in the usual forms. */
bool klx_url_is_loopback(struct klx_sv host);
