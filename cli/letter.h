/*
 * A dead letter: what klaxon.dlq holds (sinks/core/receipt.h), and what was done about it, which stands on klaxon.control:
 *
 *     key    dlq/<id of the dead letter>
 *     value  {"state":"redriven","at":"2026-03-11T08:00:00Z","by":"ada","letter":{"partition":2,"offset":41}}
 *            {"state":"discarded", …, "reason":"the test cluster is gone"}
 *
 * The id of a dead letter is that of the verdict, so an event that is redriven and refused again has the same one again. Therefore a mark names the
 * record that it is about: a letter with a later record than that is open again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/record.h"
#include "sinks/core/parking/gate.h"
#include "sinks/core/parking/parked.h"

#define KLX_LETTER_KEY_PREFIX "dlq/"
#define KLX_LETTER_MARK_BYTES_MAX 8192

enum klx_letter_state { KLX_LETTER_OPEN, KLX_LETTER_REDRIVEN, KLX_LETTER_DISCARDED };

const char *klx_letter_state_name(enum klx_letter_state s);

/* What was done about a letter. */
struct klx_letter_mark {
    enum klx_letter_state state; /* not OPEN */
    int64_t at_us;
    struct klx_sv by, reason; /* reason: of what was discarded */
    struct klx_place letter;  /* its record on klaxon.dlq */
};

void klx_letter_mark_key(struct klx_sv id, struct klx_buf *out);
void klx_letter_mark_encode(const struct klx_letter_mark *m, struct klx_buf *out);
/* Borrows from the arena. -EBADMSG: it is none. */
int klx_letter_mark_decode(struct klx_arena *a, struct klx_sv value,
                           struct klx_letter_mark *ret) KLX_MUST_CHECK;

/* The views are its own. Texts come from channels and clusters. */
struct klx_letter {
    struct klx_sv id;
    struct klx_place place;
    int64_t time_us;
    struct klx_sv channel; /* empty: the record is no event, so nobody was told */
    struct klx_sv sink, team, recipient, reason, code, event, event_type, summary;
    enum klx_letter_state state;
    struct klx_letter_mark mark; /* unless OPEN */
    const struct klx_record
        *record; /* as it stands on klaxon.dlq, where it was asked for and there was room */
};

/* The data of the letter of `record`, in the arena. */
int klx_letter_data(struct klx_arena *a, const struct klx_record *record,
                    const struct klx_json **ret, struct klx_error *e) KLX_MUST_CHECK;
/* What is written to klaxon.retry so that the channel is told after all: as never tried, parked now. Everything is in the arena or borrowed from the
   record. -EBADMSG with why it cannot be: it is no event, it was cut, a digest of which only the count is left. */
int klx_letter_parked(struct klx_arena *a, const struct klx_record *record, int64_t now_us,
                      struct klx_parked *ret, struct klx_error *e) KLX_MUST_CHECK;
