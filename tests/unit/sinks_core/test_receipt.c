/* Receipts and dead letters, whole, in golden files; two of them are the samples of schema/samples. */
#include "tests/unit/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "sinks/core/receipt.h"
#include "tests/unit/support/event_check.h"
#include "tests/unit/support/sample.h"

#define NOW INT64_C(1773216139000000) /* 2026-03-11T08:02:19 */

static struct klx_topic_names topics;
static struct klx_arena arena;
static struct klx_message_pool *pool;
static struct klx_message *message;
static struct klx_verdict verdict;

static void ignore(void *arg, struct klx_message *m) {
    (void)arg;
    (void)m;
}

static const struct klx_subscription_settings subscription = {
    .team = KLX_SV("operations"), .file = "/etc/klaxon/subscriptions.d/operations.yaml", .line = 1
};

static int setup(void **state) {
    (void)state;
    klx_arena_init(&arena, 65536, 16 << 20);
    pool = klx_message_pool_new(ignore, NULL);
    struct klx_record r;
    test_read_sample(&arena, KLX_KIND_REPAIR_STARTED, &r);
    r.partition = 3;
    r.offset = 4711;
    message = klx_message_new(pool, &r);
    return klx_topic_names_init(&topics, KLX_SV("klaxon."), NULL) == 0 &&
                   klx_message_decode(message, NULL) == 0 && klx_message_keep(message, NULL) == 0
               ? 0
               : -1;
}

static int teardown(void **state) {
    (void)state;
    klx_message_unref(message);
    klx_message_pool_free(pool);
    klx_arena_release(&arena);
    return 0;
}

static struct klx_receipt_env env(const char *sink) {
    return (struct klx_receipt_env){ .topics = &topics, .sink = sink, .now_us = NOW };
}

static struct klx_outcome outcome(const char *channel, enum klx_verdict_class class,
                                  const char *code, const char *answer) {
    klx_verdict_set(&verdict, class, code, klx_sv(answer));
    return (struct klx_outcome){ .message = message,
                                 .subscription = &subscription,
                                 .channel = channel,
                                 .recipient = KLX_SV(""),
                                 .verdict = &verdict,
                                 .attempts = 1,
                                 .first_us = NOW - 500000,
                                 .last_us = NOW - 500000 };
}

static void check(const struct klx_record *r) {
    struct klx_event event;
    assert_int_equal(klx_event_decode(&arena, r, &event, NULL), 0);
    test_check_event(&event);
}

static void write_record(struct klx_buf *out, const struct klx_record *r) {
    struct klx_jw w;
    check(r);
    const struct klx_json *value = NULL;
    struct klx_error e = { 0 };
    if (klx_json_parse(&arena, r->value, NULL, &value, &e) != 0) {
        fail_msg("what was written cannot be read: %s", e.text);
    }
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "topic", r->topic);
    klx_jw_member_sv(&w, "key", r->key);
    klx_jw_member_int(&w, "timestamp", r->timestamp_ms);
    klx_jw_key(&w, "headers");
    klx_jw_begin_object(&w);
    for (size_t i = 0; i < r->headers_n; i++) {
        klx_jw_key_sv(&w, r->headers[i].name);
        klx_jw_sv(&w, r->headers[i].value);
    }
    klx_jw_end_object(&w);
    klx_jw_key(&w, "value");
    klx_jw_node(&w, value);
    klx_jw_end_object(&w);
    klx_buf_add_char(out, '\n');
}

static void assert_is_sample(const struct klx_record *r, enum klx_kind kind) {
    struct klx_buf found KLX_CLEANUP(klx_buf_release), wanted KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&found, 1 << 20);
    klx_buf_init(&wanted, 1 << 20);
    struct klx_record sample;
    test_read_sample(&arena, kind, &sample);
    write_record(&found, r);
    write_record(&wanted, &sample);
    if (!klx_sv_eq(klx_buf_sv(&found), klx_buf_sv(&wanted))) {
        fail_msg("the sample of %s is\n%sbut what is written is\n%s", test_kind_name(kind),
                 klx_buf_str(&wanted), klx_buf_str(&found));
    }
}

