#include "tests/unit/support/fake_pod.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/support/support.h"

#define HASH "7c9d8f7b6d" /* of the pod template */

static void put(char *to, size_t n, struct klx_sv value) {
    if (value.n > 0) {
        snprintf(to, n, "%.*s", KLX_SV_FMT(value));
    }
}

static struct fake_pod *pod_of(struct fake_pods *all, struct klx_sv name) {
    for (size_t i = 0; i < all->n; i++) {
        if (klx_sv_eq(name, klx_sv(all->items[i].name))) {
            return &all->items[i];
        }
    }
    assert_true(all->n < FAKE_PODS_MAX);
    struct fake_pod *p = &all->items[all->n++];
    *p = (struct fake_pod){ .namespace = "kube-system",
                            .owner = "Deployment/ama-metrics",
                            .phase = "Running" };
    put(p->name, sizeof(p->name), name);
    snprintf(p->uid, sizeof(p->uid), "uid-of-%.*s", (int)(name.n < 30 ? name.n : 30), name.p);
    return p;
}

static struct fake_container *container_of(struct fake_pod *p, struct klx_sv name, int64_t now_us) {
    for (size_t i = 0; i < p->n; i++) {
        if (klx_sv_eq(name, klx_sv(p->containers[i].name))) {
            return &p->containers[i];
        }
    }
    assert_true(p->n < FAKE_CONTAINERS_MAX);
    struct fake_container *c = &p->containers[p->n++];
    *c = (struct fake_container){ .limit = "14Gi", .state = "running" };
    put(c->name, sizeof(c->name), name);
    klx_time_format(now_us, KLX_TIME_SECONDS, c->running_since);
    return c;
}

static void take_exit(struct fake_pods *all, struct fake_container *c, const char *line,
                      int64_t now_us) {
    struct klx_sv reason = transcript_option(line, "exit"), at = transcript_option(line, "at");
    if (reason.n == 0) {
        return;
    }
    c->has_exited = true;
    put(c->exit_code, sizeof(c->exit_code), klx_sv_cut(&reason, ':'));
    put(c->reason, sizeof(c->reason), reason);
    c->id[0] = '\0';
    if (!transcript_has_word(line, "noid")) {
        snprintf(c->id, sizeof(c->id), "containerd://%064x", ++all->ids);
    }
    klx_time_format(at.n > 0 ? transcript_time(at) : now_us, KLX_TIME_SECONDS, c->finished);
}

static void take_uid(struct fake_pod *p, struct klx_sv uid) {
    if (uid.n > 0 && !klx_sv_eq(uid, klx_sv(p->uid))) {
        put(p->uid, sizeof(p->uid), uid);
        p->deleting = false;
        p->n = 0;
    }
}

static void take_options(struct fake_pods *all, struct fake_pod *p, const char *line,
                         int64_t now_us) {
    struct klx_sv name = transcript_option(line, "container");
    struct klx_sv state = transcript_option(line, "state");
    struct klx_sv restarts = transcript_option(line, "restarts");
    take_uid(p, transcript_option(line, "uid"));
    struct fake_container *c =
        container_of(p, name.n > 0 ? name : KLX_SV("prometheus-collector"), now_us);
    put(p->namespace, sizeof(p->namespace), transcript_option(line, "ns"));
    put(p->owner, sizeof(p->owner), transcript_option(line, "owner"));
    put(p->phase, sizeof(p->phase), transcript_option(line, "phase"));
    p->deleting = p->deleting || transcript_has_word(line, "deleting");
    put(c->limit, sizeof(c->limit), transcript_option(line, "limit"));
    if (klx_sv_eq(state, KLX_SV("running"))) {
        klx_time_format(now_us, KLX_TIME_SECONDS, c->running_since);
    }
    put(c->state, sizeof(c->state), state);
    assert_true(restarts.n == 0 || klx_sv_int(restarts, &c->restarts) == 0);
    take_exit(all, c, line, now_us);
}

