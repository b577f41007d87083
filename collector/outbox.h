/*
 * Where sources and detectors put what is to be written: into the batch that is being filled (collector/publish.h), or, in tests, a list.
 */
#pragma once

#include "lib/base/arena.h"
#include "schema/event.h"

struct klx_outbox {
    /* `e` and what it points to are copied. An event of kind K goes to K's topic. */
    void (*event)(struct klx_outbox *o, const struct klx_event *e);
    /* A record of `klaxon.state`: key "cluster/detector/object"; an empty value removes it. Copied. */
    void (*state)(struct klx_outbox *o, struct klx_sv key, struct klx_sv value);
    /* Scratch memory that lives until the call into the source or detector returns, with room for what one object makes. */
    struct klx_arena *arena;
};

/* In a call that goes through many objects: what the one before needed is not needed any more. */
static inline void klx_outbox_next_object(struct klx_outbox *o) {
    klx_arena_reset(o->arena);
}
