/* Twenty thousand nodes: a heartbeat writes nothing, and when all are lost at once it is one alarm, told in turns that fit a batch. */
#include "tests/unit/support/support.h"

#include <stdio.h>

#include "collector/detectors/detector.h"
#include "lib/base/cleanup.h"
#include "lib/base/json.h"
#include "lib/base/time.h"

#define NODES 20000
#define BASE_US INT64_C(1773212400000000)
#define SCRATCH_BYTES_MAX (4u << 20) /* as the publisher's */
#define RECORDS_OF_A_TURN_MAX 1500   /* as the publisher's batch */

struct world {
    struct klx_outbox out; /* first */
    struct klx_arena arena;
    void *detector;
    int64_t now_us;
    size_t events, alarms, states, removed, of_turn, of_turn_max;
};

static void count(struct world *w) {
    w->of_turn++;
    w->of_turn_max = w->of_turn > w->of_turn_max ? w->of_turn : w->of_turn_max;
}

static void on_event(struct klx_outbox *o, const struct klx_event *e) {
    struct world *w = (struct world *)o;
    assert_true(e->key.n > 0 && e->data.n > 0 && e->id.n > 0 && e->subject.n > 0);
    w->events++;
    w->alarms += e->severity != KLX_SEVERITY_INFO;
    count(w);
}

static void on_state(struct klx_outbox *o, struct klx_sv key, struct klx_sv value) {
    struct world *w = (struct world *)o;
    assert_true(key.n > 0);
    w->states += value.n > 0;
    w->removed += value.n == 0;
    count(w);
}

static int setup(void **state) {
    static struct world w;
    w = (struct world){ .out = { .event = on_event, .state = on_state }, .now_us = BASE_US };
    klx_arena_init(&w.arena, 65536, SCRATCH_BYTES_MAX);
    w.out.arena = &w.arena;
    w.detector = klx_detector_node_repair.create(KLX_SV("prod"), NULL);
    *state = &w;
    return 0;
}

static int teardown(void **state) {
    struct world *w = *state;
    klx_detector_node_repair.destroy(w->detector);
    klx_arena_release(&w->arena);
    return 0;
}

static void observe_all(struct world *w, bool ready, enum klx_origin origin) {
    for (size_t i = 0; i < NODES; i++) {
        char name[64], version[32];
        snprintf(name, sizeof(name), "aks-pool-of-workers-12345678-vmss%06zu", i);
        snprintf(version, sizeof(version), "%zu", i);
        const struct klx_observation o = {
            .kind = KLX_OBSERVED_NODE,
            .change = KLX_CHANGE_MODIFIED,
            .origin = origin,
            .cluster = KLX_SV("prod"),
            .name = klx_sv(name),
            .uid = klx_sv(name),
            .resource_version = klx_sv(version),
            .node = { .ready = ready ? KLX_NODE_READY_TRUE : KLX_NODE_READY_UNKNOWN,
                      .ready_reason = ready ? KLX_SV("KubeletReady") : KLX_SV("NodeStatusUnknown"),
                      .ready_since_us = ready ? BASE_US : BASE_US + 1,
                      .created_us = BASE_US - 86400 * KLX_US_PER_S },
        };
        klx_arena_reset(&w->arena);
        klx_detector_node_repair.observe(w->detector, &o, w->now_us, &w->out);
    }
}

/* As the collector: a turn of its own for each time that something is due. */
static size_t run_clock_until(struct world *w, int64_t until_us) {
    size_t turns = 0;
    while (w->now_us <= until_us) {
        klx_arena_reset(&w->arena);
        w->of_turn = 0;
        int64_t due_us = klx_detector_node_repair.tick(w->detector, w->now_us, &w->out);
        if (due_us == KLX_TIME_NONE) {
            break;
        }
        turns++;
        w->now_us = due_us > w->now_us ? due_us : w->now_us + 1000;
    }
    w->now_us = until_us;
    return turns;
}

static void a_heartbeat_writes_nothing(void **state) {
    struct world *w = *state;
    observe_all(w, true, KLX_ORIGIN_BASELINE);
    assert_int_equal(w->events, 0);
    assert_int_equal(w->states, NODES);
    observe_all(w, true, KLX_ORIGIN_LIVE);
    assert_int_equal(w->states, NODES);
    assert_int_equal(run_clock_until(w, w->now_us + 3600 * KLX_US_PER_S), 0);
}

static void all_lost_at_once_is_one_alarm(void **state) {
    struct world *w = *state;
    observe_all(w, true, KLX_ORIGIN_BASELINE);
    observe_all(w, false, KLX_ORIGIN_LIVE);
    assert_int_equal(w->events, 0);
    w->of_turn_max = 0;
    run_clock_until(w, w->now_us + 60 * KLX_US_PER_S);
    assert_int_equal(w->alarms, 1);
    assert_int_equal(w->events, 1 + NODES);
    assert_in_range(w->of_turn_max, 1, RECORDS_OF_A_TURN_MAX);
    observe_all(w, true, KLX_ORIGIN_LIVE);
    run_clock_until(w, w->now_us + 3600 * KLX_US_PER_S);
    assert_int_equal(w->alarms, 1);
    assert_int_equal(w->events, 2 + 2 * NODES);
}

static bool is_listed(void *arg, struct klx_sv name) {
    (void)arg;
    (void)name;
    return false;
}

/* One call: a list after a gap shows none of them any more. */
static void all_gone_in_a_list_are_told_whole(void **state) {
    struct world *w = *state;
    observe_all(w, true, KLX_ORIGIN_BASELINE);
    klx_arena_reset(&w->arena);
    klx_detector_node_repair.relisted(w->detector, KLX_OBSERVED_NODE, is_listed, NULL, w->now_us,
                                      &w->out);
    assert_int_equal(w->events, NODES);
    assert_int_equal(w->removed, NODES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_heartbeat_writes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(all_lost_at_once_is_one_alarm, setup, teardown),
        cmocka_unit_test_setup_teardown(all_gone_in_a_list_are_told_whole, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
