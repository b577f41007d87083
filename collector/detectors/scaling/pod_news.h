/*
 * What is told of a container, in words and data. Internal to the pods' half. Each counts in the container's incident, and opens it where it
 * is not open yet, unless the pod is leaving.
 */
#pragma once

#include "collector/detectors/scaling/hpa_state.h"
#include "collector/detectors/scaling/pod_state.h"

struct klx_pod_news {
    const struct klx_pod_state *p;
    struct klx_pod_container *k;
    /* As it was seen; NULL: the clock, or the pod is gone. */
    const struct klx_pod_view *pod;
    const struct klx_container_view *c;
    bool leaving;
};

/* `unseen`: kills of which only the count was seen. */
void klx_pod_tell_oom(struct klx_news_call *call, const struct klx_pod_news *n, int64_t unseen);
void klx_pod_tell_killed(struct klx_news_call *call, const struct klx_pod_news *n);
void klx_pod_tell_loop(struct klx_news_call *call, const struct klx_pod_news *n);
/* Ends the incident: it has run for long enough, or the pod is gone ("was deleted", "has ended (Failed)"). */
void klx_pod_tell_recovered(struct klx_news_call *call, const struct klx_pod_news *n,
                            int64_t at_us);
void klx_pod_tell_gone(struct klx_news_call *call, const struct klx_pod_news *n, const char *how);
/* The members "workload", "node" and "scaledBy", each where it is known; hpa: NULL when it is not. */
void klx_pod_write_place(struct klx_jw *w, const char *workload_kind, const char *workload_name,
                         const char *node, const struct klx_hpa_state *hpa);