static void the_samples_are_what_is_written(void **state) {
    (void)state;
    struct klx_record r;
    const struct klx_receipt_env slack = env("slack"), email = env("email");
    struct klx_outcome o = outcome("ops-slack", KLX_VERDICT_DELIVERED, "ok", "ok");
    assert_int_equal(klx_receipt_encode(&arena, &slack, &o, &r), 0);
    assert_is_sample(&r, KLX_KIND_DELIVERY);
    o = outcome("ops-mail", KLX_VERDICT_REJECT_RECIPIENT, "550", "5.1.1 no such user");
    o.recipient = KLX_SV("nobody@example.com");
    assert_int_equal(klx_deadletter_encode(&arena, &email, &o, &r), 0);
    assert_is_sample(&r, KLX_KIND_DEAD_LETTER);
}

static void receipts_are_as_they_were(void **state) {
    (void)state;
    struct klx_record r;
    const struct klx_receipt_env e = env("slack");
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, 1 << 20);
    struct klx_outcome o = outcome("a", KLX_VERDICT_DELIVERED, "ok", "ok");
    o.attempts = 3;
    o.ambiguous = 1;
    assert_int_equal(klx_receipt_encode(&arena, &e, &o, &r), 0);
    write_record(&out, &r);
    o = outcome("a", KLX_VERDICT_ACCEPTED, "", "");
    assert_int_equal(klx_receipt_encode(&arena, &e, &o, &r), 0);
    write_record(&out, &r);
    o = outcome("a", KLX_VERDICT_REJECT_MESSAGE, "render_failed", "no template\n\033[2J\xff");
    o.attempts = 0;
    o.first_us = o.last_us = KLX_TIME_NONE;
    assert_int_equal(klx_receipt_encode(&arena, &e, &o, &r), 0);
    write_record(&out, &r);
    o = outcome("a", KLX_VERDICT_RETRY_BACKOFF, "http_503", "down");
    o.gave_up = true;
    assert_int_equal(klx_receipt_encode(&arena, &e, &o, &r), 0);
    write_record(&out, &r);
    golden_check("receipts/receipts.jsonl", klx_buf_sv(&out));
}

static struct klx_sv unreadable(const char *topic, struct klx_sv value, struct klx_buf *out) {
    const struct klx_record_header headers[] = { { KLX_SV("ce_id"), KLX_SV("old") },
                                                 { KLX_SV("x\xff"), { "\0y", 2 } },
                                                 { KLX_SV("ce_id"), KLX_SV("7") } };
    const struct klx_record poison = { .topic = topic,
                                       .partition = 1,
                                       .offset = 9,
                                       .timestamp_ms = 5,
                                       .key = { "k\0", 2 },
                                       .value = value,
                                       .headers = headers,
                                       .headers_n = 3 };
    struct klx_record r;
    const struct klx_receipt_env e = env("slack");
    assert_int_equal(klx_deadletter_encode_unreadable(
                         &arena, &e, &poison, "the attribute time is not RFC 3339: \"\xff\"", &r),
                     0);
    klx_buf_reset(out);
    write_record(out, &r);
    return r.value;
}

