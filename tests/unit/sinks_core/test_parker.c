/* What one replica parks of a channel, with a producer that answers when the case wants. */
#include "tests/unit/support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/log.h"
#include "lib/base/time.h"
#include "lib/io/metrics.h"
#include "sinks/core/parking/parker.h"

#define RECORDS_MAX 64

static const struct klx_sv names[] = { KLX_SV("a@example.com"), KLX_SV("b@example.com") };
static const struct klx_subscription_settings subscription = { .team = KLX_SV("operations"),
                                                               .file = "/etc/klaxon/ops.yaml",
                                                               .line = 12 };

static struct {
    struct klx_clock_driven clock;
    struct klx_message_pool *pool;
    struct klx_parker *parker;
    /* Records that the producer took and has not answered. */
    struct {
        klx_placed_fn placed;
        void *arg;
        char id[16]; /* of the event, or the topic of another record */
    } sent[RECORDS_MAX];
    size_t sent_n;
    char recipients[128]; /* of the last record; "": all */
    char written[256];    /* ids in the order in which they were acknowledged */
    int64_t next_offset;
    char back[256], lost[256];
    int64_t delay_ms;
    size_t done, abandoned;
    int null_fd;
} w;

static void append(char *to, struct klx_sv text) {
    size_t n = strlen(to);
    snprintf(to + n, sizeof(w.written) - n, "%s%.*s", n > 0 ? " " : "", KLX_SV_FMT(text));
}

static struct klx_sv header(const struct klx_record *r, const char *name) {
    for (size_t i = 0; i < r->headers_n; i++) {
        if (klx_sv_eq(r->headers[i].name, klx_sv(name))) {
            return r->headers[i].value;
        }
    }
    return klx_sv("");
}

static int place(void *arg, const struct klx_record *r, klx_placed_fn placed, void *placed_arg,
                 struct klx_error *e) {
    (void)arg;
    (void)e;
    struct klx_sv id = header(r, "ce_id"), recipients = header(r, "klaxon-recipients");
    snprintf(w.recipients, sizeof(w.recipients), "%.*s", KLX_SV_FMT(recipients));
    w.sent[w.sent_n].placed = placed;
    w.sent[w.sent_n].arg = placed_arg;
    snprintf(w.sent[w.sent_n].id, sizeof(w.sent[0].id), "%.*s",
             KLX_SV_FMT(id.n > 0 ? id : KLX_SV("circuit")));
    w.sent_n++;
    return 0;
}

/* The oldest answer that is missing. */
static void answer(int status) {
    assert_true(w.sent_n > 0);
    klx_placed_fn placed = w.sent[0].placed;
    void *arg = w.sent[0].arg;
    if (status == 0) {
        append(w.written, klx_sv(w.sent[0].id));
    }
    w.sent_n--;
    memmove(w.sent, w.sent + 1, w.sent_n * sizeof(w.sent[0]));
    placed(arg, status, status == 0 ? NULL : "no", status == 0 ? 1 : -1,
           status == 0 ? w.next_offset++ : -1);
}

static void answer_all(void) {
    while (w.sent_n > 0) {
        answer(0);
    }
}

static void give_back(void *arg, struct klx_delivery *d) {
    (void)arg;
    append(w.back, d->message->event.id);
    klx_delivery_done(d);
}

static void lost(void *arg, struct klx_delivery *d, const char *why) {
    (void)arg;
    assert_non_null(why);
    append(w.lost, d->message->event.id);
    klx_delivery_done(d);
}

static void on_change(void *arg) {
    (void)arg;
}

static void schedule(void *arg, int64_t delay_ms) {
    (void)arg;
    w.delay_ms = delay_ms;
}

static void on_message_done(void *arg, struct klx_message *m) {
    (void)arg;
    w.done += !m->abandoned;
    w.abandoned += m->abandoned;
}

static int setup(void **state) {
    (void)state;
    memset(&w, 0, sizeof(w));
    w.null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    klx_log_to_fd(w.null_fd);
    klx_clock_driven_init(&w.clock, 1773216000000000, 1);
    w.pool = klx_message_pool_new(on_message_done, NULL);
    const struct klx_parker_options o = {
        .clock = &w.clock.clock,
        .channel = "ops",
        .sink = "email",
        .retry_topic = "klaxon.retry",
        .control_topic = "klaxon.control",
        .hold_max = 4,
        .recipients = names,
        .recipients_n = 2,
        .place = place,
        .give_back = give_back,
        .lost = lost,
        .on_change = on_change,
        .schedule = schedule,
    };
    w.parker = klx_parker_new(&o);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    klx_parker_free(w.parker);
    klx_message_pool_free(w.pool); /* asserts that no message is left */
    klx_metrics_reset();
    klx_log_to_fd(-1);
    close(w.null_fd);
    return 0;
}

