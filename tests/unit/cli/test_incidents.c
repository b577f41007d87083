/* Incidents: put together of what the sinks keep, with who has acknowledged them; short ids; what a filter says of them. */
#include <errno.h>
#include <string.h>

#include "cli/incidents.h"
#include "lib/base/cleanup.h"
#include "tests/unit/support/support.h"

#define NODE "b25f05a3c1d18798f68c0c1dc06926a1"
#define OTHER "b25f0777c1d18798f68c0c1dc06926a1"
#define NOW INT64_C(1773216200000000) /* 2026-03-11T08:03:20Z */
#define STATE(number, resolved, more)                                                              \
    "{\"rev\":3,\"topic\":\"nodes\",\"partition\":2,\"number\":" #number                           \
    ",\"told\":1,\"wasTold\":true,\"hushed\":false,\"resolved\":" #resolved                        \
    ",\"severity\":\"warning\",\"opened\":\"2026-03-11T08:00:00Z\","                               \
    "\"changed\":\"2026-03-11T08:02:00Z\",\"reminders\":0,\"team\":\"operations\"" more "}"
#define EVENT                                                                                      \
    ",\"event\":{\"partition\":2,\"offset\":7,\"timestamp\":1773216120000,\"key\":\"prod/aks-1\"," \
    "\"attributes\":{\"specversion\":\"1.0\",\"id\":\"e1\",\"source\":\"/clusters/prod/nodes\","   \
    "\"type\":\"io.klaxon.node.notready\",\"time\":\"2026-03-11T08:02:00Z\",\"cluster\":\"prod\"," \
    "\"severity\":\"warning\",\"incident\":\"" NODE                                                \
    "\",\"phase\":\"open\",\"incidentseq\":\"2\"},"                                                \
    "\"data\":{\"summary\":\"Node aks-1 is not ready\",\"object\":{\"kind\":\"Node\","             \
    "\"name\":\"aks-1\"},\"reason\":\"NotReady\",\"labels\":{\"pool\":\"system\"},"                \
    "\"incident\":{\"severity\":\"warning\",\"opened\":\"2026-03-11T07:58:00Z\"}}}"

static struct klx_cli_incidents *all;

static int setup(void **state) {
    (void)state;
    all = klx_cli_incidents_new(NOW);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    klx_cli_incidents_free(all);
    return 0;
}

static void put_state(const char *key, const char *value) {
    const struct klx_record r = { .key = klx_sv(key), .value = klx_sv(value) };
    klx_cli_incidents_state(all, &r);
}

static void put_control(const char *key, const char *value) {
    const struct klx_record r = { .key = klx_sv(key), .value = klx_sv(value) };
    klx_cli_incidents_control(all, &r);
}

static const struct klx_cli_incident *first(void) {
    const struct klx_cli_incident *i = klx_cli_incidents_next(all, NULL);
    assert_non_null(i);
    return i;
}

static void channels_are_one_incident(void **state) {
    (void)state;
    put_state("sink/pager/" NODE, STATE(2, false, ",\"waits\":\"escalation\"" EVENT));
    put_state("sink/ops/" NODE, STATE(1, false, ""));
    put_state("prod-weu/nodes", "{\"resourceVersion\":\"7\"}");
    klx_cli_incidents_join(all);
    const struct klx_cli_incident *i = first();
    assert_null(klx_cli_incidents_next(all, i));
    assert_sv(i->id, NODE);
    assert_true(i->open);
    assert_null(i->ack);
    assert_int_equal(i->number, 2);
    assert_int_equal(i->severity, KLX_SEVERITY_WARNING);
    assert_int_equal(i->topic, KLX_TOPIC_NODES);
    assert_int_equal(i->since_us, INT64_C(1773215880000000)); /* as the event has it: 07:58 */
    assert_sv(i->cluster, "prod");
    assert_sv(i->type, "io.klaxon.node.notready");
    assert_sv(i->summary, "Node aks-1 is not ready");
    assert_sv(i->kind, "Node");
    assert_sv(i->namespace, "");
    assert_sv(i->name, "aks-1");
    assert_int_equal(i->channels_n, 2);
    assert_string_equal(i->channels[0]->channel, "ops");
    assert_string_equal(i->channels[1]->channel, "pager");
}

static void the_last_one_says_whether_it_is_over(void **state) {
    (void)state;
    put_state("sink/ops/" NODE, STATE(3, true, ""));
    put_state("sink/pager/" NODE, STATE(2, false, EVENT));
    put_state("sink/ops/" OTHER, STATE(2, false, ""));
    put_state("sink/pager/" OTHER, STATE(1, true, ""));
    klx_cli_incidents_join(all);
    for (const struct klx_cli_incident *i = first(); i != NULL;
         i = klx_cli_incidents_next(all, i)) {
        assert_int_equal(i->open, klx_sv_eq(i->id, KLX_SV(OTHER)));
    }
}

