/*
 * gzip (RFC 1952), for bodies that are sent compressed. The quickest level: it is the network that is spared, and a megabyte of JSON
 * costs a loop some milliseconds.
 */
#pragma once

#include "lib/base/buf.h"
#include "lib/base/sv.h"

/* Appends `text`, compressed as one member. What `out` may not hold fails it, as every addition does. */
void klx_gzip_add(struct klx_buf *out, struct klx_sv text);
