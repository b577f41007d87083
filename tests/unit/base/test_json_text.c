#include "tests/unit/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/json_text.h"

static void one_value_loses_its_spaces_and_nothing_else(void **state) {
    (void)state;
    static const struct {
        const char *text, *expected;
    } cases[] = {
        { "{}", "{}" },
        { " [ ] ", "[]" },
        { "{\"a\":1}", "{\"a\":1}" },
        { "{ \"a b\" : [ 1 , 2.50e+10 , -0 ] ,\n\t\"c\" : { } }",
          "{\"a b\":[1,2.50e+10,-0],\"c\":{}}" },
        { "\"\\\" \\\\ \\u00e4 x\"", "\"\\\" \\\\ \\u00e4 x\"" },
        { "[ \"\\\\\" , \" \" ]", "[\"\\\\\",\" \"]" },
        { "12345678901234567890.10", "12345678901234567890.10" },
        { " true ", "true" },
        { "[null,false]", "[null,false]" },
        { "\"sch\xC3\xB6n\"", "\"sch\xC3\xB6n\"" },
        { "\"\xFF\"", "\"\xEF\xBF\xBD\"" },
        { "{\"b\":1,\"a\":2,\"b\":3}", "{\"b\":1,\"a\":2,\"b\":3}" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_buf out KLX_CLEANUP(klx_buf_release);
        klx_buf_init(&out, 1024);
        if (klx_json_compact(&out, klx_sv(cases[i].text)) != 0) {
            fail_msg("refused: %s", cases[i].text);
        }
        assert_string_equal(klx_buf_str(&out), cases[i].expected);
    }
}

static void what_is_no_json_is_refused(void **state) {
    (void)state;
    static const char *const cases[] = {
        "",         " ",     "{",          "}",    "{]",      "[}",          "{\"a\"}",
        "{\"a\":}", "{a:1}", "{\"a\":1,}", "[1,]", "[,1]",    "[1 2]",       "01",
        "-",        "1.",    ".5",         "1e",   "+1",      "0x1",         "tru",
        "nul",      "truee", "NaN",        "\"",   "\"\\x\"", "\"\\u12g4\"", "\"\n\"",
        "1 2",      "{} {}", "[1],",       "'a'",  "\"\\",    "{\"a\" 1}",   "\"\\u12",
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_buf out KLX_CLEANUP(klx_buf_release);
        klx_buf_init(&out, 1024);
        if (klx_json_compact(&out, klx_sv(cases[i])) != -EINVAL || out.len > 0) {
            fail_msg("taken: %s", cases[i]);
        }
    }
}

/* Strings are looked at eight bytes at a time: whatever is special is seen wherever it stands. */
static void what_is_special_is_seen_at_every_place(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool good, same;
    } specials[] = {
        { "\\", true, true },    { "\"", false, false },   { "\x1f", false, false },
        { "\\\"", true, true },  { "\x01", false, false }, { "\xC3\xB6", true, true },
        { "\x80", true, false }, { "\x20", true, true },   { "\x7f", true, true },
        { "!", true, true },     { "#", true, true },      { "[", true, true },
        { "]", true, true },
    };
    char text[64];
    for (size_t i = 0; i < KLX_COUNT(specials); i++) {
        bool is_escape = strcmp(specials[i].text, "\\") == 0;
        for (int before = 0; before < 20; before++) {
            struct klx_buf out KLX_CLEANUP(klx_buf_release);
            klx_buf_init(&out, 1024);
            snprintf(text, sizeof(text), "[\"%.*s%s%saaaaaaaaaa\"]", before, "aaaaaaaaaaaaaaaaaaaa",
                     specials[i].text, is_escape ? "n" : "");
            assert_int_equal(klx_json_compact(&out, klx_sv(text)) == 0, specials[i].good);
            assert_true(!specials[i].good ||
                        klx_sv_eq(klx_buf_sv(&out), klx_sv(text)) == specials[i].same);
        }
    }
}

static void nesting_has_a_limit(void **state) {
    (void)state;
    for (size_t depth = 64; depth <= 65; depth++) {
        struct klx_buf text KLX_CLEANUP(klx_buf_release), out KLX_CLEANUP(klx_buf_release);
        klx_buf_init(&text, 1024);
        klx_buf_init(&out, 1024);
        for (size_t i = 0; i < depth; i++) {
            klx_buf_add_str(&text, "[");
        }
        for (size_t i = 0; i < depth; i++) {
            klx_buf_add_str(&text, "]");
        }
        assert_int_equal(klx_json_compact(&out, klx_buf_sv(&text)), depth == 64 ? 0 : -EINVAL);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_value_loses_its_spaces_and_nothing_else),
        cmocka_unit_test(what_is_no_json_is_refused),
        cmocka_unit_test(what_is_special_is_seen_at_every_place),
        cmocka_unit_test(nesting_has_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
