#include "sinks/core/parking/backlog.h"

#include <assert.h>
#include <stdlib.h>

#include "lib/base/mem.h"

#define CHANNELS_MAX 500 /* of a partition; those that have nothing there any more make room */

struct partition;

struct klx_backlog_channel {
    struct klx_backlog_channel *next_of_partition;
    struct partition *partition;
    char *name;
    struct klx_backlog_item *first, *last; /* in hand, by rising offset */
    size_t items_n;
    bool behind; /* something before the tail was not taken: from `next` on */
    bool passed; /* in this run: what comes has a gap before it */
    int64_t
        next; /* behind: the first that was not looked at; else: nothing before it concerns the channel */
    int64_t last_seen;
};

struct partition {
    struct partition *next;
    int32_t number;
    int64_t position; /* of the record that is read next; -1: nothing was read yet */
    int64_t run;      /* where this run began */
    int64_t tail;
    bool at_end;    /* nothing is behind the tail, as far as is known */
    size_t of_tail; /* records that this run read at the tail */
    int64_t seek_to;
    struct klx_backlog_channel *channels;
    size_t channels_n;
};

struct klx_backlog {
    size_t hold_max;
    struct partition *partitions;
};

struct klx_backlog *klx_backlog_new(size_t hold_max) {
    struct klx_backlog *b = klx_alloc(struct klx_backlog);
    klx_backlog_limit(b, hold_max);
    return b;
}

void klx_backlog_limit(struct klx_backlog *b, size_t hold_max) {
    b->hold_max = hold_max > 0 ? hold_max : 1;
}

static struct partition *find_partition(const struct klx_backlog *b, int32_t number) {
    struct partition *p = b->partitions;
    while (p != NULL && p->number != number) {
        p = p->next;
    }
    return p;
}

void klx_backlog_assign(struct klx_backlog *b, int32_t partition) {
    klx_backlog_revoke(b, partition);
    struct partition *p = klx_alloc(struct partition);
    *p = (struct partition){
        .next = b->partitions, .number = partition, .position = -1, .tail = -1, .seek_to = -1
    };
    b->partitions = p;
}

static void free_channel(struct klx_backlog_channel *c) {
    for (struct klx_backlog_item *i = c->first; i != NULL; i = i->next) {
        i->channel = NULL;
    }
    free(c->name);
    free(c);
}

void klx_backlog_revoke(struct klx_backlog *b, int32_t partition) {
    struct partition **at = &b->partitions;
    while (*at != NULL && (*at)->number != partition) {
        at = &(*at)->next;
    }
    struct partition *p = *at;
    if (p == NULL) {
        return;
    }
    *at = p->next;
    while (p->channels != NULL) {
        struct klx_backlog_channel *c = p->channels;
        p->channels = c->next_of_partition;
        free_channel(c);
    }
    free(p);
}

void klx_backlog_free(struct klx_backlog *b) {
    while (b != NULL && b->partitions != NULL) {
        klx_backlog_revoke(b, b->partitions->number);
    }
    free(b);
}

/* Without it, too, nothing before the tail concerns the channel. */
static bool is_needless(const struct klx_backlog_channel *c) {
    return !c->behind && c->first == NULL && c->next <= c->partition->tail;
}

/* Channels come and go; who has not been asked for the longest is the last in the list. */
static void make_room(struct partition *p) {
    struct klx_backlog_channel **last = NULL;
    for (struct klx_backlog_channel **at = &p->channels; *at != NULL;
         at = &(*at)->next_of_partition) {
        last = is_needless(*at) ? at : last;
    }
    if (p->channels_n >= CHANNELS_MAX && last != NULL) {
        struct klx_backlog_channel *c = *last;
        *last = c->next_of_partition;
        p->channels_n--;
        free_channel(c);
    }
}