static struct klx_delivery *delivery(const char *id) {
    const struct klx_record_header headers[] = {
        { KLX_SV("ce_specversion"), KLX_SV("1.0") },  { KLX_SV("ce_id"), klx_sv(id) },
        { KLX_SV("ce_source"), KLX_SV("/x") },        { KLX_SV("ce_type"), KLX_SV("t") },
        { KLX_SV("ce_severity"), KLX_SV("warning") },
    };
    const struct klx_record r = { .topic = "klaxon.nodes",
                                  .value = KLX_SV("{}"),
                                  .headers = headers,
                                  .headers_n = KLX_COUNT(headers) };
    struct klx_message *m = klx_message_new(w.pool, &r);
    assert_int_equal(klx_message_keep(m, NULL), 0);
    struct klx_delivery *d = klx_delivery_new(m, &subscription, 0);
    klx_message_unref(m);
    return d;
}

/* True: it is to be sent from here. */
static bool is_direct(const char *id) {
    struct klx_delivery *d = delivery(id);
    bool direct = !klx_parker_take(w.parker, d);
    if (direct) {
        klx_delivery_done(d);
    }
    return direct;
}

static void know(void) {
    const int64_t ends[] = { 10, 10 };
    klx_parker_given(w.parker);
    klx_parker_known(w.parker, ends, 2);
    w.next_offset = 10;
}

static bool open_circuit(void) {
    struct klx_verdict v;
    klx_verdict_set(&v, KLX_VERDICT_DESTINATION_BROKEN, "no_service", klx_sv("gone"));
    return klx_parker_open(w.parker, &v, KLX_TIME_NONE);
}

static void circuit(bool closed, int64_t offset) {
    const struct klx_circuit_mark m = { .closed = closed,
                                        .sink = KLX_SV("email"),
                                        .drained = { offset >= 0 ? 1 : -1, offset } };
    klx_parker_circuit(w.parker, &m);
}

/* What was tried goes first, then what came meanwhile, and nothing before the circuit is on klaxon.control. */
static void the_circuit_is_written_before_anything_is_parked(void **state) {
    (void)state;
    know();
    assert_true(is_direct("0"));
    assert_true(open_circuit());
    assert_false(open_circuit());
    assert_false(is_direct("3"));
    struct klx_delivery *first = delivery("1");
    first->next = delivery("2");
    klx_parker_put_first(w.parker, first);
    assert_int_equal(w.sent_n, 1);
    assert_string_equal(w.sent[0].id, "circuit");
    answer(0);
    assert_int_equal(w.sent_n, 3);
    size_t done = w.done;
    answer(0);
    assert_int_equal(w.done, done + 1); /* its record settles */
    answer_all();
    assert_false(is_direct("4"));
    answer_all();
    assert_string_equal(w.written, "circuit 1 2 3 4");
    assert_false(klx_parker_is_writing(w.parker));
}

static void park(const char *id) {
    assert_true(open_circuit());
    klx_parker_put_first(w.parker, delivery(id));
    answer_all();
}

static void it_is_direct_again_when_all_is_drained(void **state) {
    (void)state;
    know();
    park("1"); /* at 11: the circuit counts as a record here */
    circuit(false, 5);
    assert_false(is_direct("2")); /* at 12 */
    answer_all();
    circuit(true, 11);
    assert_false(is_direct("3")); /* held */
    assert_int_equal(w.sent_n, 0);
    circuit(true, 12);
    assert_string_equal(w.back, "3");
    assert_true(is_direct("4"));
}

static void a_hold_that_lasts_is_parked(void **state) {
    (void)state;
    know();
    park("1");
    circuit(true, 9);
    assert_false(is_direct("2"));
    assert_int_equal(w.sent_n, 0);
    klx_clock_driven_advance(&w.clock, KLX_PARKER_HOLD_MS * KLX_US_PER_MS);
    klx_parker_wake(w.parker);
    assert_int_equal(w.sent_n, 1);
    answer_all();
    circuit(true, 10);
    for (int i = 0; i < 4; i++) {
        char id[16];
        snprintf(id, sizeof(id), "h%d", i);
        assert_false(is_direct(id));
    }
    answer_all(); /* as many as may be held: parked */
    assert_string_equal(w.written, "circuit 1 2 h0 h1 h2 h3");
}

static void a_lost_acknowledgement_writes_again_in_order(void **state) {
    (void)state;
    know();
    park("1");
    assert_false(is_direct("2"));
    assert_false(is_direct("3"));
    answer(-ETIMEDOUT);
    assert_false(is_direct("4"));
    assert_int_equal(w.sent_n, 1); /* nothing new behind what failed */
    answer(-ETIMEDOUT);
    assert_int_equal(w.sent_n, 0);
    klx_clock_driven_advance(&w.clock, 20 * KLX_US_PER_S);
    klx_parker_wake(w.parker);
    answer_all();
    assert_string_equal(w.written, "circuit 1 2 3 4");
    assert_int_equal(w.done, 4);
}

