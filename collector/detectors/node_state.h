/*
 * What the node detector remembers of one node, and its form in `klaxon.state`. Plain data; no I/O.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/base/hash.h"
#include "lib/base/sv.h"
#include "schema/event.h"

#define KLX_NODE_NAME_BYTES 254
#define KLX_NODE_ACTIONS_MAX                                                                       \
    9 /* three rounds of the ladder; older ones are dropped, their number stays */

enum klx_repair_action {
    KLX_REPAIR_REBOOT,
    KLX_REPAIR_REIMAGE,
    KLX_REPAIR_REDEPLOY,
    KLX_REPAIR_ACTIONS_N
};
extern const char *const klx_repair_action_names[KLX_REPAIR_ACTIONS_N];

struct klx_node_action {
    enum klx_repair_action action;
    int64_t started_us, ended_us, failed_us; /* KLX_TIME_NONE: not seen */
};

struct klx_node_incident {
    char id[KLX_HASH_TEXT_BYTES]; /* "": none is open */
    uint32_t seq;                 /* of the last event */
    enum klx_severity worst;      /* of its events so far */
    int64_t opened_us;
    struct klx_node_action actions[KLX_NODE_ACTIONS_MAX];
    size_t actions_n;
    uint32_t actions_total;
    int64_t
        stuck_at_us; /* when "still not ready" is due; KLX_TIME_NONE: said, or nothing to wait for */
};

struct klx_node_state {
    char name[KLX_NODE_NAME_BYTES];
    char uid[64];
    char labels[2048]; /* JSON object of the labels that are kept */
    bool known;        /* the Node object was seen, not only Events about it */
    bool ready;
    bool was_ready; /* ever: a node that is joining is not an incident */
    bool unschedulable;
    int64_t ready_since_us; /* of `ready` as it is */
    int64_t upgrade_us;     /* the last sign of an upgrade; KLX_TIME_NONE: none */
    struct klx_node_incident incident;
    /* Flapping: transitions to not ready in the window that began at flap_since_us; the last resolved incident may be reopened. */
    int64_t flap_since_us;
    uint32_t flaps;
    bool flapping;
    char last_id[KLX_HASH_TEXT_BYTES];
    uint32_t last_seq;
    int64_t resolved_us;
};

void klx_node_state_init(struct klx_node_state *n, struct klx_sv name);
void klx_node_state_write(const struct klx_node_state *n, struct klx_buf *out);
/* -EBADMSG when it is not what _write wrote. */
int klx_node_state_read(struct klx_node_state *n, struct klx_sv name, struct klx_sv value,
                        struct klx_error *e) KLX_MUST_CHECK;
