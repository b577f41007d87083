/*
 * The last event of an incident, as it is kept with its state: enough to tell of it later, when its record was settled long ago.
 *
 *     {"partition":2,"offset":4711,"timestamp":1773216138000,"key":"prod/aks-1",
 *      "attributes":{"id":"…","source":"…","type":"io.klaxon.node.notready",…},"data":{…}}
 *
 * Data of more than KLX_SNAPSHOT_DATA_BYTES_MAX is cut to what every event has (summary, object, reason, labels) and the incident.
 */
#pragma once

#include <stddef.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/base/record.h"
#include "sinks/core/message.h"

#define KLX_SNAPSHOT_DATA_BYTES_MAX (8u << 10)

/* One line of JSON, of malloc; NULL: it is too large even so. */
char *klx_snapshot_make(const struct klx_message *m, size_t *ret_bytes);
/* The record again, as far as it was kept, all of it in the arena; `topic` stays the caller's. -EBADMSG: it is no snapshot. */
int klx_snapshot_read(struct klx_arena *a, struct klx_sv text, const char *topic,
                      struct klx_record *ret, struct klx_error *e) KLX_MUST_CHECK;
