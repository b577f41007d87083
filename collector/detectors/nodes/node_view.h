/*
 * What of a Node's object matters beside its readiness: who removes it, and its conditions. Pure; borrows from the object.
 */
#pragma once

#include "collector/detectors/nodes/node_problems.h"
#include "collector/detectors/nodes/node_state.h"
#include "collector/observation.h"

enum klx_condition { KLX_CONDITION_FALSE, KLX_CONDITION_TRUE, KLX_CONDITION_UNKNOWN };

struct klx_node_view {
    enum klx_node_remover remover;
    enum klx_condition vm_event;   /* VMEventScheduled */
    enum klx_vm_event vm_event_is; /* which, by the first word of its message; UNNAMED: not known */
    int64_t vm_event_us;
    /* By klx_node_problem_specs. */
    enum klx_condition problems[KLX_NODE_PROBLEM_SPECS_MAX];
    struct klx_sv reasons[KLX_NODE_PROBLEM_SPECS_MAX];
    int64_t since_us[KLX_NODE_PROBLEM_SPECS_MAX];
};

void klx_node_view_read(const struct klx_observation *o, struct klx_node_view *ret);
/* Equal for two observations between which nothing changed that is told or kept: heartbeats, images, addresses do not count. */
void klx_node_view_mark(const struct klx_observation *o, const struct klx_node_view *v,
                        char out[static KLX_HASH_TEXT_BYTES]);
/* "FreezeScheduled", "Preempt Scheduled: …" */
enum klx_vm_event klx_vm_event_of(struct klx_sv text);
