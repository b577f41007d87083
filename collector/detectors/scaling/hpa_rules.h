/*
 * HorizontalPodAutoscalers, any; what is said of `ama-metrics-hpa` has a hint more. The rules (facts: azure.md 2, kubernetes.md 3.4):
 *
 *   scaled      lastScaleTime moved: by the HPA, from currentReplicas as they were to desiredReplicas. The reason is that of the Event
 *               SuccessfulRescale when it came first, else the status tells the same. desiredReplicas moved alone: somebody else scaled.
 *   at max      desired is the maximum, and ScalingLimited says TooManyReplicas or a metric is over its target. A condition, not an event:
 *               told after KLX_HPA_LIMITED_US. Over when desired is below the maximum, or no metric is above 95 % of its target.
 *   at min      desired is the minimum, below the maximum, and a metric is beyond target and tolerance all the same, for as long. That
 *               ScalingLimited says TooFewReplicas is the usual state of an idle workload, and nothing.
 *   blind       ScalingActive is False (but not ScalingDisabled), or AbleToScale is: told after KLX_HPA_BLIND_US.
 *   flapping    KLX_HPA_TURNS changes of direction within KLX_HPA_FLAP_US; over when it has kept its direction for as long.
 *   bounds      spec.minReplicas or maxReplicas changed, by the manager that owns them now.
 *   removed     ends whatever was open.
 *
 * at max, at min, blind and flapping are incidents, each of its own; one that comes back within KLX_HPA_REOPEN_US goes on.
 */
#pragma once

#include "collector/detectors/scaling/hpa_state.h"
#include "collector/detectors/scaling/scaling.h"
#include "lib/base/error.h"

#define KLX_HPA_LIMITED_US (10 * KLX_MINUTE_US) /* unless set */
#define KLX_HPA_BLIND_US (2 * KLX_MINUTE_US)    /* unless set */
#define KLX_HPA_FLAP_US (30 * KLX_MINUTE_US)
#define KLX_HPA_REOPEN_US (10 * KLX_MINUTE_US)

/* An observation of an HPA. */
void klx_hpa_observe(struct klx_news_call *c);
/* An Event that is about an HPA. */
void klx_hpa_observe_event(struct klx_news_call *c);
void klx_hpa_relisted(struct klx_news_call *c, bool (*listed)(void *arg, struct klx_sv name),
                      void *arg);
/* Fires what is due, and sets the timers for what is not yet. */
void klx_hpa_tick(struct klx_news_call *c);
int klx_hpa_restore(struct klx_scaling *d, struct klx_sv namespace, struct klx_sv name,
                    struct klx_sv value) KLX_MUST_CHECK;
void klx_hpa_forget_all(struct klx_scaling *d);
/* The HPA that scales a workload; NULL: none is known. */
const struct klx_hpa_state *klx_hpa_of(const struct klx_scaling *d, const char *namespace,
                                       const char *kind, const char *name);
