/* Deliveries that come back from klaxon.retry, over reloads of the configuration that change their channel or take it away. */
#include "tests/unit/support/support.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/log.h"
#include "lib/base/time.h"
#include "sinks/core/parking/returns.h"

#define NOW_US 1773216000000000
#define GIVE_UP_MS 60000

static const struct klx_sv two[] = { KLX_SV("a"), KLX_SV("b") };
static const struct klx_sv three[] = { KLX_SV("c"), KLX_SV("b"), KLX_SV("a") };

static struct {
    struct klx_clock_driven clock;
    struct klx_message_pool *pool;
    struct klx_sinks_settings settings;
    struct klx_returns *returns;
    const struct klx_sv *names; /* that the channel has; n 0: there is no such channel */
    size_t n;
    struct klx_delivery *pushed; /* the last one */
    size_t pushed_n, given_up;
    int64_t delay_ms;
    int null_fd;
} w;

static size_t recipients(void *arg, struct klx_sv channel, const struct klx_sv **ret) {
    (void)arg;
    (void)channel;
    *ret = w.names;
    return w.n;
}

static void push(void *arg, struct klx_sv channel, struct klx_delivery *d) {
    (void)arg;
    assert_sv(channel, "ops");
    klx_delivery_done(w.pushed);
    w.pushed = d;
    w.pushed_n++;
}

static void give_up(void *arg, struct klx_sv channel, struct klx_delivery *d) {
    (void)arg;
    (void)channel;
    w.given_up++;
    klx_delivery_done(d);
}

static void schedule(void *arg, int64_t delay_ms) {
    (void)arg;
    w.delay_ms = delay_ms;
}

static void on_message_done(void *arg, struct klx_message *m) {
    (void)arg;
    (void)m;
}

static int setup(void **state) {
    (void)state;
    memset(&w, 0, sizeof(w));
    w.null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    klx_log_to_fd(w.null_fd);
    klx_clock_driven_init(&w.clock, NOW_US, 1);
    w.pool = klx_message_pool_new(on_message_done, NULL);
    const struct klx_returns_options o = { .clock = &w.clock.clock,
                                           .settings = &w.settings,
                                           .give_up_after_ms = GIVE_UP_MS,
                                           .recipients = recipients,
                                           .push = push,
                                           .give_up = give_up,
                                           .schedule = schedule };
    w.returns = klx_returns_new(&o);
    w.names = two;
    w.n = 2;
    return 0;
}

static int teardown(void **state) {
    (void)state;
    klx_returns_free(w.returns);
    klx_delivery_done(w.pushed);
    klx_message_pool_free(w.pool);
    klx_log_to_fd(-1);
    close(w.null_fd);
    return 0;
}

/* Tried twice; only b is left to be told. */
static void add(int64_t not_before_us) {
    const struct klx_record_header headers[] = {
        { KLX_SV("ce_specversion"), KLX_SV("1.0") },  { KLX_SV("ce_id"), KLX_SV("1") },
        { KLX_SV("ce_source"), KLX_SV("/x") },        { KLX_SV("ce_type"), KLX_SV("t") },
        { KLX_SV("ce_severity"), KLX_SV("warning") },
    };
    const struct klx_parked p = { .channel = KLX_SV("ops"),
                                  .sink = KLX_SV("email"),
                                  .team = KLX_SV("operations"),
                                  .subscription = KLX_SV("operations.yaml:12"),
                                  .severity = KLX_SEVERITY_WARNING,
                                  .some_recipients = true,
                                  .recipients = &two[1],
                                  .recipients_n = 1,
                                  .parked_us = NOW_US,
                                  .not_before_us = not_before_us,
                                  .attempts = 2,
                                  .first_us = NOW_US,
                                  .last_us = NOW_US,
                                  .original = { .topic = "klaxon.nodes",
                                                .value = KLX_SV("{}"),
                                                .headers = headers,
                                                .headers_n = KLX_COUNT(headers) } };
    struct klx_message *m = klx_message_new(w.pool, &p.original);
    assert_int_equal(klx_message_keep(m, NULL), 0);
    klx_returns_add(w.returns, m, &p);
    klx_message_unref(m);
}

