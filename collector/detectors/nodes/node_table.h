/*
 * The nodes of a cluster as the detector `node_repair` keeps them, by name. Internal to it.
 *
 * State records are "<name>" for a node and "cluster/burst" for the loss of many, and
 * "cluster/problem/<condition>" for a problem of many. What is counted here (known_n, folded_n, recent) follows
 * from the nodes' states: it is in no record, and made again from them after a restart.
 */
#pragma once

#include <uthash.h>

#include "collector/detectors/news.h"
#include "collector/detectors/nodes/node_problems.h"
#include "collector/detectors/nodes/node_state.h"

/* What an operator may set. */
struct klx_node_settings {
    int64_t alarm_after_ms;
    int64_t burst_nodes, burst_percent, burst_at_most;
    int64_t burst_within_ms;
};

struct klx_node_entry {
    struct klx_node_state n;
    char seen[KLX_HASH_TEXT_BYTES]; /* what of the Node was seen last: the same again is no news */
    char written[KLX_HASH_TEXT_BYTES]; /* the state record */
    bool is_recent;
    struct klx_node_entry *prev, *next; /* in klx_nodes.recent */
    UT_hash_handle hh;
};

struct klx_node_burst {
    struct klx_episode episode;
    int64_t since_us; /* the first node of it was lost */
    int64_t told_n;   /* nodes that were not ready when it was told last */
    int64_t told_us;
    int64_t update_us; /* when its growth is told; KLX_TIME_NONE: it does not grow */
    int64_t over_us;   /* when it is over, unless more are lost again */
};

/* A problem that many nodes have. */
struct klx_node_spread {
    struct klx_episode episode;
    int64_t since_us; /* the first of them has it */
    int64_t told_n;   /* nodes that had it when it was told last */
    int64_t told_us;
    bool moved; /* fewer may have it: looked at by the next tick, once for all of them */
    char written[KLX_HASH_TEXT_BYTES];
};

struct klx_nodes {
    char *cluster;
    struct klx_node_settings set;
    struct klx_node_entry *nodes;
    int64_t known_n;
    int64_t folded_n; /* not ready as part of the burst */
    struct klx_node_entry
        *recent; /* utlist: lost a short while ago by themselves, the oldest first */
    int64_t recent_n;
    struct klx_node_burst burst;
    char burst_written[KLX_HASH_TEXT_BYTES];
    struct klx_node_spread spreads[KLX_NODE_PROBLEM_SPECS_MAX]; /* by the problem */
    int64_t next_us;  /* no timer is due before; KLX_TIME_NONE: none is set */
    bool events_only; /* the Nodes are not watched: what Events tell is all that is known */
    bool restored;    /* counts and timers are to be made from the states */
};

/* One call's surroundings, so that helpers need few parameters. */
struct klx_node_call {
    struct klx_nodes *d;
    struct klx_outbox *out;
    const struct klx_observation *o; /* NULL: the clock, or a relist */
    int64_t now_us;
};

struct klx_node_entry *klx_node_table_find(const struct klx_nodes *d, struct klx_sv name);
struct klx_node_entry *klx_node_table_find_or_add(struct klx_nodes *d, struct klx_sv name);
/* The node that the Event is about; NULL: it is late news of one that is gone. */
struct klx_node_entry *klx_node_table_of_event(struct klx_node_call *c);
/* Only from memory. */
void klx_node_table_forget(struct klx_nodes *d, struct klx_node_entry *e);
void klx_node_table_clear(struct klx_nodes *d);
/* From memory, and its record. */
void klx_node_table_remove(struct klx_node_call *c, struct klx_node_entry *e);
int klx_node_table_restore(struct klx_nodes *d, struct klx_sv name,
                           struct klx_sv value) KLX_MUST_CHECK;
/* Before anything else after a restore. */
void klx_node_table_settle(struct klx_nodes *d);
/* Writes the record if it changed, and sets the timer. */
void klx_node_table_save(struct klx_node_call *c, struct klx_node_entry *e);
/* When something of it is due; KLX_TIME_NONE: nothing. */
int64_t klx_node_table_next(const struct klx_node_state *n);

void klx_node_known(struct klx_nodes *d, struct klx_node_state *n);
void klx_node_recent_add(struct klx_nodes *d, struct klx_node_entry *e);
void klx_node_recent_remove(struct klx_nodes *d, struct klx_node_entry *e);
/* Keeps the count of those that are part of the burst. */
void klx_node_set_excuse(struct klx_nodes *d, struct klx_node_state *n, enum klx_node_excuse why);
