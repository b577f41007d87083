#include "sinks/core/route_index.h"

#include <stdlib.h>

#include "lib/base/hash.h"
#include "lib/base/mem.h"
#include "schema/data.h"

#define ATTRIBUTES 3u /* the first two members */
#define EVENT 1       /* the second one */

struct klx_route_entry {
    uint64_t hash;
    uint32_t number; /* of the subscription */
};

struct group {
    struct klx_route_entry *entries; /* by hash, then by number */
    size_t n, room;
};

struct klx_route_index {
    const struct klx_subscription_settings *const *subscriptions;
    struct group groups[KLX_ROUTE_GROUPS_N];
};

/* The exact texts that each member asks for. */
struct keys {
    struct {
        struct klx_sv texts[KLX_ROUTE_COMBINATIONS_MAX];
        size_t n; /* 0: no key */
    } of[KLX_ROUTE_MEMBERS_N];
};

/* What wants some kind of event wants the end of its incident: one found by its kind is found by those that end one, too. */
static size_t add_ends(const struct klx_subscription_settings *s, struct klx_sv *texts, size_t n) {
    size_t all = n;
    for (size_t k = 0; n > 0 && k < KLX_KINDS_N; k++) {
        bool ends = s->topics[klx_kind_specs[k].topic] && klx_data_ends_incidents((enum klx_kind)k);
        struct klx_sv type = klx_event_short_type(klx_sv(klx_kind_specs[k].type));
        for (size_t i = 0; ends && i < n; i++) {
            ends = !klx_sv_eq(texts[i], type);
        }
        if (ends && all == KLX_ROUTE_COMBINATIONS_MAX) {
            return 0;
        }
        if (ends) {
            texts[all++] = type;
        }
    }
    return all;
}

static void read_keys(const struct klx_subscription_settings *s, unsigned allowed,
                      struct keys *ret) {
    const struct klx_match *const members[] = { s->cluster, s->event, s->namespace, s->kind,
                                                s->name };
    for (size_t i = 0; i < KLX_ROUTE_MEMBERS_N; i++) {
        ret->of[i].n = (allowed >> i & 1) != 0 ? klx_match_literals(members[i], ret->of[i].texts,
                                                                    KLX_ROUTE_COMBINATIONS_MAX)
                                               : 0;
    }
    ret->of[EVENT].n = add_ends(s, ret->of[EVENT].texts, ret->of[EVENT].n);
}

/* Their number; the longest list is dropped until there are few enough. */
static size_t combinations(struct keys *k) {
    for (;;) {
        size_t product = 1, longest = 0;
        for (size_t i = 0; i < KLX_ROUTE_MEMBERS_N; i++) {
            product *= k->of[i].n > 0 ? k->of[i].n : 1;
            longest = k->of[i].n > k->of[longest].n ? i : longest;
        }
        if (product <= KLX_ROUTE_COMBINATIONS_MAX) {
            return product;
        }
        k->of[longest].n = 0;
    }
}

static void add(struct group *g, uint64_t hash, size_t number) {
    if (g->n == g->room) {
        size_t room = g->room > 0 ? 2 * g->room : 8;
        g->entries = klx_grow_array(g->entries, g->room, room, sizeof(*g->entries));
        g->room = room;
    }
    g->entries[g->n++] = (struct klx_route_entry){ .hash = hash, .number = (uint32_t)number };
}

static void add_subscription(struct klx_route_index *x, size_t number, unsigned allowed) {
    struct keys k;
    read_keys(x->subscriptions[number], allowed, &k);
    size_t n = combinations(&k);
    for (size_t c = 0; c < n; c++) {
        uint64_t hash = 0;
        unsigned group = 0;
        size_t rest = c;
        for (size_t i = 0; i < KLX_ROUTE_MEMBERS_N; i++) {
            if (k.of[i].n > 0) {
                hash = klx_hash_seeded(k.of[i].texts[rest % k.of[i].n], hash);
                rest /= k.of[i].n;
                group |= 1u << i;
            }
        }
        add(&x->groups[group], hash, number);
    }
}

static int compare(const void *a, const void *b) {
    const struct klx_route_entry *x = a, *y = b;
    if (x->hash != y->hash) {
        return x->hash < y->hash ? -1 : 1;
    }
    return x->number < y->number ? -1 : x->number > y->number;
}

struct klx_route_index *
klx_route_index_new(const struct klx_subscription_settings *const *subscriptions, size_t n,
                    bool attributes) {
    struct klx_route_index *x = klx_alloc(struct klx_route_index);
    x->subscriptions = subscriptions;
    for (size_t i = 0; i < n; i++) {
        add_subscription(x, i, attributes ? ATTRIBUTES : KLX_ROUTE_GROUPS_N - 1);
    }
    for (size_t i = 0; i < KLX_ROUTE_GROUPS_N; i++) {
        if (x->groups[i].n > 0) {
            qsort(x->groups[i].entries, x->groups[i].n, sizeof(struct klx_route_entry), compare);
        }
    }
    return x;
}

void klx_route_index_free(struct klx_route_index *x) {
    if (x == NULL) {
        return;
    }
    for (size_t i = 0; i < KLX_ROUTE_GROUPS_N; i++) {
        free(x->groups[i].entries);
    }
    free(x);
}

/* The first entry that is not before the hash. */
static const struct klx_route_entry *lower_bound(const struct group *g, uint64_t hash) {
    size_t from = 0, to = g->n;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (g->entries[middle].hash < hash) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return g->entries + from;
}

static void find_in(const struct group *g, uint64_t hash, struct klx_route_cursor *c) {
    const struct klx_route_entry *at = lower_bound(g, hash), *end = g->entries + g->n;
    if (at < end && at->hash == hash) {
        c->found[c->n].at = at;
        c->found[c->n++].end = end;
    }
}

void klx_route_index_find(const struct klx_route_index *x, const struct klx_subject *s,
                          struct klx_route_cursor *ret) {
    const struct klx_sv members[] = { s->cluster, s->type, s->namespace, s->kind, s->name };
    ret->index = x;
    ret->n = 0;
    for (unsigned group = 0; group < KLX_ROUTE_GROUPS_N; group++) {
        if (x->groups[group].n == 0) {
            continue;
        }
        uint64_t hash = 0;
        for (size_t i = 0; i < KLX_ROUTE_MEMBERS_N; i++) {
            hash = (group >> i & 1) != 0 ? klx_hash_seeded(members[i], hash) : hash;
        }
        find_in(&x->groups[group], hash, ret);
    }
}

/* A list of texts that holds one twice would give a subscription twice, but such lists are refused. */
const struct klx_subscription_settings *klx_route_cursor_next(struct klx_route_cursor *c) {
    if (c->n == 0) {
        return NULL;
    }
    size_t first = 0;
    for (size_t i = 1; i < c->n; i++) {
        first = c->found[i].at->number < c->found[first].at->number ? i : first;
    }
    const struct klx_route_entry *e = c->found[first].at++;
    if (c->found[first].at == c->found[first].end || c->found[first].at->hash != e->hash) {
        c->found[first] = c->found[--c->n];
    }
    return c->index->subscriptions[e->number];
}
