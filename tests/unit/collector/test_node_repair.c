/*
 * The node detector, by transcripts (tests/unit/support/transcript.h) in tests/golden/node_repair/<name>.txt.
 *
 *     > 00:00 node N ready|notready|unknown [REASON] [new] [cordoned] [upgrading] [baseline|resync]
 *     > 00:00 delete N          > 00:00 relist N…
 *     > 00:00 event REASON N [component=C] [at=MM:SS] [baseline|resync]
 */
#include "tests/unit/support/support.h"

#include <stdio.h>

#include "lib/base/cleanup.h"
#include "lib/base/time.h"
#include "tests/unit/support/transcript.h"

static void observe_node(struct transcript *t, const char *line, struct klx_sv rest) {
    struct klx_observation o = transcript_observation(t, line);
    o.kind = KLX_OBSERVED_NODE;
    o.name = klx_sv_cut(&rest, ' ');
    struct klx_sv status = klx_sv_cut(&rest, ' ');
    o.node = (struct klx_observed_node){
        .ready = klx_sv_eq(status, KLX_SV("ready"))     ? KLX_NODE_READY_TRUE
                 : klx_sv_eq(status, KLX_SV("unknown")) ? KLX_NODE_READY_UNKNOWN
                                                        : KLX_NODE_READY_FALSE,
        .ready_reason = klx_sv_cut(&rest, ' '),
        .ready_since_us = t->now_us,
        .unschedulable = transcript_has_word(line, "cordoned"),
        .upgrading = transcript_has_word(line, "upgrading"),
        .created_us = transcript_has_word(line, "new") ? t->now_us
                                                       : TRANSCRIPT_BASE_US - 86400 * KLX_US_PER_S,
    };
    t->ops->observe(t->detector, &o, t->now_us, &t->out);
}

static void observe_event(struct transcript *t, const char *line, struct klx_sv rest) {
    struct klx_observation o = transcript_observation(t, line);
    struct klx_sv at = transcript_option(line, "at");
    o.kind = KLX_OBSERVED_EVENT;
    o.event = (struct klx_observed_event){
        .reason = klx_sv_cut(&rest, ' '),
        .about_kind = KLX_SV("Node"),
        .about_name = klx_sv_cut(&rest, ' '),
        .message = KLX_SV("the text of the Event"),
        .component = transcript_has_word(line, "component=upgrader") ? KLX_SV("upgrader")
                                                                     : KLX_SV("aks-auto-repair"),
        .time_us = at.n > 0 ? transcript_time(at) : t->now_us,
        .count = 1,
    };
    t->ops->observe(t->detector, &o, t->now_us, &t->out);
}

static void run_line(struct transcript *t, const char *line, struct klx_sv verb,
                     struct klx_sv rest) {
    if (klx_sv_eq(verb, KLX_SV("node"))) {
        observe_node(t, line, rest);
    } else if (klx_sv_eq(verb, KLX_SV("event"))) {
        observe_event(t, line, rest);
    } else if (klx_sv_eq(verb, KLX_SV("delete"))) {
        struct klx_observation o = transcript_observation(t, line);
        o.kind = KLX_OBSERVED_NODE;
        o.change = KLX_CHANGE_DELETED;
        o.name = klx_sv_cut(&rest, ' ');
        t->ops->observe(t->detector, &o, t->now_us, &t->out);
    } else {
        assert_true(klx_sv_eq(verb, KLX_SV("relist")));
        t->ops->relisted(t->detector, KLX_OBSERVED_NODE, transcript_is_listed,
                         (void *)(uintptr_t)line, t->now_us, &t->out);
    }
}

static void run(const char *name, bool restarting) {
    char file[200];
    snprintf(file, sizeof(file), "node_repair/%s.txt", name);
    transcript_run(&klx_detector_node_repair, file, restarting, run_line, NULL);
}

static void transcript(void **state) {
    run(*state, false);
}

static void transcript_with_restarts(void **state) {
    run(*state, true);
}

static void a_broken_state_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = { "", "{", "[]", "{\"version\":2}",
                                       "{\"version\":1,\"labels\":3}" };
    void *d = klx_detector_node_repair.create(KLX_SV("prod"), NULL);
    for (size_t i = 0; i < KLX_COUNT(bad); i++) {
        assert_int_equal(klx_detector_node_repair.restore(d, KLX_SV("n"), klx_sv(bad[i])),
                         -EBADMSG);
    }
    klx_detector_node_repair.destroy(d);
}

#define TRANSCRIPT(name)                                                                           \
    { name, transcript, NULL, NULL, (void *)(uintptr_t)name }, {                                   \
        name " (restarting)", transcript_with_restarts, NULL, NULL, (void *)(uintptr_t)name        \
    }

int main(void) {
    const struct CMUnitTest tests[] = {
        TRANSCRIPT("reboot"),
        TRANSCRIPT("ladder"),
        TRANSCRIPT("error"),
        TRANSCRIPT("end-then-error"),
        TRANSCRIPT("deleted"),
        TRANSCRIPT("stuck"),
        TRANSCRIPT("flapping"),
        TRANSCRIPT("upgrade"),
        TRANSCRIPT("out-of-order"),
        TRANSCRIPT("start-unseen"),
        TRANSCRIPT("baseline"),
        TRANSCRIPT("relist"),
        TRANSCRIPT("joining"),
        TRANSCRIPT("cordon"),
        cmocka_unit_test(a_broken_state_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
