#include "advice/load.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"

#define S_US INT64_C(1000000)
#define SCRAPE_DEFAULT_US (15 * S_US)
#define START_DEFAULT_US (20 * S_US)
#define START_MAX_US (600 * S_US) /* a pod that comes later is of something else */
#define DIP_SCRAPES 3
#define DIP_LEAST_US (30 * S_US)
#define GAP_SCRAPES 5
#define SETTLED_SCRAPES 2 /* after a change of the replicas, until the pods hold what they will */
#define SETTLED_MAX_SCRAPES 20
#define SOON_SCRAPES 4
#define JUST_OVER 1.001 /* or a rounding would take it for just below */
#define BASES_NEEDED 6  /* changes of the replicas: each alone says little while the load moves */
#define SKEW_MAX 100.0
#define BASE_ASSUMED 0.1 /* of the smallest pod, where neither changes nor requests tell */
#define INTERVALS_MAX 20000

static int by_double(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t n) {
    if (n == 0) {
        return 0;
    }
    qsort(values, n, sizeof(*values), by_double);
    return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* The last sample of each pod while the samples are walked through. */
struct seen {
    int64_t *at_us; /* INT64_MIN: none yet */
    size_t n;
};

static void seen_init(struct seen *s, size_t pods) {
    s->n = pods;
    s->at_us = klx_grow_array(NULL, 0, pods + 1, sizeof(*s->at_us));
    for (size_t i = 0; i < pods; i++) {
        s->at_us[i] = INT64_MIN;
    }
}

static int64_t find_scrape(const struct klx_evidence *h) {
    double *gaps = klx_grow_array(NULL, 0, INTERVALS_MAX, sizeof(*gaps));
    struct seen s;
    size_t n = 0;
    seen_init(&s, klx_evidence_pods_n(h));
    for (size_t i = 0; i < h->samples_n && n < INTERVALS_MAX; i++) {
        const struct klx_sample *x = &h->samples[i];
        if (s.at_us[x->pod] != INT64_MIN) {
            gaps[n++] = (double)(x->at_us - s.at_us[x->pod]);
        }
        s.at_us[x->pod] = x->at_us;
    }
    int64_t found = n > 0 ? (int64_t)median(gaps, n) : SCRAPE_DEFAULT_US;
    free(s.at_us);
    free(gaps);
    return found > S_US ? found : S_US;
}

/* A scrape ends where a pod comes again, or half an interval after it began. */
static bool begins_anew(const struct klx_load *l, const struct klx_sample *x, int64_t last_us) {
    const struct klx_load_instant *now = &l->items[l->n - 1];
    return last_us >= now->at_us || x->at_us - now->at_us > l->scrape_us / 2;
}

static void find_instants(struct klx_load *l, const struct klx_evidence *h) {
    struct seen s;
    seen_init(&s, klx_evidence_pods_n(h));
    l->items = klx_grow_array(NULL, 0, h->samples_n + 1, sizeof(*l->items));
    for (size_t i = 0; i < h->samples_n; i++) {
        const struct klx_sample *x = &h->samples[i];
        if (l->n == 0 || begins_anew(l, x, s.at_us[x->pod])) {
            l->items[l->n++] = (struct klx_load_instant){ .at_us = x->at_us };
        }
        struct klx_load_instant *now = &l->items[l->n - 1];
        now->pods++;
        now->total += (double)x->bytes;
        now->largest = fmax(now->largest, (double)x->bytes);
        s.at_us[x->pod] = x->at_us;
    }
    free(s.at_us);
}

/* What the pods of both instants hold, for relief. */
struct pair {
    size_t before, first,
        after;        /* instants: before the scaling, the first with its pods, the settled one */
    double old_after; /* the sum of the pods that are in both, and their number */
    int32_t old;
};

/* The samples of an instant are one after the other. */
static size_t first_sample(const struct klx_evidence *h, int64_t at_us) {
    size_t low = 0, high = h->samples_n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (h->samples[middle].at_us < at_us) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void sum_old(const struct klx_load *l, const struct klx_evidence *h, struct pair *p) {
    const struct klx_load_instant *b = &l->items[p->before], *a = &l->items[p->after];
    size_t i0 = first_sample(h, b->at_us), j0 = first_sample(h, a->at_us);
    p->old = 0;
    p->old_after = 0;
    for (size_t i = i0; i < i0 + (size_t)b->pods; i++) {
        for (size_t j = j0; j < j0 + (size_t)a->pods; j++) {
            if (h->samples[i].pod == h->samples[j].pod) {
                p->old++;
                p->old_after += (double)h->samples[j].bytes;
            }
        }
    }
}

/* The HPA's change that the one of the pods at i comes of; NULL: none, since a pod that restarts has no sample for a while, too. */
static const struct klx_scaling_change *scaling_of(const struct klx_load *l,
                                                   const struct klx_evidence *h, size_t i) {
    bool up = l->items[i].pods > l->items[i - 1].pods;
    const struct klx_scaling_change *found = NULL;
    for (size_t k = 0; k < h->changes_n; k++) {
        const struct klx_scaling_change *c = &h->changes[k];
        int64_t late_us = l->items[i].at_us - c->at_us;
        if (late_us >= -l->scrape_us && late_us <= START_MAX_US && up == (c->to > c->from)) {
            found = c;
        }
    }
    return found;
}

static bool has_kill(const struct klx_evidence *h, int64_t after_us, int64_t until_us) {
    for (size_t i = 0; i < h->kills; i++) {
        if (h->kills_us[i] > after_us && h->kills_us[i] <= until_us) {
            return true;
        }
    }
    return false;
}

/* The last instant of that many pods in a row from i on; a few are enough to have settled, more would have drifted. */
static size_t settled(const struct klx_load *l, const struct klx_evidence *h, size_t i) {
    size_t last = i;
    while (last + 1 < l->n && last - i < SETTLED_MAX_SCRAPES &&
           !has_kill(h, l->items[i].at_us, l->items[last + 1].at_us) &&
           l->items[last + 1].pods == l->items[i].pods &&
           l->items[last + 1].at_us - l->items[last].at_us <= l->gap_us) {
        last++;
    }
    return last;
}

/* The next change of the replicas from *at on that is quiet afterwards, and the pair around it. What was before is what was before the
   HPA scaled: pods share the load before they have a sample. */
static bool next_pair(const struct klx_load *l, const struct klx_evidence *h, size_t *at,
                      struct pair *ret) {
    for (size_t i = *at > 0 ? *at : 1; i < l->n; i++) {
        const struct klx_scaling_change *c =
            l->items[i].pods != l->items[i - 1].pods ? scaling_of(l, h, i) : NULL;
        if (c == NULL) {
            continue;
        }
        size_t before = i - 1, last = settled(l, h, i);
        while (before > 0 && l->items[before].at_us > c->at_us) {
            before--;
        }
        bool whole = l->items[i].at_us - l->items[before].at_us <= START_MAX_US &&
                     l->items[before].pods == l->items[i - 1].pods &&
                     !has_kill(h, l->items[before].at_us, l->items[i].at_us);
        if (whole && last - i >= SETTLED_SCRAPES) {
            *ret = (struct pair){ .before = before, .first = i, .after = last };
            *at = i + 1;
            return true;
        }
    }
    return false;
}

/* How fast the sum grew between two instants with the same pods; false when they have not. */
static bool slope(const struct klx_load *l, size_t from, size_t to, double *ret) {
    const struct klx_load_instant *a = &l->items[from], *b = &l->items[to];
    for (size_t i = from; i < to; i++) {
        if (l->items[i].pods != b->pods || l->items[i + 1].at_us - l->items[i].at_us > l->gap_us) {
            return false;
        }
    }
    *ret = to > from ? (b->total - a->total) / (double)(b->at_us - a->at_us) : 0;
    return to > from;
}

static double took(const struct klx_load *l, const struct pair *p) {
    return (double)(l->items[p->after].at_us - l->items[p->before].at_us);
}

static bool slope_before(const struct klx_load *l, const struct pair *p, double *ret) {
    size_t span = p->after - p->before, from = p->before >= span ? p->before - span : 0;
    while (from < p->before && l->items[from].pods != l->items[p->before].pods) {
        from++;
    }
    return slope(l, from, p->before, ret);
}

/* How much the sum would have grown without the change: by the slopes before and after it. */
static double drift(const struct klx_load *l, const struct pair *p) {
    double before = 0, after = 0;
    int n = slope_before(l, p, &before);
    n += slope(l, p->first, p->after, &after);
    return n > 0 ? (before + after) / n * took(l, p) : 0;
}

static struct pair soon(const struct pair *p) {
    struct pair early = *p;
    early.after = p->first + SOON_SCRAPES < p->after ? p->first + SOON_SCRAPES : p->after;
    return early;
}

static double base_by(const struct klx_load *l, const struct pair *p) {
    struct pair early = soon(p);
    const struct klx_load_instant *b = &l->items[early.before], *a = &l->items[early.after];
    return (a->total - drift(l, &early) - b->total) / (a->pods - b->pods);
}

/* What a new pod holds against one that there was before: 1 where all is shared anew, whatever the load does meanwhile. */
static bool relief_by(const struct klx_load *l, const struct klx_evidence *h, struct pair *p,
                      double *ret) {
    const struct klx_load_instant *a = &l->items[p->after];
    sum_old(l, h, p);
    int32_t new_pods = a->pods - p->old;
    if (a->pods <= l->items[p->before].pods || p->old == 0 || new_pods <= 0 || p->old_after <= 0) {
        return false;
    }
    double fresh = (a->total - p->old_after) / new_pods, old = p->old_after / p->old;
    *ret = fmin(1, fresh / old);
    return true;
}

static double smallest_pod(const struct klx_evidence *h) {
    double least = (double)h->samples[0].bytes;
    for (size_t i = 1; i < h->samples_n; i++) {
        least = fmin(least, (double)h->samples[i].bytes);
    }
    return least;
}

static double clamp(double x, double low, double high) {
    return fmin(high, fmax(low, x));
}

static void measure(struct klx_load *l, const struct klx_evidence *h) {
    double *bases = klx_grow_array(NULL, 0, l->n + 1, sizeof(*bases));
    double *reliefs = klx_grow_array(NULL, 0, l->n + 1, sizeof(*reliefs));
    struct pair p;
    size_t n = 0, reliefs_n = 0, at = 1;
    double smallest = smallest_pod(h);
    while (next_pair(l, h, &at, &p)) {
        bases[n++] = base_by(l, &p);
    }
    l->changes_used = n;
    if (!l->base_given) {
        double assumed = h->request_bytes > 0 && (double)h->request_bytes < smallest
                             ? (double)h->request_bytes
                             : smallest * BASE_ASSUMED;
        l->base_measured = n >= BASES_NEEDED;
        l->base = l->base_measured ? clamp(median(bases, n), 0, smallest) : assumed;
    }
    at = 1;
    while (n >= KLX_LOAD_CHANGES_NEEDED && next_pair(l, h, &at, &p)) {
        reliefs_n += relief_by(l, h, &p, &reliefs[reliefs_n]);
    }
    double relief = reliefs_n > 0 ? median(reliefs, reliefs_n) : 1;
    l->relief = relief < KLX_LOAD_RELIEF_LEAST ? relief : 1;
    free(bases);
    free(reliefs);
}

bool klx_load_measured(const struct klx_load *l) {
    return l->changes_used >= KLX_LOAD_CHANGES_NEEDED;
}

/* The greatest of what comes within `dip_us`. */
static double greatest_ahead(const struct klx_load *l, size_t from, int64_t dip_us) {
    double greatest = l->items[from].load;
    for (size_t j = from; j < l->n && l->items[j].at_us - l->items[from].at_us <= dip_us; j++) {
        greatest = fmax(greatest, l->items[j].load);
    }
    return greatest;
}

/* Closing: the greatest of the next `dip_us`, and of those the least of the last. Edges stay where they are. */
static void fill_dips(struct klx_load *l, int64_t dip_us) {
    double *high = klx_grow_array(NULL, 0, l->n + 1, sizeof(*high));
    double *filled = klx_grow_array(NULL, 0, l->n + 1, sizeof(*filled));
    for (size_t i = 0; i < l->n; i++) {
        high[i] = greatest_ahead(l, i, dip_us);
    }
    for (size_t i = 0; i < l->n; i++) {
        double least = high[i], since = l->items[i].load;
        size_t j = i;
        while (j > 0 && l->items[i].at_us - l->items[j - 1].at_us <= dip_us) {
            j--;
            least = fmin(least, high[j]);
            since = fmax(since, l->items[j].load);
        }
        /* At the beginning, and behind a gap: as if it had been so before. */
        bool first = j == 0 || l->items[j].at_us - l->items[j - 1].at_us > l->gap_us;
        filled[i] = first ? fmin(least, since) : least;
    }
    for (size_t i = 0; i < l->n; i++) {
        l->items[i].load = fmax(l->items[i].load, filled[i]);
    }
    free(filled);
    free(high);
}

/* Up to where it is greatest within the time: behind that it may fall again. */
static void fill_from(struct klx_load *l, size_t first, int64_t until_us) {
    size_t greatest = first;
    for (size_t i = first; i < l->n && l->items[i].at_us <= until_us; i++) {
        greatest = l->items[i].load > l->items[greatest].load ? i : greatest;
    }
    for (size_t i = first; i < greatest; i++) {
        l->items[i].load = l->items[greatest].load;
    }
}

/* The instant before a kill; l->n: there is none near it. */
static size_t before_kill(const struct klx_load *l, int64_t at_us) {
    size_t low = 0, high = l->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (l->items[middle].at_us < at_us) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    size_t before = low > 0 ? low - 1 : 0;
    bool near = llabs(l->items[before].at_us - at_us) <= l->gap_us;
    return near ? before : l->n;
}

/* A container that was killed held its limit: so much the load was at least, with the pods and the skew of before. */
static void raise_to_limit(struct klx_load *l, size_t before, int64_t until_us) {
    const struct klx_load_instant *x = &l->items[before];
    double least = (l->limit - l->base) * x->pods / x->skew * JUST_OVER;
    bool seen = false;
    for (size_t i = before; i < l->n && l->items[i].at_us <= until_us + KLX_LOAD_KILL_US; i++) {
        seen |= l->items[i].load >= least;
    }
    l->kills_hidden += !seen;
    for (size_t i = before; i < l->n && l->items[i].at_us <= until_us; i++) {
        l->items[i].load = fmax(l->items[i].load, least);
    }
}

static void fill_kills(struct klx_load *l, const struct klx_evidence *h) {
    for (size_t i = 0; i < h->kills; i++) {
        size_t before = before_kill(l, h->kills_us[i]);
        if (before < l->n && l->limit > 0) {
            raise_to_limit(l, before, h->kills_us[i] + l->scrape_us);
        }
    }
    for (size_t i = 0; i < h->kills; i++) {
        size_t before = before_kill(l, h->kills_us[i]);
        if (before < l->n) {
            fill_from(l, before, h->kills_us[i] + KLX_LOAD_KILL_US);
        }
    }
}

static void find_load(struct klx_load *l) {
    for (size_t i = 0; i < l->n; i++) {
        struct klx_load_instant *x = &l->items[i];
        x->load = fmax(0, x->total - x->pods * l->base);
        double mean = x->load / x->pods;
        x->skew = mean > 0 ? clamp((x->largest - l->base) / mean, 1, SKEW_MAX) : 1;
        if (i > 0) {
            int64_t step_us = x->at_us - l->items[i - 1].at_us;
            l->covered_us += step_us <= l->gap_us ? step_us : 0;
        }
    }
}

/* The first sample of each pod that came after a scaling, against the time of it: half a scrape later on average than it ran. */
static int64_t find_start(const struct klx_load *l, const struct klx_evidence *h) {
    double *delays =
        klx_grow_array(NULL, 0, h->changes_n + klx_evidence_pods_n(h) + 1, sizeof(*delays));
    struct seen s;
    size_t n = 0, change = 0;
    seen_init(&s, klx_evidence_pods_n(h));
    for (size_t i = 0; i < h->samples_n; i++) {
        const struct klx_sample *x = &h->samples[i];
        bool first = s.at_us[x->pod] == INT64_MIN;
        s.at_us[x->pod] = x->at_us;
        while (change + 1 < h->changes_n && h->changes[change + 1].at_us <= x->at_us) {
            change++;
        }
        if (!first || h->changes_n == 0) {
            continue;
        }
        int64_t late_us = x->at_us - h->changes[change].at_us;
        if (late_us >= 0 && late_us < START_MAX_US &&
            h->changes[change].to > h->changes[change].from) {
            delays[n++] = (double)late_us;
        }
    }
    int64_t typical_us = n > 0 ? (int64_t)median(delays, n) - l->scrape_us / 2 : START_DEFAULT_US;
    free(s.at_us);
    free(delays);
    return typical_us > 0 ? typical_us : 0;
}

int klx_load_init(struct klx_load *l, const struct klx_evidence *h,
                  const struct klx_load_options *o, struct klx_error *e) {
    *l = (struct klx_load){ .relief = 1 };
    if (h->samples_n < 2) {
        return klx_fail(e, -ENODATA,
                        "there are %zu samples of pods of %s %s/%s in this time: is the source "
                        "podmetrics on, and does klaxon.metrics keep so long?",
                        h->samples_n, h->subject.workload_kind, h->subject.namespace,
                        h->subject.workload);
    }
    l->scrape_us = find_scrape(h);
    l->gap_us = GAP_SCRAPES * l->scrape_us;
    l->limit = o->limit > 0 ? o->limit : (double)h->limit_bytes;
    l->request = (double)h->request_bytes;
    l->base = o->base;
    l->base_given = o->base >= 0;
    int64_t dip_us = DIP_SCRAPES * l->scrape_us;
    dip_us = o->dip_us > 0 ? o->dip_us : dip_us > DIP_LEAST_US ? dip_us : DIP_LEAST_US;
    find_instants(l, h);
    measure(l, h);
    find_load(l);
    fill_dips(l, dip_us);
    fill_kills(l, h);
    l->start_us = find_start(l, h);
    return 0;
}

void klx_load_release(struct klx_load *l) {
    free(l->items);
    l->items = NULL;
    l->n = 0;
}

struct klx_load_pods klx_load_at(const struct klx_load *l, size_t instant, int32_t n,
                                 double growth) {
    const struct klx_load_instant *x = &l->items[instant];
    double load = x->load * growth;
    double share = load * (l->relief / n + (1 - l->relief) / x->pods);
    double largest = fmin(share * x->skew, load);
    return (struct klx_load_pods){ l->base + share, l->base + fmax(share, largest) };
}
