/*
 * The detector of HPAs and pods, by transcripts (tests/unit/support/transcript.h) in tests/golden/autoscaling/<name>.txt. Every object is
 * JSON and goes through its source.
 *
 *     > 00:00 hpa NAME … [baseline|resync]               as tests/unit/support/fake_hpa.h says
 *     > 00:00 pod NAME … [baseline|resync]               as tests/unit/support/fake_pod.h says
 *     > 00:00 delete-hpa NAME          > 00:00 delete-pod NAME
 *     > 00:00 rescale NAME SIZE REASON…                  the Event of it
 *     > 00:00 relist-hpa NAMESPACE/NAME…                 > 00:00 relist-pods NAMESPACE/NAME…
 *     > 00:00 usage POD MEMORY [ns=kube-system] [container=prometheus-collector] [show]
 *                                                        PodMetrics; show: the sample on klaxon.metrics as well
 *     > 00:00 grow POD FROM TO N [every=30] [noise=0] …  N of them, in even steps, `every` seconds apart, and off by `noise` percent of FROM;
 *                                                        a restart comes after all of them only
 *     > 00:00 play FILE                                  what tests/record/hpa.py wrote: frames of a real cluster, each at its time
 */
#include "tests/unit/support/support.h"

#include <stdio.h>
#include <stdlib.h>

#include "collector/sources/source.h"
#include "lib/base/cleanup.h"
#include "lib/base/quantity.h"
#include "lib/base/time.h"
#include "tests/unit/support/fake_hpa.h"
#include "tests/unit/support/fake_pod.h"
#include "tests/unit/support/transcript.h"

struct cluster {
    struct fake_hpas hpas;
    struct fake_pods pods;
};

static const struct klx_json *parse(struct transcript *t, struct klx_sv text) {
    const struct klx_json *object = NULL;
    struct klx_error e = { 0 };
    if (klx_json_parse(&t->arena, text, NULL, &object, &e) != 0) {
        fail_msg("%s: %.*s", e.text, KLX_SV_FMT(text));
    }
    return object;
}

static void observe_hpa(struct transcript *t, const char *line, struct klx_sv rest,
                        enum klx_change change) {
    struct cluster *c = t->arg;
    struct klx_sv text = fake_hpa_json(&c->hpas, t, line, klx_sv_cut(&rest, ' '));
    transcript_observe(t, line, &klx_source_hpa, change, parse(t, text));
}

static void observe_pod(struct transcript *t, const char *line, struct klx_sv rest,
                        enum klx_change change) {
    struct cluster *c = t->arg;
    struct klx_sv text = fake_pod_json(&c->pods, t, line, klx_sv_cut(&rest, ' '));
    transcript_observe(t, line, &klx_source_pods, change, parse(t, text));
}

static void observe_rescale(struct transcript *t, const char *line, struct klx_sv rest) {
    struct klx_sv name = klx_sv_cut(&rest, ' '), size = klx_sv_cut(&rest, ' ');
    char now[KLX_TIME_TEXT_BYTES];
    klx_time_format(t->now_us, KLX_TIME_SECONDS, now);
    struct klx_sv text = klx_arena_printf(
        &t->arena,
        "{\"metadata\":{\"name\":\"e\",\"namespace\":\"kube-system\",\"uid\":\"e\","
        "\"resourceVersion\":\"%u\"},\"involvedObject\":{\"kind\":\"HorizontalPodAutoscaler\","
        "\"namespace\":\"kube-system\",\"name\":\"%.*s\"},\"reason\":\"SuccessfulRescale\","
        "\"message\":\"New size: %.*s; reason: %.*s\",\"type\":\"Normal\",\"count\":1,\"source\":{"
        "\"component\":\"horizontal-pod-autoscaler\"},\"lastTimestamp\":\"%s\"}",
        ++t->version, KLX_SV_FMT(name), KLX_SV_FMT(size), KLX_SV_FMT(rest), now);
    transcript_observe(t, line, &klx_source_events, KLX_CHANGE_ADDED, parse(t, text));
}

