#include "tests/unit/support/sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "tests/unit/support/support.h"

#define HEADERS_MAX 32
#define PREFIX "io.klaxon."

const char *test_kind_name(enum klx_kind kind) {
    return klx_kind_specs[kind].type + strlen(PREFIX);
}

static struct klx_sv text_of(struct klx_arena *a, const struct klx_json *node) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&text, 1 << 20);
    klx_jw_init(&w, &text);
    klx_jw_node(&w, node);
    return klx_arena_dup(a, klx_buf_sv(&text));
}

void test_read_sample(struct klx_arena *a, enum klx_kind kind, struct klx_record *ret) {
    char name[128], path[1024];
    snprintf(path, sizeof(path), "%s/../schema/samples/%s.json", KLX_TESTS_DIR,
             test_kind_name(kind));
    snprintf(name, sizeof(name), "../schema/samples/%s.json", test_kind_name(kind));
    if (access(path, R_OK) != 0) {
        fail_msg("schema/samples/%s.json is missing: write one whole record of the kind, as the "
                 "others are",
                 test_kind_name(kind));
    }
    char *text = test_read_file(name);
    const struct klx_json *sample = NULL;
    struct klx_error e = { 0 };
    if (klx_json_parse(a, klx_sv(text), NULL, &sample, &e) != 0) {
        fail_msg("%s: %s", name, e.text);
    }
    free(text);
    struct klx_record_header *headers = klx_arena_alloc(a, HEADERS_MAX * sizeof(*headers));
    assert_non_null(headers);
    *ret = (struct klx_record){ .topic = klx_json_str(sample, "topic").p,
                                .timestamp_ms = klx_json_int(sample, "timestamp", -1),
                                .key = klx_json_str(sample, "key"),
                                .value = text_of(a, klx_json_get(sample, "value")),
                                .headers = headers };
    const struct klx_json *h = klx_json_first(klx_json_get(sample, "headers"));
    for (; h != NULL && ret->headers_n < HEADERS_MAX; h = klx_json_next(h)) {
        headers[ret->headers_n++] =
            (struct klx_record_header){ klx_json_key(h), klx_json_str(h, "") };
    }
}

void test_read_event(struct klx_arena *a, enum klx_kind kind, struct klx_event *ret,
                     const struct klx_json **ret_data) {
    struct klx_record r;
    struct klx_error e = { 0 };
    test_read_sample(a, kind, &r);
    if (klx_event_decode(a, &r, ret, &e) != 0 ||
        klx_json_parse(a, ret->data, NULL, ret_data, &e) != 0) {
        fail_msg("%s: %s", test_kind_name(kind), e.text);
    }
}

void test_each_event(struct klx_arena *a, test_event_fn check) {
    for (int kind = 0; kind < KLX_KINDS_N; kind++) {
        struct klx_event e;
        const struct klx_json *data = NULL;
        klx_arena_reset(a);
        test_read_event(a, (enum klx_kind)kind, &e, &data);
        check(test_kind_name((enum klx_kind)kind), &e, data);
    }
}

void test_hostile_event(struct klx_arena *a, struct klx_sv text, struct klx_event *ret,
                        const struct klx_json **ret_data) {
    struct klx_buf json KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&json, 8 << 20);
    klx_jw_init(&w, &json);
    klx_jw_begin_object(&w);
    klx_jw_member_sv(&w, "summary", text);
    klx_jw_key(&w, "object");
    klx_jw_begin_object(&w);
    klx_jw_member_sv(&w, "kind", text);
    klx_jw_member_sv(&w, "namespace", text);
    klx_jw_member_sv(&w, "name", text);
    klx_jw_end_object(&w);
    klx_jw_member_sv(&w, "reason", text);
    klx_jw_member_sv(&w, "component", text);
    klx_jw_member_int(&w, "count", 7);
    klx_jw_key(&w, "labels");
    klx_jw_begin_object(&w);
    klx_jw_member_sv(&w, "agentpool", text);
    klx_jw_member_sv(&w, "topology.kubernetes.io/zone", text);
    klx_jw_end_object(&w);
    klx_jw_member_bool(&w, "ready", false);
    klx_jw_member_str(&w, "readySince", "2026-03-11T07:52:18Z");
    klx_jw_member_bool(&w, "upgrade", true);
    klx_jw_member_str(&w, "since", "2026-03-11T07:40:00Z");
    klx_jw_key(&w, "incident");
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "opened", "2026-03-11T07:52:18Z");
    klx_jw_key(&w, "actions");
    klx_jw_begin_array(&w);
    for (int i = 0; i < 51; i++) {
        klx_jw_begin_object(&w);
        klx_jw_member_sv(&w, "action", klx_sv_utf8_prefix(text, 40));
        klx_jw_member_str(&w, "started", "2026-03-11T08:02:18Z");
        klx_jw_end_object(&w);
    }
    klx_jw_end_array(&w);
    klx_jw_end_object(&w);
    klx_jw_end_object(&w);
    assert_int_equal(klx_buf_check(&json), 0);
    assert_int_equal(klx_json_parse(a, klx_buf_sv(&json), NULL, ret_data, NULL), 0);
    *ret = (struct klx_event){
        .kind = KLX_KIND_UNKNOWN,
        .id = text,
        .source = text,
        .subject = text,
        .replay_id = text,
        .type = text,
        .cluster = text,
        .incident = text,
        .phase = KLX_PHASE_UPDATE,
        .incident_seq = 3,
        .severity = KLX_SEVERITY_CRITICAL,
        .time_us = INT64_C(1773216798000000),
    };
}
