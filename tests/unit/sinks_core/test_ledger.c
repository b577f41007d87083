/* The ledger over a producer that answers what a case wants. */
#include "tests/unit/support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/io/metrics.h"
#include "sinks/core/ledger.h"

#define SENT_MAX 64

static struct {
    struct klx_clock_driven clock;
    struct klx_ledger *ledger;
    struct klx_message_pool *pool;
    int settled, abandoned;
    int64_t delay_ms; /* of the wake-up that is wanted; -1: none */
    int send_status;
    char topics[SENT_MAX]; /* the first letters of what was sent and not answered */
    klx_produced_fn done;
    void *args[SENT_MAX];
    size_t n;
    int null_fd;
} w;

static void on_message_done(void *arg, struct klx_message *m) {
    (void)arg;
    w.settled += !m->abandoned;
    w.abandoned += m->abandoned;
}

static int fake_send(void *arg, const struct klx_record *r, klx_produced_fn done, void *done_arg,
                     struct klx_error *e) {
    (void)arg;
    if (w.send_status != 0) {
        return klx_fail(e, w.send_status, "refused");
    }
    w.topics[w.n] = r->topic[0];
    w.args[w.n] = done_arg;
    w.done = done;
    w.n++;
    return 0;
}

static void schedule(void *arg, int64_t delay_ms) {
    (void)arg;
    w.delay_ms = delay_ms;
}

static int setup(void **state) {
    (void)state;
    memset(&w, 0, sizeof(w));
    w.delay_ms = -1;
    w.null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    klx_log_to_fd(w.null_fd);
    klx_clock_driven_init(&w.clock, 0, 1);
    const struct klx_ledger_options o = { &w.clock.clock, fake_send, schedule, NULL };
    w.ledger = klx_ledger_new(&o);
    w.pool = klx_message_pool_new(on_message_done, NULL);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    klx_ledger_free(w.ledger);
    klx_message_pool_free(w.pool); /* asserts that no message is left */
    klx_metrics_reset();
    klx_log_to_fd(-1);
    close(w.null_fd);
    return 0;
}

/* One message with a record on each topic. */
static void write_to(const char *const *topics, size_t n) {
    const struct klx_record r = { .topic = "klaxon.nodes" };
    struct klx_message *m = klx_message_new(w.pool, &r);
    for (size_t i = 0; i < n; i++) {
        struct klx_ledger_entry *e = klx_ledger_new_entry(w.ledger);
        e->record = (struct klx_record){ .topic = topics[i] };
        klx_ledger_write(w.ledger, e, m);
    }
    klx_message_unref(m);
}

static void write_one(const char *topic) {
    write_to(&topic, 1);
}

static void answer(int status) {
    assert_true(w.n > 0);
    void *arg = w.args[0];
    w.n--;
    memmove(w.args, w.args + 1, w.n * sizeof(w.args[0]));
    memmove(w.topics, w.topics + 1, w.n);
    w.topics[w.n] = '\0';
    w.done(arg, status, status == 0 ? NULL : "words");
}

static void wake(void) {
    assert_true(w.delay_ms >= 0);
    w.delay_ms = -1;
    klx_ledger_wake(w.ledger);
}

static void a_message_settles_with_its_last_record(void **state) {
    (void)state;
    const char *both[] = { "deliveries", "q" };
    write_to(both, 2);
    assert_int_equal(klx_ledger_pending(w.ledger), 2);
    answer(0);
    assert_int_equal(w.settled, 0);
    answer(0);
    assert_int_equal(w.settled, 1);
    assert_int_equal(klx_ledger_pending(w.ledger), 0);
    assert_int_equal(w.delay_ms, -1);
}

static void what_an_entry_covers_settles_with_it(void **state) {
    (void)state;
    const struct klx_record r = { .topic = "klaxon.nodes" };
    struct klx_message *m[3];
    for (int i = 0; i < 3; i++) {
        m[i] = klx_message_new(w.pool, &r);
    }
    struct klx_ledger_entry *e = klx_ledger_new_entry(w.ledger);
    e->record = (struct klx_record){ .topic = "deliveries" };
    klx_ledger_cover(e, m + 1, 2);
    klx_ledger_write(w.ledger, e, m[0]);
    for (int i = 0; i < 3; i++) {
        klx_message_unref(m[i]);
    }
    assert_int_equal(w.settled, 0);
    answer(-EIO);
    assert_int_equal(w.settled, 0);
    wake();
    answer(0);
    assert_int_equal(w.settled, 3);
}

static void a_full_queue_is_waited_for_in_order(void **state) {
    (void)state;
    write_one("a");
    w.send_status = -EAGAIN;
    write_one("b");
    w.send_status = 0;
    write_one("c"); /* not past b */
    assert_memory_equal(w.topics, "a", 1);
    assert_int_equal(w.n, 1);
    assert_string_equal(klx_ledger_trouble(w.ledger), ""); /* that is no trouble */
    wake();
    assert_int_equal(w.n, 3);
    assert_memory_equal(w.topics, "abc", 3);
    for (int i = 0; i < 3; i++) {
        answer(0);
    }
    assert_int_equal(w.settled, 3);
}