static void wake_after(int64_t ms) {
    klx_clock_driven_advance(&w.clock, ms * KLX_US_PER_MS);
    klx_returns_wake(w.returns);
}

static void recipients_keep_what_became_of_them(void **state) {
    (void)state;
    add(NOW_US + 1000 * KLX_US_PER_MS);
    w.names = three;
    w.n = 3;
    klx_returns_use(w.returns, &w.settings);
    wake_after(1000);
    struct klx_delivery *d = w.pushed;
    assert_non_null(d);
    klx_delivery_fit(d, three, 3); /* as the lane does */
    assert_int_equal(d->recipients_n, 3);
    assert_int_equal(d->recipients_left, 2);
    assert_int_equal(d->recipients[0].attempts, 0); /* new */
    assert_int_equal(d->recipients[1].attempts, 2);
    assert_false(d->recipients[1].final);
    assert_true(d->recipients[2].final); /* told before */
}

static void when_nobody_is_left_all_are_told(void **state) {
    (void)state;
    add(NOW_US);
    wake_after(0);
    klx_delivery_fit(w.pushed, two, 1); /* a, which was told, stays alone */
    assert_int_equal(w.pushed->recipients_n, 1);
    assert_int_equal(w.pushed->recipients_left, 1);
    assert_false(w.pushed->recipients[0].final);
}

static void a_channel_that_goes_meanwhile_is_given_up(void **state) {
    (void)state;
    add(NOW_US + 1000 * KLX_US_PER_MS);
    w.n = 0;
    klx_returns_use(w.returns, &w.settings);
    wake_after(1000);
    assert_null(w.pushed);
    assert_int_equal(w.given_up, 1);
}

static void a_channel_that_comes_back_in_time_is_told(void **state) {
    (void)state;
    w.n = 0;
    add(NOW_US);
    wake_after(1000);
    assert_int_equal(w.given_up, 0);
    w.n = 2;
    klx_returns_use(w.returns, &w.settings);
    assert_int_equal(w.delay_ms, 0);
    wake_after(0);
    assert_non_null(w.pushed);
    klx_delivery_fit(w.pushed, two, 2);
    assert_int_equal(w.pushed->recipients[1].attempts, 2);
    assert_int_equal(w.given_up, 0);
}

static void a_time_far_off_holds_nothing_for_longer_than_it_may_live(void **state) {
    (void)state;
    add(NOW_US + 1000000 * KLX_US_PER_S);
    assert_int_equal(w.delay_ms, GIVE_UP_MS);
    wake_after(GIVE_UP_MS);
    assert_non_null(w.pushed); /* the lane says that it was given up */
}

/* One is due, but what is parked before it is not: to be woken for it would be in vain, and again at once. */
static void what_is_behind_another_waits_with_it(void **state) {
    (void)state;
    add(NOW_US + 10 * KLX_US_PER_S);
    assert_int_equal(w.delay_ms, 10000);
    add(NOW_US);
    assert_int_equal(w.delay_ms, 10000);
    wake_after(4000);
    assert_int_equal(w.pushed_n, 0);
    assert_int_equal(w.delay_ms, 6000);
    wake_after(6000);
    assert_int_equal(w.pushed_n, 2);
    assert_int_equal(w.given_up, 0);
}

#define RETURNS_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        RETURNS_TEST(recipients_keep_what_became_of_them),
        RETURNS_TEST(when_nobody_is_left_all_are_told),
        RETURNS_TEST(a_channel_that_goes_meanwhile_is_given_up),
        RETURNS_TEST(a_channel_that_comes_back_in_time_is_told),
        RETURNS_TEST(what_is_behind_another_waits_with_it),
        RETURNS_TEST(a_time_far_off_holds_nothing_for_longer_than_it_may_live),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
