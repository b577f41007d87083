#include "tests/unit/support/support.h"

#include <string.h>

#include "cli/progress.h"
#include "lib/base/cleanup.h"

#define SECOND INT64_C(1000000)

static void it_says_how_far_how_fast_and_how_long(void **state) {
    (void)state;
    static const struct {
        uint64_t begin, done, total;
        int64_t us;
        const char *words;
    } cases[] = {
        { 0, 0, 1000, 0, "reading 0 of 1000 (0 %)" },
        { 0, 10, 1000, SECOND / 10, "reading 10 of 1000 (1 %)" },
        { 0, 250, 1000, SECOND, "reading 250 of 1000 (25 %), 250/s, 3 s left" },
        { 500, 750, 1000, SECOND, "reading 750 of 1000 (75 %), 250/s, 1 s left" },
        { 0, 1000, 1000, 2 * SECOND, "reading 1000 of 1000 (100 %), 500/s" },
        { 0, 12, 0, 2 * SECOND, "reading 12, 6/s" },
        { 0, 1, 1000000, SECOND, "reading 1 of 1000000 (0 %), 1/s, 11 d 13 h left" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_progress p;
        struct klx_buf words KLX_CLEANUP(klx_buf_release);
        klx_buf_init(&words, 256);
        klx_progress_init(&p, "klaxon", false);
        klx_progress_begin(&p, "reading", cases[i].begin, 5 * SECOND);
        klx_progress_words(&p, cases[i].done, cases[i].total, 5 * SECOND + cases[i].us, &words);
        assert_string_equal(klx_buf_str(&words), cases[i].words);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(it_says_how_far_how_fast_and_how_long) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
