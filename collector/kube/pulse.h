/*
 * The pulse of a stream: the API server sends a bookmark about every minute, news or not, so a stream that brings nothing at all for three
 * of these periods has died in silence. Pure: no I/O, no clock but the one given.
 *
 *     begin ──▶ bookmark ──▶ bookmark ─ ─ ─ ─ ─ ─ ─ ─ ─▶ silent for 3 periods: lost
 *       └─ period ─┘└─ period ─┘
 *
 * The period is measured, never assumed: as long as no bookmark has been seen there is no pulse, and the stream's own deadline is what
 * finds its death (dead_after). A period that was taken too short costs one connection and is doubled. Embedded by value, owns nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define KLX_PULSE_BEATS 3

struct klx_pulse {
    int64_t period_us; /* 0: not measured */
    int64_t heard_us;  /* the last sign of life, monotonic */
    int64_t mark_us;   /* the last bookmark, or the begin of the stream */
    bool measured;     /* on this stream */
};

/* The head of a stream has come. What was measured before stays. */
void klx_pulse_begin(struct klx_pulse *p, int64_t now_us);
/* A frame has come. */
void klx_pulse_frame(struct klx_pulse *p, bool bookmark, int64_t now_us);
/* We do not read, or did not run: the silence is ours. */
void klx_pulse_excuse(struct klx_pulse *p, int64_t now_us);
/* When the stream must be taken for dead, monotonic; INT64_MAX: there is no telling. */
int64_t klx_pulse_due_us(const struct klx_pulse *p);
/* It was. */
void klx_pulse_lost(struct klx_pulse *p);
