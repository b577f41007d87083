/* Dead letters: what was done about them, and what they become on klaxon.retry. */
#include <errno.h>
#include <string.h>

#include "cli/letters.h"
#include "lib/base/cleanup.h"
#include "lib/base/time.h"
#include "tests/unit/support/sample.h"
#include "tests/unit/support/support.h"

#define ID "dc06926a10c66675bc1d18798f68c0c1"
#define NOW INT64_C(1773216200000000)

static struct klx_arena arena;
static struct klx_record sample;

static int setup(void **state) {
    (void)state;
    klx_arena_init(&arena, 65536, 16 << 20);
    test_read_sample(&arena, KLX_KIND_DEAD_LETTER, &sample);
    sample.partition = 2;
    sample.offset = 41;
    return 0;
}

static int teardown(void **state) {
    (void)state;
    klx_arena_release(&arena);
    return 0;
}

static struct klx_record control(const char *value) {
    return (struct klx_record){ .topic = "klaxon.control",
                                .key = KLX_SV("dlq/" ID),
                                .value = klx_sv(value) };
}

static bool keep_all(const void *arg, const struct klx_letter *l) {
    (void)l;
    return arg == NULL;
}

static void a_letter_is_read(void **state) {
    (void)state;
    struct klx_letters *all = klx_letters_new(keep_all, NULL);
    assert_int_equal(klx_letters_put(all, &sample, NULL), 0);
    klx_letters_sort(all);
    const struct klx_letter *l = klx_letters_next(all, NULL);
    assert_non_null(l);
    assert_null(klx_letters_next(all, l));
    assert_sv(l->id, ID);
    assert_sv(l->channel, "ops-mail");
    assert_sv(l->sink, "email");
    assert_sv(l->recipient, "nobody@example.com");
    assert_sv(l->reason, "reject_recipient");
    assert_sv(l->code, "550");
    assert_int_equal(l->state, KLX_LETTER_OPEN);
    assert_int_equal(l->time_us, INT64_C(1773216139000000));
    assert_non_null(l->record);
    assert_true(klx_sv_eq(l->record->value, sample.value));
    klx_letters_free(all);
}

static enum klx_letter_state state_with(const char *mark, int64_t offset) {
    struct klx_letters *all = klx_letters_new(NULL, NULL);
    struct klx_record r = sample, m = control(mark);
    klx_letters_control(all, &m);
    assert_int_equal(klx_letters_put(all, &r, NULL), 0);
    r.offset = offset;
    assert_int_equal(klx_letters_put(all, &r, NULL), 0);
    klx_letters_sort(all);
    const struct klx_letter *l = klx_letters_next(all, NULL);
    assert_null(klx_letters_next(all, l)); /* the same verdict, written again, is one letter */
    assert_null(l->record);
    enum klx_letter_state s = l->state;
    klx_letters_free(all);
    return s;
}

#define AT_41                                                                                      \
    "\"at\":\"2026-03-11T08:03:20Z\",\"by\":\"ada\",\"letter\":{\"partition\":2,\"offset\":41}}"

static void what_was_done_counts_for_the_record_it_was_done_about(void **state) {
    (void)state;
    assert_int_equal(state_with("{\"state\":\"redriven\"," AT_41, 41), KLX_LETTER_REDRIVEN);
    assert_int_equal(state_with("{\"state\":\"discarded\"," AT_41, 41), KLX_LETTER_DISCARDED);
    /* Redriven, and refused again. */
    assert_int_equal(state_with("{\"state\":\"redriven\"," AT_41, 42), KLX_LETTER_OPEN);
    assert_int_equal(state_with("{\"state\":\"lost\"," AT_41, 41), KLX_LETTER_OPEN);
    assert_int_equal(state_with("{\"state\":\"redriven\"}", 41), KLX_LETTER_OPEN);
    assert_int_equal(state_with("[", 41), KLX_LETTER_OPEN);
    assert_int_equal(state_with(NULL, 41), KLX_LETTER_OPEN);
}

