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
    char *channel;
    struct klx_delivery *delivery;
    bool orphan;
    int64_t due_us; /* wall */
};

struct klx_returns {
    struct klx_returns_options o;
    struct waiting *first, **tail;
    size_t n;
};

struct klx_returns *klx_returns_new(const struct klx_returns_options *o) {
    struct klx_returns *r = klx_alloc(struct klx_returns);
    r->o = *o;
    r->tail = &r->first;
    return r;
}

static void free_waiting(struct waiting *w) {
    free(w->channel);
    free(w);
}

/* Takes *at out of the list; it is the caller's to free. */
static struct waiting *unlink_waiting(struct klx_returns *r, struct waiting **at) {
    struct waiting *w = *at;
    *at = w->next;
    if (r->tail == &w->next) {
        r->tail = at;
    }
    r->n--;
    return w;
}

void klx_returns_free(struct klx_returns *r) {
    while (r != NULL && r->first != NULL) {
        struct waiting *w = unlink_waiting(r, &r->first);
        klx_delivery_abandon(w->delivery);
        free_waiting(w);
    }
    free(r);
}

static bool is_of(struct klx_arena *a, const struct klx_subscription_settings *s,
                  const struct klx_parked *p) {
    return klx_sv_eq(s->team, p->team) && klx_sv_eq(klx_subscription_place(a, s), p->subscription);
}

/* As it was written down: the subscription is not there any more, or stands elsewhere. */
static const struct klx_subscription_settings *written_down(struct klx_arena *a,
                                                            const struct klx_parked *p) {
    struct klx_subscription_settings *s = klx_arena_alloc(a, sizeof(*s));
    struct klx_sv line = p->subscription;
    struct klx_sv file = klx_arena_dup(a, klx_sv_cut(&line, ':'));
    struct klx_sv team = klx_arena_dup(a, p->team);
    int64_t number = 0;
    if (s == NULL || file.p == NULL || team.p == NULL) {
        return NULL;
    }
    memset(s, 0, sizeof(*s));
    s->team = team;
    s->file = file.p;
    s->line =
        klx_sv_int(line, &number) == 0 && number >= 0 && number < INT32_MAX ? (unsigned)number : 0;
    return s;
}

static const struct klx_subscription_settings *
find_subscription(const struct klx_returns *r, struct klx_arena *a, const struct klx_parked *p) {
    for (size_t i = 0; i < r->o.settings->subscriptions_n; i++) {
        if (is_of(a, &r->o.settings->subscriptions[i], p)) {
            return &r->o.settings->subscriptions[i];
        }
    }
    return written_down(a, p);
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
    const struct klx_subscription_settings *s = find_subscription(r, &m->arena, p);
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

static bool has_waiting(const struct klx_returns *r, const char *channel) {
    for (const struct waiting *w = r->first; w != NULL; w = w->next) {
        if (strcmp(w->channel, channel) == 0) {
            return true;
        }
    }
    return false;
}

static void plan(struct klx_returns *r) {
    int64_t due_us = INT64_MAX, now_us = r->o.clock->wall_us(r->o.clock);
    for (const struct waiting *w = r->first; w != NULL; w = w->next) {
        due_us = w->due_us < due_us ? w->due_us : due_us;
    }
    if (due_us < INT64_MAX) {
        int64_t wait_us = due_us > now_us ? due_us - now_us : 0;
        r->o.schedule(r->o.arg, (wait_us + KLX_US_PER_MS - 1) / KLX_US_PER_MS);
    }
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
    struct waiting *w = klx_alloc(struct waiting);
    int64_t since_us = p->first_us != KLX_TIME_NONE ? p->first_us : p->parked_us;
    int64_t give_up_us = since_us + r->o.give_up_after_ms * KLX_US_PER_MS;
    int64_t not_before_us = p->not_before_us != KLX_TIME_NONE ? p->not_before_us : p->parked_us;
    *w = (struct waiting){ .channel = klx_sv_dup(p->channel), .delivery = d, .orphan = orphan };
    /* The lane gives up what has had its time: nothing waits here for longer. */
    w->due_us = orphan || not_before_us > give_up_us ? give_up_us : not_before_us;
    if (orphan && !has_waiting(r, w->channel)) {
        klx_log_warn("deliveries are parked for a channel that is not in the configuration, or "
                     "that nobody subscribes to: dead letters "
                     "after give_up_after",
                     KLX_F_STR("channel", w->channel));
    }
    *r->tail = w;
    r->tail = &w->next;
    r->n++;
    plan(r);
}

/* Channels may have come back, and others be gone: those are given up when their deliveries are due. */
void klx_returns_use(struct klx_returns *r, const struct klx_sinks_settings *settings) {
    const struct klx_sv *names = NULL;
    r->o.settings = settings;
    for (struct waiting *w = r->first; w != NULL; w = w->next) {
        bool gone = r->o.recipients(r->o.arg, klx_sv(w->channel), &names) == 0;
        if (w->orphan && !gone) {
            w->due_us = INT64_MIN;
        }
        w->orphan = gone;
    }
    plan(r);
}

/* What is behind one that waits does not overtake it. */
static bool is_behind(const struct klx_returns *r, const struct waiting *w) {
    for (const struct waiting *before = r->first; before != w; before = before->next) {
        if (strcmp(before->channel, w->channel) == 0) {
            return true;
        }
    }
    return false;
}

void klx_returns_wake(struct klx_returns *r) {
    int64_t now_us = r->o.clock->wall_us(r->o.clock);
    for (struct waiting **at = &r->first; *at != NULL;) {
        struct waiting *w = *at;
        if (now_us < w->due_us || is_behind(r, w)) {
            at = &w->next;
            continue;
        }
        unlink_waiting(r, at);
        (w->orphan ? r->o.give_up : r->o.push)(r->o.arg, klx_sv(w->channel), w->delivery);
        free_waiting(w);
    }
    plan(r);
}

void klx_returns_drop_revoked(struct klx_returns *r) {
    for (struct waiting **at = &r->first; *at != NULL;) {
        if (!klx_delivery_is_revoked((*at)->delivery)) {
            at = &(*at)->next;
            continue;
        }
        struct waiting *w = unlink_waiting(r, at);
        klx_delivery_abandon(w->delivery);
        free_waiting(w);
    }
}

size_t klx_returns_n(const struct klx_returns *r) {
    return r->n;
}

static size_t count_of(const struct klx_returns *r, const char *channel) {
    size_t n = 0;
    for (const struct waiting *w = r->first; w != NULL; w = w->next) {
        n += strcmp(w->channel, channel) == 0;
    }
    return n;
}

void klx_returns_describe(const struct klx_returns *r, struct klx_buf *out) {
    for (const struct waiting *w = r->first; w != NULL; w = w->next) {
        if (w->orphan && !is_behind(r, w)) {
            klx_buf_printf(out, "channel %s: not in the configuration, %zu parked\n", w->channel,
                           count_of(r, w->channel));
        }
    }
}