static struct klx_sv exit_json(struct transcript *t, const struct fake_container *c) {
    struct klx_sv id = c->id[0] != '\0'
                           ? klx_arena_printf(&t->arena, ",\"containerID\":\"%s\"", c->id)
                           : klx_sv("");
    return klx_arena_printf(
        &t->arena,
        "{\"terminated\":{\"exitCode\":%s,\"reason\":\"%s\",\"startedAt\":\"2026-03-11T06:00:00Z\","
        "\"finishedAt\":\"%s\"%.*s}}",
        c->exit_code, c->reason, c->finished, KLX_SV_FMT(id));
}

static struct klx_sv container_json(struct transcript *t, const struct fake_container *c) {
    bool terminated = strcmp(c->state, "terminated") == 0;
    struct klx_sv gone = c->has_exited ? exit_json(t, c) : KLX_SV("{}");
    struct klx_sv state =
        terminated ? gone
        : strcmp(c->state, "running") == 0
            ? klx_arena_printf(&t->arena, "{\"running\":{\"startedAt\":\"%s\"}}", c->running_since)
            : klx_arena_printf(&t->arena, "{\"waiting\":{\"reason\":\"%s\"}}",
                               strcmp(c->state, "loop") == 0 ? "CrashLoopBackOff"
                                                             : "ContainerCreating");
    return klx_arena_printf(
        &t->arena, "{\"name\":\"%s\",\"restartCount\":%lld,\"state\":%.*s,\"lastState\":%.*s}",
        c->name, (long long)c->restarts, KLX_SV_FMT(state),
        KLX_SV_FMT(terminated ? KLX_SV("{}") : gone));
}

static struct klx_sv owner_json(struct transcript *t, const struct fake_pod *p) {
    struct klx_sv name = klx_sv(p->owner), kind = klx_sv_cut(&name, '/');
    bool deployment = klx_sv_eq(kind, KLX_SV("Deployment"));
    if (name.n == 0) {
        return klx_sv("");
    }
    return klx_arena_printf(
        &t->arena,
        "\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":\"%.*s\",\"name\":\"%.*s%s\","
        "\"controller\":true}],\"labels\":{\"rsName\":\"%.*s\"%s},",
        KLX_SV_FMT(deployment ? KLX_SV("ReplicaSet") : kind), KLX_SV_FMT(name),
        deployment ? "-" HASH : "", KLX_SV_FMT(name),
        deployment ? ",\"pod-template-hash\":\"" HASH "\"" : "");
}

struct klx_sv fake_pod_json(struct fake_pods *all, struct transcript *t, const char *line,
                            struct klx_sv name) {
    struct fake_pod *p = pod_of(all, name);
    take_options(all, p, line, t->now_us);
    struct klx_sv specs = klx_sv(""), statuses = klx_sv("");
    for (size_t i = 0; i < p->n; i++) {
        const struct fake_container *c = &p->containers[i];
        const char *comma = i > 0 ? "," : "";
        struct klx_sv limits =
            strcmp(c->limit, "-") == 0
                ? klx_sv("")
                : klx_arena_printf(&t->arena, "\"limits\":{\"memory\":\"%s\"},", c->limit);
        specs = klx_arena_printf(
            &t->arena,
            "%.*s%s{\"name\":\"%s\",\"resources\":{%.*s\"requests\":{\"memory\":\"500Mi\"}}}",
            KLX_SV_FMT(specs), comma, c->name, KLX_SV_FMT(limits));
        statuses = klx_arena_printf(&t->arena, "%.*s%s%.*s", KLX_SV_FMT(statuses), comma,
                                    KLX_SV_FMT(container_json(t, c)));
    }
    return klx_arena_printf(
        &t->arena,
        "{\"metadata\":{%.*s\"name\":\"%s\",\"namespace\":\"%s\",\"uid\":\"%s\","
        "\"resourceVersion\":"
        "\"%u\"%s},\"spec\":{\"nodeName\":\"aks-nodepool1-12345678-vmss000000\",\"containers\":["
        "%.*s]},\"status\":{\"phase\":\"%s\",\"containerStatuses\":[%.*s]}}",
        KLX_SV_FMT(owner_json(t, p)), p->name, p->namespace, p->uid, ++t->version,
        p->deleting ? ",\"deletionTimestamp\":\"2026-03-11T07:30:00Z\"" : "", KLX_SV_FMT(specs),
        p->phase, KLX_SV_FMT(statuses));
}
