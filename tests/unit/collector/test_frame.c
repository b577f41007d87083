#include "tests/unit/support/support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/kube/frame.h"

static void frames_cut_anywhere_are_the_same_frames(void **state) {
    (void)state;
    const char text[] = "{\"type\":\"ADDED\"}\n\n{\"b\":2}\n{\"c\":\"long enough to be cut\"}\n";
    const size_t n = sizeof(text) - 1;
    for (size_t cut = 0; cut <= n; cut++) {
        for (size_t second = cut; second <= n; second++) {
            struct klx_framer f;
            struct klx_buf seen;
            klx_framer_init(&f);
            klx_buf_init(&seen, 1024);
            const struct klx_sv chunks[] = { { text, cut },
                                             { text + cut, second - cut },
                                             { text + second, n - second } };
            for (size_t i = 0; i < 3; i++) {
                struct klx_sv frame;
                int rc = 0;
                klx_framer_feed(&f, chunks[i]);
                for (rc = klx_framer_next(&f, &frame); rc > 0; rc = klx_framer_next(&f, &frame)) {
                    klx_buf_add_sv(&seen, frame);
                    klx_buf_add_char(&seen, '|');
                }
                assert_int_equal(rc, 0);
            }
            assert_string_equal(
                klx_buf_str(&seen),
                "{\"type\":\"ADDED\"}|{\"b\":2}|{\"c\":\"long enough to be cut\"}|");
            klx_buf_release(&seen);
            klx_framer_release(&f);
        }
    }
}

static void a_frame_over_the_limit_is_refused_and_memory_stays_bounded(void **state) {
    (void)state;
    struct klx_framer f;
    struct klx_sv frame;
    klx_framer_init(&f);
    char *block = malloc(1 << 20);
    memset(block, 'x', 1 << 20);
    int rc = 0;
    for (int i = 0; i < 20 && rc == 0; i++) {
        klx_framer_feed(&f, klx_sv_n(block, 1 << 20));
        rc = klx_framer_next(&f, &frame);
    }
    assert_int_equal(rc, -EMSGSIZE);
    assert_true(f.partial.cap <= KLX_FRAME_BYTES_MAX + 1);
    klx_framer_reset(&f);
    klx_framer_feed(&f, KLX_SV("{}\n"));
    assert_int_equal(klx_framer_next(&f, &frame), 1);
    assert_sv(frame, "{}");
    free(block);
    klx_framer_release(&f);
}

static void a_nul_escape_is_read_as_a_replacement(void **state) {
    (void)state;
    static const struct {
        const char *text, *value;
        int rc;
    } cases[] = {
        { "{\"m\":\"a\\u0000b\"}",
          "a\xef\xbf\xbd"
          "b",
          0 },
        { "{\"m\":\"\\u0000\\u0000\"}", "\xef\xbf\xbd\xef\xbf\xbd", 0 },
        { "{\"m\":\"a\\\\u0000b\"}", "a\\u0000b", 0 }, /* an escaped backslash */
        { "{\"m\":\"\\\\\\u0000\"}", "\\\xef\xbf\xbd", 0 },
        { "{\"m\":\"\\u0000\"", "", -EINVAL },
        { "{\"m\":\"\\u000", "", -EINVAL },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct klx_arena arena;
        const struct klx_json *o = NULL;
        klx_arena_init(&arena, 4096, 65536);
        assert_int_equal(klx_frame_parse(&arena, klx_sv(cases[i].text), NULL, &o), cases[i].rc);
        if (cases[i].rc == 0) {
            assert_sv(klx_json_str(o, "m"), cases[i].value);
        }
        klx_arena_release(&arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_cut_anywhere_are_the_same_frames),
        cmocka_unit_test(a_nul_escape_is_read_as_a_replacement),
        cmocka_unit_test(a_frame_over_the_limit_is_refused_and_memory_stays_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
