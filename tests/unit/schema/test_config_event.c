/* What a process says of its configuration is what the samples show. */
#include "tests/unit/support/support.h"

#include <string.h>

#include "lib/base/cleanup.h"
#include "schema/config_event.h"
#include "tests/unit/support/event_check.h"
#include "tests/unit/support/sample.h"

static struct klx_arena arena;
static struct klx_topic_names topics;

static int setup(void **state) {
    (void)state;
    klx_arena_init(&arena, 65536, 1 << 22);
    return klx_topic_names_init(&topics, KLX_SV("klaxon."), NULL);
}

static int teardown(void **state) {
    (void)state;
    klx_arena_release(&arena);
    return 0;
}

static const struct klx_sv mistakes[] = {
    KLX_SV("/etc/klaxon/subscriptions.d/payments.yaml:4:12: subscriptions[0].topics[1]: there is "
           "no topic \"gitpos\", did you mean \"gitops\"?"),
    KLX_SV("/etc/klaxon/channels.d/operations.yaml:1:36: ops-slack.slack.webhook_url: cannot read "
           "file /run/secrets/ops-slack: No such file or directory"),
};

static struct klx_config_event example(bool accepted) {
    return (struct klx_config_event){ .accepted = accepted,
                                      .process = KLX_SV("klaxon-sink-slack"),
                                      .file = "/etc/klaxon/klaxon.yaml",
                                      .hash = "9f2b6c1d4e5a70839f2b6c1d4e5a7083",
                                      .seq = accepted ? 2 : 1,
                                      .mistakes = mistakes,
                                      .mistakes_n = accepted ? 0 : 2,
                                      .mistakes_total = accepted ? 0 : 2,
                                      .opened_us = INT64_C(1773214938000000),
                                      .now_us = accepted ? INT64_C(1773215058000000)
                                                         : INT64_C(1773214938000000) };
}

static void expect_sample(enum klx_kind kind, const struct klx_config_event *c) {
    struct klx_record made = { 0 }, sample = { 0 };
    struct klx_event e;
    assert_int_equal(klx_config_event_encode(&arena, &topics, c, &made), 0);
    assert_int_equal(klx_event_decode(&arena, &made, &e, NULL), 0);
    test_check_event(&e);
    test_read_sample(&arena, kind, &sample);
    assert_int_equal(made.timestamp_ms, sample.timestamp_ms);
    assert_true(klx_sv_eq(made.key, sample.key));
    assert_true(klx_sv_eq(made.value, sample.value));
    assert_int_equal(made.headers_n, sample.headers_n);
    for (size_t i = 0; i < made.headers_n; i++) {
        assert_true(klx_sv_eq(made.headers[i].value, sample.headers[i].value));
    }
}

static void it_is_what_the_samples_show(void **state) {
    (void)state;
    const struct klx_config_event refused = example(false), accepted = example(true);
    expect_sample(KLX_KIND_CONFIG_REJECTED, &refused);
    expect_sample(KLX_KIND_CONFIG_ACCEPTED, &accepted);
}

static void many_long_and_hostile_mistakes_fit(void **state) {
    (void)state;
    static char long_text[8192];
    struct klx_sv many[KLX_CONFIG_EVENT_MISTAKES_MAX];
    memset(long_text, '\x1b', sizeof(long_text) - 1);
    memset(long_text + 10, '"', 4000);
    for (size_t i = 0; i < KLX_CONFIG_EVENT_MISTAKES_MAX; i++) {
        many[i] = klx_sv(long_text);
    }
    struct klx_config_event c = example(false);
    c.mistakes = many;
    c.mistakes_n = KLX_CONFIG_EVENT_MISTAKES_MAX;
    c.mistakes_total = 4711;
    c.seq = 7;
    struct klx_record made = { 0 };
    struct klx_event e;
    assert_int_equal(klx_config_event_encode(&arena, &topics, &c, &made), 0);
    assert_int_equal(klx_event_decode(&arena, &made, &e, NULL), 0);
    test_check_event(&e);
    assert_int_equal(e.phase, KLX_PHASE_UPDATE);
}

static void replicas_tell_of_one_incident(void **state) {
    (void)state;
    struct klx_config_event one = example(false), other = example(true);
    struct klx_record a = { 0 }, b = { 0 };
    struct klx_event x, y;
    other.now_us += 5;
    assert_int_equal(klx_config_event_encode(&arena, &topics, &one, &a), 0);
    assert_int_equal(klx_config_event_encode(&arena, &topics, &other, &b), 0);
    assert_int_equal(klx_event_decode(&arena, &a, &x, NULL), 0);
    assert_int_equal(klx_event_decode(&arena, &b, &y, NULL), 0);
    assert_true(klx_sv_eq(x.incident, y.incident));
    assert_false(klx_sv_eq(x.id, y.id));
    other.hash = "00000000000000000000000000000000";
    assert_int_equal(klx_config_event_encode(&arena, &topics, &other, &b), 0);
    assert_int_equal(klx_event_decode(&arena, &b, &y, NULL), 0);
    assert_false(klx_sv_eq(x.incident, y.incident));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_what_the_samples_show),
        cmocka_unit_test(many_long_and_hostile_mistakes_fit),
        cmocka_unit_test(replicas_tell_of_one_incident),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