/* One sample of one container, with a second container beside it that has no limit. */
static void sample(struct transcript *t, const char *line, struct klx_sv pod, double bytes) {
    struct klx_sv ns = transcript_option(line, "ns"), c = transcript_option(line, "container");
    char at[KLX_TIME_TEXT_BYTES];
    klx_time_format(t->now_us, KLX_TIME_SECONDS, at);
    ns = ns.n > 0 ? ns : KLX_SV("kube-system");
    c = c.n > 0 ? c : KLX_SV("prometheus-collector");
    struct klx_sv text = klx_arena_printf(
        &t->arena,
        "{\"metadata\":{\"name\":\"%.*s\",\"namespace\":\"%.*s\"},\"timestamp\":\"%s\","
        "\"window\":\"15.1s\",\"containers\":[{\"name\":\"%.*s\",\"usage\":{\"cpu\":\"250m\","
        "\"memory\":\"%.0f\"}},{\"name\":\"aside\",\"usage\":{\"cpu\":\"1n\",\"memory\":\"1Mi\"}}]"
        "}",
        KLX_SV_FMT(pod), KLX_SV_FMT(ns), at, KLX_SV_FMT(c), bytes);
    t->shows_samples = transcript_has_word(line, "show");
    transcript_observe(t, line, &klx_source_podmetrics, KLX_CHANGE_MODIFIED, parse(t, text));
    t->shows_samples = false;
}

static double quantity(struct klx_sv text) {
    double value = 0;
    assert_int_equal(klx_quantity_parse(text, &value), 0);
    return value;
}

static double option_or(const char *line, const char *name, double otherwise) {
    struct klx_sv text = transcript_option(line, name);
    return text.n > 0 ? quantity(text) : otherwise;
}

static void grow(struct transcript *t, const char *line, struct klx_sv rest) {
    struct klx_sv pod = klx_sv_cut(&rest, ' ');
    double from = quantity(klx_sv_cut(&rest, ' '));
    double to = quantity(klx_sv_cut(&rest, ' '));
    double n = quantity(klx_sv_cut(&rest, ' ')), noise = option_or(line, "noise", 0) / 100;
    int64_t begin_us = t->now_us, every_us = (int64_t)option_or(line, "every", 30) * KLX_US_PER_S;
    for (int i = 0; i < (int)n; i++) {
        double off = noise * from * ((i * 7919 % 200) / 100.0 - 1);
        transcript_begin_step(t, begin_us + i * every_us);
        sample(t, line, pod, from + (to - from) * i / (n > 1 ? n - 1 : 1) + off);
    }
}

static const struct klx_source_ops *source_named(struct klx_sv name) {
    static const struct klx_source_ops *const all[] = {
#define KLX_SOURCE(name) &klx_source_##name,
#include "collector/sources/list.def"
#undef KLX_SOURCE
    };
    for (size_t i = 0; i < KLX_COUNT(all); i++) {
        if (klx_sv_eq(name, klx_sv(all[i]->name))) {
            return all[i];
        }
    }
    fail_msg("no source %.*s", KLX_SV_FMT(name));
    return NULL;
}

static void observe_frame(struct transcript *t, const struct klx_json *line) {
    struct klx_sv type = klx_json_str(line, "frame.type");
    transcript_observe(t, klx_json_bool(line, "baseline", false) ? " baseline" : "",
                       source_named(klx_json_str(line, "source")),
                       klx_sv_eq(type, KLX_SV("DELETED")) ? KLX_CHANGE_DELETED
                                                          : KLX_CHANGE_MODIFIED,
                       klx_json_get(line, "frame.object"));
}

static void play(struct transcript *t, struct klx_sv file) {
    char path[256];
    snprintf(path, sizeof(path), "golden/autoscaling/%.*s", KLX_SV_FMT(file));
    char *text = test_read_file(path);
    struct klx_sv rest = klx_sv(text);
    while (rest.n > 0) {
        struct klx_sv line = klx_sv_cut(&rest, '\n');
        struct klx_arena arena KLX_CLEANUP(klx_arena_release);
        const struct klx_json *at = NULL;
        klx_arena_init(&arena, 65536, 4 << 20);
        assert_int_equal(klx_json_parse(&arena, line, NULL, &at, NULL), 0);
        transcript_begin_step(t, TRANSCRIPT_BASE_US +
                                     (int64_t)(klx_json_double(at, "at", 0) * KLX_US_PER_S));
        observe_frame(t, at);
        transcript_end_step(t);
    }
    free(text);
}

