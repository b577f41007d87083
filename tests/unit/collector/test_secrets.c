/*
 * What is known to hold secrets stays in the cluster: every source is fed with an object that holds canaries wherever they could stand, in
 * several states, through every detector; none of them is in any event, key or state.
 */
#include "tests/unit/support/support.h"

#include <string.h>

#include "collector/detector_settings.h"
#include "collector/generic.h"
#include "collector/sources/source.h"
#include "lib/base/cleanup.h"
#include "lib/base/time.h"
#include "tests/unit/support/fake_app.h"

#define CANARY "c4n4ry"

static const struct klx_source_ops *const sources[] = {
#define KLX_SOURCE(name) &klx_source_##name,
#include "collector/sources/list.def"
#undef KLX_SOURCE
};

/* In every object: places where nobody has any business. */
static const char everywhere[] =
    "{\"kind\":\"Thing\",\"metadata\":{\"name\":\"web\",\"namespace\":\"shop\",\"uid\":\"u-1\","
    "\"resourceVersion\":\"7\",\"creationTimestamp\":\"2026-03-11T07:00:00Z\","
    "\"labels\":{\"team\":\"checkout\",\"secret-label\":\"" CANARY "-label\"},"
    "\"annotations\":{\"kubectl.kubernetes.io/last-applied-configuration\":\"{\\\"password\\\":"
    "\\\"" CANARY "-applied\\\"}\",\"example.com/token\":\"" CANARY "-annotation\"},"
    "\"managedFields\":[{\"manager\":\"kubectl\",\"fieldsV1\":{\"f:" CANARY "-managed\":{}}}]},"
    "\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"app\",\"image\":\"x:1\","
    "\"env\":[{\"name\":\"DB_PASSWORD\",\"value\":\"" CANARY "-env\"}],\"args\":[\"--token=" CANARY
    "-arg\"]}]}},\"containers\":[{\"name\":\"app\",\"resources\":{\"limits\":{\"memory\":\"64Mi\"}}"
    ","
    "\"env\":[{\"name\":\"API_KEY\",\"value\":\"" CANARY "-podenv\"}],\"command\":[\"" CANARY
    "-command\"]}]},\"data\":{\"password\":\"" CANARY "-data\"},\"stringData\":{\"x\":\"" CANARY
    "-string\"}}";

