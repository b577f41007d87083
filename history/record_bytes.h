/*
 * A record as bytes and back, for what is sorted and written again (history/sorter.h). This machine's own form; topic, partition and offset are
 * not in it.
 */
#pragma once

#include "lib/base/buf.h"
#include "lib/base/record.h"

/* Appends. */
void klx_record_pack(const struct klx_record *r, struct klx_buf *out);
/* Borrows from the bytes and the array. -EBADMSG: these are none, or more than max headers. */
int klx_record_unpack(struct klx_sv bytes, struct klx_record_header *headers, size_t max,
                      struct klx_record *ret) KLX_MUST_CHECK;
