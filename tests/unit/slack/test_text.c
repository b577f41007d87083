/* Escaping and cutting, one rule a line. */
#include "tests/unit/support/support.h"

#include "lib/base/cleanup.h"
#include "sinks/slack/text.h"

typedef void (*add_fn)(struct klx_buf *out, struct klx_sv text, size_t units_max);

static void assert_adds(add_fn add, const char *text, size_t units_max, const char *expected) {
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, 1024);
    klx_buf_add_str(&out, "|"); /* what is there already is not touched */
    add(&out, klx_sv(text), units_max);
    assert_sv(klx_sv_n(out.data + 1, out.len - 1), expected);
}

static void three_characters_are_escaped(void **state) {
    (void)state;
    assert_adds(klx_slack_add_plain, "", 10, "");
    assert_adds(klx_slack_add_plain, "a & <b> \"c\"", 100, "a &amp; &lt;b&gt; \"c\"");
    assert_adds(klx_slack_add_plain, "*a* :b: &lt;", 100, "*a* :b: &amp;lt;");
}

static void what_is_cut_is_cut_whole(void **state) {
    (void)state;
    assert_adds(klx_slack_add_plain, "abcde", 5, "abcde");
    assert_adds(klx_slack_add_plain, "abcdef", 5, "abcd…");
    assert_adds(klx_slack_add_plain, "ab&", 7, "ab&amp;");
    assert_adds(klx_slack_add_plain, "ab&", 6, "ab…");
    assert_adds(klx_slack_add_plain, "ab&c", 7, "ab…");
    assert_adds(klx_slack_add_plain, "a🔥🔥", 5, "a🔥🔥");
    assert_adds(klx_slack_add_plain, "a🔥🔥", 4, "a🔥…");
    assert_adds(klx_slack_add_plain, "a🔥🔥", 3, "a…");
    assert_adds(klx_slack_add_plain, "漢漢漢", 2, "漢…");
    assert_adds(klx_slack_add_plain, "ab", 1, "…");
}

static void markup_becomes_what_looks_like_it(void **state) {
    (void)state;
    assert_adds(klx_slack_add_inert, "*a* ~b~ `c`", 100, "∗a∗ ∼b∼ ˋcˋ");
    assert_adds(klx_slack_add_inert, "_a_ prod_weu _", 100, "ˍaˍ prod_weu ˍ");
    assert_adds(klx_slack_add_inert, ":fire: http://x 10:15 a: b:", 100,
                "∶fire: http∶//x 10∶15 a: b:");
    assert_adds(klx_slack_add_inert, "a\nb\r\tc <@U1>", 100, "a b  c &lt;@U1&gt;");
    assert_adds(klx_slack_add_inert, ">a > b", 100, "›a &gt; b");
}

static void entities_are_not_escaped_again(void **state) {
    (void)state;
    assert_adds(klx_slack_add_inert_escaped, "a &amp; &lt;b *", 100, "a &amp; &lt;b ∗");
    assert_adds(klx_slack_add_inert_escaped, "a&lt;b", 4, "a…");
    assert_adds(klx_slack_add_inert_escaped, "a&lt", 100, "a&lt");
}

static void a_full_buffer_stays_full(void **state) {
    (void)state;
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, 4);
    klx_slack_add_plain(&out, KLX_SV("abcdefgh"), 6);
    assert_int_equal(klx_buf_check(&out), -EMSGSIZE);
}

static void units_are_those_of_utf16(void **state) {
    (void)state;
    assert_int_equal(klx_slack_units(KLX_SV("")), 0);
    assert_int_equal(klx_slack_units(KLX_SV("aé漢🔥")), 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_characters_are_escaped),
        cmocka_unit_test(what_is_cut_is_cut_whole),
        cmocka_unit_test(markup_becomes_what_looks_like_it),
        cmocka_unit_test(entities_are_not_escaped_again),
        cmocka_unit_test(a_full_buffer_stays_full),
        cmocka_unit_test(units_are_those_of_utf16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
