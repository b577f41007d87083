/*
 * Nodes: what is told when (facts: azure.md 1). The detector `node_repair` leads each observation to these rules; each part is a file.
 *
 *   node_ready.c        lost: Ready was True and is not. Told as an alarm after `alarm_after` (20 s), unless it is back before that.
 *                       Lost three times within KLX_NODE_FLAP_WINDOW_US it is flapping, which is told at once; then it is quiet until the
 *                       node has been stable for KLX_NODE_STABLE_US. An incident ends when the node is Ready, or removed.
 *                       A loss that is explained is history, and no alarm: the node is upgraded, Azure announced an event of its virtual
 *                       machine, somebody removes it, or many are lost at once. If it is not back in time it is an alarm all the same.
 *                       A node that was added and never became Ready is one after KLX_NODE_NEVER_READY_US: auto-repair leaves it alone.
 *   node_actions.c      auto-repair's reboot, reimage and redeploy: Start, End, Error. They open the node's incident if there is none. End
 *                       says nothing of health; Error overrides End. KLX_NODE_STUCK_US after the last of them without Ready: stuck.
 *   node_leaving.c      who removes a node (the autoscaler's and karpenter's taints, their Events, a deletion), upgrades, and what the
 *                       node's removal means. One that is healthy, not cordoned, and that nobody announced, has vanished: a warning.
 *   node_maintenance.c  the scheduled events of Azure's virtual machines, by the condition VMEventScheduled and by Events that repeat
 *                       every 2 s to 1 min: one incident, however often they come. Drains of AKS's auto-drain belong to it.
 *   node_problems.c     conditions that should not be True: an incident for each node and condition.
 *   node_spread.c       a problem that many have: one incident for all.
 *   node_burst.c        many lost at once: one incident for all.
 *
 * Nothing here matches the text of a message, but the name of a VM event, when nothing else tells it.
 */
#pragma once

#include "collector/detectors/nodes/node_news.h"
#include "collector/detectors/nodes/node_view.h"

#define KLX_NODE_STUCK_US (10 * KLX_MINUTE_US)
#define KLX_NODE_JOINING_US                                                                        \
    (10 * KLX_MINUTE_US) /* a node younger than this, not ready at the baseline, is joining */
#define KLX_NODE_NEVER_READY_US (15 * KLX_MINUTE_US)
#define KLX_NODE_REOPEN_US (10 * KLX_MINUTE_US)
#define KLX_NODE_FLAP_WINDOW_US (15 * KLX_MINUTE_US)
#define KLX_NODE_FLAPS_MIN 3
#define KLX_NODE_STABLE_US (10 * KLX_MINUTE_US)
#define KLX_NODE_UPGRADE_US                                                                        \
    (60 * KLX_MINUTE_US) /* how long an upgrader's Event stands for an upgrade */
#define KLX_NODE_UPGRADE_MAX_US                                                                    \
    (240 * KLX_MINUTE_US) /* the same for the annotations: one that failed may leave them */
#define KLX_NODE_SCALE_DOWN_US (15 * KLX_MINUTE_US)
#define KLX_NODE_AUTO_DRAIN_US (10 * KLX_MINUTE_US)
#define KLX_NODE_UNSEEN_US                                                                         \
    (60 * KLX_MINUTE_US) /* a node that only Events name is forgotten: the ladder's whole length */
#define KLX_VM_EVENT_NAME_US (10 * KLX_US_PER_S)     /* to wait for its name */
#define KLX_VM_EVENT_SILENCE_US (30 * KLX_MINUTE_US) /* without the condition: it is over */

#define KLX_NODE_AT_ONCE_MAX 500 /* nodes told of in one turn of the clock */

/* node_ready.c */
const char *klx_node_excuse_name(enum klx_node_excuse why);
/* What explains a loss now. */
enum klx_node_excuse klx_node_excuse(const struct klx_nodes *d, const struct klx_node_state *n,
                                     int64_t now_us);
void klx_node_ready_changed(struct klx_node_call *c, struct klx_node_entry *e, bool ready);
/* Its loss is due as an alarm. */
void klx_node_alarm(struct klx_node_call *c, struct klx_node_entry *e, int64_t due_us);
void klx_node_resolve(struct klx_node_call *c, struct klx_node_state *n, int64_t at_us);
void klx_node_stable(struct klx_node_call *c, struct klx_node_state *n, int64_t due_us);

/* node_actions.c */
/* False: it is none of auto-repair's. */
bool klx_node_observe_action(struct klx_node_call *c);
void klx_node_stuck(struct klx_node_call *c, struct klx_node_state *n);

/* node_leaving.c */
void klx_node_observe_leaving(struct klx_node_call *c, struct klx_node_entry *e,
                              const struct klx_node_view *v);
/* Events of the upgrader, the autoscaler and the cloud's controller. */
void klx_node_observe_leaving_event(struct klx_node_call *c);
/* The Node is gone: ends what is open of it and forgets it. */
void klx_node_removed(struct klx_node_call *c, struct klx_node_entry *e);

/* node_maintenance.c */
void klx_node_observe_maintenance(struct klx_node_call *c, struct klx_node_state *n,
                                  const struct klx_node_view *v);
/* False: it is none of these Events. */
bool klx_node_observe_maintenance_event(struct klx_node_call *c);
/* The node is back: what was a reboot is over, unless the node says otherwise. */
void klx_node_maintenance_survived(struct klx_node_call *c, struct klx_node_state *n,
                                   int64_t at_us);
int64_t klx_node_maintenance_next(const struct klx_node_maintenance *m);
void klx_node_maintenance_due(struct klx_node_call *c, struct klx_node_state *n);

/* node_problems.c */
void klx_node_observe_problems(struct klx_node_call *c, struct klx_node_state *n,
                               const struct klx_node_view *v);
/* False: it is none of these Events. */
bool klx_node_observe_problem_event(struct klx_node_call *c);
void klx_node_problems_due(struct klx_node_call *c, struct klx_node_state *n);

/* node_spread.c */
#define KLX_NODE_SPREAD_RECORD "cluster/problem/" /* and the condition */
void klx_node_spreads_init(struct klx_nodes *d);
int klx_node_spread_restore(struct klx_nodes *d, struct klx_sv condition,
                            struct klx_sv value) KLX_MUST_CHECK;
/* A node's problem is due to be told. True: it is part of what many have, and tells nothing itself. */
bool klx_node_spread_takes(struct klx_node_call *c, size_t spec);
/* A node does not have the problem any more; or, of all problems, a node is gone. */
void klx_node_spread_moved(struct klx_node_call *c, size_t spec);
void klx_node_spreads_moved(struct klx_node_call *c);
void klx_node_spreads_due(struct klx_node_call *c);
/* 0: at once, after a restart; KLX_TIME_NONE: nothing is to be looked at. */
int64_t klx_node_spreads_next(const struct klx_nodes *d);

/* node_burst.c */
/* So many nodes are many. */
int64_t klx_node_burst_threshold(const struct klx_nodes *d);
bool klx_node_burst_is_on(const struct klx_nodes *d);
/* A held alarm is due: opens the burst if there is one. */
void klx_node_burst_check(struct klx_node_call *c, int64_t due_us);
/* A node became part of it, or is not any more. */
void klx_node_burst_moved(struct klx_node_call *c);
int64_t klx_node_burst_next(const struct klx_nodes *d);
void klx_node_burst_due(struct klx_node_call *c);
int klx_node_burst_restore(struct klx_nodes *d, struct klx_sv value) KLX_MUST_CHECK;