static void a_mark_is_read_as_it_was_written(void **state) {
    (void)state;
    struct klx_buf key KLX_CLEANUP(klx_buf_release), value KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&key, 256);
    klx_buf_init(&value, KLX_LETTER_MARK_BYTES_MAX);
    const struct klx_letter_mark m = { .state = KLX_LETTER_DISCARDED,
                                       .at_us = NOW,
                                       .by = KLX_SV("ada"),
                                       .reason = KLX_SV("the \"test\" cluster"),
                                       .letter = { 2, 41 } };
    struct klx_letter_mark back;
    klx_letter_mark_key(KLX_SV(ID), &key);
    assert_string_equal(klx_buf_str(&key), "dlq/" ID);
    klx_letter_mark_encode(&m, &value);
    assert_int_equal(klx_letter_mark_decode(&arena, klx_buf_sv(&value), &back), 0);
    assert_int_equal(back.state, KLX_LETTER_DISCARDED);
    assert_int_equal(back.at_us, NOW);
    assert_sv(back.by, "ada");
    assert_sv(back.reason, "the \"test\" cluster");
    assert_int_equal(back.letter.partition, 2);
    assert_int_equal(back.letter.offset, 41);
}

/* The sample's letter with another text in its value, or without its headers of one name. */
static struct klx_record changed(const char *from, const char *to, const char *without) {
    struct klx_record r = sample;
    struct klx_record_header *headers =
        klx_arena_alloc(&arena, (sample.headers_n + 2) * sizeof(*headers));
    r.headers = headers;
    r.headers_n = 0;
    for (size_t i = 0; i < sample.headers_n; i++) {
        if (without == NULL || !klx_sv_starts(sample.headers[i].name, klx_sv(without))) {
            headers[r.headers_n++] = sample.headers[i];
        }
    }
    if (from != NULL) {
        size_t at = klx_sv_find_sv(sample.value, klx_sv(from));
        assert_true(at < sample.value.n);
        size_t behind = at + strlen(from);
        r.value = KLX_CONCAT(&arena, klx_sv_n(sample.value.p, at), klx_sv(to),
                             klx_sv_n(sample.value.p + behind, sample.value.n - behind));
    }
    return r;
}

static void redriven_it_is_as_it_was_parked_now(void **state) {
    (void)state;
    struct klx_parked p, back;
    struct klx_record retry;
    struct klx_event event;
    struct klx_error e = { .text = "" };
    assert_int_equal(klx_letter_parked(&arena, &sample, NOW, &p, &e), 0);
    assert_int_equal(klx_parked_encode(&arena, "klaxon.retry", &p, &retry), 0);
    assert_int_equal(klx_parked_decode(&arena, &retry, &back, &e), 0);
    assert_sv(back.channel, "ops-mail");
    assert_sv(back.sink, "email");
    assert_sv(back.team, "operations");
    assert_sv(back.subscription, "operations.yaml:1");
    assert_int_equal(back.reason, KLX_NOTICE_NEWS);
    assert_int_equal(back.severity, KLX_SEVERITY_WARNING);
    assert_int_equal(back.recipients_n, 1);
    assert_sv(back.recipients[0], "nobody@example.com");
    assert_int_equal(back.parked_us, NOW);
    assert_int_equal(back.attempts, 0);
    assert_true(back.first_us == KLX_TIME_NONE && back.not_before_us == KLX_TIME_NONE);
    assert_string_equal(back.original.topic, "klaxon.nodes");
    assert_int_equal(back.original.partition, 3);
    assert_int_equal(back.original.offset, 4711);
    assert_sv(back.original.key, "prod-weu/aks-system-31337-vmss000001");
    assert_int_equal(klx_event_decode(&arena, &back.original, &event, &e), 0);
    assert_sv(event.id, "9757800b5ad66e5b6bf56d9c5493f190");
}