static void without_permission_it_goes_on_as_before(void **state) {
    (void)state;
    know();
    assert_true(open_circuit());
    struct klx_delivery *first = delivery("1");
    first->next = delivery("2");
    klx_parker_put_first(w.parker, first);
    answer(0);
    answer(-EACCES);
    answer(-EACCES);
    assert_string_equal(w.back, "1 2");
    assert_true(is_direct("3"));
    assert_false(open_circuit()); /* not again at once */
    klx_clock_driven_advance(&w.clock, 60 * KLX_US_PER_S);
    assert_true(open_circuit());
    klx_parker_put_first(w.parker, NULL);
}

static void a_circuit_that_is_refused_gives_everything_back(void **state) {
    (void)state;
    know();
    assert_true(open_circuit());
    assert_false(is_direct("2"));
    answer(-ENOENT);
    klx_parker_put_first(w.parker, delivery("1"));
    assert_string_equal(w.back, "1 2");
    assert_true(is_direct("3"));
}

static void what_is_too_large_is_lost_and_the_rest_goes_on(void **state) {
    (void)state;
    know();
    park("1");
    assert_false(is_direct("2"));
    assert_false(is_direct("3"));
    answer(-EMSGSIZE);
    answer(0);
    assert_string_equal(w.lost, "2");
    assert_string_equal(w.written, "circuit 1 3");
    assert_false(klx_parker_is_writing(w.parker));
}

static void a_rebalance_in_the_middle_holds_until_it_is_known(void **state) {
    (void)state;
    know();
    park("1");
    circuit(false, 10);
    klx_parker_given(w.parker);
    assert_false(is_direct("2"));
    assert_int_equal(w.sent_n, 0);
    const int64_t ends[] = { 10, 12 };
    klx_parker_known(w.parker, ends, 2);
    answer_all();
    assert_string_equal(w.written, "circuit 1 2"); /* something may still be parked */
    klx_parker_given(w.parker);
    circuit(true, 12);
    assert_false(is_direct("3"));
    const int64_t later[] = { 10, 13 };
    klx_parker_known(w.parker, later, 2);
    assert_string_equal(w.back, "3");
}

static void only_recipients_that_are_left_are_parked(void **state) {
    (void)state;
    know();
    struct klx_delivery *d = delivery("1");
    klx_delivery_begin(d, names, 2);
    d->recipients[0].final = true;
    d->recipients_left = 1;
    d->recipients[1].attempts = 3;
    d->first_us = d->last_us = 1773215000000000;
    assert_true(open_circuit());
    klx_parker_put_first(w.parker, d);
    answer(0); /* the circuit's */
    assert_string_equal(w.recipients, "[\"b@example.com\"]");
    answer(0);
    assert_string_equal(w.written, "circuit 1");
}

static void the_end_abandons_what_is_not_on_its_way(void **state) {
    (void)state;
    know();
    park("1");
    assert_false(is_direct("2"));
    klx_parker_given(w.parker);
    assert_false(is_direct("3"));
    klx_parker_close(w.parker);
    assert_int_equal(w.abandoned, 1);
    answer(0); /* late, and still good */
    assert_int_equal(w.done, 2);
}

/* Kafka has the circuit, and has not answered for the delivery. */
static void put_on_its_way(const char *id) {
    assert_true(open_circuit());
    klx_parker_put_first(w.parker, delivery(id));
    answer(0);
    assert_int_equal(w.sent_n, 1);
}

static void a_channel_that_is_removed_gives_back(void **state) {
    (void)state;
    know();
    put_on_its_way("1");
    klx_parker_given(w.parker);
    assert_false(is_direct("2"));
    assert_false(klx_parker_retire(w.parker));
    assert_string_equal(w.back, "2");
    answer(-EIO); /* what was on its way is refused: it would wait for good */
    assert_string_equal(w.back, "2 1");
    assert_true(klx_parker_retire(w.parker));
    assert_int_equal(w.done, 2);
}

static void what_a_removed_channel_has_parked_is_done(void **state) {
    (void)state;
    know();
    put_on_its_way("1");
    assert_false(is_direct("2"));
    assert_false(klx_parker_retire(w.parker));
    answer_all();
    assert_true(klx_parker_retire(w.parker));
    assert_string_equal(w.back, "");
    assert_int_equal(w.done, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_circuit_is_written_before_anything_is_parked, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(it_is_direct_again_when_all_is_drained, setup, teardown),
        cmocka_unit_test_setup_teardown(a_hold_that_lasts_is_parked, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_acknowledgement_writes_again_in_order, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(without_permission_it_goes_on_as_before, setup, teardown),
        cmocka_unit_test_setup_teardown(a_circuit_that_is_refused_gives_everything_back, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_too_large_is_lost_and_the_rest_goes_on, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_rebalance_in_the_middle_holds_until_it_is_known, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(only_recipients_that_are_left_are_parked, setup, teardown),
        cmocka_unit_test_setup_teardown(the_end_abandons_what_is_not_on_its_way, setup, teardown),
        cmocka_unit_test_setup_teardown(a_channel_that_is_removed_gives_back, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_removed_channel_has_parked_is_done, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