static void what_fails_is_written_again(void **state) {
    (void)state;
    write_one("a");
    for (int i = 0; i < 20; i++) {
        answer(-ETIMEDOUT);
        assert_int_equal(w.settled, 0);
        assert_in_range(w.delay_ms, 0, 10000);
        assert_string_equal(klx_ledger_trouble(w.ledger), "words");
        wake();
    }
    answer(0);
    assert_int_equal(w.settled, 1);
    assert_string_equal(klx_ledger_trouble(w.ledger), "");
}

static void a_missing_topic_does_not_hold_the_other(void **state) {
    (void)state;
    w.send_status = -ENOENT;
    write_one("q");
    w.send_status = 0;
    write_one("d");
    assert_int_equal(w.n, 1);
    answer(0);
    assert_int_equal(w.settled, 1);
    assert_string_equal(klx_ledger_trouble(w.ledger), "refused");
    w.send_status = -ENOENT;
    wake(); /* each is tried once, not for ever */
    assert_int_equal(klx_ledger_pending(w.ledger), 1);
    w.send_status = 0;
    wake();
    answer(0);
    assert_int_equal(w.settled, 2);
}

static void what_never_fits_is_let_go(void **state) {
    (void)state;
    w.send_status = -EMSGSIZE;
    write_one("a");
    assert_int_equal(w.settled, 1);
    w.send_status = 0;
    write_one("b");
    answer(-EMSGSIZE);
    assert_int_equal(w.settled, 2);
    assert_int_equal(klx_ledger_pending(w.ledger), 0);
}

static void what_is_left_is_abandoned(void **state) {
    (void)state;
    write_one("a");
    w.send_status = -ESHUTDOWN;
    write_one("b");
    klx_ledger_free(w.ledger);
    w.ledger = NULL;
    assert_int_equal(w.settled, 0);
    assert_int_equal(w.abandoned, 2);
}

static void it_has_a_limit(void **state) {
    (void)state;
    w.send_status = -EAGAIN;
    for (int i = 0; i < KLX_LEDGER_MAX; i++) {
        assert_false(klx_ledger_full(w.ledger));
        write_one("a");
    }
    assert_true(klx_ledger_full(w.ledger));
    assert_false(klx_ledger_has_room(w.ledger));
}

/* A state of an incident, with a message of its own. */
static void write_state(const char *topic, const char *key) {
    const struct klx_record r = { .topic = "klaxon.nodes" };
    struct klx_message *m = klx_message_new(w.pool, &r);
    struct klx_ledger_entry *e = klx_ledger_new_entry(w.ledger);
    e->record = (struct klx_record){ .topic = topic, .key = klx_arena_dup(&e->arena, klx_sv(key)) };
    e->latest = true;
    klx_ledger_write(w.ledger, e, m);
    klx_message_unref(m);
}

/* It timed out, say; behind the newer one it would be what a compacted topic keeps. */
static void an_older_state_is_not_written_behind_a_newer_one(void **state) {
    (void)state;
    write_state("a", "i1");
    write_state("b", "i2");
    write_state("c", "i1");
    answer(-EIO); /* a */
    assert_int_equal(w.settled, 0);
    answer(0); /* b */
    assert_int_equal(w.settled, 1);
    assert_string_equal(w.topics, "c");
    assert_int_equal(klx_ledger_pending(w.ledger), 1);
    answer(-EIO);
    wake();
    assert_string_equal(w.topics, "c");
    answer(0); /* with it that of a is settled */
    assert_int_equal(w.settled, 3);
    assert_int_equal(klx_ledger_pending(w.ledger), 0);
}

static void an_older_state_that_waits_is_outdated(void **state) {
    (void)state;
    write_state("a", "i1");
    answer(-EIO);
    write_state("b", "i1"); /* Kafka takes records again */
    assert_string_equal(w.topics, "b");
    wake();
    assert_string_equal(w.topics, "b");
    assert_int_equal(w.settled, 0);
    answer(0);
    assert_int_equal(w.settled, 2);
    write_state("c", "i1");
    answer(0);
    assert_int_equal(w.settled, 3);
}

static void an_older_state_outlived_by_a_newer_one_ends(void **state) {
    (void)state;
    write_state("a", "i1");
    write_state("b", "i1");
    void *older = w.args[0];
    w.args[0] = w.args[1];
    w.args[1] = older;
    answer(0); /* b first */
    assert_int_equal(w.settled, 1);
    answer(-EIO);
    assert_int_equal(w.settled, 2);
    assert_int_equal(w.delay_ms, -1);
}

#define LEDGER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        LEDGER_TEST(a_message_settles_with_its_last_record),
        LEDGER_TEST(what_an_entry_covers_settles_with_it),
        LEDGER_TEST(a_full_queue_is_waited_for_in_order),
        LEDGER_TEST(what_fails_is_written_again),
        LEDGER_TEST(a_missing_topic_does_not_hold_the_other),
        LEDGER_TEST(what_never_fits_is_let_go),
        LEDGER_TEST(what_is_left_is_abandoned),
        LEDGER_TEST(it_has_a_limit),
        LEDGER_TEST(an_older_state_is_not_written_behind_a_newer_one),
        LEDGER_TEST(an_older_state_that_waits_is_outdated),
        LEDGER_TEST(an_older_state_outlived_by_a_newer_one_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
