#include "tests/unit/support/support.h"

#include <string.h>

#include "cli/tail_plan.h"
#include "lib/base/cleanup.h"
#include "lib/base/time.h"

#define NOW INT64_C(1773215538316045) /* 2026-03-11T07:52:18 */
#define HOUR (3600 * KLX_US_PER_S)

static struct klx_topic_names names;

static int setup(void **state) {
    (void)state;
    return klx_topic_names_init(&names, KLX_SV("eu."), NULL);
}

static struct klx_option_strings list(const char *a, const char *b) {
    return (struct klx_option_strings){ { a, b }, (a != NULL) + (size_t)(b != NULL) };
}

static void the_span_says_where_to_start_and_whether_to_follow(void **state) {
    (void)state;
    static const struct {
        const char *since, *until;
        bool no_follow;
        enum klx_reader_start start;
        bool follow;
        int64_t since_ms, until_ms;
    } cases[] = {
        { NULL, NULL, false, KLX_READER_END, true, INT64_MIN, INT64_MAX },
        { NULL, NULL, true, KLX_READER_BEGINNING, false, INT64_MIN, INT64_MAX },
        { "1h", NULL, false, KLX_READER_TIME, true, (NOW - HOUR) / 1000 + 1, INT64_MAX },
        { "1h", NULL, true, KLX_READER_TIME, false, (NOW - HOUR) / 1000 + 1, INT64_MAX },
        { "2h", "1h", false, KLX_READER_TIME, false, (NOW - 2 * HOUR) / 1000 + 1,
          (NOW - HOUR) / 1000 + 1 },
        { NULL, "1773215538", false, KLX_READER_BEGINNING, false, INT64_MIN,
          INT64_C(1773215538000) },
        { NULL, "2026-03-11T09:00:00Z", false, KLX_READER_END, true, INT64_MIN,
          INT64_C(1773219600000) },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        const struct klx_tail_options o = { .since = cases[i].since,
                                            .until = cases[i].until,
                                            .no_follow = cases[i].no_follow };
        struct klx_tail_plan p;
        assert_int_equal(klx_tail_plan_init(&p, &o, &names, NOW, NULL), 0);
        assert_int_equal(p.start, cases[i].start);
        assert_int_equal(p.follow, cases[i].follow);
        assert_true(p.filter.since_ms == cases[i].since_ms);
        assert_true(p.filter.until_ms == cases[i].until_ms);
        klx_tail_plan_release(&p);
    }
}

static void a_count_without_a_beginning_is_of_the_newest(void **state) {
    (void)state;
    static const struct {
        const char *since;
        bool no_follow;
        int64_t count;
        bool newest;
    } cases[] = {
        { NULL, true, 5, true },
        { NULL, true, 0, false },
        { NULL, false, 5, false },
        { "1h", true, 5, false },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        const struct klx_tail_options o = { .since = cases[i].since,
                                            .no_follow = cases[i].no_follow,
                                            .count = cases[i].count };
        struct klx_tail_plan p;
        assert_int_equal(klx_tail_plan_init(&p, &o, &names, NOW, NULL), 0);
        assert_int_equal(p.newest, cases[i].newest);
        klx_tail_plan_release(&p);
    }
}

static void topics_are_named_once_by_either_name(void **state) {
    (void)state;
    struct klx_tail_plan p;
    struct klx_tail_options o = { .topics = list("eu.nodes", "nodes") };
    assert_int_equal(klx_tail_plan_init(&p, &o, &names, NOW, NULL), 0);
    assert_int_equal(p.topics_n, 1);
    assert_string_equal(p.topics[0], "eu.nodes");
    o.topics = list("dlq", "deliveries");
    assert_int_equal(klx_tail_plan_init(&p, &o, &names, NOW, NULL), 0);
    assert_int_equal(p.topics_n, 2);
    o.topics = list(NULL, NULL);
    assert_int_equal(klx_tail_plan_init(&p, &o, &names, NOW, NULL), 0);
    assert_int_equal(p.topics_n, 5);
    assert_string_equal(p.topics[4], "eu.metrics");
}

