#include "sinks/core/parking/returns.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "sinks/core/receipt.h"

/* One delivery that waits. */
struct waiting {
    struct waiting *next;
    struct klx_delivery *delivery;
    int64_t due_us; /* wall */
};

/* What waits of one channel, in its order: nothing overtakes the first. Lives while there is something. */
struct line {
    struct line *next;
    char *channel;
    bool orphan; /* there is no such channel */
    struct waiting *first, **tail;
    size_t n;
};

struct klx_returns {
    struct klx_returns_options o;
    struct line *lines, **tail;
};

struct klx_returns *klx_returns_new(const struct klx_returns_options *o) {
    struct klx_returns *r = klx_alloc(struct klx_returns);
    r->o = *o;
    r->tail = &r->lines;
    return r;
}

static struct line *find_line(const struct klx_returns *r, struct klx_sv channel) {
    struct line *l = r->lines;
    while (l != NULL && !klx_sv_eq(klx_sv(l->channel), channel)) {
        l = l->next;
    }
    return l;
}

static struct line *add_line(struct klx_returns *r, struct klx_sv channel) {
    struct line *l = klx_alloc(struct line);
    l->channel = klx_sv_dup(channel);
    l->tail = &l->first;
    *r->tail = l;
    r->tail = &l->next;
    return l;
}

static void append(struct line *l, struct klx_delivery *d, int64_t due_us) {
    struct waiting *w = klx_alloc(struct waiting);
    *w = (struct waiting){ .delivery = d, .due_us = due_us };
    *l->tail = w;
    l->tail = &w->next;
    l->n++;
}

/* Takes what waits at *at out of the line. */
static struct klx_delivery *take_out(struct line *l, struct waiting **at) {
    struct waiting *w = *at;
    struct klx_delivery *d = w->delivery;
    *at = w->next;
    if (l->tail == &w->next) {
        l->tail = at;
    }
    l->n--;
    free(w);
    return d;
}

static void drop_empty(struct klx_returns *r) {
    for (struct line **at = &r->lines; *at != NULL;) {
        struct line *l = *at;
        if (l->first != NULL) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        if (r->tail == &l->next) {
            r->tail = at;
        }
        free(l->channel);
        free(l);
    }
}

void klx_returns_free(struct klx_returns *r) {
    if (r == NULL) {
        return;
    }
    for (struct line *l = r->lines; l != NULL; l = l->next) {
        while (l->first != NULL) {
            klx_delivery_abandon(take_out(l, &l->first));
        }
    }
    drop_empty(r);
    free(r);
}

/* As it was written down: no subscription of the team tells the channel any more. */
static const struct klx_subscription_settings *written_down(struct klx_arena *a,
                                                            const struct klx_parked *p) {
    unsigned line = 0;
    struct klx_subscription_settings *s = klx_arena_alloc(a, sizeof(*s));
    struct klx_sv file = klx_arena_dup(a, klx_parked_place(p, &line));
    struct klx_sv team = klx_arena_dup(a, p->team);
    if (s == NULL || file.p == NULL || team.p == NULL) {
        return NULL;
    }
    memset(s, 0, sizeof(*s));
    s->team = team;
    s->file = file.p;
    s->line = line;
    return s;
}

static bool is_left(const struct klx_parked *p, struct klx_sv name) {
    for (size_t i = 0; i < p->recipients_n; i++) {
        if (klx_sv_eq(p->recipients[i], name)) {
            return true;
        }
    }
    return !p->some_recipients;
}

/* A recipient that the channel has not any more is told nothing; when none of them is left, all are. */
static void restore_recipients(struct klx_delivery *d, const struct klx_parked *p,
                               const struct klx_sv *names, size_t n) {
    klx_delivery_begin(d, names, n);
    for (size_t i = 0; i < n; i++) {
        struct klx_delivery_recipient *to = &d->recipients[i];
        if (!is_left(p, names[i])) {
            to->final = true;
            d->recipients_left--;
            continue;
        }
        to->attempts = p->attempts;
        to->ambiguous = p->ambiguous;
        to->last = p->last;
    }
    for (size_t i = 0; i < n && d->recipients_left == 0; i++) {
        d->recipients[i].final = false;
    }
    d->recipients_left = d->recipients_left > 0 ? d->recipients_left : n;
}

static int64_t to_mono(const struct klx_returns *r, int64_t wall_us) {
    int64_t ago_us = r->o.clock->wall_us(r->o.clock) - wall_us;
    return r->o.clock->mono_us(r->o.clock) - (ago_us > 0 ? ago_us : 0);
}

