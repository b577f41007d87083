/*
 * Pods as kubelet reports them, made of a transcript's lines. What a line does not name stays as it was.
 *
 *     NAME [ns=kube-system] [uid=U] [owner=Deployment/ama-metrics] [phase=Running] [deleting]
 *     [container=prometheus-collector] [limit=14Gi] [state=running|terminated|waiting|loop] [restarts=N] [exit=CODE:REASON] [at=MM:SS] [noid]
 *
 * container= says which one the rest of the line is about. exit= is a new termination (at `at`, or now) with a containerID of its own, unless
 * noid; it stands in state.terminated while the state is `terminated`, else in lastState. loop is waiting in CrashLoopBackOff. owner=-, limit=-: none.
 * Another uid= is another pod.
 */
#pragma once

#include "lib/base/time.h"
#include "tests/unit/support/transcript.h"

#define FAKE_CONTAINERS_MAX 4
#define FAKE_PODS_MAX 16

struct fake_container {
    char name[64], limit[16], state[16];
    int64_t restarts;
    char running_since[KLX_TIME_TEXT_BYTES];
    bool has_exited;
    char exit_code[8], reason[32], id[80], finished[KLX_TIME_TEXT_BYTES];
};

struct fake_pod {
    char name[64], namespace[64], uid[40], owner[80], phase[16];
    bool deleting;
    struct fake_container containers[FAKE_CONTAINERS_MAX];
    size_t n;
};

struct fake_pods {
    struct fake_pod items[FAKE_PODS_MAX];
    size_t n;
    unsigned ids; /* containerIDs given so far */
};

/* The object's JSON text, in the transcript's arena. */
struct klx_sv fake_pod_json(struct fake_pods *all, struct transcript *t, const char *line,
                            struct klx_sv name);