static void what_nobody_heard_of_for_long_is_not_open(void **state) {
    (void)state;
    klx_cli_incidents_free(all);
    all = klx_cli_incidents_new(NOW + 31 * 86400 * KLX_US_PER_S);
    put_state("sink/ops/" NODE, STATE(2, false, EVENT));
    klx_cli_incidents_join(all);
    assert_false(first()->open);
}

static void a_removed_state_is_gone(void **state) {
    (void)state;
    put_state("sink/ops/" NODE, STATE(2, false, EVENT));
    put_state("sink/ops/" NODE, NULL);
    klx_cli_incidents_join(all);
    assert_null(klx_cli_incidents_next(all, NULL));
}

static void who_has_it(void **state) {
    (void)state;
    put_control("ack/" NODE,
                "{\"by\":\"ada\",\"at\":\"2026-03-11T08:03:00Z\",\"comment\":\"on it\"}");
    put_control("silence/x", "{}");
    put_control("ack/", "{}");
    put_state("sink/ops/" NODE, STATE(2, false, EVENT));
    put_state("sink/ops/" OTHER, STATE(2, false, ""));
    put_control("ack/" OTHER, "not JSON");
    klx_cli_incidents_join(all);
    const struct klx_cli_incident *i = first(); /* it is open for longer */
    assert_sv(i->id, NODE);
    assert_non_null(i->ack);
    assert_sv(i->ack->by, "ada");
    assert_sv(i->ack->comment, "on it");
    assert_int_equal(i->ack->at_us, INT64_C(1773216180000000));
    i = klx_cli_incidents_next(all, i);
    assert_non_null(i->ack); /* the sinks take it for one too */
    assert_sv(i->ack->by, "");
    assert_true(i->ack->at_us == KLX_TIME_NONE);
    put_control("ack/" NODE, NULL);
    assert_null(first()->ack);
}

static void an_acknowledgement_alone_is_no_open_incident(void **state) {
    (void)state;
    put_control("ack/" NODE, "{\"by\":\"ada\"}");
    klx_cli_incidents_join(all);
    assert_false(first()->open);
    assert_int_equal(first()->channels_n, 0);
}

static bool is_open(const struct klx_cli_incident *i) {
    return i->open;
}

static void short_ids(void **state) {
    (void)state;
    const struct klx_cli_incident *i = NULL;
    put_state("sink/ops/" NODE, STATE(2, false, EVENT));
    put_state("sink/ops/" OTHER, STATE(2, false, ""));
    put_state("sink/ops/b25f05a3-over", STATE(2, true, ""));
    put_state("sink/ops/i1", STATE(2, false, ""));
    klx_cli_incidents_join(all);
    assert_int_equal(klx_cli_incidents_find(all, KLX_SV("b25f05a3"), is_open, &i), 0);
    assert_sv(i->id, NODE);
    assert_int_equal(klx_cli_incidents_find(all, KLX_SV(OTHER), is_open, &i), 0);
    assert_sv(i->id, OTHER);
    assert_int_equal(klx_cli_incidents_find(all, KLX_SV("i1"), is_open, &i), 0);
    assert_int_equal(klx_cli_incidents_find(all, KLX_SV("b25f0"), is_open, &i), -ENOTUNIQ);
    assert_int_equal(klx_cli_incidents_find(all, KLX_SV("25f05a3"), is_open, &i), -ENOENT);
    assert_int_equal(klx_cli_incidents_find(all, KLX_SV("b25f05a3-over"), is_open, &i), -ENOENT);
    assert_int_equal(klx_cli_incidents_find(all, KLX_SV("i"), is_open, &i), -ENOENT); /* too few */
    assert_int_equal(klx_cli_incidents_find(all, KLX_SV(""), is_open, &i), -ENOENT);
}

static bool matches(const struct klx_cli_incident *i, const char *text, bool *unseen) {
    struct klx_matchers m = { .n = 0 };
    assert_int_equal(klx_matchers_parse(&m, klx_sv(text), NULL), 0);
    bool matched = klx_cli_incident_matches(all, i, &m, unseen);
    klx_matchers_release(&m);
    return matched;
}

static void filters(void **state) {
    (void)state;
    bool unseen = false;
    put_state("sink/ops/" NODE, STATE(2, false, EVENT));
    put_state("sink/pager/" NODE, STATE(2, false, ""));
    klx_cli_incidents_join(all);
    const struct klx_cli_incident *i = first();
    assert_true(matches(i, "cluster=prod", &unseen));
    assert_true(matches(i, "{name=~\"aks-.*\", kind=Node, pool=system}", &unseen));
    assert_true(matches(i, "topic=nodes", &unseen));
    assert_true(matches(i, "channel=pager", &unseen));
    assert_true(matches(i, "team=operations", &unseen));
    assert_true(matches(i, "type=node.notready", &unseen));
    assert_false(matches(i, "cluster=dev", &unseen));
    assert_false(matches(i, "{cluster=prod, channel=mail}", &unseen));
    assert_false(unseen);
}

