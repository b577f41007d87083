#include "tests/unit/support/support.h"

#include "cli/terminal.h"
#include "lib/base/cleanup.h"

static void colours_follow_the_environment(void **state) {
    (void)state;
    static const struct {
        const char *when;
        struct klx_terminal_env env;
        bool color, utf8;
    } cases[] = {
        { "auto", { .is_tty = true, .term = "xterm", .locale = "en_US.UTF-8" }, true, true },
        { "auto", { .is_tty = true, .locale = "C.utf8" }, true, true },
        { "auto", { .is_tty = false, .locale = "C" }, false, false },
        { "auto", { .is_tty = true, .no_color = "1" }, false, false },
        { "auto", { .is_tty = true, .no_color = "" }, true, false },
        { "auto", { .is_tty = true, .term = "dumb" }, false, false },
        { "auto", { .is_tty = false, .clicolor_force = "1" }, true, false },
        { "auto", { .is_tty = false, .clicolor_force = "0" }, false, false },
        { "auto", { .is_tty = true, .no_color = "1", .clicolor_force = "1" }, false, false },
        { "always", { .is_tty = false, .no_color = "1" }, true, false },
        { "never", { .is_tty = true, .clicolor_force = "1" }, false, false },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_terminal t;
        klx_terminal_init(&t, cases[i].when, &cases[i].env);
        assert_int_equal(t.color, cases[i].color);
        assert_int_equal(t.utf8, cases[i].utf8);
    }
}

static void text_commands_no_terminal(void **state) {
    (void)state;
    static const struct {
        struct klx_sv text;
        const char *utf8, *ascii;
    } cases[] = {
        { KLX_SV("plain \\ text"), "plain \\ text", "plain \\ text" },
        { KLX_SV("\033[31mred\007"), "\\x1b[31mred\\x07", "\\x1b[31mred\\x07" },
        { KLX_SV("a\r\nb\tc\177"), "a\\r\\nb\\tc\\x7f", "a\\r\\nb\\tc\\x7f" },
        { KLX_SV("c1 \xc2\x9b"
                 "2J"),
          "c1 \\u009b2J", "c1 \\u009b2J" },
        { KLX_SV("\xe2\x80\xae"
                 "gpj.exe\xe2\x81\xa6"),
          "\\u202egpj.exe\\u2066", "\\u202egpj.exe\\u2066" },
        { KLX_SV("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80"), "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80",
          "gr\\u00fc\\u00df \\U0001f600" },
        { KLX_SV("\x9b"
                 "31m"),
          "\xef\xbf\xbd"
          "31m",
          "\\ufffd31m" },
        { KLX_SV("nul\0l"), "nul\\x00l", "nul\\x00l" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        for (int utf8 = 0; utf8 < 2; utf8++) {
            const struct klx_terminal t = { .utf8 = utf8 == 1 };
            struct klx_buf out KLX_CLEANUP(klx_buf_release);
            klx_buf_init(&out, 1024);
            klx_terminal_text(&t, &out, cases[i].text);
            assert_sv(klx_buf_sv(&out), utf8 == 1 ? cases[i].utf8 : cases[i].ascii);
        }
    }
}

static void json_keeps_its_meaning(void **state) {
    (void)state;
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, 1024);
    klx_terminal_json(&out, KLX_SV("{\"a\":\"\xc2\x9b\xe2\x80\xae\x7f gr\xc3\xbcn\"}"));
    assert_sv(klx_buf_sv(&out), "{\"a\":\"\\u009b\\u202e\\u007f gr\xc3\xbcn\"}");
}

static void severities_differ_without_colour(void **state) {
    (void)state;
    for (int utf8 = 0; utf8 < 2; utf8++) {
        const struct klx_terminal t = { .utf8 = utf8 == 1 };
        for (int s = KLX_SEVERITY_INFO; s < KLX_SEVERITY_CRITICAL; s++) {
            assert_string_not_equal(klx_terminal_glyph(&t, (enum klx_severity)s),
                                    klx_terminal_glyph(&t, (enum klx_severity)(s + 1)));
        }
        assert_string_equal(klx_terminal_color(&t, KLX_SEVERITY_CRITICAL), "");
        assert_string_equal(klx_terminal_plain(&t), "");
    }
}

static void lines_stay_lines(void **state) {
    (void)state;
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, 4096);
    klx_terminal_lines(&out, KLX_SV("a\r\nb\x1b[2J\n\nc\rd"));
    assert_string_equal(klx_buf_str(&out), "a\nb\\x1b[2J\n\nc\\rd\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_stay_lines),
        cmocka_unit_test(colours_follow_the_environment),
        cmocka_unit_test(text_commands_no_terminal),
        cmocka_unit_test(json_keeps_its_meaning),
        cmocka_unit_test(severities_differ_without_colour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
