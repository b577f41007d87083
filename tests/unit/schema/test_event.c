#include "tests/unit/support/support.h"

#include <errno.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/time.h"
#include "schema/event.h"

#define NOW INT64_C(1773215538316045)

static struct klx_arena arena;
static struct klx_topic_names topics;

static int setup(void **state) {
    (void)state;
    klx_arena_init(&arena, 8192, 1 << 20);
    return klx_topic_names_init(&topics, KLX_SV("klaxon."), NULL);
}

static int teardown(void **state) {
    (void)state;
    klx_arena_release(&arena);
    return 0;
}

static struct klx_event sample(void) {
    return (struct klx_event){
        .kind = KLX_KIND_REPAIR_STARTED,
        .id = KLX_SV("0123"),
        .source = KLX_SV("/clusters/prod/nodes"),
        .subject = KLX_SV("Node/aks-1"),
        .cluster = KLX_SV("prod"),
        .severity = KLX_SEVERITY_WARNING,
        .incident = KLX_SV("abc"),
        .phase = KLX_PHASE_UPDATE,
        .incident_seq = 2,
        .resync = true,
        .time_us = NOW,
        .key = KLX_SV("prod/aks-1"),
        .data = KLX_SV("{\"summary\":\"x\"}"),
    };
}

static struct klx_sv header(const struct klx_record *r, const char *name) {
    for (size_t i = 0; i < r->headers_n; i++) {
        if (klx_sv_eq(r->headers[i].name, klx_sv(name))) {
            return r->headers[i].value;
        }
    }
    return klx_sv(NULL);
}

static void what_is_encoded_is_decoded(void **state) {
    (void)state;
    struct klx_event e = sample(), back;
    struct klx_record r;
    struct klx_error err = { 0 };
    assert_int_equal(klx_event_encode(&arena, &topics, &e, NOW, &r), 0);
    assert_string_equal(r.topic, "klaxon.nodes");
    assert_sv(r.key, "prod/aks-1");
    assert_true(r.timestamp_ms == NOW / 1000);
    assert_sv(header(&r, "ce_specversion"), "1.0");
    assert_sv(header(&r, "ce_type"), "io.klaxon.node.repair.started");
    assert_sv(header(&r, "ce_time"), "2026-03-11T07:52:18.316045Z");
    assert_sv(header(&r, "content-type"), "application/json");
    assert_sv(header(&r, "ce_phase"), "update");
    assert_int_equal(klx_event_decode(&arena, &r, &back, &err), 0);
    assert_int_equal(back.kind, KLX_KIND_REPAIR_STARTED);
    assert_sv(back.id, "0123");
    assert_sv(back.cluster, "prod");
    assert_int_equal(back.severity, KLX_SEVERITY_WARNING);
    assert_int_equal(back.phase, KLX_PHASE_UPDATE);
    assert_int_equal(back.incident_seq, 2);
    assert_true(back.resync);
    assert_true(back.time_us == NOW);
    assert_sv(back.data, "{\"summary\":\"x\"}");
}

static void the_record_is_never_from_the_future(void **state) {
    (void)state;
    static const struct {
        int64_t time_us, timestamp_ms;
    } cases[] = {
        { NOW + 3600 * KLX_US_PER_S, NOW / 1000 + 60000 },
        { NOW - 3600 * KLX_US_PER_S, NOW / 1000 - 3600000 },
        { -5, 0 },
        { KLX_TIME_NONE, NOW / 1000 },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_event e = sample();
        struct klx_record r;
        e.time_us = cases[i].time_us;
        assert_int_equal(klx_event_encode(&arena, &topics, &e, NOW, &r), 0);
        assert_true(r.timestamp_ms == cases[i].timestamp_ms);
    }
}

static void structured_mode_is_read_too(void **state) {
    (void)state;
    const struct klx_record_header type = { KLX_SV("Content-Type"),
                                            KLX_SV("application/CloudEvents+json; charset=UTF-8") };
    struct klx_record r = {
        .value = KLX_SV("{\"specversion\":\"1.0\",\"id\":\"7\",\"source\":\"/"
                        "x\",\"type\":\"com.example.other\","
                        "\"data\":{\"summary\":\"hi\"}}"),
        .headers = &type,
        .headers_n = 1,
        .timestamp_ms = 5,
    };
    struct klx_event e;
    assert_int_equal(klx_event_decode(&arena, &r, &e, NULL), 0);
    assert_int_equal(e.kind, KLX_KIND_UNKNOWN);
    assert_sv(e.data, "{\"summary\":\"hi\"}");
    assert_true(e.time_us == 5000);
}

