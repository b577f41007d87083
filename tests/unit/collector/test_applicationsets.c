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

static void transcript(void **state) {
    run(*state, false);
}

static void transcript_with_restarts(void **state) {
    run(*state, true);
}

static void a_broken_state_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = { "", "{", "[]", "{\"version\":2}", "{\"version\":1}" };
    void *d = klx_detector_applicationsets.create(KLX_SV("prod"), NULL);
    for (size_t i = 0; i < KLX_COUNT(bad); i++) {
        assert_int_equal(klx_detector_applicationsets.restore(d, KLX_SV("ns/name"), klx_sv(bad[i])),
                         -EBADMSG);
    }
    assert_int_equal(klx_detector_applicationsets.restore(d, KLX_SV("name"), KLX_SV("{}")),
                     -EBADMSG);
    klx_detector_applicationsets.destroy(d);
}

static const char *const names[] = { "error", "applications", "removed" };

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
