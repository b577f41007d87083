/* What a delivery holds, and what becomes of it when it ends. */
#include "tests/unit/support/support.h"

#include <string.h>

#include "lib/base/cleanup.h"
#include "sinks/core/delivery.h"

static struct klx_message_pool *pool;
static struct klx_tracker *tracker;
static char settled[64];
static int64_t next_offset;

static const struct klx_subscription_settings subscription = { .team = KLX_SV("ops") };

static void on_message_done(void *arg, struct klx_message *m) {
    (void)arg;
    size_t n = strlen(settled);
    assert_true(n + 1 < sizeof(settled));
    settled[n] = m->abandoned ? '-' : '+';
    settled[n + 1] = 0;
    if (m->abandoned) {
        klx_tracker_forget(tracker, &m->tracked, false);
    } else {
        klx_tracker_settle(tracker, &m->tracked, true);
    }
}

static int setup(void **state) {
    (void)state;
    pool = klx_message_pool_new(on_message_done, NULL);
    tracker = klx_tracker_new(100);
    settled[0] = '\0';
    next_offset = 0;
    return 0;
}

static int teardown(void **state) {
    (void)state;
    klx_message_pool_free(pool); /* asserts that no message is left */
    klx_tracker_free(tracker);
    return 0;
}

static struct klx_message *message(const char *id, const char *incident, int32_t partition) {
    const struct klx_record_header headers[] = {
        { KLX_SV("ce_specversion"), KLX_SV("1.0") },  { KLX_SV("ce_id"), klx_sv(id) },
        { KLX_SV("ce_source"), KLX_SV("/x") },        { KLX_SV("ce_type"), KLX_SV("t") },
        { KLX_SV("ce_severity"), KLX_SV("warning") }, { KLX_SV("ce_incident"), klx_sv(incident) },
        { KLX_SV("ce_incidentseq"), KLX_SV("1") },    { KLX_SV("ce_phase"), KLX_SV("open") },
    };
    const struct klx_record r = { .topic = "klaxon.nodes",
                                  .partition = partition,
                                  .offset = next_offset++,
                                  .key = KLX_SV("prod/aks-1"),
                                  .value = KLX_SV("{}"),
                                  .headers = headers,
                                  .headers_n = incident[0] != '\0' ? 8 : 5 };
    struct klx_error e = { 0 };
    struct klx_message *m = klx_message_new(pool, &r);
    klx_tracker_begin(tracker, r.topic, partition, r.offset, r.timestamp_ms, &m->tracked);
    if (klx_message_decode(m, &e) != 0 || klx_message_keep(m, &e) != 0) {
        fail_msg("%s", e.text);
    }
    return m;
}

static struct klx_delivery *delivery(const char *id, const char *incident, int32_t partition) {
    struct klx_message *m = message(id, incident, partition);
    struct klx_delivery *d = klx_delivery_new(m, &subscription, 7);
    klx_message_unref(m);
    return d;
}

static void news_have_the_severity_of_the_event(void **state) {
    (void)state;
    struct klx_delivery *d = delivery("a", "", 0);
    assert_int_equal(d->reason, KLX_NOTICE_NEWS);
    assert_int_equal(d->severity, KLX_SEVERITY_WARNING);
    assert_int_equal(d->queued_us, 7);
    assert_string_equal(settled, "");
    klx_delivery_done(d);
    assert_string_equal(settled, "+");
}

static void order_is_that_of_the_incident_or_else_of_the_record(void **state) {
    (void)state;
    struct klx_delivery *in = delivery("a", "i1", 0), *out = delivery("b", "", 0);
    assert_sv(klx_delivery_key(in), "i1");
    assert_sv(klx_delivery_key(out), "prod/aks-1");
    klx_delivery_done(in);
    klx_delivery_done(out);
}

static void a_digest_settles_what_it_stands_for(void **state) {
    (void)state;
    char text[] = "Node aks-1: not ready", empty[] = "";
    const struct klx_digest_line lines[] = { { klx_sv(text), KLX_SEVERITY_CRITICAL, 3 },
                                             { klx_sv(empty), KLX_SEVERITY_INFO, 1 } };
    const struct klx_digest digest = { .events = 4, .incidents = 2, .lines = lines, .lines_n = 2 };
    struct klx_delivery *d = delivery("a", "", 0);
    for (int i = 0; i < 20; i++) {
        struct klx_message *m = message("b", "", 1);
        klx_delivery_cover(d, m);
        klx_message_unref(m);
    }
    klx_delivery_set_digest(d, &digest);
    klx_delivery_set_digest(d, &digest); /* another one takes its place */
    text[0] = 'X';
    assert_int_equal(d->reason, KLX_NOTICE_DIGEST);
    assert_int_equal(d->digest->events, 4);
    assert_sv(d->digest->lines[0].text, "Node aks-1: not ready");
    assert_int_equal(d->digest->lines[1].text.n, 0);
    klx_tracker_revoke(tracker, "klaxon.nodes", 1);
    assert_false(klx_delivery_is_revoked(d)); /* some of it is ours */
    klx_tracker_revoke(tracker, "klaxon.nodes", 0);
    assert_true(klx_delivery_is_revoked(d));
    assert_string_equal(settled, "");
    klx_delivery_abandon(d);
    assert_string_equal(settled, "---------------------");
}

static void each_reminder_has_an_id_of_its_own(void **state) {
    (void)state;
    char news[KLX_HASH_TEXT_BYTES], first[KLX_HASH_TEXT_BYTES], second[KLX_HASH_TEXT_BYTES];
    char elsewhere[KLX_HASH_TEXT_BYTES], wanted[KLX_HASH_TEXT_BYTES];
    const struct klx_sv parts[] = { KLX_SV("/x"), KLX_SV("a"), KLX_SV(""), KLX_SV("chan") };
    struct klx_delivery *d = delivery("a", "i1", 0);
    klx_delivery_id(d, KLX_SV("chan"), news);
    klx_delivery_id(d, KLX_SV("other"), elsewhere);
    d->reason = KLX_NOTICE_REMINDER;
    d->repeat = 1;
    klx_delivery_id(d, KLX_SV("chan"), first);
    d->repeat = 2;
    klx_delivery_id(d, KLX_SV("chan"), second);
    klx_delivery_done(d);
    klx_hash_parts(parts, KLX_COUNT(parts), wanted);
    assert_string_equal(news, wanted);
    assert_string_not_equal(news, elsewhere);
    assert_string_not_equal(news, first);
    assert_string_not_equal(first, second);
    klx_delivery_done(NULL);
}

#define DELIVERY_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        DELIVERY_TEST(news_have_the_severity_of_the_event),
        DELIVERY_TEST(order_is_that_of_the_incident_or_else_of_the_record),
        DELIVERY_TEST(a_digest_settles_what_it_stands_for),
        DELIVERY_TEST(each_reminder_has_an_id_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
