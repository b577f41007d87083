/*
 * How news of an Application is told: its data, and the incident of a trouble. Internal to the detector `gitops`.
 */
#pragma once

#include "collector/detectors/gitops/app_state.h"
#include "collector/detectors/news.h"

/* What an event says beside the standing of its Application. */
struct klx_app_news {
    const struct klx_app_state *h;
    const struct klx_app_view *v; /* NULL: the clock, or it is gone */
    const struct klx_app_operation *op;
    struct klx_sv from, to;  /* revisions */
    struct klx_sv by;        /* who did it */
    struct klx_sv detail;    /* redacted */
    struct klx_sv resources; /* JSON array, or empty */
    int64_t resources_n;     /* of all, shown or not */
    int64_t since_us;        /* KLX_TIME_NONE: nothing to say */
    struct klx_sv link;      /* made by klx_app_tell */
};

#define KLX_APP_NEWS(state, view)                                                                  \
    (struct klx_app_news) {                                                                        \
        .h = (state), .v = (view), .since_us = KLX_TIME_NONE                                       \
    }

/* The severity 0 stands for the kind's own. */
void klx_app_tell(struct klx_news_call *c, const struct klx_app_news *n, struct klx_news m);
/* As part of the incident of a trouble, which opens, goes on, or comes back. The trouble's since_us is when it began. */
void klx_app_alarm(struct klx_news_call *c, const struct klx_app_news *n, struct klx_app_state *h,
                   enum klx_app_trouble_kind which, struct klx_news m);
/* Tells it as the end of the incident when that is open, and forgets the trouble in any case. False: there was none. */
bool klx_app_relieve(struct klx_news_call *c, const struct klx_app_news *n, struct klx_app_state *h,
                     enum klx_app_trouble_kind which, struct klx_news m);

enum klx_app_filter {
    KLX_APP_ALL,
    KLX_APP_OUT_OF_SYNC_ONLY,
    KLX_APP_FAILED_ONLY,
    KLX_APP_PRUNED_ONLY,
};
/* Resources of a list of Argo CD as a JSON array in the arena, cut to KLX_APP_RESOURCES_MAX and bytes_max. */
struct klx_sv klx_app_resources(struct klx_arena *a, const struct klx_json *list,
                                enum klx_app_filter filter, size_t bytes_max, int64_t *ret_n);
/* ": Deployment shop/web, Service shop/web and 3 more" of such an array; empty when it is. */
struct klx_sv klx_app_resource_words(struct klx_arena *a, struct klx_sv resources, int64_t n);
/* The texts that stay the same: project, source, destination, who made it. */
void klx_app_about(struct klx_arena *a, const struct klx_json *object, char *out, size_t n);
void klx_app_labels(const struct klx_json *labels, char *out, size_t n);
