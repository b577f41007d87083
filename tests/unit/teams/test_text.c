#include "tests/unit/support/support.h"

#include "lib/base/cleanup.h"
#include "sinks/teams/text.h"

static void assert_adds(void (*add)(struct klx_buf *out, struct klx_sv text), const char *text,
                        const char *expected) {
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, 1024);
    klx_buf_add_str(&out, "|"); /* what is there already is not touched */
    add(&out, klx_sv(text));
    assert_sv(klx_sv_n(out.data + 1, out.len - 1), expected);
}

static void a_run_keeps_its_text(void **state) {
    (void)state;
    static const char all[] = "# *a* _b_ `c` [d](http://e) <f> & g\\ - 漢🔥 {h}";
    assert_adds(klx_teams_add_plain, "", "");
    assert_adds(klx_teams_add_plain, all, all);
    assert_adds(klx_teams_add_plain, "<at>Jo</at> <AT>Jo</At> <b>", "‹at>Jo‹/at> ‹AT>Jo‹/At> <b>");
    assert_adds(klx_teams_add_plain, "{{DATE(2026-01-01T00:00:00Z)}} {{{",
                "{ {DATE(2026-01-01T00:00:00Z)}} { { {");
    assert_adds(klx_teams_add_plain, "a\nb\r\tc", "a b  c");
}

static void markdown_becomes_what_looks_like_it(void **state) {
    (void)state;
    assert_adds(klx_teams_add_inert, "**a** ~~b~~ `c`", "∗∗a∗∗ ∼∼b∼∼ ˋcˋ");
    assert_adds(klx_teams_add_inert, "_a_ prod_weu _", "ˍaˍ prod_weu ˍ");
    assert_adds(klx_teams_add_inert, "a_ _b 漢_字", "aˍ ˍb 漢ˍ字");
    assert_adds(klx_teams_add_inert, "[a](http://e)", "［a］(http://e)");
    assert_adds(klx_teams_add_inert, "<b>&lt;\\*", "‹b›＆lt;∖∗");
    assert_adds(klx_teams_add_inert, "<at>Jo</at> {{TIME(x)}}", "‹at›Jo‹/at› { {TIME(x)}}");
}

static void a_list_does_not_begin(void **state) {
    (void)state;
    assert_adds(klx_teams_add_inert, "- a - b", "‐ a - b");
    assert_adds(klx_teams_add_inert, "+ a", "＋ a");
    assert_adds(klx_teams_add_inert, "-1 of 3", "-1 of 3");
    assert_adds(klx_teams_add_inert, "3. a 4. b", "3․ a 4. b");
    assert_adds(klx_teams_add_inert, "12) a", "12） a");
    assert_adds(klx_teams_add_inert, "3.", "3․");
    assert_adds(klx_teams_add_inert, "3.5 Gi (90 %)", "3.5 Gi (90 %)");
    assert_adds(klx_teams_add_inert, "2026-03-11 08:02:18 UTC", "2026-03-11 08:02:18 UTC");
    assert_adds(klx_teams_add_inert, "# a #b", "＃ a #b");
    assert_adds(klx_teams_add_inert, ". a", ". a");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_keeps_its_text),
        cmocka_unit_test(markdown_becomes_what_looks_like_it),
        cmocka_unit_test(a_list_does_not_begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
