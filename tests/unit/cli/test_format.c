#include "tests/unit/support/support.h"

#include "cli/format.h"
#include "lib/base/cleanup.h"
#include "lib/base/time.h"
#include "tests/unit/support/arena_rig.h"

#define NOW INT64_C(1773215538316045) /* 2026-03-11T07:52:18 */

static const struct klx_record record = {
    .topic = "klaxon.nodes", .partition = 3, .offset = 42, .timestamp_ms = NOW / 1000
};

static struct klx_event sample(const char *data) {
    return (struct klx_event){
        .kind = KLX_KIND_REPAIR_STARTED,
        .type = KLX_SV("io.klaxon.node.repair.started"),
        .id = KLX_SV("0123"),
        .subject = KLX_SV("Node/aks-1"),
        .cluster = KLX_SV("prod-weu"),
        .severity = KLX_SEVERITY_WARNING,
        .incident = KLX_SV("abc"),
        .phase = KLX_PHASE_UPDATE,
        .incident_seq = 2,
        .time_us = NOW,
        .data = klx_sv(data),
    };
}

static void add_both(const struct klx_terminal *t, const struct klx_shown *s, struct klx_buf *out) {
    klx_format_line(t, s, NOW, out);
    klx_format_json(s, out);
}

static void add_event(const struct klx_terminal *t, const struct klx_event *e,
                      struct klx_buf *out) {
    struct klx_shown s = { .record = &record, .event = e };
    if (klx_json_parse(&arena, e->data, NULL, &s.data, NULL) != 0) {
        s.data = NULL;
    }
    add_both(t, &s, out);
}

static void lines_are_as_they_were(void **state) {
    (void)state;
    const struct klx_terminal plain = { .utf8 = true }, ascii = { 0 };
    const struct klx_terminal color = { .utf8 = true, .color = true };
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, 1 << 20);
    struct klx_event e = sample("{\"summary\":\"Auto-repair started\",\n \"reason\": \"x\"}");
    add_event(&plain, &e, &out);
    add_event(&color, &e, &out);
    e.severity = KLX_SEVERITY_CRITICAL;
    e.time_us = NOW - 86400 * KLX_US_PER_S;
    add_event(&ascii, &e, &out);
    struct klx_event bare = { .kind = KLX_KIND_UNKNOWN,
                              .type = KLX_SV("com.example.other"),
                              .id = KLX_SV("7"),
                              .time_us = NOW,
                              .data = KLX_SV("not JSON") };
    add_event(&plain, &bare, &out);
    e.data = KLX_SV("{\"summary\":\"\\u001b[2J\\nnext line \\u009b\\u202e\"}");
    e.subject = KLX_SV("Node/\033]0;x\007");
    add_event(&plain, &e, &out);
    e = sample("{\"summary\":\"of no namespace\"}");
    e.subject = KLX_SV("-/Node/aks-1");
    add_event(&plain, &e, &out);
    const struct klx_shown broken = { .record = &record,
                                      .problem =
                                          "not a CloudEvent: the attribute \033id is missing" };
    add_both(&color, &broken, &out);
    golden_check("tail/lines.txt", klx_buf_sv(&out));
}

static void a_hostile_time_is_no_overflow(void **state) {
    (void)state;
    const struct klx_record r = { .topic = "t", .timestamp_ms = INT64_MAX };
    const struct klx_shown s = { .record = &r, .problem = "x" };
    assert_true(klx_format_time(&s) == 0);
}

static void too_large_fails(void **state) {
    (void)state;
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    struct klx_event e = sample("{}");
    const struct klx_shown s = { .record = &record, .event = &e };
    klx_buf_init(&out, 20);
    klx_format_json(&s, &out);
    assert_int_equal(klx_buf_check(&out), -EMSGSIZE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_as_they_were),
        cmocka_unit_test(a_hostile_time_is_no_overflow),
        cmocka_unit_test(too_large_fails),
    };
    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
