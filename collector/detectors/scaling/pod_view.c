#include "collector/detectors/scaling/pod_view.h"

#include <ctype.h>

#include "collector/detectors/scaling/scaling.h"
#include "lib/base/cleanup.h"
#include "lib/base/time.h"

#define KILLED_EXIT_CODE 137 /* 128 + SIGKILL */
#define SIGKILL_NUMBER 9
#define PHASE_BYTES_MAX 32
#define QUANTITY_BYTES_MAX 40

static const struct klx_json *controller_of(const struct klx_json *object) {
    const struct klx_json *r = klx_json_first(klx_json_get(object, "metadata.ownerReferences"));
    for (; r != NULL; r = klx_json_next(r)) {
        if (klx_json_bool(r, "controller", false)) {
            return r;
        }
    }
    return NULL;
}

/* Cuts "-<tail>" off; the name itself when it does not end so. */
static struct klx_sv without_tail(struct klx_sv name, struct klx_sv tail) {
    bool ends = tail.n > 0 && name.n > tail.n + 1 && klx_sv_ends(name, tail) &&
                name.p[name.n - tail.n - 1] == '-';
    return ends ? klx_sv_n(name.p, name.n - tail.n - 1) : name;
}

/* What a CronJob adds to its name: the minute, in digits. */
static struct klx_sv digits_tail(struct klx_sv name) {
    size_t n = 0;
    while (n < name.n && isdigit((unsigned char)name.p[name.n - n - 1])) {
        n++;
    }
    return n >= 8 ? klx_sv_n(name.p + name.n - n, n) : klx_sv("");
}

static void set_workload(struct klx_pod_view *p, const char *kind, struct klx_sv name) {
    p->workload_kind = klx_sv(kind);
    p->workload_name = name;
}

/* A ReplicaSet is a Deployment's or a Rollout's, with the hash that stands in the pod's labels. */
static void read_replica_set(struct klx_pod_view *p, const struct klx_json *labels,
                             struct klx_sv name) {
    struct klx_sv rollout =
        klx_json_str(klx_json_member(labels, KLX_SV("rollouts-pod-template-hash")), "");
    struct klx_sv deployment =
        klx_json_str(klx_json_member(labels, KLX_SV("pod-template-hash")), "");
    if (rollout.n > 0) {
        set_workload(p, "Rollout", without_tail(name, rollout));
    } else if (deployment.n > 0) {
        set_workload(p, "Deployment", without_tail(name, deployment));
    } else {
        set_workload(p, "ReplicaSet", name);
    }
}

static void read_workload(struct klx_pod_view *p, const struct klx_json *labels) {
    const struct klx_json *owner = controller_of(p->object);
    struct klx_sv kind = klx_json_str(owner, "kind"), name = klx_json_str(owner, "name");
    struct klx_sv rs = klx_json_str(labels, "rsName"), ds = klx_json_str(labels, "dsName");
    if (klx_sv_eq(kind, KLX_SV("ReplicaSet"))) {
        read_replica_set(p, labels, name);
    } else if (klx_sv_eq(kind, KLX_SV("Job")) && digits_tail(name).n > 0) {
        set_workload(p, "CronJob", without_tail(name, digits_tail(name)));
    } else if (kind.n > 0) {
        p->workload_kind = kind;
        p->workload_name = name;
    } else if (rs.n > 0 || ds.n > 0) { /* the add-on's own labels, azure.md 2.1 */
        set_workload(p, rs.n > 0 ? "Deployment" : "DaemonSet", rs.n > 0 ? rs : ds);
    }
}

void klx_pod_view_read(const struct klx_observation *o, struct klx_pod_view *ret) {

    *ret = (struct klx_pod_view){
        .object = o->object,
        .node = klx_json_str(o->object, "spec.nodeName"),
        .phase = klx_news_cut(klx_json_str(o->object, "status.phase"), PHASE_BYTES_MAX),
    };
    ret->ended =
        klx_sv_eq(ret->phase, KLX_SV("Failed")) || klx_sv_eq(ret->phase, KLX_SV("Succeeded"));
    ret->leaving = ret->ended || klx_json_str(o->object, "metadata.deletionTimestamp").n > 0;
    read_workload(ret, o->labels);
}