static struct klx_record event_record(const char *number, const char *phase, const char *data,
                                      struct klx_record_header headers[static 12]) {
    const char *const pairs[][2] = {
        { "content-type", "application/json" },
        { "ce_specversion", "1.0" },
        { "ce_id", number },
        { "ce_source", "/clusters/prod/nodes" },
        { "ce_type", "io.klaxon.node.notready" },
        { "ce_time", "2026-03-11T08:02:00Z" },
        { "ce_cluster", "prod" },
        { "ce_severity", "warning" },
        { "ce_incident", NODE },
        { "ce_phase", phase },
        { "ce_incidentseq", number },
    };
    for (size_t i = 0; i < KLX_COUNT(pairs); i++) {
        headers[i] = (struct klx_record_header){ klx_sv(pairs[i][0]), klx_sv(pairs[i][1]) };
    }
    return (struct klx_record){ .topic = "klaxon.nodes",
                                .partition = 2,
                                .offset = 8,
                                .timestamp_ms = 1773216120000,
                                .key = KLX_SV("prod/aks-1"),
                                .value = klx_sv(data),
                                .headers = headers,
                                .headers_n = KLX_COUNT(pairs) };
}

static void put_event(const char *number, const char *phase, const char *data) {
    struct klx_record_header headers[12];
    const struct klx_record r = event_record(number, phase, data, headers);
    klx_cli_incidents_event(all, &r);
}

static void the_topic_has_what_no_sink_keeps(void **state) {
    (void)state;
    int64_t since_us = 0;
    bool unseen = false;
    put_state("sink/ops/" NODE, STATE(2, false, ""));
    put_state("sink/ops/" OTHER, STATE(2, true, ""));
    klx_cli_incidents_join(all);
    assert_false(klx_cli_incidents_want(all, KLX_TOPIC_SCALING, &since_us));
    assert_true(klx_cli_incidents_want(all, KLX_TOPIC_NODES, &since_us));
    assert_int_equal(since_us, INT64_C(1773215940000000)); /* a minute before 08:00 */
    assert_false(matches(klx_cli_incidents_next(all, first()), "cluster=prod", &unseen));
    assert_true(unseen);
    put_event("2", "update", "{\"summary\":\"the second\"}");
    put_event("1", "open", "{\"summary\":\"the first, late\"}");
    put_event("3", "update", "{\"summary\":\"the third\"}");
    put_event("4", "update", "not JSON");
    klx_cli_incidents_describe(all);
    const struct klx_cli_incident *i = NULL;
    assert_int_equal(klx_cli_incidents_find(all, KLX_SV(NODE), is_open, &i), 0);
    assert_sv(i->summary, "the third");
    assert_int_equal(i->number, 3);
    unseen = false;
    assert_true(matches(i, "cluster=prod", &unseen));
    assert_false(unseen);
}

static void the_topic_knows_first_that_it_is_over(void **state) {
    (void)state;
    put_state("sink/ops/" NODE, STATE(2, false, ""));
    klx_cli_incidents_join(all);
    assert_true(first()->open);
    put_event("3", "resolved", "{\"summary\":\"Node aks-1 is ready\"}");
    klx_cli_incidents_describe(all);
    assert_false(first()->open);
}

static void what_is_written(void **state) {
    (void)state;
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    const struct klx_cli_ack a = { .by = KLX_SV("ada"),
                                   .comment = KLX_SV("on \"it\""),
                                   .at_us = NOW };
    klx_buf_init(&text, KLX_CLI_ACK_BYTES_MAX);
    klx_cli_ack_key(KLX_SV(NODE), &text);
    assert_string_equal(klx_buf_str(&text), "ack/" NODE);
    klx_buf_reset(&text);
    klx_cli_ack_encode(&a, &text);
    assert_string_equal(klx_buf_str(&text),
                        "{\"by\":\"ada\",\"at\":\"2026-03-11T08:03:20.000000Z\","
                        "\"comment\":\"on \\\"it\\\"\"}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(channels_are_one_incident, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_one_says_whether_it_is_over, setup, teardown),
        cmocka_unit_test_setup_teardown(what_nobody_heard_of_for_long_is_not_open, setup, teardown),
        cmocka_unit_test_setup_teardown(a_removed_state_is_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(who_has_it, setup, teardown),
        cmocka_unit_test_setup_teardown(an_acknowledgement_alone_is_no_open_incident, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(short_ids, setup, teardown),
        cmocka_unit_test_setup_teardown(filters, setup, teardown),
        cmocka_unit_test_setup_teardown(the_topic_has_what_no_sink_keeps, setup, teardown),
        cmocka_unit_test_setup_teardown(the_topic_knows_first_that_it_is_over, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_written, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
