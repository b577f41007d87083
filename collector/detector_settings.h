/*
 * What an operator sets of the detectors of a cluster:
 *
 *     detectors:
 *       autoscaling: { at_max_after: 5m }
 */
#pragma once

#include "collector/detectors/detector.h"
#include "lib/base/config.h"

enum {
#define KLX_DETECTOR(name) KLX_DETECTOR_##name,
#include "collector/detectors/list.def"
#undef KLX_DETECTOR
    KLX_DETECTORS_N
};

/* In the order of the list. */
extern const struct klx_detector_ops *const klx_detectors[KLX_DETECTORS_N];

struct klx_detector_settings {
    void *of[KLX_DETECTORS_N]; /* each detector's own struct; NULL: nothing is set */
};

/* map: the value of `detectors:`, NULL when there is none. Each mistake is handed to `report`; *ret needs _release in any case. */
void klx_detector_settings_bind(const struct klx_config_node *map,
                                struct klx_detector_settings *ret, klx_config_report_fn report,
                                void *arg);
void klx_detector_settings_release(struct klx_detector_settings *s);
