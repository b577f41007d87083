/* The detector applicationsets, by transcripts (tests/unit/support/object_lines.h) in tests/golden/applicationsets, over applicationset.json. */
#include "tests/unit/support/support.h"

#include <errno.h>
#include <stdio.h>

#include "lib/base/cleanup.h"
#include "tests/unit/support/object_lines.h"

static void run(const char *name, bool restarting) {
    struct object_lines l = { .objects = { .base = "golden/applicationsets/applicationset.json" },
                              .source = &klx_source_applicationsets,
                              .kind = "ApplicationSet" };
    char file[200];
    snprintf(file, sizeof(file), "applicationsets/%s.txt", name);
    transcript_run(&klx_detector_applicationsets, file, restarting, object_lines_run, &l);
    fake_apps_release(&l.objects);
}

static void a_broken_state_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = { "{\"version\":1}" };
    const struct klx_detector_ops *ops = &klx_detector_applicationsets;
    transcript_check_bad_states(ops, "ns/name", bad, KLX_COUNT(bad));
    transcript_check_bad_states(ops, "name", NULL, 0);
}

static const char *const names[] = { "error", "applications", "removed" };

int main(void) {
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(a_broken_state_is_refused),
    };
    return transcript_main(others, KLX_COUNT(others), names, KLX_COUNT(names), run);
}