/* The one that was asked for last is the first in the list: records of a channel come in rows. */
static struct klx_backlog_channel *find_channel(struct partition *p, struct klx_sv name) {
    struct klx_backlog_channel **at = &p->channels;
    while (*at != NULL && !klx_sv_eq(klx_sv((*at)->name), name)) {
        at = &(*at)->next_of_partition;
    }
    struct klx_backlog_channel *c = *at;
    if (c != NULL) {
        *at = c->next_of_partition;
    } else {
        make_room(p);
        p->channels_n++;
        c = klx_alloc(struct klx_backlog_channel);
        c->partition = p;
        c->name = klx_sv_dup(name);
        c->last_seen = -1;
    }
    c->next_of_partition = p->channels;
    p->channels = c;
    return c;
}

void klx_backlog_resume(struct klx_backlog *b, struct klx_sv channel, struct klx_place drained) {
    struct partition *p = find_partition(b, drained.partition);
    if (p == NULL) {
        return;
    }
    struct klx_backlog_channel *c = find_channel(p, channel);
    if (!c->behind && c->items_n == 0 && drained.offset >= c->next) {
        c->next = drained.offset + 1;
    }
}

/* Whether the record concerns the channel now. What is passed over is read again from `next`. */
static bool wants(const struct klx_backlog *b, struct klx_backlog_channel *c, int64_t offset) {
    const struct partition *p = c->partition;
    if (offset < c->next || (!c->behind && offset < p->tail)) {
        return false;
    }
    if (c->behind && (c->passed || c->next < p->run)) {
        return false;
    }
    if (c->items_n < b->hold_max) {
        return true;
    }
    if (!c->behind) {
        c->behind = true;
        c->next = offset;
    }
    c->passed = true;
    return false;
}

static struct klx_backlog_item *take(struct klx_backlog_channel *c, int64_t offset) {
    struct klx_backlog_item *i = klx_alloc(struct klx_backlog_item);
    *i = (struct klx_backlog_item){ .prev = c->last, .channel = c, .offset = offset };
    *(c->last != NULL ? &c->last->next : &c->first) = i;
    c->last = i;
    c->items_n++;
    c->next = offset + 1;
    return i;
}

/* Reading has come to `position` without a gap since the run's beginning. */
static void advance(struct partition *p, int64_t position) {
    p->position = position;
    if (position < p->tail) {
        return;
    }
    p->tail = position;
    for (struct klx_backlog_channel *c = p->channels; c != NULL; c = c->next_of_partition) {
        if (c->behind && !c->passed && c->next >= p->run) {
            c->behind = false;
        }
    }
}

static void begin(struct partition *p, int64_t offset) {
    if (p->position < 0) {
        p->run = offset;
        p->tail = offset;
    }
}

static bool has_room_again(const struct klx_backlog *b, const struct klx_backlog_channel *c) {
    return c->items_n <= b->hold_max / 2;
}

/* Where a channel that is passed over, and has room again, goes on; INT64_MAX: there is none. */
static int64_t place_with_room(const struct klx_backlog *b, const struct partition *p) {
    int64_t place = INT64_MAX;
    for (const struct klx_backlog_channel *c = p->channels; c != NULL; c = c->next_of_partition) {
        bool waits = c->behind && (c->passed || c->next < p->run) && has_room_again(b, c);
        place = waits && c->next < place ? c->next : place;
    }
    return place;
}

/* Whether this run still brings something for a channel that is behind. */
static bool is_of_use(const struct partition *p) {
    for (const struct klx_backlog_channel *c = p->channels; c != NULL; c = c->next_of_partition) {
        if (c->behind && !c->passed && c->next >= p->run) {
            return true;
        }
    }
    return false;
}

static void start_run(struct partition *p, int64_t offset) {
    p->run = offset;
    p->position = offset;
    p->seek_to = offset;
    p->of_tail = 0;
    for (struct klx_backlog_channel *c = p->channels; c != NULL; c = c->next_of_partition) {
        c->passed = c->passed && c->next < offset;
    }
}

