/*
 * The load that a history tells of, and what it would have been with another number of replicas.
 *
 *   samples ─▶ instants: one a scrape, with the sum and the largest of the pods
 *   memory of a pod = base + share of the load; with n replicas a pod's mean is  base + load × (relief / n + (1 − relief) / recorded n)
 *
 * `base` is what a pod holds without any load, `relief` how much of the load goes over to new pods: 1, all is shared anew; 0, what a pod
 * holds it keeps (a leak, or a target that cannot be split). Both are measured where the replicas changed often enough, else assumed, and
 * it is known which. The largest pod keeps its place among the others: `skew` times a mean share.
 *
 * A dip of the sum that is shorter than `dip_us` is filled: pods that are new hold memory before they are sampled. An OOM kill hides what
 * the container was about to hold: from the scrape before it on, the load is taken to be what it is seen to be within the next five
 * minutes, when enough pods carry it, and at least what the limit is. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "advice/evidence.h"

#define KLX_LOAD_KILL_US (INT64_C(300) * 1000000) /* how long a kill hides load */
#define KLX_LOAD_RELIEF_LEAST                                                                      \
    0.6 /* what new pods hold against old ones: above it, the load counts as shared */
#define KLX_LOAD_CHANGES_NEEDED                                                                    \
    3 /* changes of the replicas, for a base and a relief that are measured */

struct klx_load_instant {
    int64_t at_us;
    int32_t pods;   /* that have a sample */
    double total;   /* of their memory, bytes */
    double largest; /* pod */
    double load;    /* beyond the bases, dips filled */
    double skew;    /* the largest share against the mean one; 1 at least */
};

struct klx_load {
    struct klx_load_instant *items;
    size_t n;
    int64_t scrape_us;  /* between two samples of a pod, the median */
    int64_t covered_us; /* of the span, without gaps */
    int64_t gap_us;     /* instants further apart than this are a gap */
    int64_t start_us;   /* from a scaling until the new pod runs, as far as samples tell */
    double base, relief;
    double limit; /* bytes; 0: not known */
    double request;
    size_t changes_used; /* changes of the replicas that base and relief are measured by */
    bool base_given, base_measured; /* else it is assumed */
    size_t
        kills_hidden; /* OOM kills whose load was never seen: they are taken for the limit, and it was more */
};

struct klx_load_options {
    double base;    /* bytes; negative: find out */
    double limit;   /* bytes; 0: as recorded */
    int64_t dip_us; /* 0: three scrapes, half a minute at least */
};

/* -ENODATA with what there is too little of. */
int klx_load_init(struct klx_load *l, const struct klx_evidence *h,
                  const struct klx_load_options *o, struct klx_error *e) KLX_MUST_CHECK;
void klx_load_release(struct klx_load *l);
bool klx_load_measured(const struct klx_load *l);

/* What n running pods hold at an instant: their mean, and the largest, bytes. `growth` multiplies the load. */
struct klx_load_pods {
    double mean, largest;
};
struct klx_load_pods klx_load_at(const struct klx_load *l, size_t instant, int32_t n,
                                 double growth);
