#include "sinks/core/tracker.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"

/* Lives until it is revoked and the last of its records has gone. */
struct klx_tracked_partition {
    struct klx_tracked_partition *next;
    char *topic;
    int32_t partition;
    struct klx_tracked *first, *last;
    size_t n;
    int64_t seen;       /* the last offset */
    int64_t stored;     /* the prefix that was handed out last */
    int64_t barrier;    /* of the first forgotten record: the prefix stays at or before it */
    size_t ahead_total; /* told records past the first unsettled one */
    size_t ahead_tail;  /* those of them past the last unsettled one */
    size_t again;       /* told records past the barrier, but for forgotten ones */
    bool revoked;
};

struct klx_tracker {
    struct klx_tracked_partition *partitions;
    struct klx_tracked_partition *recent; /* records come in runs of one partition */
    size_t ahead_max;
    size_t unsettled; /* of all partitions, the revoked ones too */
    size_t again;
};

struct klx_tracker *klx_tracker_new(size_t ahead_max) {
    struct klx_tracker *t = klx_alloc(struct klx_tracker);
    t->ahead_max = ahead_max;
    return t;
}

void klx_tracker_limit(struct klx_tracker *t, size_t ahead_max) {
    t->ahead_max = ahead_max;
}

static void free_partition(struct klx_tracked_partition *p) {
    free(p->topic);
    free(p);
}

void klx_tracker_free(struct klx_tracker *t) {
    if (t == NULL) {
        return;
    }
    assert(t->unsettled == 0);
    while (t->partitions != NULL) {
        struct klx_tracked_partition *next = t->partitions->next;
        free_partition(t->partitions);
        t->partitions = next;
    }
    free(t);
}

static bool is_it(const struct klx_tracked_partition *p, const char *topic, int32_t partition) {
    return p->partition == partition && strcmp(p->topic, topic) == 0;
}

static struct klx_tracked_partition *find(struct klx_tracker *t, const char *topic,
                                          int32_t partition) {
    if (t->recent != NULL && is_it(t->recent, topic, partition)) {
        return t->recent;
    }
    struct klx_tracked_partition *p = t->partitions;
    while (p != NULL && !is_it(p, topic, partition)) {
        p = p->next;
    }
    return p;
}

static struct klx_tracked_partition *add(struct klx_tracker *t, const char *topic,
                                         int32_t partition) {
    struct klx_tracked_partition *p = klx_alloc(struct klx_tracked_partition);
    p->topic = klx_strdup(topic);
    p->partition = partition;
    p->seen = -1;
    p->stored = -1;
    p->barrier = INT64_MAX;
    p->next = t->partitions;
    t->partitions = p;
    return p;
}

/* What was told behind r is told again. */
static void put_barrier(struct klx_tracker *t, const struct klx_tracked *r) {
    struct klx_tracked_partition *p = r->partition;
    if (r->offset >= p->barrier) {
        return;
    }
    t->again -= p->again;
    p->barrier = r->offset;
    p->again = p->ahead_tail;
    for (const struct klx_tracked *behind = r->next; behind != NULL; behind = behind->next) {
        p->again += behind->ahead;
    }
    t->again += p->again;
}

void klx_tracker_revoke(struct klx_tracker *t, const char *topic, int32_t partition) {
    struct klx_tracked_partition **at = &t->partitions;
    while (*at != NULL && !is_it(*at, topic, partition)) {
        at = &(*at)->next;
    }
    struct klx_tracked_partition *p = *at;
    if (p == NULL) {
        return;
    }
    *at = p->next;
    p->revoked = true;
    if (p->first != NULL) {
        put_barrier(t, p->first);
    }
    t->recent = NULL;
    if (p->n == 0) {
        free_partition(p);
    }
}

bool klx_tracker_is_revoked(const struct klx_tracked *r) {
    return r->partition != NULL && r->partition->revoked;
}