static void what_is_no_cloudevent_is_said(void **state) {
    (void)state;
    static const struct {
        struct klx_record_header headers[5];
        const char *value, *message;
    } cases[] = {
        { { { KLX_SV("x"), KLX_SV("y") } },
          "{}",
          "not a CloudEvent: the attribute specversion is missing" },
        { { { KLX_SV("ce_specversion"), KLX_SV("0.3") } }, "{}", "specversion \"0.3\" is not 1.0" },
        { { { KLX_SV("ce_specversion"), KLX_SV("1.0") } }, "{}", "the attribute id is missing" },
        { { { KLX_SV("ce_specversion"), KLX_SV("1.0") }, { KLX_SV("ce_time"), KLX_SV("noon") } },
          "{}",
          "not RFC 3339: \"noon\"" },
        { { { KLX_SV("ce_severity"), KLX_SV("bad") } }, "{}", "none of info, warning, critical" },
        { { { KLX_SV("content-type"), KLX_SV("application/cloudevents+json") } },
          "{",
          "structured CloudEvent: JSON" },
        { { { KLX_SV("ce_specversion"), KLX_SV("1.0") },
            { KLX_SV("ce_id"), KLX_SV("1") },
            { KLX_SV("ce_source"), KLX_SV("s") },
            { KLX_SV("ce_type"), KLX_SV("t") } },
          "",
          "has no data" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_record r = { .value = klx_sv(cases[i].value), .headers = cases[i].headers };
        while (r.headers_n < 5 && cases[i].headers[r.headers_n].name.n > 0) {
            r.headers_n++;
        }
        struct klx_event e;
        struct klx_error err = { 0 };
        assert_int_equal(klx_event_decode(&arena, &r, &e, &err), -EBADMSG);
        if (strstr(err.text, cases[i].message) == NULL) {
            fail_msg("expected: %s\nfound:    %s", cases[i].message, err.text);
        }
    }
}

static void ids_are_stable(void **state) {
    (void)state;
    const struct klx_sv parts[] = { KLX_SV("uid-1"), KLX_SV("42") };
    /* Part of the data format: these values may never change. */
    assert_sv(klx_event_id(&arena, KLX_SV("prod"), KLX_KIND_KUBERNETES_EVENT, parts, 2),
              "ddac5457e28408fde4374e1e7291c442");
    assert_sv(klx_incident_id(&arena, KLX_SV("prod"), parts, 2),
              "05111ede6f2ad78b0d223f69cd2a4a23");
}

static void a_full_arena_is_refused(void **state) {
    (void)state;
    struct klx_arena small;
    struct klx_event e = sample();
    struct klx_record r;
    klx_arena_init(&small, 256, 512);
    assert_int_equal(klx_event_encode(&small, &topics, &e, NOW, &r), -ENOMEM);
    klx_arena_release(&small);
}

static void topics_are_found_by_either_name(void **state) {
    (void)state;
    enum klx_topic t;
    struct klx_error err = { 0 };
    assert_int_equal(klx_topic_find(&topics, KLX_SV("nodes"), &t, NULL), 0);
    assert_int_equal(t, KLX_TOPIC_NODES);
    assert_int_equal(klx_topic_find(&topics, KLX_SV("klaxon.gitops"), &t, NULL), 0);
    assert_int_equal(t, KLX_TOPIC_GITOPS);
    assert_int_equal(klx_topic_find(&topics, KLX_SV("noeds"), &t, &err), -ENOENT);
    assert_string_equal(err.text, "there is no topic \"noeds\", did you mean \"nodes\"?");
    struct klx_topic_names bad;
    assert_int_equal(klx_topic_names_init(&bad, KLX_SV("my topics "), &err), -EINVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_is_decoded),
        cmocka_unit_test(the_record_is_never_from_the_future),
        cmocka_unit_test(structured_mode_is_read_too),
        cmocka_unit_test(what_is_no_cloudevent_is_said),
        cmocka_unit_test(ids_are_stable),
        cmocka_unit_test(a_full_arena_is_refused),
        cmocka_unit_test(topics_are_found_by_either_name),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