static struct klx_delivery *restore(const struct klx_returns *r, struct klx_message *m,
                                    const struct klx_parked *p, const struct klx_sv *names,
                                    size_t n) {
    const struct klx_subscription_settings *s = klx_parked_subscription(p, r->o.settings);
    s = s != NULL ? s : written_down(&m->arena, p);
    if (s == NULL) {
        return NULL;
    }
    struct klx_delivery *d = klx_delivery_new(m, s, to_mono(r, p->parked_us));
    d->parked_mono_us = d->queued_us;
    if (p->digest != NULL) {
        klx_delivery_set_digest(d, p->digest);
    }
    d->reason = p->reason;
    d->severity = p->severity;
    d->repeat = p->repeat;
    if (p->attempts > 0 || p->some_recipients) {
        restore_recipients(d, p, names, n);
        d->first_us = p->first_us;
        d->last_us = p->last_us;
        d->first_mono_us = p->first_us != KLX_TIME_NONE ? to_mono(r, p->first_us) : 0;
    }
    return d;
}

static void plan(struct klx_returns *r) {
    int64_t due_us = INT64_MAX, now_us = r->o.clock->wall_us(r->o.clock);
    for (const struct line *l = r->lines; l != NULL; l = l->next) {
        due_us = l->first->due_us < due_us ? l->first->due_us : due_us;
    }
    if (due_us < INT64_MAX) {
        int64_t wait_us = due_us > now_us ? due_us - now_us : 0;
        r->o.schedule(r->o.arg, (wait_us + KLX_US_PER_MS - 1) / KLX_US_PER_MS);
    }
}

/* The lane gives up what has had its time: nothing waits here for longer. */
static int64_t due_of(const struct klx_returns *r, const struct klx_parked *p, bool orphan) {
    int64_t since_us = p->first_us != KLX_TIME_NONE ? p->first_us : p->parked_us;
    int64_t give_up_us = since_us + r->o.give_up_after_ms * KLX_US_PER_MS;
    int64_t not_before_us = p->not_before_us != KLX_TIME_NONE ? p->not_before_us : p->parked_us;
    return orphan || not_before_us > give_up_us ? give_up_us : not_before_us;
}

void klx_returns_add(struct klx_returns *r, struct klx_message *m, const struct klx_parked *p) {
    static const struct klx_sv nobody_in_particular = { "", 0 };
    const struct klx_sv *names = NULL;
    size_t n = r->o.recipients(r->o.arg, p->channel, &names);
    bool orphan = n == 0;
    if (orphan) { /* who is left of it is kept, for when the channel comes back */
        names = p->recipients_n > 0 ? p->recipients : &nobody_in_particular;
        n = p->recipients_n > 0 ? p->recipients_n : 1;
    }
    struct klx_delivery *d = restore(r, m, p, names, n);
    if (d == NULL) {
        return; /* cannot be: the message has room for as much again as it holds */
    }
    struct line *l = find_line(r, p->channel);
    if (l == NULL) {
        l = add_line(r, p->channel);
        l->orphan = orphan;
        if (orphan) {
            klx_log_warn("deliveries are parked for a channel that is not in the configuration, or "
                         "that nobody subscribes to: dead letters "
                         "after give_up_after",
                         KLX_F_STR("channel", l->channel));
        }
    }
    append(l, d, due_of(r, p, orphan));
    plan(r);
}

/* Channels may have come back, and others be gone: those are given up when their deliveries are due. */
void klx_returns_use(struct klx_returns *r, const struct klx_sinks_settings *settings) {
    const struct klx_sv *names = NULL;
    r->o.settings = settings;
    r->o.give_up_after_ms = settings->process.give_up_after_ms;
    for (struct line *l = r->lines; l != NULL; l = l->next) {
        bool gone = r->o.recipients(r->o.arg, klx_sv(l->channel), &names) == 0;
        for (struct waiting *w = l->first; w != NULL && l->orphan && !gone; w = w->next) {
            w->due_us = INT64_MIN;
        }
        l->orphan = gone;
    }
    plan(r);
}

void klx_returns_wake(struct klx_returns *r) {
    int64_t now_us = r->o.clock->wall_us(r->o.clock);
    for (struct line *l = r->lines; l != NULL; l = l->next) {
        while (l->first != NULL && now_us >= l->first->due_us) {
            struct klx_delivery *d = take_out(l, &l->first);
            (l->orphan ? r->o.give_up : r->o.push)(r->o.arg, klx_sv(l->channel), d);
        }
    }
    drop_empty(r);
    plan(r);
}

void klx_returns_drop_revoked(struct klx_returns *r) {
    for (struct line *l = r->lines; l != NULL; l = l->next) {
        for (struct waiting **at = &l->first; *at != NULL;) {
            if (klx_delivery_is_revoked((*at)->delivery)) {
                klx_delivery_abandon(take_out(l, at));
            } else {
                at = &(*at)->next;
            }
        }
    }
    drop_empty(r);
}

void klx_returns_describe(const struct klx_returns *r, struct klx_buf *out) {
    for (const struct line *l = r->lines; l != NULL; l = l->next) {
        if (l->orphan) {
            klx_buf_printf(out, "channel %s: not in the configuration, %zu parked\n", l->channel,
                           l->n);
        }
    }
}