/* What else each of them may hold, and three states that are told of. */
static const struct {
    const char *source;
    const char *states[3];
} cases[] = {
    { "events",
      { "{\"involvedObject\":{\"kind\":\"Pod\",\"name\":\"web\",\"namespace\":\"shop\"},"
        "\"reason\":\"Failed\",\"type\":\"Warning\",\"message\":\"pull https://u:" CANARY
        "@r.example.com failed, password=" CANARY
        "\",\"lastTimestamp\":\"2026-03-11T07:00:00Z\"}" } },
    { "nodes",
      { "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}",
        "{\"spec\":{\"unschedulable\":true},\"status\":{\"conditions\":[{\"type\":\"Ready\","
        "\"status\":\"False\",\"reason\":\"KubeletNotReady\"}]}}" } },
    { "hpa",
      { "{\"spec\":{\"minReplicas\":1,\"maxReplicas\":5,\"scaleTargetRef\":{\"kind\":"
        "\"Deployment\","
        "\"name\":\"web\"}},\"status\":{\"currentReplicas\":1,\"desiredReplicas\":1}}",
        "{\"spec\":{\"maxReplicas\":7},\"status\":{\"currentReplicas\":3,\"desiredReplicas\":3}"
        "}" } },
    { "pods",
      { "{\"status\":{\"phase\":\"Running\",\"containerStatuses\":[{\"name\":\"app\","
        "\"restartCount\":0,\"state\":{\"running\":{}}}]}}",
        "{\"status\":{\"containerStatuses\":[{\"name\":\"app\",\"restartCount\":1,"
        "\"containerID\":\"b\",\"state\":{\"running\":{}},\"lastState\":{\"terminated\":{"
        "\"exitCode\":137,\"reason\":\"OOMKilled\",\"message\":\"" CANARY
        "-message\",\"containerID\":\"a\",\"finishedAt\":\"2026-03-11T07:00:01Z\"}}}]}}" } },
    { "applications",
      { "{\"spec\":{\"project\":\"p\",\"source\":{\"repoURL\":\"https://bot:" CANARY
        "-repo@git.example.com/a.git\",\"helm\":{\"values\":\"password: " CANARY
        "-values\",\"valuesObject\":{\"password\":\"" CANARY
        "-object\"},\"parameters\":[{\"name\":\"p\",\"value\":\"" CANARY
        "-parameter\"}]},\"plugin\":{\"env\":[{\"name\":\"X\",\"value\":\"" CANARY
        "-plugin\"}]}},\"syncPolicy\":{\"automated\":{}}},\"status\":{\"sync\":{\"status\":"
        "\"Synced\","
        "\"revision\":\"a\"},\"health\":{\"status\":\"Healthy\"}}}",
        "{\"operation\":{\"initiatedBy\":{\"username\":\"me\"},\"sync\":{\"revision\":\"b\","
        "\"manifests\":[\"" CANARY "-manifest\"]}},\"status\":{\"operationState\":{\"phase\":"
        "\"Running\",\"startedAt\":\"2026-03-11T07:00:01Z\",\"operation\":{\"sync\":{\"manifests\":"
        "[\"" CANARY "-manifest\"]}}}}}",
        "{\"operation\":null,\"status\":{\"operationState\":{\"phase\":\"Failed\",\"finishedAt\":"
        "\"2026-03-11T07:00:09Z\",\"message\":\"git: https://bot:" CANARY
        "-failed@git.example.com: Authorization: Bearer " CANARY
        "\"},\"conditions\":[{\"type\":\"ComparisonError\",\"message\":\"token=" CANARY
        "-condition\"}]}}" } },
    { "rollouts",
      { "{\"metadata\":{\"generation\":1},\"status\":{\"observedGeneration\":\"1\",\"phase\":"
        "\"Healthy\",\"currentPodHash\":\"a\",\"stableRS\":\"a\"}}",
        "{\"status\":{\"phase\":\"Degraded\",\"currentPodHash\":\"b\",\"abort\":true,\"message\":"
        "\"RolloutAborted: password=" CANARY
        "-abort\",\"canary\":{\"currentStepAnalysisRunStatus\":{\"name\":\"run\",\"status\":"
        "\"Failed\",\"message\":\"query with token=" CANARY "-run\"}}}}" } },
    { "applicationsets",
      { "{\"spec\":{\"generators\":[{\"list\":{\"elements\":[{\"password\":\"" CANARY
        "-element\"}]}}],\"template\":{\"spec\":{\"source\":{\"helm\":{\"values\":\"" CANARY
        "-values\"}}}}},\"status\":{\"resources\":[]}}",
        "{\"status\":{\"conditions\":[{\"type\":\"ErrorOccurred\",\"status\":\"True\",\"reason\":"
        "\"X\",\"message\":\"https://bot:" CANARY "-set@git.example.com\",\"lastTransitionTime\":"
        "\"2026-03-11T06:00:00Z\"}],\"resources\":[{\"name\":\"a\",\"message\":\"" CANARY
        "-resource\"}]}}" } },
    { "analysisruns",
      { "{\"spec\":{\"args\":[{\"name\":\"token\",\"value\":\"" CANARY
        "-arg\"}],\"metrics\":[{\"name\":\"m\",\"provider\":{\"web\":{\"url\":\"https://u:" CANARY
        "-url@x\",\"headers\":[{\"key\":\"Authorization\",\"value\":\"" CANARY
        "-header\"}]}}}]},\"status\":{\"phase\":\"Running\"}}",
        "{\"status\":{\"phase\":\"Failed\",\"message\":\"api-key: " CANARY
        "-message\",\"metricResults\":[{\"name\":\"m\",\"phase\":\"Failed\",\"metadata\":{"
        "\"query\":\"" CANARY "-query\"},\"measurements\":[{\"value\":\"password=" CANARY
        "-value\",\"metadata\":{\"x\":\"" CANARY "-metadata\"}}]}]}}" } },
    { "generic",
      { "{\"spec\":{\"replicas\":1}}",
        "{\"spec\":{\"replicas\":2,\"url\":\"https://u:" CANARY "-url@x\",\"template\":{\"spec\":{"
        "\"containers\":[{\"name\":\"app\",\"env\":[{\"name\":\"DB_PASSWORD\",\"value\":\"" CANARY
        "-env2\"}]}]}}},\"data\":{\"password\":\"" CANARY "-data2\"}}" } },
    { "podmetrics",
      { "{\"timestamp\":\"2026-03-11T07:00:00Z\",\"window\":\"15s\",\"containers\":[{\"name\":"
        "\"app\",\"x\":\"" CANARY "-x\",\"usage\":{\"cpu\":\"" CANARY
        "-cpu\",\"memory\":\"1Mi\",\"y\":\"" CANARY "-y\"}}]}" } },
};

/* Everything that goes out, looked at as it does. */
struct recorder {
    struct klx_outbox out;
    struct klx_arena arena;
    size_t events, states;
};

static void look(struct klx_sv text) {
    size_t at = klx_sv_find_sv(text, KLX_SV(CANARY));
    if (at < text.n) {
        fail_msg("a secret is out: %.*s", KLX_SV_FMT(text));
    }
}

static void on_event(struct klx_outbox *o, const struct klx_event *e) {
    ((struct recorder *)o)->events++;
    look(e->data);
    look(e->key);
    look(e->subject);
    look(e->source);
}

static void on_state(struct klx_outbox *o, struct klx_sv key, struct klx_sv value) {
    ((struct recorder *)o)->states++;
    look(key);
    look(value);
}

static const struct klx_json *parse(struct klx_arena *a, const char *text) {
    const struct klx_json *node = NULL;
    struct klx_error e = { 0 };
    if (klx_json_parse(a, klx_sv(text), NULL, &node, &e) != 0) {
        fail_msg("%s: %s", e.text, text);
    }
    return node;
}

