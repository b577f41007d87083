/*
 * The gate of one channel in one replica: whether a delivery may be sent from here, or must go behind what is parked on klaxon.retry.
 *
 *               known: nothing is parked                    open (it keeps failing)
 *    UNKNOWN ───────────────────────────▶ DIRECT ────────────────────────────────▶ OPENING
 *       ▲  │                                ▲ ▲                                       │ opened: the circuit's record is on klaxon.control
 *   given│  │ known: something may be       │ └───────── drained-to covers ─────────┐ ▼
 *   (from│  └───────────────────────────────┼──────────────────────────────────▶ PARKED
 *    each│                                  │ drained-to covers                   │  ▲
 *    one)                                   └──────────────────────── CLOSING ◀───┘  │ too long, or too many
 *                                                                        └───────────┘
 *                                        closed, but not up to what this replica parked last: a moment, and nothing more is parked
 *
 * The rule of order: a replica sends directly only while drained-to, which the owner of the channel's retry partition writes to
 * klaxon.control, covers the last record of the channel on klaxon.retry that the replica knows of: what it parked itself, or the end of
 * the partition that it read when it was given its own partitions. A channel without a circuit on klaxon.control has never parked
 * anything, since the circuit is opened there, acknowledged, before the first delivery is parked. Where the end is not covered, the record
 * may be another channel's: then the next delivery is parked, and its own place is what drained-to must cover.
 *
 * CLOSING is there because under a steady load the owner would never be seen to have caught up: for a moment deliveries are held here.
 *
 * Pure: no clock, no callbacks; the owner asks klx_gate_way after each change.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A record on klaxon.retry. */
struct klx_place {
    int32_t partition; /* -1: none */
    int64_t offset;
};

/* a is at or behind b's record in the same partition. */
bool klx_place_covers(struct klx_place a, struct klx_place b);
/* False: there is no such record where the partitions end at `ends` (-1: not known): it is none, or of a klaxon.retry that was there before
   this one, and was deleted. */
bool klx_place_is_in(struct klx_place at, const int64_t *ends, size_t n);

enum klx_gate_state {
    KLX_GATE_UNKNOWN,
    KLX_GATE_DIRECT,
    KLX_GATE_OPENING,
    KLX_GATE_PARKED,
    KLX_GATE_CLOSING,
};

enum klx_way {
    KLX_WAY_HOLD,  /* neither: not now */
    KLX_WAY_LANE,  /* to the channel */
    KLX_WAY_RETRY, /* behind what is parked */
};

struct klx_gate {
    enum klx_gate_state state;
    bool has_circuit;         /* on klaxon.control */
    bool closed;              /* as it stands there */
    struct klx_place drained; /* as it stands there */
    struct klx_place last;    /* the last that was parked here */
    bool unsure;              /* something may be parked that is not `last` */
    size_t pending;           /* parked here, and not acknowledged */
};

void klx_gate_init(struct klx_gate *g);
/* Partitions were given to this replica: what others have parked is not known. What was parked here is not forgotten. */
void klx_gate_given(struct klx_gate *g);
/* klaxon.control was read to its end since, and the partitions of klaxon.retry end at `ends` (of the next record; -1: not known). n = 0:
   there is no such topic, so nothing is parked. What was drained behind the ends says nothing. Only in UNKNOWN. */
void klx_gate_known(struct klx_gate *g, const int64_t *ends, size_t n);
/* The circuit on klaxon.control, whoever wrote it. */
void klx_gate_circuit(struct klx_gate *g, bool closed, struct klx_place drained);
/* The circuit's record was deleted. */
void klx_gate_no_circuit(struct klx_gate *g);
/* The channel keeps failing: from DIRECT only; write the circuit, then say klx_gate_opened. */
void klx_gate_open(struct klx_gate *g);
void klx_gate_opened(struct klx_gate *g);
/* It could not be written: back to DIRECT. */
void klx_gate_not_opened(struct klx_gate *g);
/* A delivery goes to klaxon.retry, and was acknowledged there; or it was not written after all (partition -1). */
void klx_gate_parking(struct klx_gate *g);
void klx_gate_parked(struct klx_gate *g, struct klx_place at);
/* It was held for too long, or too much of it: CLOSING is PARKED again. */
void klx_gate_end_hold(struct klx_gate *g);
/* Nothing can be parked, and nothing was: DIRECT. */
void klx_gate_retreat(struct klx_gate *g);
enum klx_way klx_gate_way(const struct klx_gate *g);
