/* Topics, as far as brokers in this process know of them; the rest is in the tests of `klaxon topics` against a real Kafka. */
#include "tests/unit/support/support.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "lib/io/admin.h"
#include "tests/unit/support/mock_kafka.h"

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void brokers_that_do_not_answer_are_named_in_time(void **state) {
    (void)state;
    struct mock_kafka *kafka = mock_kafka_new();
    struct klx_kafka_config *config = mock_kafka_config(kafka, NULL);
    struct klx_admin *admin = NULL;
    struct klx_error e;
    mock_kafka_down(kafka);
    double begun = seconds();
    assert_int_equal(klx_admin_new(config, 300, &admin, &e), -EHOSTUNREACH);
    assert_true(seconds() - begun < 5);
    assert_non_null(strstr(e.text, "Kafka at 127.0.0.1:"));
    assert_non_null(strstr(e.text, "does not answer"));
    klx_kafka_config_free(config);
    mock_kafka_free(kafka);
}

static void topics_are_described(void **state) {
    (void)state;
    struct mock_kafka *kafka = mock_kafka_new();
    struct klx_kafka_config *config = mock_kafka_config(kafka, NULL);
    struct klx_admin *admin = NULL;
    struct klx_error e;
    struct klx_admin_topic topics[] = { { .name = "there" }, { .name = "absent" } };
    mock_kafka_topic(kafka, "there", 3);
    mock_kafka_hide_topic(kafka, "absent");
    assert_int_equal(klx_admin_new(config, 5000, &admin, &e), 0);
    assert_int_equal(klx_admin_describe(admin, topics, 2, &e), 0);
    assert_true(topics[0].exists);
    assert_int_equal(topics[0].partitions, 3);
    assert_int_equal(topics[0].replication, 1);
    assert_false(topics[1].exists);
    assert_int_equal(topics[1].partitions, 0);
    klx_admin_free(admin);
    klx_kafka_config_free(config);
    mock_kafka_free(kafka);
}

/* The brokers of the mock have no controller, which creates, and know nothing of settings. */
static void what_a_broker_cannot_is_said_in_time(void **state) {
    (void)state;
    struct mock_kafka *kafka = mock_kafka_new();
    struct klx_kafka_config *config = mock_kafka_config(kafka, NULL);
    struct klx_admin *admin = NULL;
    struct klx_error e;
    struct klx_admin_topic topic = { .name = "t",
                                     .partitions = 1,
                                     .replication = 1,
                                     .settings = { { "cleanup.policy", "compact" } },
                                     .settings_n = 1 };
    mock_kafka_topic(kafka, "t", 1);
    assert_int_equal(klx_admin_new(config, 1000, &admin, &e), 0);
    double begun = seconds();
    assert_int_equal(klx_admin_create(admin, &topic, &e), -EHOSTUNREACH);
    assert_true(seconds() - begun < 5);
    assert_non_null(strstr(e.text, "Kafka at 127.0.0.1:"));
    begun = seconds();
    assert_int_equal(klx_admin_describe(admin, &topic, 1, &e), 0);
    assert_true(seconds() - begun < 5);
    assert_true(topic.exists);
    assert_null(topic.settings[0].value);
    klx_admin_free(admin);
    klx_kafka_config_free(config);
    mock_kafka_free(kafka);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(brokers_that_do_not_answer_are_named_in_time),
        cmocka_unit_test(topics_are_described),
        cmocka_unit_test(what_a_broker_cannot_is_said_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
