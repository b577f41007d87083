#include "sinks/core/queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "lib/base/mem.h"

/* The deliveries of one key. Lives while there is one. */
struct klx_queue_chain {
    UT_hash_handle hh;
    struct klx_delivery *first, *last;
    struct klx_delivery *waiting; /* the first that is not under way */
    size_t under_way;
    bool more;             /* the batch that has some of it may have more */
    uint64_t behind;       /* it goes behind this arrival; 0: at its own place */
    int64_t not_before_us; /* INT64_MIN: it does not rest */
    struct heap *in;       /* NULL: nothing of it may be taken */
    size_t at;             /* in the heap */
    int64_t rank;
    char key[];
};

/* The chain with the lowest rank is at 0. */
struct heap {
    struct klx_queue_chain **chains;
    size_t n, room;
};

struct klx_queue {
    struct klx_queue_chain *chains; /* by key */
    struct heap ready;              /* by arrival */
    struct heap resting;            /* by not_before_us */
    struct klx_delivery *oldest, *newest;
    size_t n;
    uint64_t arrivals;
};

static void place(struct heap *h, size_t at, struct klx_queue_chain *c) {
    h->chains[at] = c;
    c->at = at;
}

static void sift_up(struct heap *h, size_t at) {
    struct klx_queue_chain *c = h->chains[at];
    while (at > 0 && c->rank < h->chains[(at - 1) / 2]->rank) {
        place(h, at, h->chains[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    place(h, at, c);
}

static void sift_down(struct heap *h, size_t at) {
    struct klx_queue_chain *c = h->chains[at];
    for (size_t child = 2 * at + 1; child < h->n; child = 2 * at + 1) {
        if (child + 1 < h->n && h->chains[child + 1]->rank < h->chains[child]->rank) {
            child++;
        }
        if (c->rank <= h->chains[child]->rank) {
            break;
        }
        place(h, at, h->chains[child]);
        at = child;
    }
    place(h, at, c);
}

static void enter(struct heap *h, struct klx_queue_chain *c, int64_t rank) {
    if (h->n == h->room) {
        size_t room = h->room > 0 ? 2 * h->room : 16;
        h->chains = klx_grow_array(h->chains, h->room, room, sizeof(struct klx_queue_chain *));
        h->room = room;
    }
    c->rank = rank;
    c->in = h;
    place(h, h->n++, c);
    sift_up(h, c->at);
}

static void leave(struct klx_queue_chain *c) {
    struct heap *h = c->in;
    if (h == NULL) {
        return;
    }
    size_t at = c->at;
    c->in = NULL;
    h->n--;
    if (at < h->n) {
        struct klx_queue_chain *moved = h->chains[h->n];
        place(h, at, moved);
        sift_down(h, at);
        sift_up(h, moved->at);
    }
}

/* To the heap where it belongs now. */
static void settle(struct klx_queue *q, struct klx_queue_chain *c) {
    leave(c);
    c->more = c->more && c->under_way > 0;
    if (c->waiting == NULL || (c->under_way > 0 && !c->more)) {
        return;
    }
    if (c->not_before_us != INT64_MIN) {
        enter(&q->resting, c, c->not_before_us);
    } else {
        uint64_t arrival = c->waiting->arrival;
        enter(&q->ready, c, (int64_t)(c->behind > arrival ? c->behind : arrival));
    }
}

struct klx_queue *klx_queue_new(void) {
    return klx_alloc(struct klx_queue);
}

void klx_queue_free(struct klx_queue *q) {
    if (q == NULL) {
        return;
    }
    assert(q->n == 0);
    free(q->ready.chains);
    free(q->resting.chains);
    free(q);
}

static struct klx_queue_chain *find_chain(const struct klx_queue *q, struct klx_sv key) {
    struct klx_queue_chain *c = NULL;
    const char *p = key.n > 0 ? key.p : "";
    HASH_FIND(hh, q->chains, p, key.n, c);
    return c;
}

static struct klx_queue_chain *chain_of(struct klx_queue *q, struct klx_sv key) {
    struct klx_queue_chain *c = find_chain(q, key);
    if (c == NULL) {
        c = klx_new_bytes(sizeof(*c) + key.n + 1);
        memcpy(c->key, key.n > 0 ? key.p : "", key.n);
        c->not_before_us = INT64_MIN;
        HASH_ADD_KEYPTR(hh, q->chains, c->key, key.n, c);
    }
    return c;
}

static void link_by_arrival(struct klx_queue *q, struct klx_delivery *d) {
    d->arrival = ++q->arrivals;
    d->next = NULL;
    d->prev = q->newest;
    *(q->newest != NULL ? &q->newest->next : &q->oldest) = d;
    q->newest = d;
    q->n++;
}

void klx_queue_push(struct klx_queue *q, struct klx_delivery *d) {
    struct klx_queue_chain *c = chain_of(q, klx_delivery_key(d));
    link_by_arrival(q, d);
    d->chain = c;
    d->under_way = false;
    d->chain_next = NULL;
    d->chain_prev = c->last;
    *(c->last != NULL ? &c->last->chain_next : &c->first) = d;
    c->last = d;
    if (c->waiting == NULL) {
        c->waiting = d;
        settle(q, c);
    }
}

struct klx_delivery *klx_queue_next(struct klx_queue *q, int64_t now_us) {
    while (q->resting.n > 0 && q->resting.chains[0]->rank <= now_us) {
        struct klx_queue_chain *c = q->resting.chains[0];
        c->not_before_us = INT64_MIN;
        settle(q, c);
    }
    return q->ready.n > 0 ? q->ready.chains[0]->waiting : NULL;
}

int64_t klx_queue_due_us(const struct klx_queue *q) {
    if (q->ready.n > 0) {
        return INT64_MIN;
    }
    return q->resting.n > 0 ? q->resting.chains[0]->rank : INT64_MAX;
}

void klx_queue_take(struct klx_queue *q, struct klx_delivery *d, bool more) {
    struct klx_queue_chain *c = d->chain;
    assert(c->waiting == d);
    d->under_way = true;
    c->waiting = d->chain_next;
    c->under_way++;
    c->more = more;
    settle(q, c);
}

void klx_queue_seal(struct klx_queue *q, const struct klx_delivery *d) {
    d->chain->more = false;
    settle(q, d->chain);
}

void klx_queue_put_back(struct klx_queue *q, struct klx_delivery *d, int64_t not_before_us,
                        bool back) {
    struct klx_queue_chain *c = d->chain;
    assert(d->under_way);
    d->under_way = false;
    c->under_way--;
    if (c->waiting == NULL || d->arrival < c->waiting->arrival) {
        c->waiting = d;
    }
    if (not_before_us > c->not_before_us) {
        c->not_before_us = not_before_us;
    }
    c->behind = back ? q->arrivals : c->behind;
    settle(q, c);
}

static void unlink_by_arrival(struct klx_queue *q, struct klx_delivery *d) {
    *(d->prev != NULL ? &d->prev->next : &q->oldest) = d->next;
    *(d->next != NULL ? &d->next->prev : &q->newest) = d->prev;
    d->prev = d->next = NULL;
    q->n--;
}

void klx_queue_remove(struct klx_queue *q, struct klx_delivery *d) {
    struct klx_queue_chain *c = d->chain;
    unlink_by_arrival(q, d);
    *(d->chain_prev != NULL ? &d->chain_prev->chain_next : &c->first) = d->chain_next;
    *(d->chain_next != NULL ? &d->chain_next->chain_prev : &c->last) = d->chain_prev;
    c->under_way -= d->under_way;
    if (c->waiting == d) {
        c->waiting = d->chain_next;
    }
    if (d->chain_prev == NULL) { /* what made it rest, or go behind others, has gone */
        c->not_before_us = INT64_MIN;
        c->behind = 0;
    }
    d->chain = NULL;
    d->under_way = false;
    settle(q, c);
    if (c->first == NULL) {
        HASH_DEL(q->chains, c);
        free(c);
    }
}

bool klx_queue_is_behind(const struct klx_delivery *d) {
    return d->chain->under_way > 0;
}

const struct klx_delivery *klx_queue_first_like(const struct klx_queue *q,
                                                const struct klx_delivery *d) {
    const struct klx_queue_chain *c = find_chain(q, klx_delivery_key(d));
    return c != NULL ? c->first : NULL;
}

void klx_queue_wake_all(struct klx_queue *q) {
    (void)klx_queue_next(q, INT64_MAX);
}

struct klx_delivery *klx_queue_oldest(const struct klx_queue *q) {
    return q->oldest;
}

size_t klx_queue_n(const struct klx_queue *q) {
    return q->n;
}
