#include "collector/detectors/nodes/node_problems.h"

#include "collector/detectors/nodes/node_rules.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#define S(n) ((n)*KLX_US_PER_S)
#define AGAIN_US (5 * KLX_MINUTE_US) /* looked at again, when something explains it */

const struct klx_node_problem_spec klx_node_problem_specs[] = {
    /* kubelet */
    { "MemoryPressure", "is short of memory", KLX_SEVERITY_WARNING, S(120),
      "kubelet evicts pods. Look for pods without a memory limit.", 0 },
    { "DiskPressure", "is short of disk space", KLX_SEVERITY_WARNING, S(60),
      "kubelet evicts pods and deletes images. Look at logs and emptyDir volumes.", 0 },
    { "PIDPressure", "is short of process ids", KLX_SEVERITY_WARNING, S(60),
      "Look for a pod that starts processes without end.", 0 },
    { "NetworkUnavailable", "has no pod network", KLX_SEVERITY_WARNING, S(120),
      "Look at the network plugin's pod on the node.", 0 },
    /* the node problem detector of AKS */
    { "KubeletProblem", "has a kubelet that does not answer", KLX_SEVERITY_WARNING, S(120),
      "If it stays, the node gets not ready and auto-repair acts.", 0 },
    { "ContainerRuntimeProblem", "has a container runtime that does not answer",
      KLX_SEVERITY_WARNING, S(120), "Running containers go on; none can be started.", 0 },
    { "FilesystemCorruptionProblem", "has a corrupt file system", KLX_SEVERITY_CRITICAL, S(10),
      "Cordon, drain and reimage the node: it does not heal by itself.", 0 },
    { "ReadonlyFilesystem", "has a file system that became read-only", KLX_SEVERITY_CRITICAL, S(10),
      "Mostly its disk had errors. Cordon, drain and reimage the node.", 0 },
    { "KernelDeadlock", "has a kernel that hangs", KLX_SEVERITY_CRITICAL, S(30),
      "Restart the node: what hangs does not come back.", 0 },
    { "FrequentKubeletRestart", "restarts its kubelet again and again", KLX_SEVERITY_WARNING, S(60),
      "Look at kubelet's log on the node.", 0 },
    { "FrequentContainerdRestart", "restarts containerd again and again", KLX_SEVERITY_WARNING,
      S(60), "Look at containerd's log on the node.", 0 },
    { "GPUMissing", "has fewer GPUs than its size has", KLX_SEVERITY_CRITICAL, S(60),
      "Redeploy the node; if it stays, its hardware is broken.", 0 },
    { "XIDErrors", "has GPU errors in its kernel log", KLX_SEVERITY_WARNING, S(60),
      "Look the XID up: some name the workload, some the hardware.", 0 },
    { "NVLinkStatusInactive", "has NVLinks that are down", KLX_SEVERITY_WARNING, S(60),
      "Training over several GPUs is slow or fails. Redeploy the node.", 0 },
    { "IBLinkFlapping", "has an InfiniBand link that flaps", KLX_SEVERITY_WARNING, S(60),
      "Training over several nodes fails. Cordon the node.", 0 },
    { "GPUClockThrottling", "has GPUs that are throttled", KLX_SEVERITY_WARNING, S(300),
      "Mostly heat or power of the host. Redeploy the node if it stays.", 0 },
    { "UnhealthyNvidiaDevicePlugin", "has a GPU device plugin that does not run",
      KLX_SEVERITY_WARNING, S(120), "Pods that ask for a GPU are not placed here.", 0 },
    { "UnhealthyNvidiaDCGMServices", "has GPU monitoring that does not run", KLX_SEVERITY_WARNING,
      S(120), "The GPUs work; their metrics are missing.", 0 },
    /* Events of it, without a condition */
    { "EgressBlocked", "does not reach what AKS needs", KLX_SEVERITY_WARNING, 0,
      "Look at the firewall and the routes: images may not be pulled, and a new node may not join.",
      S(75 * 60) }, /* it is looked at every 30 min */
    { "DNSProblem", "cannot resolve names", KLX_SEVERITY_WARNING, 0,
      "Look at the DNS servers of the virtual network, then at CoreDNS.", S(30 * 60) },
};
const size_t klx_node_problem_specs_n = KLX_COUNT(klx_node_problem_specs);

