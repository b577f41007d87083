/*
 * A detector turns observations into events: a pure function of (stored state, observation, time). It reads no clock, does no I/O and
 * logs nothing; everything it remembers is written through the outbox and given back at the next start, so a restart between any two
 * observations changes nothing. Its timers are part of its state and fire by klx_detector_ops.tick.
 *
 * Adding a detector: one file with its ops, one line in collector/detectors/list.def, its page in docs/.
 */
#pragma once

#include <stdint.h>

#include "collector/observation.h"
#include "collector/outbox.h"
#include "lib/base/config.h"

struct klx_detector_ops {
    const char *name; /* "node_repair": in state keys */
    /* MAY: what an operator may set under `detectors: { <name>: {…} }` of a cluster, the table of a struct of settings_bytes. */
    const struct klx_config_field *settings;
    size_t settings_bytes;
    /* MAY: what the table cannot check. `map` is what was bound, with the places of its values. Each mistake is handed to `report`. */
    void (*check)(const struct klx_config_node *map, const void *settings,
                  klx_config_report_fn report, void *arg);
    /* One per cluster. `settings` is that struct, valid for the call; NULL: nothing is set. */
    void *(*create)(struct klx_sv cluster, const void *settings);
    void (*destroy)(void *detector);
    /* MAY: after create, a bit (1u << KLX_OBSERVED_…) for each kind of observation that will come: what is remembered only for the sake of
       one that does not come need not be. */
    void (*expect)(void *detector, uint32_t observed);
    /* A state record as it was written: object is the last part of its key. A value that cannot be read is -EBADMSG: reported, skipped. */
    int (*restore)(void *detector, struct klx_sv object, struct klx_sv value);
    void (*observe)(void *detector, const struct klx_observation *o, int64_t now_us,
                    struct klx_outbox *out);
    /* After a relist: objects that are not in it and were known are gone. `listed` answers for an object's name, "namespace/name"
       where it has a namespace. MAY be NULL. */
    void (*relisted)(void *detector, enum klx_observation_kind kind,
                     bool (*listed)(void *arg, struct klx_sv name), void *arg, int64_t now_us,
                     struct klx_outbox *out);
    /* MAY: a bookmark of the watch of such objects in a namespace (empty: everywhere): it has shown all that there was until now. What is
       wrong because nothing comes is known only then, and not while a connection is dead. */
    void (*caught_up)(void *detector, enum klx_observation_kind kind, struct klx_sv namespace,
                      int64_t now_us, struct klx_outbox *out);
    /* Fires what is due; returns when the next is (wall time in us), KLX_TIME_NONE when none. */
    int64_t (*tick)(void *detector, int64_t now_us, struct klx_outbox *out);
};

#define KLX_DETECTOR(name) extern const struct klx_detector_ops klx_detector_##name;
#include "collector/detectors/list.def"
#undef KLX_DETECTOR
