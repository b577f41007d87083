/*
 * The detectors of one cluster: every observation goes to all of them, and their timers fire. What they have to say goes to the
 * cluster's publisher.
 */
#pragma once

#include "collector/detector_settings.h"
#include "collector/observation.h"
#include "collector/publish.h"
#include "lib/base/clock.h"
#include "lib/io/loop.h"

struct klx_detection;

/* The publisher is borrowed and lives longer. */
struct klx_detection *klx_detection_new(struct klx_loop *l, struct klx_clock *clock,
                                        struct klx_publisher *publisher, struct klx_sv cluster,
                                        const struct klx_detector_settings *s);
/* Before anything else: a bit (1u << KLX_OBSERVED_…) for each kind of observation that will come. */
void klx_detection_expect(struct klx_detection *d, uint32_t observed);
/* "node_repair/aks-1": a detector's state. -ENOENT: of no detector; -EBADMSG: cannot be read. */
int klx_detection_restore(struct klx_detection *d, struct klx_sv key,
                          struct klx_sv value) KLX_MUST_CHECK;
void klx_detection_observe(struct klx_detection *d, const struct klx_observation *o);
/* What of a kind is still there (klx_detector_ops.relisted). */
void klx_detection_relisted(struct klx_detection *d, enum klx_observation_kind kind,
                            bool (*listed)(void *arg, struct klx_sv name), void *arg);
/* A bookmark of a watch of a kind (klx_detector_ops.caught_up). */
void klx_detection_caught_up(struct klx_detection *d, enum klx_observation_kind kind,
                             struct klx_sv namespace);
/* What was observed may have set a timer: they are looked at in a moment. */
void klx_detection_look_soon(struct klx_detection *d);
/* No timer fires any more. */
void klx_detection_stop(struct klx_detection *d);
void klx_detection_free(struct klx_detection *d);
