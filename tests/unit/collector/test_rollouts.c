/*
 * The detector of Argo Rollouts, by transcripts (tests/unit/support/transcript.h) in tests/golden/rollouts/<name>.txt. Every object is JSON,
 * made by merge patches (tests/unit/support/fake_app.h) of rollout.json, and goes through its source.
 *
 *     > 00:00 rollout NAME {patch}       MODIFIED
 *     > 00:00 list NAME {patch}          in the first list
 *     > 00:00 relisted NAME {patch}      in a list after a gap
 *     > 00:00 add NAME {patch}           ADDED: another one of that name
 *     > 00:00 delete NAME                DELETED
 *     > 00:00 relist NAMESPACE/NAME…     the list's end: what there is
 */
#include "tests/unit/support/support.h"

#include <stdio.h>

#include "collector/sources/source.h"
#include "lib/base/cleanup.h"
#include "tests/unit/support/fake_app.h"
#include "tests/unit/support/transcript.h"

static void observe(struct transcript *t, enum klx_origin origin, enum klx_change change,
                    const struct klx_json *object) {
    struct klx_observation o = transcript_observation(t, "");
    o.origin = origin;
    o.change = change;
    o.object = object;
    o.kind = klx_source_rollouts.observed;
    assert_int_equal(klx_source_rollouts.observe(object, &o), 0);
    t->ops->observe(t->detector, &o, t->now_us, &t->out);
}

static void run_line(struct transcript *t, const char *line, struct klx_sv verb,
                     struct klx_sv rest) {
    struct klx_sv patch = rest, name = klx_sv_cut(&patch, ' ');
    if (klx_sv_eq(verb, KLX_SV("relist"))) {
        t->ops->relisted(t->detector, KLX_OBSERVED_ROLLOUT, transcript_is_listed,
                         (void *)(uintptr_t)line, t->now_us, &t->out);
        return;
    }
    bool add = klx_sv_eq(verb, KLX_SV("add"));
    const struct klx_json *object = fake_app(t->arg, t, name, patch, add);
    if (klx_sv_eq(verb, KLX_SV("rollout"))) {
        observe(t, KLX_ORIGIN_LIVE, KLX_CHANGE_MODIFIED, object);
    } else if (klx_sv_eq(verb, KLX_SV("list"))) {
        observe(t, KLX_ORIGIN_BASELINE, KLX_CHANGE_ADDED, object);
    } else if (klx_sv_eq(verb, KLX_SV("relisted"))) {
        observe(t, KLX_ORIGIN_RESYNC, KLX_CHANGE_ADDED, object);
    } else if (add) {
        observe(t, KLX_ORIGIN_LIVE, KLX_CHANGE_ADDED, object);
    } else if (klx_sv_eq(verb, KLX_SV("delete"))) {
        observe(t, KLX_ORIGIN_LIVE, KLX_CHANGE_DELETED, object);
    } else {
        fail_msg("no verb %.*s", KLX_SV_FMT(verb));
    }
}

static void run(const char *name, bool restarting) {
    struct fake_apps apps = { .base = "golden/rollouts/rollout.json" };
    char file[200];
    snprintf(file, sizeof(file), "rollouts/%s.txt", name);
    transcript_run(&klx_detector_rollouts, file, restarting, run_line, &apps);
    fake_apps_release(&apps);
}

static void transcript(void **state) {
    run(*state, false);
}

static void transcript_with_restarts(void **state) {
    run(*state, true);
}

static void a_broken_state_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = { "", "{", "[]", "{\"version\":2}", "{\"version\":1}" };
    void *d = klx_detector_rollouts.create(KLX_SV("prod"), NULL);
    for (size_t i = 0; i < KLX_COUNT(bad); i++) {
        assert_int_equal(klx_detector_rollouts.restore(d, KLX_SV("ns/name"), klx_sv(bad[i])),
                         -EBADMSG);
    }
    assert_int_equal(klx_detector_rollouts.restore(d, KLX_SV("name"), KLX_SV("{}")), -EBADMSG);
    klx_detector_rollouts.destroy(d);
}

static const char *const names[] = {
    "canary", "promoted", "aborted", "analysis", "inconclusive", "deadline", "blue-green",
    "back",   "baseline", "removed", "relist",   "by-hand",      "idle",
};

#define FIXED 1

int main(void) {
    struct CMUnitTest tests[2 * KLX_COUNT(names) + FIXED] = {
        cmocka_unit_test(a_broken_state_is_refused),
    };
    for (size_t i = 0; i < KLX_COUNT(names); i++) {
        void *name = (void *)(uintptr_t)names[i];
        tests[2 * i + FIXED] = (struct CMUnitTest){ names[i], transcript, NULL, NULL, name };
        tests[2 * i + FIXED + 1] =
            (struct CMUnitTest){ names[i], transcript_with_restarts, NULL, NULL, name };
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