static void the_same_notice_is_told(void **state) {
    (void)state;
    struct klx_parked p;
    struct klx_error e = { .text = "" };
    struct klx_record_header more[KLX_PARKED_NOTICE_HEADERS];
    struct klx_digest_line line = { KLX_SV("one"), KLX_SEVERITY_CRITICAL, 3 };
    const struct klx_digest digest = { .events = 3, .incidents = 1, .lines = &line, .lines_n = 1 };
    const struct klx_parked was = { .reason = KLX_NOTICE_DIGEST,
                                    .severity = KLX_SEVERITY_CRITICAL,
                                    .repeat = 2,
                                    .digest = &digest };
    size_t n = 0;
    assert_int_equal(klx_parked_encode_notice(&arena, &was, more, &n), 0);
    assert_int_equal(n, KLX_PARKED_NOTICE_HEADERS);
    struct klx_record r = changed(NULL, NULL, "__connect");
    struct klx_record_header *all = klx_arena_alloc(&arena, 64 * sizeof(*all));
    memcpy(all, r.headers, r.headers_n * sizeof(*all));
    memcpy(all + r.headers_n, more, sizeof(more));
    r.headers = all;
    r.headers_n += n;
    assert_int_equal(klx_letter_parked(&arena, &r, NOW, &p, &e), 0);
    assert_int_equal(p.reason, KLX_NOTICE_DIGEST);
    assert_int_equal(p.severity, KLX_SEVERITY_CRITICAL);
    assert_int_equal(p.repeat, 2);
    assert_non_null(p.digest);
    assert_sv(p.digest->lines[0].text, "one");
}

static void what_cannot_be_told_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *from, *to, *why;
    } cases[] = {
        { "\"reason\":\"reject_recipient\"", "\"reason\":\"not_cloudevent\"", "no event" },
        { "\"channel\":\"ops-mail\"", "\"x\":1", "for which channel" },
        { "\"valueBytes\"", "\"value\":null,\"x\"", "whole event" },
        { "\"ce_specversion\":\"1.0\"", "\"ce_specversion\":\"9\"", "specversion" },
        { "\"event\":", "\"notice\":\"digest\",\"event\":", "digest told" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_parked p;
        struct klx_error e = { .text = "" };
        struct klx_record r = changed(cases[i].from, cases[i].to, "klaxon-severity");
        assert_int_equal(klx_letter_parked(&arena, &r, NOW, &p, &e), -EBADMSG);
        if (strstr(e.text, cases[i].why) == NULL) {
            fail_msg("%s: %s", cases[i].why, e.text);
        }
    }
    struct klx_record old = changed("\"event\":", "\"notice\":\"reminder\",\"event\":", "klaxon-");
    struct klx_parked p;
    assert_int_equal(klx_letter_parked(&arena, &old, NOW, &p, NULL), 0);
    assert_int_equal(p.reason, KLX_NOTICE_REMINDER);
}

static void what_is_no_letter_is_passed_over(void **state) {
    (void)state;
    struct klx_letters *all = klx_letters_new(NULL, NULL);
    struct klx_record r;
    struct klx_error e = { .text = "" };
    test_read_sample(&arena, KLX_KIND_DELIVERY, &r);
    assert_int_equal(klx_letters_put(all, &r, &e), -EBADMSG);
    r = (struct klx_record){ .topic = "klaxon.dlq", .value = KLX_SV("\xff") };
    assert_int_equal(klx_letters_put(all, &r, &e), -EBADMSG);
    klx_letters_sort(all);
    assert_null(klx_letters_next(all, NULL));
    klx_letters_free(all);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_letter_is_read),
        cmocka_unit_test(what_was_done_counts_for_the_record_it_was_done_about),
        cmocka_unit_test(a_mark_is_read_as_it_was_written),
        cmocka_unit_test(redriven_it_is_as_it_was_parked_now),
        cmocka_unit_test(the_same_notice_is_told),
        cmocka_unit_test(what_cannot_be_told_is_refused),
        cmocka_unit_test(what_is_no_letter_is_passed_over),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
