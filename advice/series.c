#include <math.h>
#include <stdlib.h>

#include "advice/report.h"
#include "lib/base/mem.h"

struct filling {
    struct klx_series *s;
    bool proposed;
};

static struct klx_series_column *column_at(struct klx_series *s, int64_t at_us) {
    double span = s->to_us > s->from_us ? (double)(s->to_us - s->from_us) : 1;
    double part = (double)(at_us - s->from_us) / span;
    size_t i = part <= 0 ? 0 : (size_t)(part * (double)s->n);
    return &s->columns[i < s->n ? i : s->n - 1];
}

static void on_point(void *arg, const struct klx_play_point *p) {
    const struct filling *f = arg;
    struct klx_series_column *c = column_at(f->s, p->at_us);
    int32_t *replicas = f->proposed ? &c->proposed : &c->now;
    double *largest = f->proposed ? &c->largest_proposed : &c->largest_now;
    *replicas = p->replicas > *replicas ? p->replicas : *replicas;
    *largest = fmax(*largest, p->largest);
}

static void fill(struct klx_series *s, const struct klx_report *r, bool proposed) {
    struct filling f = { .s = s, .proposed = proposed };
    const struct klx_play_options options = { .load = r->load,
                                              .flags = r->options->flags,
                                              .growth = 1 };
    struct klx_play_result unused;
    klx_play(&options, proposed ? &r->advice->proposed.spec : &r->advice->now.spec, on_point, &f,
             &unused);
}

struct klx_series *klx_series_new(const struct klx_report *r, size_t n) {
    const struct klx_load *l = r->load;
    struct klx_series *s = klx_alloc(struct klx_series);
    s->n = n < KLX_SERIES_COLUMNS_MAX ? n : KLX_SERIES_COLUMNS_MAX;
    s->n = s->n < l->n ? s->n : l->n; /* a column without an instant would look like a gap */
    s->from_us = l->items[0].at_us;
    s->to_us = l->items[l->n - 1].at_us;
    for (size_t i = 0; i < l->n; i++) {
        struct klx_series_column *c = column_at(s, l->items[i].at_us);
        c->known = true;
        c->total = fmax(c->total, l->items[i].total);
        c->recorded = l->items[i].pods > c->recorded ? l->items[i].pods : c->recorded;
    }
    fill(s, r, false);
    fill(s, r, true);
    return s;
}

void klx_series_free(struct klx_series *s) {
    free(s);
}