static void relist(struct transcript *t, const char *line, enum klx_observation_kind kind) {
    t->ops->relisted(t->detector, kind, transcript_is_listed, (void *)(uintptr_t)line, t->now_us,
                     &t->out);
}

static void run_line(struct transcript *t, const char *line, struct klx_sv verb,
                     struct klx_sv rest) {
    if (klx_sv_eq(verb, KLX_SV("hpa"))) {
        observe_hpa(t, line, rest, KLX_CHANGE_MODIFIED);
    } else if (klx_sv_eq(verb, KLX_SV("delete-hpa"))) {
        observe_hpa(t, line, rest, KLX_CHANGE_DELETED);
    } else if (klx_sv_eq(verb, KLX_SV("pod"))) {
        observe_pod(t, line, rest, KLX_CHANGE_MODIFIED);
    } else if (klx_sv_eq(verb, KLX_SV("delete-pod"))) {
        observe_pod(t, line, rest, KLX_CHANGE_DELETED);
    } else if (klx_sv_eq(verb, KLX_SV("usage"))) {
        struct klx_sv pod = klx_sv_cut(&rest, ' ');
        sample(t, line, pod, quantity(klx_sv_cut(&rest, ' ')));
    } else if (klx_sv_eq(verb, KLX_SV("grow"))) {
        grow(t, line, rest);
    } else if (klx_sv_eq(verb, KLX_SV("relist-pods"))) {
        relist(t, line, KLX_OBSERVED_POD);
    } else if (klx_sv_eq(verb, KLX_SV("rescale"))) {
        observe_rescale(t, line, rest);
    } else if (klx_sv_eq(verb, KLX_SV("relist-hpa"))) {
        relist(t, line, KLX_OBSERVED_HPA);
    } else if (klx_sv_eq(verb, KLX_SV("play"))) {
        play(t, rest);
    } else {
        fail_msg("no verb %.*s", KLX_SV_FMT(verb));
    }
}

/* The detector of a cluster whose PodMetrics are polled. */
static void *create_with_metrics(struct klx_sv cluster, const void *settings) {
    void *d = klx_detector_autoscaling.create(cluster, settings);
    klx_detector_autoscaling.expect(d, 1u << KLX_OBSERVED_POD_METRICS);
    return d;
}

static void run(const char *name, bool restarting) {
    struct cluster c = { 0 };
    struct klx_detector_ops ops = klx_detector_autoscaling;
    char file[200];
    snprintf(file, sizeof(file), "autoscaling/%s.txt", name);
    if (klx_sv_starts(klx_sv(name), KLX_SV("memory-"))) {
        ops.create = create_with_metrics;
    }
    transcript_run(&ops, file, restarting, run_line, &c);
}

static void a_broken_state_is_refused(void **state) {
    (void)state;
    static const char *const keys[] = { "hpa/ns/name", "pod/ns/name", "memory/ns/name",
                                        "x/ns/name" };
    for (size_t i = 0; i < KLX_COUNT(keys); i++) {
        transcript_check_bad_states(&klx_detector_autoscaling, keys[i], NULL, 0);
    }
}

static const char *const names[] = {
    "scale",        "scale-by-another", "at-max",      "at-min",        "blind",
    "clock-ahead",  "bounds",           "flapping",    "hpa-removed",   "hpa-baseline",
    "hpa-relist",   "hpa-idle",         "oom-once",    "oom-loop",      "oom-hpa",
    "oom-shapes",   "killed",           "wave",        "crash-loop",    "pod-gone",
    "pod-baseline", "pod-relist",       "pod-idle",    "recorded-loop", "memory-near",
    "memory-leak",  "memory-oom",       "memory-gone", "memory-shapes", "memory-idle",
    "memory-parts",
};

int main(void) {
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(a_broken_state_is_refused),
    };
    return transcript_main(others, KLX_COUNT(others), names, KLX_COUNT(names), run);
}
