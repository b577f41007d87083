/*
 * Internal of sinks/core/route.c: which subscriptions may match, without looking at each of them.
 *
 * A subscription that asks for exact texts (cluster: prod-weu, namespace: [a, b]) is found by them: it stands in one group, that of its
 * members with exact texts, once for each combination of those, by their hash. An event is looked up once in each group, 32 at most; what
 * is found is to be tested whole. Who asks with wildcards only stands in the group without members and is always found.
 *
 * In the order of the subscriptions. Borrows them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sinks/core/settings.h"
#include "sinks/core/subject.h"

#define KLX_ROUTE_MEMBERS_N 5 /* cluster, event, namespace, kind, name */
#define KLX_ROUTE_GROUPS_N (1u << KLX_ROUTE_MEMBERS_N)
#define KLX_ROUTE_COMBINATIONS_MAX 64 /* of one subscription; the longest list is then no key */

struct klx_route_index;

/* attributes: only by cluster and event, which are known before the data is parsed. */
struct klx_route_index *
klx_route_index_new(const struct klx_subscription_settings *const *subscriptions, size_t n,
                    bool attributes);
void klx_route_index_free(struct klx_route_index *x);

struct klx_route_cursor {
    const struct klx_route_index *index;
    struct {
        const struct klx_route_entry *at, *end;
    } found[KLX_ROUTE_GROUPS_N];
    size_t n;
};

void klx_route_index_find(const struct klx_route_index *x, const struct klx_subject *s,
                          struct klx_route_cursor *ret);
/* The next that may match, or NULL. */
const struct klx_subscription_settings *klx_route_cursor_next(struct klx_route_cursor *c);