_Static_assert(KLX_COUNT(klx_node_problem_specs) <= KLX_NODE_PROBLEM_SPECS_MAX, "make it larger");

size_t klx_node_problem_spec_of(struct klx_sv condition) {
    size_t i = 0;
    while (i < klx_node_problem_specs_n &&
           !klx_sv_eq(condition, klx_sv(klx_node_problem_specs[i].condition))) {
        i++;
    }
    return i;
}

static void tell(struct klx_node_call *c, struct klx_node_state *n, struct klx_node_problem *p) {
    const struct klx_node_problem_spec *s = &klx_node_problem_specs[p->spec];
    int64_t due_us = p->due_us;
    enum klx_phase phase = klx_node_open(c, n, &p->episode, s->condition, due_us);
    p->told = true;
    p->due_us = s->silence_us > 0 ? c->now_us + s->silence_us : KLX_TIME_NONE;
    klx_node_tell(c, n,
                  (struct klx_node_news){
                      .kind = KLX_KIND_NODE_PROBLEM,
                      .phase = phase,
                      .episode = &p->episode,
                      .severity = s->severity,
                      .time_us = due_us,
                      .since_us = p->since_us,
                      .reason = klx_sv(s->condition),
                      .summary = s->silence_us > 0
                                     ? klx_arena_printf(c->out->arena, "Node %s %s (%s)", n->name,
                                                        s->words, s->condition)
                                     : klx_arena_printf(c->out->arena, "Node %s %s (%s: %s)",
                                                        n->name, s->words, s->condition, p->reason),
                      .hint = klx_sv(s->hint),
                      .problem = p });
}

/* "ReadonlyFilesystem is False", "EgressBlocked was not reported for 1 h 15 min" */
static struct klx_sv over_words(struct klx_node_call *c, const struct klx_node_problem_spec *s) {
    return s->silence_us > 0 ? klx_arena_printf(c->out->arena, "%s was not reported for %s",
                                                s->condition, klx_node_words(c, 0, s->silence_us))
                             : klx_arena_printf(c->out->arena, "%s is False", s->condition);
}

static void tell_over(struct klx_node_call *c, struct klx_node_state *n,
                      struct klx_node_problem *p) {
    const struct klx_node_problem_spec *s = &klx_node_problem_specs[p->spec];
    int64_t due_us = p->due_us;
    klx_node_tell(c, n,
                  (struct klx_node_news){
                      .kind = KLX_KIND_NODE_PROBLEM_OVER,
                      .phase = KLX_PHASE_RESOLVED,
                      .episode = &p->episode,
                      .time_us = due_us,
                      .since_us = p->since_us,
                      .reason = klx_sv(s->condition),
                      .summary = klx_arena_printf(
                          c->out->arena, "Node %s is well again: %.*s, %s after it began", n->name,
                          KLX_SV_FMT(over_words(c, s)), klx_node_words(c, p->since_us, due_us)),
                      .problem = p });
    klx_episode_close(&p->episode, due_us);
    p->told = false;
    p->due_us = due_us + KLX_NODE_REOPEN_US;
}

static void begin(struct klx_node_call *c, struct klx_node_state *n, size_t spec,
                  const struct klx_node_view *v) {
    struct klx_node_problem *p = klx_node_problem_find(n, spec);
    p = p != NULL ? p : klx_node_problem_add(n, spec);
    p->on = true;
    klx_news_copy(p->reason, sizeof(p->reason), v->reasons[spec]);
    if (p->told || p->folded) {
        p->due_us = KLX_TIME_NONE; /* it was not over */
        return;
    }
    p->since_us = v->since_us[spec] != KLX_TIME_NONE ? v->since_us[spec] : c->now_us;
    p->due_us = c->now_us + klx_node_problem_specs[spec].hold_us;
}

