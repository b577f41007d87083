/* A parked delivery and its circuit, as they stand in Kafka: what is written is read again. */
#include "tests/unit/support/support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/time.h"
#include "sinks/core/parking/marks.h"
#include "sinks/core/parking/parked.h"
#include "tests/unit/support/arena_rig.h"

static const struct klx_record_header headers[] = {
    { KLX_SV("x-other"), KLX_SV("1") },
    { KLX_SV("klaxon-channel"), KLX_SV("forged") },
    { KLX_SV("ce_id"), KLX_SV("7") },
    { KLX_SV("content-type"), KLX_SV("application/json") },
};

static struct klx_parked some(void) {
    struct klx_parked p = {
        .channel = KLX_SV("ops"),
        .sink = KLX_SV("email"),
        .team = KLX_SV("operations"),
        .subscription = KLX_SV("ops.yaml:12"),
        .severity = KLX_SEVERITY_CRITICAL,
        .parked_us = 1773216000000000,
        .not_before_us = KLX_TIME_NONE,
        .first_us = KLX_TIME_NONE,
        .last_us = KLX_TIME_NONE,
        .original = { .topic = "klaxon.nodes",
                      .partition = 3,
                      .offset = 41,
                      .timestamp_ms = 1773215999123,
                      .key = KLX_SV("prod/aks-1"),
                      .value = KLX_SV("{\"summary\":\"x\"}"),
                      .headers = headers,
                      .headers_n = KLX_COUNT(headers) },
    };
    return p;
}

static struct klx_record encode(const struct klx_parked *p) {
    struct klx_record r;
    assert_int_equal(klx_parked_encode(&arena, "klaxon.retry", p, &r), 0);
    return r;
}

static struct klx_parked decode(const struct klx_record *r) {
    struct klx_parked p;
    struct klx_error e = { .text = "" };
    assert_int_equal(klx_parked_decode(&arena, r, &p, &e), 0);
    return p;
}

static void the_event_is_kept_as_it_was_read(void **state) {
    (void)state;
    const struct klx_parked p = some();
    const struct klx_record r = encode(&p);
    assert_string_equal(r.topic, "klaxon.retry");
    assert_int_equal(r.partition, -1);
    assert_int_equal(r.timestamp_ms, 1773216000000);
    assert_sv(r.key, "ops");
    assert_sv(r.value, "{\"summary\":\"x\"}");
    assert_sv(r.headers[0].name, "ce_id"); /* CloudEvents' own come first */
    struct klx_sv sink, channel;
    klx_parked_whose(&r, &sink, &channel);
    assert_sv(sink, "email");
    assert_sv(channel, "ops"); /* not what the event's record said */
    const struct klx_parked again = decode(&r);
    assert_sv(again.team, "operations");
    assert_sv(again.subscription, "ops.yaml:12");
    assert_int_equal(again.severity, KLX_SEVERITY_CRITICAL);
    assert_int_equal(again.reason, KLX_NOTICE_NEWS);
    assert_int_equal(again.parked_us, p.parked_us);
    assert_int_equal(again.not_before_us, KLX_TIME_NONE);
    assert_int_equal(again.attempts, 0);
    assert_false(again.some_recipients);
    assert_null(again.digest);
    assert_string_equal(again.original.topic, "klaxon.nodes");
    assert_int_equal(again.original.partition, 3);
    assert_int_equal(again.original.offset, 41);
    assert_int_equal(again.original.timestamp_ms, 1773215999123);
    assert_sv(again.original.key, "prod/aks-1");
    assert_int_equal(again.original.headers_n, 3); /* without the forged one, and without ours */
}

static void what_was_tried_comes_back(void **state) {
    (void)state;
    const struct klx_sv left[] = { KLX_SV("b@example.com"), KLX_SV("\"c\"@example.com") };
    struct klx_parked p = some();
    p.some_recipients = true;
    p.recipients = left;
    p.recipients_n = 2;
    p.attempts = 4;
    p.ambiguous = 1;
    p.first_us = 1773215000000001;
    p.last_us = 1773215900000002;
    p.not_before_us = 1773216300000000;
    klx_verdict_set(&p.last, KLX_VERDICT_CREDENTIAL_BROKEN, "smtp_535", KLX_SV("535 5.7.8 no"));
    const struct klx_record r = encode(&p);
    const struct klx_parked again = decode(&r);
    assert_true(again.some_recipients);
    assert_int_equal(again.recipients_n, 2);
    assert_sv(again.recipients[1], "\"c\"@example.com");
    assert_int_equal(again.attempts, 4);
    assert_int_equal(again.ambiguous, 1);
    assert_int_equal(again.first_us, p.first_us);
    assert_int_equal(again.last_us, p.last_us);
    assert_int_equal(again.not_before_us, p.not_before_us);
    assert_int_equal(again.last.class, KLX_VERDICT_CREDENTIAL_BROKEN);
    assert_string_equal(again.last.reason, "smtp_535");
    assert_string_equal(again.last.answer, "535 5.7.8 no");
}

