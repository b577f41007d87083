/* Text that others wrote, as one harmless line. */
#include "tests/unit/support/support.h"

#include "lib/base/cleanup.h"
#include "lib/base/utf8.h"

static void assert_line(const char *text, size_t bytes_max, const char *expected) {
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, 4096);
    klx_utf8_line(&out, klx_sv(text), bytes_max);
    assert_sv(klx_buf_sv(&out), expected);
}

static void what_commands_or_hides_becomes_a_space(void **state) {
    (void)state;
    assert_line("node\r\nBcc: z@z", 100, "node Bcc: z@z");
    assert_line("\x1b[31mred\x07", 100, "[31mred");
    assert_line("  a \t\n b  ", 100, "a b");
    assert_line("abc\xe2\x80\xae"
                "fed",
                100, "abc fed");
    assert_line("a\xf3\xa0\x81\x81z", 100, "a z");
    assert_line("\xff\xfe!", 100, "\xEF\xBF\xBD\xEF\xBF\xBD!");
    assert_line("Köln 🚀 日本", 100, "Köln 🚀 日本");
    assert_line("", 100, "");
    assert_line(" \n ", 100, "");
}

static void what_is_too_long_is_cut_between_characters(void **state) {
    (void)state;
    assert_line("abcdef", 6, "abcdef");
    assert_line("abcdefg", 6, "abc…");
    assert_line("ab日本語", 8, "ab日…");
    assert_line("ab日本語", 7, "ab…");
    assert_line("abcd", 2, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_commands_or_hides_becomes_a_space),
        cmocka_unit_test(what_is_too_long_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