static void dead_letters_are_as_they_were(void **state) {
    (void)state;
    struct klx_record r;
    const struct klx_receipt_env e = env("slack");
    struct klx_buf out KLX_CLEANUP(klx_buf_release), one KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, 1 << 20);
    klx_buf_init(&one, 1 << 20);
    struct klx_outcome o = outcome("a", KLX_VERDICT_DESTINATION_BROKEN, "no_service", "no_service");
    o.gave_up = true;
    o.attempts = 12;
    assert_int_equal(klx_deadletter_encode(&arena, &e, &o, &r), 0);
    write_record(&out, &r);
    static const struct klx_sv values[] = {
        KLX_SV("{\"not\":\"an event\"}"), KLX_SV("text \xC3\xA4"), { "\0\xff\x01", 3 }, { NULL, 0 }
    };
    for (size_t i = 0; i < KLX_COUNT(values); i++) {
        unreadable("klaxon.nodes", values[i], &one);
        klx_buf_add_sv(&out, klx_buf_sv(&one));
    }
    golden_check("receipts/deadletters.jsonl", klx_buf_sv(&out));
}

static void a_large_record_is_cut(void **state) {
    (void)state;
    struct klx_buf one KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&one, 1 << 20);
    size_t n = 3u << 20;
    char *large = klx_new_bytes(n);
    memset(large, 0x7f, n); /* each byte is six as JSON */
    struct klx_sv value = unreadable("klaxon.nodes", klx_sv_n(large, n), &one);
    assert_true(value.n < 900000);
    const struct klx_json *data = NULL;
    assert_int_equal(klx_json_parse(&arena, value, NULL, &data, NULL), 0);
    assert_int_equal(klx_json_int(data, "original.valueBytes", 0), n);
    assert_int_equal(klx_json_str(data, "original.valueText").n, KLX_ORIGINAL_CUT_BYTES);

    struct klx_message copy = *message; /* JSON that is small enough, until it is escaped */
    n = KLX_ORIGINAL_BYTES_MAX;
    memcpy(large, "{\"a\":\"", 6);
    memcpy(large + n - 2, "\"}", 2);
    copy.record.value = klx_sv_n(large, n);
    struct klx_outcome o = outcome("a", KLX_VERDICT_REJECT_MESSAGE, "too_long", "too_long");
    o.message = &copy;
    struct klx_record r;
    const struct klx_receipt_env e = env("slack");
    assert_int_equal(klx_deadletter_encode(&arena, &e, &o, &r), 0);
    assert_true(r.value.n < 900000);
    assert_int_equal(klx_json_parse(&arena, r.value, NULL, &data, NULL), 0);
    assert_null(klx_json_get(data, "original.value"));
    assert_int_equal(klx_json_str(data, "original.valueText").n, KLX_ORIGINAL_CUT_BYTES);
    assert_sv(klx_json_str(data, "original.headers.ce_type"), "io.klaxon.node.repair.started");
    free(large);
}

static struct klx_sv id_of(const struct klx_outcome *o) {
    struct klx_record r;
    struct klx_event back;
    const struct klx_receipt_env e = env("slack");
    assert_int_equal(klx_receipt_encode(&arena, &e, o, &r), 0);
    assert_int_equal(klx_event_decode(&arena, &r, &back, NULL), 0);
    return back.id;
}

static void ids_are_those_of_the_verdict(void **state) {
    (void)state;
    struct klx_outcome o = outcome("a", KLX_VERDICT_DELIVERED, "ok", "ok");
    struct klx_sv first = id_of(&o);
    o.attempts = 7;
    o.last_us = NOW + 5;
    assert_true(klx_sv_eq(first, id_of(&o))); /* told again after a crash */
    struct klx_outcome other = o;
    other.channel = "b";
    assert_false(klx_sv_eq(first, id_of(&other)));
    other = o;
    other.recipient = KLX_SV("x@y");
    assert_false(klx_sv_eq(first, id_of(&other)));
    other = outcome("a", KLX_VERDICT_REJECT_MESSAGE, "bad", "");
    assert_false(klx_sv_eq(first, id_of(&other)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_samples_are_what_is_written),
        cmocka_unit_test(receipts_are_as_they_were),
        cmocka_unit_test(dead_letters_are_as_they_were),
        cmocka_unit_test(a_large_record_is_cut),
        cmocka_unit_test(ids_are_those_of_the_verdict),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