static void a_wrong_option_is_named(void **state) {
    (void)state;
    const struct {
        struct klx_tail_options o;
        const char *message;
    } cases[] = {
        { { .topics = list("noeds", NULL) }, "--topic: there is no topic \"noeds\", did you mean" },
        { { .topics = list("state", NULL) }, "--topic: eu.state holds no events" },
        { { .since = "noon" }, "--since: \"noon\" is not a time" },
        { { .until = "noon" }, "--until: \"noon\" is not a time" },
        { { .since = "1h", .until = "2h" }, "--until 2h is not after --since 1h" },
        { { .severities = list("info", "fatal") }, "--severity wants one of" },
        { { .clusters = list("~(", NULL) }, "--cluster: " },
        { { .nodes = list("~(", NULL), .clusters = list("a", NULL) }, "--node: " },
        { { .count = -1 }, "--count wants" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_tail_plan p;
        struct klx_error e = { 0 };
        assert_int_equal(klx_tail_plan_init(&p, &cases[i].o, &names, NOW, &e), -EINVAL);
        if (strstr(e.text, cases[i].message) == NULL) {
            fail_msg("expected: %s\nfound:    %s", cases[i].message, e.text);
        }
    }
}

static void the_filter_chooses_events(void **state) {
    (void)state;
    const struct klx_event e = { .cluster = KLX_SV("prod-weu"),
                                 .severity = KLX_SEVERITY_WARNING,
                                 .subject = KLX_SV("Node/aks-1") };
    const struct klx_event pod = { .cluster = KLX_SV("prod-weu"),
                                   .subject = KLX_SV("kube-system/Pod/aks-1") };
    const struct klx_event about = { .cluster = KLX_SV("prod-weu"),
                                     .subject = KLX_SV("-/Node/aks-1") };
    const struct {
        struct klx_tail_options o;
        const struct klx_event *e;
        bool wanted;
    } cases[] = {
        { { 0 }, &e, true },
        { { .clusters = list("prod-*", NULL) }, &e, true },
        { { .clusters = list("test-*", NULL) }, &e, false },
        { { .clusters = list("!prod-*", NULL) }, &e, false },
        { { .severities = list("warning", "critical") }, &e, true },
        { { .severities = list("info", NULL) }, &e, false },
        { { .nodes = list("aks-*", NULL) }, &e, true },
        { { .nodes = list("aks-*", NULL) }, &about, true },
        { { .nodes = list("aks-*", NULL) }, &pod, false },
        { { .nodes = list("vm-*", NULL) }, &e, false },
        { { .grep = "NOT ready" }, &e, true },
        { { .grep = "ready." }, &e, false },
        { { .grep = "ready", .severities = list("info", NULL) }, &e, false },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_tail_plan p;
        assert_int_equal(klx_tail_plan_init(&p, &cases[i].o, &names, NOW, NULL), 0);
        assert_int_equal(
            klx_filter_has_event(&p.filter, cases[i].e, KLX_SV("Node aks-1 is not ready")),
            cases[i].wanted);
        assert_int_equal(p.filter.selects, i > 0);
        klx_tail_plan_release(&p);
    }
}

static void the_filter_keeps_to_the_span(void **state) {
    (void)state;
    const struct klx_filter f = { .since_ms = 10, .until_ms = 20 };
    static const struct {
        int64_t ms;
        bool inside;
    } cases[] = { { 9, false }, { 10, true }, { 19, true }, { 20, false } };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        const struct klx_record r = { .timestamp_ms = cases[i].ms };
        assert_int_equal(klx_filter_has_time(&f, &r), cases[i].inside);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_span_says_where_to_start_and_whether_to_follow),
        cmocka_unit_test(a_count_without_a_beginning_is_of_the_newest),
        cmocka_unit_test(topics_are_named_once_by_either_name),
        cmocka_unit_test(a_wrong_option_is_named),
        cmocka_unit_test(the_filter_chooses_events),
        cmocka_unit_test(the_filter_keeps_to_the_span),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
