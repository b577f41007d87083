/*
 * The memory of containers against their limits: the samples of PodMetrics, beside what the Pods say of limits. The rules:
 *
 *   sample     published as it comes, on klaxon.metrics, with limits and workload where the pod is known.
 *   near       a container has used memory_near percent of its limit for KLX_MEMORY_AFTER_US. Over when it has used 5 points less for as
 *              long.
 *   predicted  it uses at least half of its limit, its line (memory_trend.h) has risen for twice KLX_MEMORY_AFTER_US and meets the limit
 *              within KLX_MEMORY_HORIZON_US; for as long. Over when the line does not rise, or meets the limit after twice that.
 *   urgent     near, and the line meets the limit within KLX_MEMORY_URGENT_US: critical, once.
 *   one story  near and predicted are one incident of the container, and so is what comes of it: an OOM kill, a crash loop, a recovery
 *              (pod_rules.h) go on with it. While they do, nothing is told of the memory. It ends with "room again", or with the pod.
 *
 * Limits are those of running pods; they are remembered from the first frame of the pod on, in a record of its own, but only if PodMetrics
 * come at all (klx_detector_ops.expect). Beside that a record is written when something begins, is told or ends, and for the line of one
 * that rises each KLX_MEMORY_SAVE_US, or a tenth of that in an incident: a restart forgets at most so much of it, which puts a prediction
 * off and repeats nothing.
 */
#pragma once

#include "collector/detectors/scaling/memory_state.h"
#include "collector/detectors/scaling/scaling.h"
#include "lib/base/error.h"

#define KLX_MEMORY_NEAR_PERCENT 90 /* unless set, as the next two */
#define KLX_MEMORY_AFTER_US (2 * KLX_MINUTE_US)
#define KLX_MEMORY_HORIZON_US (30 * KLX_MINUTE_US)
#define KLX_MEMORY_URGENT_US (5 * KLX_MINUTE_US)
#define KLX_MEMORY_SAVE_US (10 * KLX_MINUTE_US)
#define KLX_MEMORY_SAVE_IN_INCIDENT_US KLX_MINUTE_US

/* An observation of PodMetrics. */
void klx_memory_observe(struct klx_news_call *c);
/* An observation of a Pod, after pod_rules.h has seen it. */
void klx_memory_observe_pod(struct klx_news_call *c);
void klx_memory_relisted(struct klx_news_call *c, bool (*listed)(void *arg, struct klx_sv name),
                         void *arg);
int klx_memory_restore(struct klx_scaling *d, struct klx_sv namespace, struct klx_sv name,
                       struct klx_sv value) KLX_MUST_CHECK;
void klx_memory_forget_all(struct klx_scaling *d);
/* What is known of a container; NULL: nothing. */
const struct klx_memory_container *klx_memory_of(const struct klx_scaling *d, const char *namespace,
                                                 const char *pod, const char *container);
/* The container's trouble begins, or goes on: its story is taken over into *incident, unless that is open. True: it was. */
bool klx_memory_take_over(struct klx_news_call *c, const char *namespace, const char *pod,
                          const char *container, struct klx_episode *incident);
