/*
 * The detector of Argo Rollouts, by transcripts (tests/unit/support/transcript.h) in tests/golden/rollouts/<name>.txt. Every object is JSON,
 * made by merge patches of rollout.json (tests/unit/support/fake_app.h, which has the lines; the verb is `rollout`), and goes through its
 * source. Those whose name begins with "recorded-" are what a real Argo Rollouts wrote (tests/record/argo.py).
 */
#include "tests/unit/support/support.h"

#include <stdio.h>

#include "collector/sources/source.h"
#include "lib/base/cleanup.h"
#include "tests/unit/support/fake_app.h"
#include "tests/unit/support/transcript.h"

static void run(const char *name, bool restarting) {
    struct fake_apps apps = { .base = "golden/rollouts/rollout.json",
                              .verb = "rollout",
                              .source = &klx_source_rollouts };
    char file[200];
    snprintf(file, sizeof(file), "rollouts/%s.txt", name);
    transcript_run(&klx_detector_rollouts, file, restarting, fake_apps_run_line, &apps);
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
    "canary",
    "promoted",
    "aborted",
    "analysis",
    "inconclusive",
    "deadline",
    "blue-green",
    "back",
    "baseline",
    "removed",
    "relist",
    "by-hand",
    "idle",
    "recorded-canary",
    "recorded-canary-aborted",
    "recorded-analysis-failed",
    "recorded-analysis-inconclusive",
    "recorded-blue-green",
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
