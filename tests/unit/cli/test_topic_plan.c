#include "tests/unit/support/support.h"

#include "cli/table.h"
#include "cli/topic_plan.h"
#include "lib/base/cleanup.h"

static struct klx_topic_plan plan[KLX_TOPICS_N];
static struct klx_settings settings;

static int setup(void **state) {
    (void)state;
    settings = (struct klx_settings){ .replication = 3, .partitions = 8 };
    for (size_t i = 0; i < KLX_TOPICS_N; i++) {
        settings.retention_ms[i] = klx_topic_specs[i].retention_ms;
    }
    int rc = klx_topic_names_init(&settings.topics, KLX_SV("klaxon."), NULL);
    klx_topic_plan_init(plan, &settings);
    return rc;
}

static void the_configuration_does_not_split_what_is_read_whole(void **state) {
    (void)state;
    assert_int_equal(plan[KLX_TOPIC_NODES].partitions, 8);
    assert_int_equal(plan[KLX_TOPIC_STATE].partitions, 1);
    assert_int_equal(plan[KLX_TOPIC_CONTROL].partitions, 1);
    settings.partitions = 0;
    klx_topic_plan_init(plan, &settings);
    assert_int_equal(plan[KLX_TOPIC_NODES].partitions, 4);
}

static void what_is_to_be_created_is_said(void **state) {
    (void)state;
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, 1024);
    klx_topic_plan_words(&plan[KLX_TOPIC_NODES], &out);
    assert_sv(klx_buf_sv(&out), "partitions 8, replication 3, cleanup.policy=delete, "
                                "retention.ms=2592000000, message.timestamp.type=CreateTime");
    klx_buf_reset(&out);
    settings.replication = -1;
    klx_topic_plan_init(plan, &settings);
    klx_topic_plan_words(&plan[KLX_TOPIC_STATE], &out);
    assert_sv(klx_buf_sv(&out), "partitions 1, replication of the broker, cleanup.policy=compact, "
                                "retention.ms=-1, message.timestamp.type=CreateTime");
}

static void drift_is_said(void **state) {
    (void)state;
    static const struct {
        int32_t partitions;
        int16_t replication;
        const char *cleanup, *retention, *timestamp, *drift;
    } cases[] = {
        { 8, 3, "delete", "2592000000", "CreateTime", "" },
        { 8, 3, NULL, NULL, NULL, "" },
        { 4, 3, "delete", NULL, NULL, "partitions is 4, expected 8" },
        { 8, 1, NULL, "1000", NULL,
          "replication is 1, expected 3; retention.ms is 1000, expected 2592000000" },
        { 8, 3, "compact", NULL, "LogAppendTime",
          "cleanup.policy is compact, expected delete; message.timestamp.type is LogAppendTime, "
          "expected CreateTime" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_topic_plan p = plan[KLX_TOPIC_NODES];
        const struct klx_admin_topic found = {
            .exists = true,
            .partitions = cases[i].partitions,
            .replication = cases[i].replication,
            .settings = { { "cleanup.policy", cases[i].cleanup },
                          { "retention.ms", cases[i].retention },
                          { "message.timestamp.type", cases[i].timestamp } },
            .settings_n = 3,
        };
        struct klx_buf out KLX_CLEANUP(klx_buf_release);
        klx_buf_init(&out, 1024);
        klx_topic_plan_found(&p, &found);
        klx_topic_plan_drift(&p, &out);
        assert_sv(klx_buf_sv(&out), cases[i].drift);
    }
}

static void retention_is_said_in_its_unit(void **state) {
    (void)state;
    static const struct {
        int64_t ms;
        const char *words;
    } cases[] = { { -1, "forever" },  { 604800000, "7d" }, { 5400000, "90m" }, { 7200000, "2h" },
                  { 1500, "1500ms" }, { 0, "0ms" },        { 45000, "45s" } };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_buf out KLX_CLEANUP(klx_buf_release);
        klx_buf_init(&out, 64);
        klx_topic_retention_words(cases[i].ms, &out);
        assert_sv(klx_buf_sv(&out), cases[i].words);
    }
}

static void a_table_is_as_wide_as_its_cells(void **state) {
    (void)state;
    static const char *const heads[] = { "NAME", "N", "KEY" };
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    struct klx_table t;
    klx_buf_init(&out, 1024);
    klx_table_init(&t, heads, KLX_COUNT(heads));
    klx_table_add(&t, KLX_SV("klaxon.nodes"));
    klx_table_add(&t, KLX_SV(""));
    klx_table_add(&t, KLX_SV("a/b"));
    klx_table_write(&t, &out);
    klx_table_release(&t);
    assert_sv(klx_buf_sv(&out), "NAME           N        KEY\n"
                                "klaxon.nodes   <none>   a/b\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_configuration_does_not_split_what_is_read_whole, setup),
        cmocka_unit_test_setup(what_is_to_be_created_is_said, setup),
        cmocka_unit_test_setup(drift_is_said, setup),
        cmocka_unit_test(retention_is_said_in_its_unit),
        cmocka_unit_test(a_table_is_as_wide_as_its_cells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
