/*
 * Conditions of a Node that tell of a problem: kubelet's own, and those of AKS's node problem detector (facts: azure.md 1.6). A list, because
 * a condition that nobody here knows may mean something good. Of some there is only an Event, which repeats. Left out as noise: FrequentUnregisterNetDevice and FrequentDockerRestart.
 */
#pragma once

#include "schema/event.h"

struct klx_node_problem_spec {
    const char *condition;
    const char *words; /* "its file system is corrupt" */
    enum klx_severity severity;
    int64_t hold_us; /* so long it must be there, and then gone, before that is told: it flaps */
    const char *hint;
    int64_t
        silence_us; /* above 0: there is only an Event of this reason; over when it did not come for so long */
};

#define KLX_NODE_PROBLEM_SPECS_MAX 32
extern const struct klx_node_problem_spec klx_node_problem_specs[];
extern const size_t klx_node_problem_specs_n;

/* The index of a condition's type; klx_node_problem_specs_n: none of these. */
size_t klx_node_problem_spec_of(struct klx_sv condition);