static void a_digest_comes_back(void **state) {
    (void)state;
    const struct klx_digest_line lines[] = { { KLX_SV("Node a"), KLX_SEVERITY_WARNING, 3 },
                                             { KLX_SV("Node b"), KLX_SEVERITY_INFO, 1 } };
    const struct klx_digest digest = { .events = 9,
                                       .incidents = 4,
                                       .since_us = 1773215000000000,
                                       .until_us = 1773215900000000,
                                       .lines = lines,
                                       .lines_n = 2 };
    struct klx_parked p = some();
    p.reason = KLX_NOTICE_DIGEST;
    p.repeat = 2;
    p.digest = &digest;
    const struct klx_record r = encode(&p);
    const struct klx_parked again = decode(&r);
    assert_int_equal(again.reason, KLX_NOTICE_DIGEST);
    assert_int_equal(again.repeat, 2);
    assert_non_null(again.digest);
    assert_int_equal(again.digest->events, 9);
    assert_int_equal(again.digest->incidents, 4);
    assert_int_equal(again.digest->until_us, digest.until_us);
    assert_int_equal(again.digest->lines_n, 2);
    assert_sv(again.digest->lines[0].text, "Node a");
    assert_int_equal(again.digest->lines[0].severity, KLX_SEVERITY_WARNING);
    assert_int_equal(again.digest->lines[1].events, 1);
}

static void a_record_of_many_headers_keeps_the_events(void **state) {
    (void)state;
    struct klx_record_header many[70];
    for (size_t i = 0; i < KLX_COUNT(many); i++) {
        many[i] = (struct klx_record_header){ KLX_SV("x"), KLX_SV("y") };
    }
    many[69] = (struct klx_record_header){ KLX_SV("ce_id"), KLX_SV("7") };
    struct klx_parked p = some();
    p.attempts = 1;
    p.original.headers = many;
    p.original.headers_n = KLX_COUNT(many);
    const struct klx_record r = encode(&p);
    assert_true(r.headers_n <= 64);
    assert_sv(r.headers[0].name, "ce_id");
    assert_int_equal(decode(&r).attempts, 1);
}

static void refuse(const struct klx_record *r, const char *why) {
    struct klx_parked p;
    struct klx_error e = { .text = "" };
    assert_int_equal(klx_parked_decode(&arena, r, &p, &e), -EBADMSG);
    assert_non_null(strstr(e.text, why));
}

static void what_is_none_is_refused(void **state) {
    (void)state;
    struct klx_record_header h[] = {
        { KLX_SV("klaxon-channel"), KLX_SV("ops") },
        { KLX_SV("klaxon-sink"), KLX_SV("email") },
        { KLX_SV("klaxon-original-topic"), KLX_SV("klaxon.nodes") },
        { KLX_SV("klaxon-parked-since"), KLX_SV("2026-03-11T08:00:00Z") },
        { KLX_SV("klaxon-severity"), KLX_SV("warning") },
        { KLX_SV("klaxon-digest"), KLX_SV("{") },
    };
    struct klx_record r = { .topic = "klaxon.retry", .headers = h, .headers_n = 2 };
    refuse(&r, "lacks the headers");
    r.headers_n = 4;
    refuse(&r, "klaxon-severity");
    r.headers_n = 6;
    refuse(&r, "klaxon-digest");
    h[5].value = KLX_SV("{\"events\":2,\"since\":\"2026-03-11T08:00:00Z\",\"until\":\"later\"}");
    refuse(&r, "klaxon-digest"); /* its length is reckoned with */
    h[5] = (struct klx_record_header){ KLX_SV("klaxon-reason"), KLX_SV("digest") };
    refuse(&r, "klaxon-digest");
    h[5] = (struct klx_record_header){ KLX_SV("klaxon-recipients"), KLX_SV("{}") };
    refuse(&r, "klaxon-recipients");
    r.headers_n = 5;
    assert_int_equal(decode(&r).severity, KLX_SEVERITY_WARNING);
}

