/*
 * How the channels stand by what the sinks have written: the circuit (klaxon.control), what is parked (klaxon.retry past drained-to), receipts
 * (klaxon.deliveries) and dead letters (klaxon.dlq). Fed with records, in the order of the functions.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/letters.h"
#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/record.h"
#include "lib/base/sv.h"
#include "sinks/core/parking/marks.h"

/* The end of a receipt's way, as the table counts them. */
enum klx_standing_class {
    KLX_STANDING_DELIVERED, /* also accepted */
    KLX_STANDING_REFUSED,   /* reject_message, reject_recipient */
    KLX_STANDING_GAVE_UP,
    KLX_STANDING_SUPPRESSED,
    KLX_STANDING_CLASSES_N
};

const char *klx_standing_class_name(enum klx_standing_class c);

/* The last receipt of a kind. */
struct klx_standing_last {
    int64_t at_us;                /* KLX_TIME_NONE: none in the time that was read */
    char *reason, *code, *answer; /* NULL with none */
};

struct klx_standing {
    struct klx_standing *next;
    char *name;
    char *sink;      /* NULL: not known */
    bool configured; /* in this configuration */
    bool has_circuit;
    struct klx_circuit_mark circuit; /* its texts are in the arena */
    size_t parked;                   /* deliveries that wait */
    int64_t parked_since_us;         /* when the oldest of them was parked; KLX_TIME_NONE: none */
    size_t receipts[KLX_STANDING_CLASSES_N];
    struct klx_standing_last delivered;
    struct klx_standing_last refused; /* or given up */
    size_t letters, letters_open;
};

struct klx_standings {
    struct klx_standing *first; /* by name */
    struct klx_arena arena;
    struct klx_arena scratch;
};

void klx_standings_init(struct klx_standings *all);
void klx_standings_release(struct klx_standings *all);
/* A channel of the configuration. Makes it, if there is none of that name. */
struct klx_standing *klx_standings_get(struct klx_standings *all, struct klx_sv name);
/* Records of klaxon.control, then of klaxon.retry, of klaxon.deliveries, and letters. What is something else is passed over. */
void klx_standings_control(struct klx_standings *all, const struct klx_record *r);
void klx_standings_retry(struct klx_standings *all, const struct klx_record *r);
void klx_standings_receipt(struct klx_standings *all, const struct klx_record *r);
void klx_standings_letter(struct klx_standings *all, const struct klx_letter *l);
