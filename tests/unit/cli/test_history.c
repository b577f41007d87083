/* What the options of export and replay come to, and what is written down to go on from. */
#include "tests/unit/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/history.h"
#include "cli/history_state.h"
#include "lib/base/cleanup.h"
#include "lib/base/time.h"

#define NOW INT64_C(1773215538316045) /* 2026-03-11T07:52:18.316045Z */
#define HOUR (3600 * KLX_US_PER_S)

static struct klx_topic_names names;

static int setup(void **state) {
    (void)state;
    return klx_topic_names_init(&names, KLX_SV("eu."), NULL);
}

static void plan(struct klx_history_plan *p, const struct klx_history_options *o) {
    struct klx_error e = { 0 };
    if (klx_history_plan_init(p, o, &names, NOW, &e) != 0) {
        fail_msg("%s", e.text);
    }
}

static void reading_begins_a_margin_before_the_range(void **state) {
    (void)state;
    static const struct {
        struct klx_history_options o;
        int64_t since_us, until_us, from_ms;
    } cases[] = {
        { { 0 }, KLX_TIME_NONE, NOW, INT64_MIN },
        { { .since = "2h" }, NOW - 2 * HOUR, NOW, (NOW - 3 * HOUR) / 1000 },
        { { .since = "2h", .margin = "30m" }, NOW - 2 * HOUR, NOW, (NOW - 5 * HOUR / 2) / 1000 },
        { { .since = "2h", .margin = "0" }, NOW - 2 * HOUR, NOW, (NOW - 2 * HOUR) / 1000 },
        { { .since = "2h", .time_field = "ingest" }, NOW - 2 * HOUR, NOW, (NOW - 2 * HOUR) / 1000 },
        { { .at = "2h:1h" }, NOW - 2 * HOUR, NOW - HOUR, (NOW - 3 * HOUR) / 1000 },
        { { .since = "1970-01-01 00:30" }, HOUR / 2, NOW, INT64_MIN },
        { { .since = "2026-03-12" },
          NOW / HOUR * HOUR + 17 * HOUR,
          NOW / HOUR * HOUR + 17 * HOUR,
          (NOW / HOUR * HOUR + 16 * HOUR) / 1000 },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_history_plan p;
        plan(&p, &cases[i].o);
        assert_int_equal(p.span.since_us, cases[i].since_us);
        assert_int_equal(p.span.until_us, cases[i].until_us);
        assert_int_equal(p.from_ms, cases[i].from_ms);
        klx_history_plan_release(&p);
    }
}

static void since_is_in_the_range_and_until_is_not(void **state) {
    (void)state;
    struct klx_history_plan p;
    plan(&p, &(struct klx_history_options){ .at = "2h:1h" });
    assert_true(klx_history_in_span(&p, NOW - 2 * HOUR));
    assert_false(klx_history_in_span(&p, NOW - 2 * HOUR - 1));
    assert_true(klx_history_in_span(&p, NOW - HOUR - 1));
    assert_false(klx_history_in_span(&p, NOW - HOUR));
    klx_history_plan_release(&p);
}

static void the_field_says_which_time_counts(void **state) {
    (void)state;
    static const struct klx_record_header recorded = { KLX_SV("ce_recordedtime"),
                                                       KLX_SV("2026-03-11T07:00:00Z") };
    const struct klx_record r = { .timestamp_ms = 1000, .headers = &recorded, .headers_n = 1 };
    const struct klx_record bare = { .timestamp_ms = 1000 };
    const struct klx_event e = { .time_us = 5 };
    static const struct {
        const char *field;
        int64_t expected, without;
    } cases[] = { { "event", 5, 5 },
                  { "recorded", INT64_C(1773212400000000), 1000000 },
                  { "ingest", 1000000, 1000000 } };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_history_plan p;
        plan(&p, &(struct klx_history_options){ .time_field = cases[i].field });
        assert_int_equal(klx_history_time(&p, &r, &e), cases[i].expected);
        assert_int_equal(klx_history_time(&p, &bare, &e), cases[i].without);
        assert_int_equal(klx_history_time(&p, &bare, NULL), 1000000);
        klx_history_plan_release(&p);
    }
}

static void topics_come_by_name(void **state) {
    (void)state;
    struct klx_history_plan p;
    plan(&p,
         &(struct klx_history_options){ .topics = { { "scaling", "eu.gitops", "scaling" }, 3 } });
    assert_int_equal(p.topics_n, 2);
    assert_string_equal(p.topics[0], "eu.gitops");
    assert_string_equal(p.topics[1], "eu.scaling");
    klx_history_plan_release(&p);
}

