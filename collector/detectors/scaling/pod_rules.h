/*
 * The containers of pods, any: those of DaemonSets and of the target allocator as well. The rules (facts: kubernetes.md 3.3, azure.md 2.3):
 *
 *   one incident a container of one pod. It opens with an OOM kill, another kill or a crash loop, is updated by each further one, and ends
 *   when the container has run for KLX_POD_STABLE_US (kubelet forgets its back-off then, too), or with the pod. One that comes back within
 *   KLX_POD_REOPEN_US goes on: a leak that takes an hour is one incident.
 *
 *   OOM kill      a termination with reason OOMKilled that was not seen before. The Pod repeats it in every frame until the next restart,
 *                 so what was seen is remembered: by containerID, else finishedAt, else the number of terminations. A jump of that number
 *                 is kills that were not seen themselves. Critical from the third of an incident on.
 *   killed        137 without that reason, told apart: a failed liveness probe, or only a child process was OOM-killed.
 *   crash loop    CrashLoopBackOff is entered; told once an incident. A single restart with any other exit is no event.
 *   wave          several pods of one workload restart within KLX_POD_WAVE_US of each other, not for memory: a changed configuration.
 *                 Told once, as information, instead of each. So a kill and a first CrashLoopBackOff are held back for that long; a second
 *                 exit of the same container, or an OOM kill, is not.
 *   not told      what the containers of a pod that is being deleted or has ended exit with, unless they are OOM-killed; at the first list,
 *                 what is over.
 */
#pragma once

#include "collector/detectors/scaling/pod_state.h"
#include "collector/detectors/scaling/scaling.h"
#include "lib/base/error.h"

#define KLX_POD_STABLE_US (10 * KLX_MINUTE_US) /* unless set */
#define KLX_POD_REOPEN_US (60 * KLX_MINUTE_US)
#define KLX_POD_WAVE_US KLX_MINUTE_US
#define KLX_POD_WAVE_MAX_US (5 * KLX_MINUTE_US) /* a wave that rolls on is told at last */
#define KLX_POD_WAVE_PODS 3 /* or all of them, where an HPA says how many there are */
#define KLX_POD_OOMS_CRITICAL 3

/* An observation of a Pod. */
void klx_pod_observe(struct klx_news_call *c);
void klx_pod_relisted(struct klx_news_call *c, bool (*listed)(void *arg, struct klx_sv name),
                      void *arg);
/* Fires what is due, and sets the timers for what is not yet. */
void klx_pod_tick(struct klx_news_call *c);
int klx_pod_restore(struct klx_scaling *d, struct klx_sv namespace, struct klx_sv name,
                    struct klx_sv value) KLX_MUST_CHECK;
void klx_pod_forget_all(struct klx_scaling *d);
/* The incident of a container, open or not; NULL: nothing of it is remembered. */
const struct klx_episode *klx_pod_incident(const struct klx_scaling *d, const char *namespace,
                                           const char *pod, const char *container);