static const struct klx_json *merged(struct klx_arena *a, const struct klx_json *base,
                                     const char *patch) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&text, 1u << 20);
    klx_jw_init(&w, &text);
    fake_merge(&w, base, parse(a, patch));
    return parse(a, klx_arena_dup(a, klx_buf_sv(&text)).p);
}

static struct klx_generic *everything_of_it(void) {
    static struct klx_sv fields[] = { KLX_SV("spec.replicas"), KLX_SV("spec.template"),
                                      KLX_SV("data"), KLX_SV("spec.url"), KLX_SV("data.password") };
    struct klx_config *c = NULL;
    assert_int_equal(klx_config_parse(KLX_SV("fields: [a]"), "f", &c, NULL), 0);
    const struct klx_generic_settings s = { .version = (char[]){ "v1" },
                                            .resource = (char[]){ "things" },
                                            .fields = { fields, KLX_COUNT(fields) } };
    struct klx_generic *g = klx_generic_new(klx_config_root(c), &s, NULL, NULL);
    klx_config_free(c);
    return g;
}

struct world {
    struct recorder r;
    void *detectors[KLX_DETECTORS_N];
    struct klx_generic *generic;
    int64_t now_us;
};

static void observe(struct world *w, const struct klx_source_ops *ops, enum klx_origin origin,
                    enum klx_change change, const struct klx_json *object) {
    struct klx_observation o = { .kind = ops->observed,
                                 .change = change,
                                 .origin = origin,
                                 .cluster = KLX_SV("prod"),
                                 .object = object,
                                 .generic = w->generic,
                                 .object_kind = KLX_SV("Thing") };
    if (ops->observe(object, &o) != 0) {
        return;
    }
    if (ops->publish != NULL) {
        ops->publish(&o, object, &w->r.out);
    }
    for (size_t i = 0; i < KLX_DETECTORS_N; i++) {
        klx_detectors[i]->observe(w->detectors[i], &o, w->now_us, &w->r.out);
    }
    w->now_us += 2 * 60 * 60 * KLX_US_PER_S; /* whatever waits for a while is due */
    for (size_t i = 0; i < KLX_DETECTORS_N; i++) {
        klx_detectors[i]->tick(w->detectors[i], w->now_us, &w->r.out);
    }
}

static const struct klx_source_ops *source(const char *name) {
    for (size_t i = 0; i < KLX_COUNT(sources); i++) {
        if (strcmp(sources[i]->name, name) == 0) {
            return sources[i];
        }
    }
    fail_msg("there is no source %s", name);
    return NULL;
}

static void begin(struct world *w) {
    *w = (struct world){ .r.out = { .event = on_event, .state = on_state } };
    klx_arena_init(&w->r.arena, 65536, 16u << 20);
    w->r.out.arena = &w->r.arena;
    assert_int_equal(klx_time_parse(KLX_SV("2026-03-11T07:00:00Z"), &w->now_us), 0);
    for (size_t i = 0; i < KLX_DETECTORS_N; i++) {
        w->detectors[i] = klx_detectors[i]->create(KLX_SV("prod"), NULL);
    }
    w->generic = everything_of_it();
}

static void end(struct world *w) {
    for (size_t i = 0; i < KLX_DETECTORS_N; i++) {
        klx_detectors[i]->destroy(w->detectors[i]);
    }
    klx_generic_free(w->generic);
    klx_arena_release(&w->r.arena);
}

static void run(size_t i, enum klx_origin first) {
    struct world w;
    const struct klx_source_ops *ops = source(cases[i].source);
    begin(&w);
    const struct klx_json *object = parse(&w.r.arena, everywhere);
    for (size_t k = 0; k < 3 && cases[i].states[k] != NULL; k++) {
        object = merged(&w.r.arena, object, cases[i].states[k]);
        observe(&w, ops, k == 0 ? first : KLX_ORIGIN_LIVE,
                k == 0 ? KLX_CHANGE_ADDED : KLX_CHANGE_MODIFIED, object);
    }
    observe(&w, ops, KLX_ORIGIN_LIVE, KLX_CHANGE_DELETED, object);
    if (w.r.events == 0) {
        fail_msg("nothing was told of %s: this shows nothing", cases[i].source);
    }
    end(&w);
}

static void no_secret_leaves(void **state) {
    (void)state;
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        run(i, KLX_ORIGIN_BASELINE);
        run(i, KLX_ORIGIN_LIVE);
        run(i, KLX_ORIGIN_RESYNC);
    }
}

static void every_source_is_tried(void **state) {
    (void)state;
    for (size_t i = 0; i < KLX_COUNT(sources); i++) {
        bool tried = sources[i]->endpoints; /* samples are no objects: test_polled.c */
        for (size_t k = 0; k < KLX_COUNT(cases); k++) {
            tried = tried || strcmp(cases[k].source, sources[i]->name) == 0;
        }
        if (!tried) {
            fail_msg("no canaries for the source %s: add it to `cases`", sources[i]->name);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_secret_leaves),
        cmocka_unit_test(every_source_is_tried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