static enum klx_exit_cause cause_of(const struct klx_json *terminated) {
    struct klx_sv reason = klx_json_str(terminated, "reason");
    bool killed = klx_json_int(terminated, "exitCode", 0) == KILLED_EXIT_CODE ||
                  klx_json_int(terminated, "signal", 0) == SIGKILL_NUMBER;
    if (klx_sv_eq(reason, KLX_SV("OOMKilled"))) {
        return KLX_EXIT_OOM;
    }
    /* 137 also stands for a container that could not be found any more. */
    return killed && !klx_sv_eq(reason, KLX_SV("ContainerStatusUnknown")) ? KLX_EXIT_KILLED
                                                                          : KLX_EXIT_OTHER;
}

static void read_termination(const struct klx_json *now, const struct klx_json *before,
                             struct klx_container_view *c) {
    const struct klx_json *t = now != NULL ? now : before;
    if (t == NULL) {
        return;
    }
    c->terminated = true;
    c->cause = cause_of(t);
    c->ordinal = c->restarts + (now != NULL || !c->running);
    c->exit_code = klx_json_int(t, "exitCode", 0);
    c->reason = klx_json_str(t, "reason");
    c->instance = klx_json_str(t, "containerID");
    c->started_us = klx_news_time(t, "startedAt");
    c->finished_us = klx_news_time(t, "finishedAt");
    c->is_restart = now == NULL || c->exit_code != 0;
}

static const char *const lists[] = { "status.containerStatuses", "status.initContainerStatuses",
                                     "status.ephemeralContainerStatuses" };

static const struct klx_json *next_status(const struct klx_pod_view *p,
                                          struct klx_container_iterator *it) {
    it->at = it->at != NULL ? klx_json_next(it->at) : NULL;
    while (it->at == NULL && it->list < KLX_COUNT(lists)) {
        it->at = klx_json_first(klx_json_get(p->object, lists[it->list++]));
    }
    return it->at;
}

bool klx_container_next(const struct klx_pod_view *p, struct klx_container_iterator *it,
                        struct klx_container_view *ret) {
    const struct klx_json *s = next_status(p, it);
    if (s == NULL) {
        return false;
    }
    const struct klx_json *state = klx_json_get(s, "state");
    const struct klx_json *running = klx_json_get(state, "running");
    *ret = (struct klx_container_view){
        .status = s,
        .name = klx_json_str(s, "name"),
        .restarts = klx_json_int(s, "restartCount", 0),
        .running = klx_json_is_object(running),
        .running_us = klx_news_time(running, "startedAt"),
        .looping = klx_sv_eq(klx_json_str(state, "waiting.reason"), KLX_SV("CrashLoopBackOff")),
        .started_us = KLX_TIME_NONE,
        .finished_us = KLX_TIME_NONE,
    };
    const struct klx_json *now = klx_json_get(state, "terminated");
    const struct klx_json *before = klx_json_get(s, "lastState.terminated");
    read_termination(klx_json_is_object(now) ? now : NULL,
                     klx_json_is_object(before) ? before : NULL, ret);
    return true;
}

static struct klx_sv memory_of(const struct klx_json *container, const char *which) {
    const struct klx_json *resources = klx_json_get(container, "resources");
    return klx_news_cut(klx_json_str(klx_json_get(resources, which), "memory"), QUANTITY_BYTES_MAX);
}

struct klx_sv klx_container_memory(const struct klx_pod_view *p, const struct klx_container_view *c,
                                   const char *which) {
    static const char *const specs[] = { "spec.containers", "spec.initContainers" };
    struct klx_sv in_force = memory_of(c->status, which);
    for (size_t i = 0; i < KLX_COUNT(specs) && in_force.n == 0; i++) {
        const struct klx_json *s = klx_json_first(klx_json_get(p->object, specs[i]));
        for (; s != NULL; s = klx_json_next(s)) {
            if (klx_sv_eq(klx_json_str(s, "name"), c->name)) {
                return memory_of(s, which);
            }
        }
    }
    return in_force;
}