/* The event itself is asked: who was told of an incident's beginning is told of its end, but that is no part of a range. */
static void a_match_asks_the_event_itself(void **state) {
    (void)state;
    struct klx_arena a;
    const struct klx_json *data = NULL;
    const struct klx_event e = { .kind = KLX_KIND_NODE_READY,
                                 .type = KLX_SV("io.klaxon.node.ready"),
                                 .cluster = KLX_SV("prod-weu"),
                                 .severity = KLX_SEVERITY_INFO,
                                 .incident = KLX_SV("i-1"),
                                 .phase = KLX_PHASE_RESOLVED };
    static const struct {
        const char *match;
        bool wanted, needs_data;
    } cases[] = {
        { NULL, true, false },
        { "{}", true, false },
        { "{cluster: 'prod-*'}", true, false },
        { "{severity: info}", true, false },
        { "{severity: [warning, critical]}", false, false },
        { "{event: node.notready}", false, false },
        { "{event: 'node.*', name: aks-1}", true, true },
        { "{name: aks-2}", false, true },
        { "{labels: {agentpool: system}}", true, true },
        { "{labels: {agentpool: {exists: false}}}", false, true },
        { "{reason: '~^Kubelet'}", true, true },
    };
    klx_arena_init(&a, 4096, 1 << 20);
    assert_int_equal(klx_json_parse(&a,
                                    KLX_SV("{\"object\":{\"kind\":\"Node\",\"name\":\"aks-1\"},"
                                           "\"reason\":\"KubeletReady\",\"labels\":{\"agentpool\":"
                                           "\"system\"},\"incident\":{\"severity\":\"critical\"}}"),
                                    NULL, &data, NULL),
                     0);
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_history_plan p;
        plan(&p, &(struct klx_history_options){ .match = cases[i].match });
        if (klx_history_wants(&p, &e, data) != cases[i].wanted) {
            fail_msg("%s", cases[i].match);
        }
        assert_int_equal(p.needs_data, cases[i].needs_data);
        assert_int_equal(p.selects, cases[i].match != NULL);
        klx_history_plan_release(&p);
    }
    klx_arena_release(&a);
}

static void another_question_has_another_digest(void **state) {
    (void)state;
    static const struct klx_history_options cases[] = {
        { 0 },
        { .since = "1h" },
        { .until = "1h" },
        { .at = "2h:1h" },
        { .match = "{}" },
        { .grep = "x" },
        { .heartbeats = true },
        { .utc = true },
        { .time_field = "ingest" },
        { .clusters = { { "a" }, 1 } },
        { .nodes = { { "a" }, 1 } },
        { .clusters = { { "a", "b" }, 2 } },
        { .topics = { { "nodes" }, 1 } },
    };
    char digests[KLX_COUNT(cases)][KLX_HASH_TEXT_BYTES], other[KLX_HASH_TEXT_BYTES];
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_history_plan p;
        plan(&p, &cases[i]);
        klx_history_digest(&p, &cases[i], "csv", digests[i]);
        klx_history_digest(&p, &cases[i], "raw", other);
        assert_string_not_equal(digests[i], other);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(digests[i], digests[j]);
        }
        klx_history_plan_release(&p);
    }
}

static void what_was_written_down_is_read(void **state) {
    (void)state;
    char path[] = "/tmp/klaxon-state-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    const struct klx_range_partition partitions[] = {
        { .topic = "eu.nodes", .partition = 1, .begin = 5, .end = 90, .high = 95, .next = 60 },
        { .topic = "eu.scaling", .begin = 0, .end = 0, .high = 0, .next = 0, .gone = 7 },
    };
    const uint32_t runs[] = { 3, 7 };
    const struct klx_history_state s = { .question = KLX_SV("abc"),
                                         .span = { KLX_TIME_NONE, NOW },
                                         .selected = 12,
                                         .not_events = 2,
                                         .replay_id = KLX_SV("r-1"),
                                         .done = 9,
                                         .partitions = partitions,
                                         .partitions_n = 2,
                                         .runs = runs,
                                         .runs_n = 2 };
    struct klx_history_state back = { 0 };
    struct klx_error e = { 0 };
    struct klx_arena a;
    klx_arena_init(&a, 4096, 1 << 20);
    assert_int_equal(klx_history_state_save(path, &s, &e), 0);
    assert_int_equal(klx_history_state_load(path, &a, &back, &e), 0);
    assert_true(klx_sv_eq(back.question, s.question) && klx_sv_eq(back.replay_id, s.replay_id));
    assert_true(back.span.since_us == KLX_TIME_NONE && back.span.until_us == NOW);
    assert_true(back.selected == 12 && back.not_events == 2 && back.done == 9);
    assert_true(back.runs_n == 2 && back.runs[1] == 7 && back.partitions_n == 2);
    assert_string_equal(back.partitions[0].topic, "eu.nodes");
    assert_true(back.partitions[0].next == 60 && back.partitions[0].high == 95 &&
                back.partitions[1].gone == 7);
    static const char *const bad[] = { "",
                                       "{}",
                                       "[",
                                       "{\"question\":\"a\",\"until\":\"noon\"}",
                                       "{\"question\":\"a\",\"until\":\"2026-03-11T07:52:18Z\","
                                       "\"partitions\":[{\"topic\":\"t\"}]}",
                                       "{\"question\":\"a\",\"until\":\"2026-03-11T07:52:18Z\","
                                       "\"runs\":[0]}" };
    for (size_t i = 0; i < KLX_COUNT(bad); i++) {
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fputs(bad[i], f);
        fclose(f);
        assert_int_equal(klx_history_state_load(path, &a, &back, &e), -EBADMSG);
        assert_non_null(strstr(e.text, "remove it to begin anew"));
    }
    unlink(path);
    assert_int_equal(klx_history_state_load(path, &a, &back, &e), -ENOENT);
    klx_arena_release(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_begins_a_margin_before_the_range),
        cmocka_unit_test(since_is_in_the_range_and_until_is_not),
        cmocka_unit_test(the_field_says_which_time_counts),
        cmocka_unit_test(topics_come_by_name),
        cmocka_unit_test(a_match_asks_the_event_itself),
        cmocka_unit_test(another_question_has_another_digest),
        cmocka_unit_test(what_was_written_down_is_read),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
