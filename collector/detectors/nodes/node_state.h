/*
 * What the node detector remembers of one node, and its form in `klaxon.state`. Plain data; no I/O.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/detectors/episode.h"
#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/base/sv.h"

#define KLX_NODE_NAME_BYTES 254
#define KLX_NODE_POOL_BYTES 64
#define KLX_NODE_REASON_BYTES 128
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

struct klx_node_repair {
    struct klx_node_action actions[KLX_NODE_ACTIONS_MAX];
    size_t actions_n;
    uint32_t actions_total;
    int64_t
        stuck_at_us; /* when "still not ready" is due; KLX_TIME_NONE: said, or nothing to wait for */
};

/* Why the loss of a node is no alarm (yet). */
enum klx_node_excuse {
    KLX_EXCUSE_NONE,
    KLX_EXCUSE_UPGRADE,     /* AKS upgrades or reimages the node */
    KLX_EXCUSE_MAINTENANCE, /* Azure announced an event of its virtual machine */
    KLX_EXCUSE_LEAVING,     /* somebody is removing it */
    KLX_EXCUSE_BURST,       /* many are lost at once, which is one alarm for all */
    KLX_EXCUSES_N
};

enum klx_node_remover {
    KLX_REMOVER_NONE,
    KLX_REMOVER_AUTOSCALER,
    KLX_REMOVER_KARPENTER,
    KLX_REMOVER_SOMEBODY, /* deleted, and a finalizer is at work */
    KLX_REMOVERS_N
};

/* Azure's scheduled events. */
enum klx_vm_event {
    KLX_VM_EVENT_NONE,
    KLX_VM_EVENT_UNNAMED, /* one is scheduled; which, is not known */
    KLX_VM_EVENT_FREEZE,
    KLX_VM_EVENT_REBOOT,
    KLX_VM_EVENT_REDEPLOY,
    KLX_VM_EVENT_PREEMPT,
    KLX_VM_EVENT_TERMINATE,
    KLX_VM_EVENTS_N
};
extern const char *const klx_vm_event_names[KLX_VM_EVENTS_N];

struct klx_node_maintenance {
    enum klx_vm_event event; /* NONE: nothing is scheduled */
    bool condition;          /* the node says so too: it ends when the node says otherwise */
    bool told;
    int64_t since_us;
    int64_t heard_us; /* the last sign of it, to the minute */
    int64_t ended_us; /* the last one; what is older is late news */
    int64_t
        tell_us; /* when it is told although it has no name; KLX_TIME_NONE: it is, or there is none */
    struct klx_episode episode;
};

/* A condition that should not be True (collector/detectors/nodes/node_problems.h). */
struct klx_node_problem {
    size_t spec;
    bool on, told;
    bool folded; /* part of what many have (node_spread.c): not told itself */
    int64_t since_us;
    int64_t due_us; /* when it is told, told to be over, or forgotten */
    char reason[KLX_NODE_REASON_BYTES];
    struct klx_episode episode;
};

struct klx_node_state {
    char name[KLX_NODE_NAME_BYTES];
    char uid[64];
    char labels[2048];              /* JSON object of the labels that are kept */
    char pool[KLX_NODE_POOL_BYTES]; /* one of them */
    bool known;                     /* the Node object was seen, not only Events about it */
    int64_t heard_us;               /* until then: the last of those Events */
    bool ready;
    bool was_ready; /* ever: a node that is joining is not an incident */
    bool unschedulable;
    char ready_reason[KLX_NODE_REASON_BYTES]; /* of the condition, when it last was not ready */
    int64_t ready_since_us;                   /* of `ready` as it is */
    /* While it is not ready: when we saw that, when it is told as an alarm, and as a part of what it was told before, without one. */
    int64_t lost_us, alarm_us;
    bool lost_listed; /* seen in a list, not live */
    enum klx_node_excuse excuse;
    /* What explains a loss. */
    bool upgrade_flag;     /* the annotations of an upgrade are there */
    int64_t upgrade_us;    /* the last sign of an upgrade; KLX_TIME_NONE: none */
    int64_t scale_down_us; /* the last Event of the autoscaler that removes it */
    int64_t auto_drain_us; /* the last Event of AKS's auto-drain */
    bool vm_gone;          /* the cloud's controller said so */
    enum klx_node_remover remover;
    struct klx_node_maintenance maintenance;
    /* Its own incident: not ready, or repaired. */
    struct klx_episode episode;
    struct klx_node_repair repair;
    /* Flapping: transitions to not ready in the window that began at flap_since_us. */
    int64_t flap_since_us;
    uint32_t flaps;
    bool flapping;
    struct klx_node_problem *problems; /* only those that are there, or were a while ago */
    size_t problems_n;
};

void klx_node_state_init(struct klx_node_state *n, struct klx_sv name);
void klx_node_state_release(struct klx_node_state *n);
/* Those of a Node that are kept, and what is read from them. */
void klx_node_state_set_labels(struct klx_node_state *n, const struct klx_json *labels);
void klx_node_state_write(const struct klx_node_state *n, struct klx_buf *out);
/* -EBADMSG when it is not what _write wrote; nothing needs to be released then. */
int klx_node_state_read(struct klx_node_state *n, struct klx_sv name, struct klx_sv value,
                        struct klx_error *e) KLX_MUST_CHECK;

struct klx_node_problem *klx_node_problem_find(struct klx_node_state *n, size_t spec);
/* Pointers to others of the node are void after it. */
struct klx_node_problem *klx_node_problem_add(struct klx_node_state *n, size_t spec);
void klx_node_problem_remove(struct klx_node_state *n, struct klx_node_problem *p);
