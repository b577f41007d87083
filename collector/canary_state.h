/*
 * The decisions of the canary, pure: (state, what happened, time) → what to do next. No I/O, no clock but the one given.
 *
 *                    every period                  accepted                the watch shows it
 *     WATCH CONNECTED ──────────▶ PATCH the Event ──────────▶ it must come ──────────────────▶ seen: round trip, age 0
 *                                  │ 404: CREATE it             │
 *                                  │ 403: no canary; asked      └ nothing at all on the watch for 3 periods: DEAD
 *                                  │ again every 10 periods       (also when writes have no answer: the API server is out of reach)
 *                                  └ another answer: said, and tried again; it proves nothing about the watch
 *
 * Whatever comes on the watch proves that it lives. A watch that we do not read (back-pressure), or a process that did not run, is not
 * judged. Where there is no canary, the deadline of the stream remains (dead_after).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define KLX_CANARY_PERIODS 3

struct klx_canary_state {
    int64_t every_us;
    int64_t write_us;   /* when it is written next */
    int64_t heard_us;   /* the last sign of life of the watch; KLX_TIME_NONE: never */
    int64_t seen_us;    /* the last return, or the first connection; KLX_TIME_NONE: none */
    int64_t excused_us; /* since when it can have come back: not disconnected, not paused */
    int64_t sent_us;    /* of number `seq` */
    int64_t
        accepted_us; /* of the first number that was accepted since `heard_us`; KLX_TIME_NONE: none */
    uint64_t seq;    /* of the last write */
    int64_t round_trip_us; /* KLX_TIME_NONE: it has never come back */
    bool writing, creating;
    bool connected, paused;
    bool refused;    /* 403 */
    bool failing;    /* the last write was answered, but not accepted */
    bool unanswered; /* the last write had no answer */
};

enum klx_canary_input_kind {
    KLX_CANARY_IN_TIME,         /* nothing but time */
    KLX_CANARY_IN_CONNECTED,    /* a stream of the watch has begun */
    KLX_CANARY_IN_DISCONNECTED, /* there is none */
    KLX_CANARY_IN_PAUSED,
    KLX_CANARY_IN_RESUMED,
    KLX_CANARY_IN_HEARD, /* something came on the watch */
    KLX_CANARY_IN_SEEN,  /* the canary did; seq */
    /* What became of the write: */
    KLX_CANARY_IN_ACCEPTED,
    KLX_CANARY_IN_ABSENT,  /* 404 */
    KLX_CANARY_IN_REFUSED, /* 403 */
    KLX_CANARY_IN_FAILED,  /* any other answer */
    KLX_CANARY_IN_UNANSWERED,
};

struct klx_canary_input {
    enum klx_canary_input_kind kind;
    uint64_t seq;
};

enum klx_canary_action { KLX_CANARY_NOTHING, KLX_CANARY_PATCH, KLX_CANARY_CREATE, KLX_CANARY_DEAD };

void klx_canary_state_init(struct klx_canary_state *s, int64_t every_us);
/* After PATCH and CREATE exactly one of the last five inputs must follow. DEAD: the connection is to be given up; the watch then says
   that it is disconnected. */
enum klx_canary_action klx_canary_step(struct klx_canary_state *s,
                                       const struct klx_canary_input *in, int64_t now_us);
/* When IN_TIME must come at the latest; INT64_MAX: nothing is waited for. */
int64_t klx_canary_due_us(const struct klx_canary_state *s);
/* Since the canary came back; KLX_TIME_NONE: the watch was never connected. */
int64_t klx_canary_age_us(const struct klx_canary_state *s, int64_t now_us);
/* Not for three periods, though it could be written or there is no telling why not. */
bool klx_canary_is_missing(const struct klx_canary_state *s, int64_t now_us);