static void cease(struct klx_node_call *c, struct klx_node_state *n, struct klx_node_problem *p) {
    p->on = false;
    if (p->told || p->folded) {
        p->due_us = c->now_us + klx_node_problem_specs[p->spec].hold_us;
    } else if (p->episode.id[0] != '\0') {
        p->due_us = c->now_us + KLX_NODE_REOPEN_US;
    } else {
        klx_node_problem_remove(n, p);
    }
}

/* Unknown says nothing: a node that does not answer keeps the conditions it had. */
void klx_node_observe_problems(struct klx_node_call *c, struct klx_node_state *n,
                               const struct klx_node_view *v) {
    for (size_t i = 0; i < klx_node_problem_specs_n; i++) {
        struct klx_node_problem *p = klx_node_problem_find(n, i);
        bool on = p != NULL && p->on;
        if (klx_node_problem_specs[i].silence_us > 0) {
            continue; /* no condition */
        }
        if (v->problems[i] == KLX_CONDITION_TRUE && !on) {
            begin(c, n, i, v);
        } else if (v->problems[i] == KLX_CONDITION_FALSE && on) {
            cease(c, n, p);
        }
    }
}

/* A sign of a problem that has no condition. */
bool klx_node_observe_problem_event(struct klx_node_call *c) {
    size_t spec = klx_node_problem_spec_of(c->o->event.reason);
    if (spec == klx_node_problem_specs_n || klx_node_problem_specs[spec].silence_us == 0) {
        return false;
    }
    struct klx_node_entry *e = klx_node_table_of_event(c);
    if (e == NULL) {
        return true;
    }
    struct klx_node_problem *p = klx_node_problem_find(&e->n, spec);
    p = p != NULL ? p : klx_node_problem_add(&e->n, spec);
    if (!p->on) {
        p->on = true;
        p->since_us = c->o->event.time_us;
        p->due_us = c->now_us;
        klx_news_copy(p->reason, sizeof(p->reason), c->o->event.reason);
    } else if (p->told || p->folded) { /* to the minute: a state record for each at most */
        p->due_us = c->now_us - c->now_us % KLX_MINUTE_US + klx_node_problem_specs[spec].silence_us;
    }
    klx_node_table_save(c, e);
    return true;
}

static void fold(struct klx_node_call *c, struct klx_node_problem *p) {
    int64_t silence_us = klx_node_problem_specs[p->spec].silence_us;
    p->folded = true;
    p->due_us = silence_us > 0 ? c->now_us + silence_us : KLX_TIME_NONE;
}

/* It has been over for long enough. False: it is forgotten. */
static bool cease_due(struct klx_node_call *c, struct klx_node_state *n,
                      struct klx_node_problem *p) {
    if (p->told) {
        tell_over(c, n, p);
        return true;
    }
    klx_node_problem_remove(n, p);
    return false;
}

void klx_node_problems_due(struct klx_node_call *c, struct klx_node_state *n) {
    for (size_t i = 0; i < n->problems_n; i++) {
        struct klx_node_problem *p = &n->problems[i];
        if (p->due_us == KLX_TIME_NONE || p->due_us > c->now_us) {
            continue;
        }
        bool silent = (p->told || p->folded) && klx_node_problem_specs[p->spec].silence_us > 0;
        p->on = p->on && !silent;
        if (p->on && klx_node_excuse(c->d, n, c->now_us) != KLX_EXCUSE_NONE) {
            p->due_us = c->now_us + AGAIN_US;
        } else if (p->on && klx_node_spread_takes(c, p->spec)) {
            fold(c, p);
        } else if (p->on) {
            tell(c, n, p);
        } else {
            size_t spec = p->spec;
            i -= !cease_due(c, n, p);
            klx_node_spread_moved(c, spec);
        }
    }
}
