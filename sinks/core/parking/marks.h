/*
 * The circuit of a channel on klaxon.control, as all replicas see it: whether something of it is parked, and up to where all of that is
 * done. Plain JSON, under the key circuit/<channel>:
 *
 *     {"state":"open","sink":"slack","drainedTo":{"partition":2,"offset":41},"since":"2026-03-11T08:00:00Z",
 *      "reason":"no_service","answer":"…","updated":"2026-03-11T08:04:12Z"}
 *
 * `state` is open from the first parked delivery on, and closed when a pass has delivered everything up to drainedTo. drainedTo is left out
 * while nothing is known of it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/base/record.h"
#include "lib/base/sv.h"
#include "sinks/core/parking/gate.h"

#define KLX_CIRCUIT_KEY_PREFIX "circuit/"

struct klx_circuit_mark {
    bool closed;
    struct klx_sv sink;
    struct klx_place drained;     /* partition -1: not known */
    int64_t since_us, updated_us; /* of the state; KLX_TIME_NONE: not told */
    struct klx_sv reason, answer; /* why it was opened; may be empty */
};

/* Empty: the key is not a circuit's. */
struct klx_sv klx_circuit_channel(struct klx_sv key);
/* The record of a circuit with the mark's time, and what it borrows. */
struct klx_circuit_record {
    struct klx_buf key, value;
    struct klx_record record;
};
/* -EMSGSIZE: no channel has such a name. Needs the release in any case. */
int klx_circuit_record_init(struct klx_circuit_record *r, const char *control_topic,
                            struct klx_sv channel, const struct klx_circuit_mark *m) KLX_MUST_CHECK;
void klx_circuit_record_release(struct klx_circuit_record *r); /* also for KLX_CLEANUP */
/* Borrows from the arena. -EBADMSG: it is none, with what is wrong. */
int klx_circuit_decode(struct klx_arena *a, struct klx_sv value, struct klx_circuit_mark *ret,
                       struct klx_error *e) KLX_MUST_CHECK;