void klx_tracker_begin(struct klx_tracker *t, const char *topic, int32_t partition, int64_t offset,
                       int64_t timestamp_ms, struct klx_tracked *r) {
    struct klx_tracked_partition *p = find(t, topic, partition);
    if (p != NULL && offset <= p->seen) {
        klx_tracker_revoke(t, topic, partition);
        p = NULL;
    }
    if (p == NULL) {
        p = add(t, topic, partition);
        p->stored = offset;
    }
    t->recent = p;
    *r = (struct klx_tracked){ .prev = p->last,
                               .partition = p,
                               .offset = offset,
                               .timestamp_ms = timestamp_ms,
                               .ahead = p->ahead_tail };
    if (p->last != NULL) {
        p->last->next = r;
    } else {
        p->first = r;
    }
    p->last = r;
    p->ahead_tail = 0;
    p->seen = offset;
    p->n++;
    t->unsettled++;
}

/* Takes r out of its list; `told` records that it covered count for the one behind it. */
static void take_out(struct klx_tracker *t, struct klx_tracked *r, size_t told) {
    struct klx_tracked_partition *p = r->partition;
    bool was_first = r->prev == NULL;
    size_t *ahead_of_next = r->next != NULL ? &r->next->ahead : &p->ahead_tail;
    *(was_first ? &p->first : &r->prev->next) = r->next;
    *(r->next != NULL ? &r->next->prev : &p->last) = r->prev;
    if (was_first) {
        p->ahead_total -= *ahead_of_next; /* the prefix reaches the next one */
        *ahead_of_next = 0;
    } else {
        *ahead_of_next += r->ahead + told;
        p->ahead_total += told;
    }
    p->n--;
    t->unsettled--;
    r->partition = NULL;
    if (p->revoked && p->n == 0) {
        free_partition(p);
    }
}

void klx_tracker_settle(struct klx_tracker *t, struct klx_tracked *r, bool told) {
    struct klx_tracked_partition *p = r->partition;
    if (p == NULL) {
        return;
    }
    if (told && r->offset >= p->barrier) {
        p->again++;
        t->again++;
    }
    take_out(t, r, told ? 1 : 0);
}

void klx_tracker_forget(struct klx_tracker *t, struct klx_tracked *r, bool told) {
    if (r->partition == NULL) {
        return;
    }
    put_barrier(t, r);
    t->again += told;
    take_out(t, r, 0);
}

static int64_t prefix(const struct klx_tracked_partition *p) {
    int64_t next = p->first != NULL ? p->first->offset : p->seen + 1;
    return next < p->barrier ? next : p->barrier;
}

void klx_tracker_flush(struct klx_tracker *t, klx_tracker_store_fn store, void *arg) {
    for (struct klx_tracked_partition *p = t->partitions; p != NULL; p = p->next) {
        if (prefix(p) > p->stored) {
            p->stored = prefix(p);
            store(arg, p->topic, p->partition, p->stored);
        }
    }
}

size_t klx_tracker_again(const struct klx_tracker *t) {
    return t->again;
}

size_t klx_tracker_ahead(const struct klx_tracker *t) {
    size_t n = 0;
    for (const struct klx_tracked_partition *p = t->partitions; p != NULL; p = p->next) {
        n += p->revoked ? 0 : p->ahead_total;
    }
    return n;
}

static size_t most_ahead(const struct klx_tracker *t) {
    size_t most = 0;
    for (const struct klx_tracked_partition *p = t->partitions; p != NULL; p = p->next) {
        most = p->ahead_total > most ? p->ahead_total : most;
    }
    return most;
}

bool klx_tracker_full(const struct klx_tracker *t) {
    return most_ahead(t) >= t->ahead_max;
}

bool klx_tracker_has_room(const struct klx_tracker *t) {
    return most_ahead(t) <= t->ahead_max / 4 * 3;
}

size_t klx_tracker_unsettled(const struct klx_tracker *t) {
    return t->unsettled;
}

int64_t klx_tracker_oldest_ms(const struct klx_tracker *t) {
    int64_t oldest = INT64_MAX;
    for (const struct klx_tracked_partition *p = t->partitions; p != NULL; p = p->next) {
        if (p->first != NULL && p->first->timestamp_ms < oldest) {
            oldest = p->first->timestamp_ms;
        }
    }
    return oldest;
}
