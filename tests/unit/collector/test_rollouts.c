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

static void a_broken_state_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = { "{\"version\":1}" };
    const struct klx_detector_ops *ops = &klx_detector_rollouts;
    transcript_check_bad_states(ops, "ns/name", bad, KLX_COUNT(bad));
    transcript_check_bad_states(ops, "name", NULL, 0);
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

int main(void) {
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(a_broken_state_is_refused),
    };
    return transcript_main(others, KLX_COUNT(others), names, KLX_COUNT(names), run);
}