static void a_circuit_is_read_as_it_was_written(void **state) {
    (void)state;
    struct klx_circuit_record r KLX_CLEANUP(klx_circuit_record_release);
    const struct klx_circuit_mark m = { .closed = true,
                                        .sink = KLX_SV("slack"),
                                        .drained = { 2, 41 },
                                        .since_us = 1773216000000000,
                                        .updated_us = 1773216001000000,
                                        .reason = KLX_SV("no_service") };
    assert_int_equal(klx_circuit_record_init(&r, "klaxon.control", KLX_SV("ops"), &m), 0);
    assert_string_equal(r.record.topic, "klaxon.control");
    assert_int_equal(r.record.timestamp_ms, 1773216001000);
    assert_sv(klx_circuit_channel(r.record.key), "ops");
    assert_sv(klx_circuit_channel(KLX_SV("silence/3f9c")), "");
    struct klx_circuit_mark again;
    assert_int_equal(klx_circuit_decode(&arena, r.record.value, &again, NULL), 0);
    assert_true(again.closed);
    assert_sv(again.sink, "slack");
    assert_int_equal(again.drained.partition, 2);
    assert_int_equal(again.drained.offset, 41);
    assert_int_equal(again.since_us, m.since_us);
    assert_sv(again.reason, "no_service");
    assert_int_equal(klx_circuit_decode(&arena, KLX_SV("{\"state\":\"open\"}"), &again, NULL), 0);
    assert_false(again.closed);
    assert_int_equal(again.drained.partition, -1);
    struct klx_error e = { .text = "" };
    assert_int_equal(klx_circuit_decode(&arena, KLX_SV("{\"state\":\"ajar\"}"), &again, &e),
                     -EBADMSG);
    assert_non_null(strstr(e.text, "neither open nor closed"));
    assert_int_equal(klx_circuit_decode(&arena, KLX_SV("{"), &again, &e), -EBADMSG);
}

/* Whoever writes to klaxon.retry may name a channel as he likes. */
static void a_channel_with_a_name_like_a_novel_has_no_circuit(void **state) {
    (void)state;
    char name[4096];
    memset(name, 'x', sizeof(name));
    struct klx_circuit_record r KLX_CLEANUP(klx_circuit_record_release);
    const struct klx_circuit_mark m = { .sink = KLX_SV("slack"), .drained = { -1, -1 } };
    assert_int_equal(
        klx_circuit_record_init(&r, "klaxon.control", klx_sv_n(name, sizeof(name)), &m), -EMSGSIZE);
}

/* Two of the team tell the channel, one of them only when nobody acknowledges; the first one tells another channel. */
static void its_subscription_is_found_where_it_stands_now(void **state) {
    (void)state;
    static size_t ops[] = { 0 }, dev[] = { 1 };
    char ops_name[] = "ops", dev_name[] = "dev";
    struct klx_channel_settings channels[] = { { .name = ops_name }, { .name = dev_name } };
    struct klx_subscription_settings all[] = {
        { .team = KLX_SV("operations"),
          .channels = dev,
          .channels_n = 1,
          .file = "d/ops.yaml",
          .line = 12 },
        { .team = KLX_SV("others"),
          .channels = ops,
          .channels_n = 1,
          .file = "d/ops.yaml",
          .line = 13 },
        { .team = KLX_SV("operations"),
          .channels = ops,
          .channels_n = 1,
          .file = "d/ops.yaml",
          .line = 20 },
        { .team = KLX_SV("operations"),
          .escalate_to = ops,
          .escalate_to_n = 1,
          .file = "d/ops.yaml",
          .line = 30 },
    };
    const struct klx_sinks_settings s = { .channels = channels,
                                          .channels_n = KLX_COUNT(channels),
                                          .subscriptions = all,
                                          .subscriptions_n = KLX_COUNT(all) };
    struct klx_parked p = some();
    p.subscription = KLX_SV("ops.yaml:30");
    assert_ptr_equal(klx_parked_subscription(&p, &s), &all[3]);
    p.subscription = KLX_SV("ops.yaml:12"); /* what stands there now tells another channel */
    assert_ptr_equal(klx_parked_subscription(&p, &s), &all[2]);
    p.subscription = KLX_SV("elsewhere");
    assert_ptr_equal(klx_parked_subscription(&p, &s), &all[2]);
    p.team = KLX_SV("nobody");
    assert_null(klx_parked_subscription(&p, &s));
    p.team = KLX_SV("operations");
    p.channel = KLX_SV("gone");
    assert_null(klx_parked_subscription(&p, &s));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ARENA_TEST(the_event_is_kept_as_it_was_read),
        ARENA_TEST(what_was_tried_comes_back),
        ARENA_TEST(a_digest_comes_back),
        ARENA_TEST(a_record_of_many_headers_keeps_the_events),
        ARENA_TEST(what_is_none_is_refused),
        cmocka_unit_test(its_subscription_is_found_where_it_stands_now),
        ARENA_TEST(a_circuit_is_read_as_it_was_written),
        ARENA_TEST(a_channel_with_a_name_like_a_novel_has_no_circuit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
