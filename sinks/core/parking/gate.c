#include "sinks/core/parking/gate.h"

#include <assert.h>

static const struct klx_place nowhere = { .partition = -1, .offset = -1 };

bool klx_place_covers(struct klx_place a, struct klx_place b) {
    return b.partition < 0 || (a.partition == b.partition && a.offset >= b.offset);
}

void klx_gate_init(struct klx_gate *g) {
    *g = (struct klx_gate){ .state = KLX_GATE_UNKNOWN, .drained = nowhere, .last = nowhere };
}

void klx_gate_given(struct klx_gate *g) {
    g->state = KLX_GATE_UNKNOWN;
    g->unsure = false;
}

static bool is_covered(const struct klx_gate *g) {
    return !g->unsure && g->pending == 0 && klx_place_covers(g->drained, g->last);
}

/* The end of the partition that drained-to is about: covered, or there may be something of this channel. */
static bool may_hold_more(const struct klx_gate *g, const int64_t *ends, size_t n) {
    if (!g->has_circuit || n == 0) {
        return false;
    }
    if (!g->closed || g->drained.partition < 0 || (size_t)g->drained.partition >= n) {
        return true;
    }
    int64_t end = ends[g->drained.partition];
    return end < 0 || end - 1 > g->drained.offset;
}

bool klx_place_is_in(struct klx_place at, const int64_t *ends, size_t n) {
    bool known = at.partition >= 0 && (size_t)at.partition < n && ends[at.partition] >= 0;
    return at.partition >= 0 && (!known || at.offset < ends[at.partition]);
}

void klx_gate_known(struct klx_gate *g, const int64_t *ends, size_t n) {
    assert(g->state == KLX_GATE_UNKNOWN);
    if (!klx_place_is_in(g->drained, ends, n)) {
        g->drained = nowhere;
    }
    g->unsure = may_hold_more(g, ends, n);
    g->state = is_covered(g) || n == 0 ? KLX_GATE_DIRECT : KLX_GATE_PARKED;
}

static bool is_parked(const struct klx_gate *g) {
    return g->state == KLX_GATE_PARKED || g->state == KLX_GATE_CLOSING;
}

static void look(struct klx_gate *g) {
    if (is_parked(g) && is_covered(g)) {
        g->state = KLX_GATE_DIRECT;
    }
}

void klx_gate_circuit(struct klx_gate *g, bool closed, struct klx_place drained) {
    g->has_circuit = true;
    g->closed = closed;
    g->drained = drained;
    if (g->state == KLX_GATE_PARKED && closed && !g->unsure) {
        g->state = KLX_GATE_CLOSING;
    }
    look(g);
}

void klx_gate_no_circuit(struct klx_gate *g) {
    g->has_circuit = false;
    g->closed = false;
    g->drained = nowhere;
}

void klx_gate_open(struct klx_gate *g) {
    if (g->state == KLX_GATE_DIRECT) {
        g->state = KLX_GATE_OPENING;
    }
}

void klx_gate_opened(struct klx_gate *g) {
    if (g->state == KLX_GATE_OPENING) {
        g->state = KLX_GATE_PARKED;
        g->unsure =
            true; /* until something was parked here: what was covered before says nothing now */
    }
}

void klx_gate_not_opened(struct klx_gate *g) {
    if (g->state == KLX_GATE_OPENING) {
        g->state = KLX_GATE_DIRECT;
    }
}

void klx_gate_parking(struct klx_gate *g) {
    g->pending++;
}

void klx_gate_parked(struct klx_gate *g, struct klx_place at) {
    assert(g->pending > 0);
    g->pending--;
    if (at.partition >= 0) {
        g->last = at;
        g->unsure = false;
    }
    look(g);
}

void klx_gate_end_hold(struct klx_gate *g) {
    if (g->state == KLX_GATE_CLOSING) {
        g->state = KLX_GATE_PARKED;
    }
}

void klx_gate_retreat(struct klx_gate *g) {
    g->state = KLX_GATE_DIRECT;
    g->unsure = false;
}

enum klx_way klx_gate_way(const struct klx_gate *g) {
    switch (g->state) {
    case KLX_GATE_DIRECT:
        return KLX_WAY_LANE;
    case KLX_GATE_PARKED:
        return KLX_WAY_RETRY;
    case KLX_GATE_UNKNOWN:
    case KLX_GATE_OPENING:
    case KLX_GATE_CLOSING:
        break;
    }
    return KLX_WAY_HOLD;
}
