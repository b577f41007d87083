/* What goes wrong is said at once, then not too often, and nothing of it is swallowed. */
#include "tests/unit/support/support.h"

#include <stdio.h>
#include <string.h>

#include "lib/io/kafka.h"
#include "lib/io/trouble.h"

struct listener {
    struct klx_loop *loop;
    char said[4][KLX_TROUBLE_TEXT];
    size_t n;
};

static void listen_to(void *arg, const char *what) {
    struct listener *l = arg;
    assert_true(l->n < 4);
    snprintf(l->said[l->n++], KLX_TROUBLE_TEXT, "%s", what);
    if (l->n == 2) {
        klx_loop_stop(l->loop);
    }
}

static void what_came_in_between_is_said_together(void **state) {
    (void)state;
    struct listener l = { .loop = klx_loop_new() };
    struct klx_trouble t;
    klx_trouble_init(&t, l.loop, listen_to, &l);
    t.every_ms = 20;
    klx_trouble_add(&t, "one");
    klx_trouble_add(&t, "two");
    klx_trouble_add(&t, "three");
    klx_trouble_add(&t, "two");
    assert_int_equal(l.n, 1);
    assert_string_equal(l.said[0], "one");
    klx_loop_run(l.loop);
    assert_int_equal(l.n, 2);
    assert_string_equal(l.said[1], "two; three");
    klx_trouble_add(&t, "four");
    klx_trouble_clear(&t);
    klx_loop_run(l.loop); /* ends when the timer has nothing to say */
    assert_int_equal(l.n, 2);
    klx_trouble_add(&t, "five");
    assert_int_equal(l.n, 3);
    klx_trouble_release(&t);
    klx_loop_run(l.loop);
    klx_loop_free(l.loop);
}

static void too_much_is_cut_whole(void **state) {
    (void)state;
    struct listener l = { .loop = klx_loop_new() };
    struct klx_trouble t;
    char longest[KLX_TROUBLE_TEXT];
    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    klx_trouble_init(&t, l.loop, listen_to, &l);
    t.every_ms = 20;
    klx_trouble_add(&t, "one");
    klx_trouble_add(&t, "two");
    klx_trouble_add(&t, longest);
    klx_loop_run(l.loop);
    assert_string_equal(l.said[1], "two");
    klx_trouble_release(&t);
    klx_loop_run(l.loop);
    klx_loop_free(l.loop);
}

static void what_klaxon_decides_cannot_be_set(void **state) {
    (void)state;
    struct klx_kafka_config *c = klx_kafka_config_new();
    struct klx_error e;
    assert_int_equal(klx_kafka_config_set(c, KLX_SV("group.id"), KLX_SV("mine"), &e), -EINVAL);
    assert_string_equal(e.text, "group.id cannot be set: each sink has its own");
    assert_int_equal(
        klx_kafka_config_set(c, KLX_SV("partition.assignment.strategy"), KLX_SV("range"), &e),
        -EINVAL);
    assert_int_equal(klx_kafka_config_set(c, KLX_SV("no.such"), KLX_SV("1"), &e), -EINVAL);
    assert_string_equal(e.text, "librdkafka has no property \"no.such\"");
    assert_int_equal(klx_kafka_config_set(c, KLX_SV("sasl.mechanism"), KLX_SV("secret"), &e), 0);
    assert_int_equal(klx_kafka_config_set(c, KLX_SV("linger.ms"), KLX_SV("hunter2"), &e), -EINVAL);
    assert_null(strstr(e.text, "hunter2"));
    assert_int_equal(klx_kafka_config_set(c, KLX_SV("linger.ms"), KLX_SV("1"), &e), 0);
    assert_int_equal(klx_kafka_config_set(c, KLX_SV("linger.ms"), KLX_SV("2"), &e), 0);
    assert_string_equal(klx_kafka_config_get(c, "linger.ms"), "2");
    assert_null(klx_kafka_config_get(c, "client.id"));
    klx_kafka_config_free(c);
}

static void errors_have_numbers_and_words(void **state) {
    (void)state;
    struct klx_kafka_config *c = klx_kafka_config_new();
    struct klx_error e;
    char words[KLX_KAFKA_WORDS];
    rd_kafka_t *rk = NULL;
    assert_int_equal(
        klx_kafka_config_set(c, KLX_SV("bootstrap.servers"), KLX_SV("127.0.0.1:1"), &e), 0);
    assert_int_equal(klx_kafka_new(RD_KAFKA_PRODUCER, klx_kafka_conf(c), &rk, &e), 0);
    klx_kafka_words(rk, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, NULL, words, sizeof(words));
    assert_string_equal(words, "Kafka at 127.0.0.1:1 does not answer");
    klx_kafka_words(rk, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, "t", words, sizeof(words));
    assert_string_equal(words,
                        "the topic t does not exist on 127.0.0.1:1: run `klaxon topics apply`");
    rd_kafka_destroy(rk);
    klx_kafka_config_free(c);
    assert_int_equal(klx_kafka_errno(RD_KAFKA_RESP_ERR__QUEUE_FULL), -EAGAIN);
    assert_int_equal(klx_kafka_errno(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED), -EACCES);
    assert_int_equal(klx_kafka_errno(RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS), -EIO);
    assert_true(klx_kafka_passes(RD_KAFKA_RESP_ERR__TRANSPORT));
    assert_false(klx_kafka_passes(RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_came_in_between_is_said_together),
        cmocka_unit_test(too_much_is_cut_whole),
        cmocka_unit_test(what_klaxon_decides_cannot_be_set),
        cmocka_unit_test(errors_have_numbers_and_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