/* A channel with room is served when the tail is, or when a run has come to its end: the two take turns. */
static void choose_run(const struct klx_backlog *b, struct partition *p) {
    bool reading_back = p->position < p->tail;
    if (reading_back && !is_of_use(p)) {
        start_run(p, p->tail);
    } else if (!reading_back && (p->at_end || p->of_tail >= b->hold_max)) {
        int64_t place = place_with_room(b, p);
        if (place < INT64_MAX) {
            start_run(p, place);
        }
    }
}

struct klx_backlog_item *klx_backlog_read(struct klx_backlog *b, int32_t partition, int64_t offset,
                                          struct klx_sv channel) {
    struct partition *p = find_partition(b, partition);
    if (p == NULL || offset < p->position) {
        return NULL;
    }
    begin(p, offset);
    struct klx_backlog_item *item = NULL;
    if (channel.n > 0) {
        struct klx_backlog_channel *c = find_channel(p, channel);
        c->last_seen = offset > c->last_seen ? offset : c->last_seen;
        item = wants(b, c, offset) ? take(c, offset) : NULL;
    }
    p->at_end = p->at_end && offset < p->tail;
    p->of_tail += offset >= p->tail;
    advance(p, offset + 1);
    choose_run(b, p);
    return item;
}

void klx_backlog_end(struct klx_backlog *b, int32_t partition, int64_t next) {
    struct partition *p = find_partition(b, partition);
    if (p == NULL || next < p->position) {
        return;
    }
    begin(p, next);
    p->at_end = true;
    advance(p, next);
    choose_run(b, p);
}

int32_t klx_backlog_partition(const struct klx_backlog_item *item) {
    return item->channel != NULL ? item->channel->partition->number : -1;
}

void klx_backlog_done(struct klx_backlog *b, struct klx_backlog_item *item) {
    struct klx_backlog_channel *c = item->channel;
    if (item->prev != NULL) {
        item->prev->next = item->next;
    }
    if (item->next != NULL) {
        item->next->prev = item->prev;
    }
    if (c != NULL) {
        c->first = item->prev == NULL ? item->next : c->first;
        c->last = item->next == NULL ? item->prev : c->last;
        c->items_n--;
        choose_run(b, c->partition);
    }
    free(item);
}

bool klx_backlog_seek_to(struct klx_backlog *b, int32_t partition, int64_t *ret) {
    struct partition *p = find_partition(b, partition);
    if (p == NULL || p->seek_to < 0) {
        return false;
    }
    *ret = p->seek_to;
    p->seek_to = -1;
    return true;
}

/* The offset of the first record of the channel that is not done. */
static int64_t done_up_to(const struct klx_backlog_channel *c) {
    int64_t place = c->behind ? c->next : c->partition->tail;
    place = place < c->next ? c->next : place; /* resumed: further than this replica has read */
    return c->first != NULL ? c->first->offset : place;
}

int64_t klx_backlog_settled(const struct klx_backlog *b, int32_t partition) {
    const struct partition *p = find_partition(b, partition);
    if (p == NULL || p->position < 0) {
        return -1;
    }
    int64_t settled = p->tail;
    for (const struct klx_backlog_channel *c = p->channels; c != NULL; c = c->next_of_partition) {
        int64_t done = done_up_to(c);
        settled = done < settled ? done : settled;
    }
    return settled;
}

void klx_backlog_each(struct klx_backlog *b,
                      void (*fn)(void *arg, const struct klx_backlog_progress *p), void *arg) {
    for (struct partition *p = b->partitions; p != NULL; p = p->next) {
        for (struct klx_backlog_channel *c = p->channels; c != NULL; c = c->next_of_partition) {
            bool holds = c->behind || c->first != NULL;
            const struct klx_backlog_progress progress = {
                .channel = klx_sv(c->name),
                .drained = { p->number, done_up_to(c) - 1 },
                .closed = !holds && p->at_end && p->position >= p->tail,
                .holds = holds,
                .taken = c->items_n,
                .last_seen = c->last_seen,
            };
            fn(arg, &progress);
        }
    }
}
