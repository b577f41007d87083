#include "collector/detectors/nodes/node_table.h"

#include <stdlib.h>
#include <utlist.h>

#include "collector/detectors/nodes/node_rules.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#define STATE_BYTES_MAX (64 * 1024)

struct klx_node_entry *klx_node_table_find(const struct klx_nodes *d, struct klx_sv name) {
    struct klx_node_entry *e = NULL;
    HASH_FIND(hh, d->nodes, name.p, name.n, e);
    return e;
}

struct klx_node_entry *klx_node_table_find_or_add(struct klx_nodes *d, struct klx_sv name) {
    struct klx_node_entry *e = klx_node_table_find(d, name);
    if (e == NULL) {
        e = klx_alloc(struct klx_node_entry);
        klx_node_state_init(&e->n, name);
        HASH_ADD_KEYPTR(hh, d->nodes, e->n.name, strlen(e->n.name), e);
    }
    return e;
}

struct klx_node_entry *klx_node_table_of_event(struct klx_node_call *c) {
    struct klx_sv name = c->o->event.about_name;
    struct klx_node_entry *e = c->d->events_only ? klx_node_table_find_or_add(c->d, name)
                                                 : klx_node_table_find(c->d, name);
    if (e == NULL || (!e->n.known && !c->d->events_only)) {
        return NULL;
    }
    e->n.heard_us = e->n.known ? KLX_TIME_NONE : c->now_us - c->now_us % KLX_MINUTE_US;
    return e;
}

void klx_node_recent_add(struct klx_nodes *d, struct klx_node_entry *e) {
    if (!e->is_recent) {
        DL_APPEND(d->recent, e);
        e->is_recent = true;
        d->recent_n++;
    }
}

void klx_node_recent_remove(struct klx_nodes *d, struct klx_node_entry *e) {
    if (e->is_recent) {
        DL_DELETE(d->recent, e);
        e->is_recent = false;
        d->recent_n--;
    }
}

void klx_node_set_excuse(struct klx_nodes *d, struct klx_node_state *n, enum klx_node_excuse why) {
    d->folded_n += (why == KLX_EXCUSE_BURST) - (n->excuse == KLX_EXCUSE_BURST);
    n->excuse = why;
}

void klx_node_known(struct klx_nodes *d, struct klx_node_state *n) {
    d->known_n += !n->known;
    n->known = true;
    n->heard_us = KLX_TIME_NONE;
}

void klx_node_table_forget(struct klx_nodes *d, struct klx_node_entry *e) {
    klx_node_recent_remove(d, e);
    klx_node_set_excuse(d, &e->n, KLX_EXCUSE_NONE);
    d->known_n -= e->n.known;
    HASH_DEL(d->nodes, e);
    klx_node_state_release(&e->n);
    free(e);
}

void klx_node_table_clear(struct klx_nodes *d) {
    struct klx_node_entry *e = NULL, *next = NULL;
    HASH_ITER(hh, d->nodes, e, next) {
        klx_node_table_forget(d, e);
    }
}

static struct klx_sv key_of(struct klx_node_call *c, const struct klx_node_state *n) {
    return klx_arena_printf(c->out->arena, "%s/node_repair/%s", c->d->cluster, n->name);
}

void klx_node_table_remove(struct klx_node_call *c, struct klx_node_entry *e) {
    c->out->state(c->out, key_of(c, &e->n), klx_sv(""));
    klx_node_table_forget(c->d, e);
}

int klx_node_table_restore(struct klx_nodes *d, struct klx_sv name, struct klx_sv value) {
    struct klx_node_state n;
    int rc = klx_node_state_read(&n, name, value, NULL);
    if (rc != 0) {
        return rc;
    }
    struct klx_node_entry *e = klx_node_table_find_or_add(d, name);
    klx_node_state_release(&e->n);
    e->n = n;
    klx_hash_parts(&value, 1, e->written);
    d->restored = true;
    return 0;
}

static int by_loss(const struct klx_node_entry *a, const struct klx_node_entry *b) {
    return a->n.lost_us != b->n.lost_us
               ? (a->n.lost_us > b->n.lost_us) - (a->n.lost_us < b->n.lost_us)
               : strcmp(a->n.name, b->n.name);
}

void klx_node_table_settle(struct klx_nodes *d) {
    struct klx_node_entry *e = NULL, *next = NULL;
    if (!d->restored) {
        return;
    }
    d->restored = false;
    d->known_n = d->folded_n = 0;
    d->next_us = klx_news_earlier(klx_node_burst_next(d), klx_node_spreads_next(d));
    HASH_ITER(hh, d->nodes, e, next) {
        d->known_n += e->n.known;
        d->folded_n += e->n.excuse == KLX_EXCUSE_BURST;
        bool counts = e->n.alarm_us != KLX_TIME_NONE || !klx_node_burst_is_on(d);
        if (e->n.lost_us != KLX_TIME_NONE && e->n.excuse == KLX_EXCUSE_NONE && counts) {
            klx_node_recent_add(d, e);
        }
        d->next_us = klx_news_earlier(d->next_us, klx_node_table_next(&e->n));
    }
    DL_SORT(d->recent, by_loss);
}

int64_t klx_node_table_next(const struct klx_node_state *n) {
    int64_t next_us = klx_news_earlier(n->alarm_us, n->repair.stuck_at_us);
    if (n->flapping) {
        next_us = klx_news_earlier(next_us, n->ready_since_us + KLX_NODE_STABLE_US);
    }
    if (n->heard_us != KLX_TIME_NONE) {
        next_us = klx_news_earlier(next_us, n->heard_us + KLX_NODE_UNSEEN_US);
    }
    next_us = klx_news_earlier(next_us, klx_node_maintenance_next(&n->maintenance));
    for (size_t i = 0; i < n->problems_n; i++) {
        next_us = klx_news_earlier(next_us, n->problems[i].due_us);
    }
    return next_us;
}

void klx_node_table_save(struct klx_node_call *c, struct klx_node_entry *e) {
    struct klx_buf value KLX_CLEANUP(klx_buf_release);
    char mark[KLX_HASH_TEXT_BYTES];
    klx_buf_init(&value, STATE_BYTES_MAX);
    klx_node_state_write(&e->n, &value);
    struct klx_sv text = klx_buf_sv(&value);
    klx_hash_parts(&text, 1, mark);
    if (memcmp(mark, e->written, sizeof(mark)) != 0) {
        memcpy(e->written, mark, sizeof(mark));
        c->out->state(c->out, key_of(c, &e->n), text);
    }
    c->d->next_us = klx_news_earlier(c->d->next_us, klx_node_table_next(&e->n));
}
