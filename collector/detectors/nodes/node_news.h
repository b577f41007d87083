/*
 * How news of a node is told: its data, and the incident it belongs to. Internal to the detector `node_repair`.
 */
#pragma once

#include "collector/detectors/nodes/node_table.h"

struct klx_node_news {
    enum klx_kind kind;
    enum klx_phase phase;        /* NONE: outside of an incident, as history */
    struct klx_episode *episode; /* with a phase: the incident; NULL: the node's own */
    bool listed;                 /* what it tells was seen in a list, not live */
    bool warns;                  /* without a phase: the kind's severity all the same */
    bool calm;                   /* info, whatever the kind's severity */
    enum klx_severity severity;  /* 0: the kind's own, softened during an upgrade */
    int64_t time_us;
    int64_t since_us; /* what it tells of began then; 0 or KLX_TIME_NONE: nothing to say */
    struct klx_sv reason;
    struct klx_sv summary;
    struct klx_sv hint;                     /* MAY: what is special here */
    const struct klx_node_problem *problem; /* MAY */
};

/* Outside of an incident there is nothing to be alarmed about: late news, what belongs to an upgrade, the noise of a node that is flapping. */
void klx_node_tell(struct klx_node_call *c, struct klx_node_state *n, struct klx_node_news m);
/* Opens the episode of `what` of the node ("" is its own), or goes on with the last one. */
enum klx_phase klx_node_open(struct klx_node_call *c, const struct klx_node_state *n,
                             struct klx_episode *e, const char *what, int64_t at_us);
/* "12 min", in the arena. */
const char *klx_node_words(struct klx_node_call *c, int64_t from_us, int64_t to_us);
bool klx_node_is_upgrading(const struct klx_node_state *n, int64_t now_us);
