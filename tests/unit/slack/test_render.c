/* What is sent to Slack: a golden payload for each kind, and hostile text that stays text within every limit. */
#include "tests/unit/slack/payload.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/cleanup.h"
#include "sinks/slack/blocks.h"
#include "tests/unit/support/arena_rig.h"
#include "tests/unit/support/digest_sample.h"
#include "tests/unit/support/sample.h"
#include "tests/unit/support/wording_sample.h"

/* The payload's text lives in the arena. */
static struct klx_sv render_card(const struct klx_card *card) {
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, 65536);
    klx_slack_render(card, &out);
    assert_int_equal(klx_buf_check(&out), 0);
    return klx_arena_dup(&arena, klx_buf_sv(&out));
}

static struct klx_sv render_event(const struct klx_event *e, const struct klx_json *data) {
    struct klx_card card;
    const struct klx_notice notice = {
        .event = e, .data = data, .team = KLX_SV("operations"), .channel = KLX_SV("ops-slack")
    };
    assert_int_equal(klx_card_make(&arena, &notice, &card), 0);
    return render_card(&card);
}

static void check_golden(const char *name, struct klx_sv payload) {
    char golden[128];
    snprintf(golden, sizeof(golden), "slack/%s.json", name);
    payload_check(payload_golden(&arena, golden, payload));
}

static void check_event(const char *name, const struct klx_event *e, const struct klx_json *data) {
    check_golden(name, render_event(e, data));
}

static void each_kind_has_its_message(void **state) {
    (void)state;
    test_each_event(&arena, check_event);
}

static void render_notice(const char *name, const struct klx_notice *notice) {
    struct klx_card card;
    assert_int_equal(klx_card_make(&arena, notice, &card), 0);
    check_golden(name, render_card(&card));
}

static void what_is_no_news_says_so(void **state) {
    (void)state;
    struct klx_event e;
    struct klx_notice notice;
    klx_arena_reset(&arena);
    test_digest(&arena, 12, &e, &notice);
    render_notice("digest", &notice);
    notice = (struct klx_notice){ .event = &e, .data = notice.data, .team = KLX_SV("operations") };
    e.severity = KLX_SEVERITY_WARNING;
    notice.reason = KLX_NOTICE_REMINDER;
    render_notice("reminder", &notice);
    notice.reason = KLX_NOTICE_ESCALATION;
    render_notice("escalation", &notice);
}

static void own_words_are_text_too(void **state) {
    (void)state;
    test_in_own_words(&arena, render_notice);
}

static struct klx_sv render_hostile(struct klx_sv text) {
    struct klx_event e;
    const struct klx_json *data = NULL;
    test_hostile_event(&arena, text, &e, &data);
    return render_event(&e, data);
}

static void hostile_text_stays_text(void **state) {
    (void)state;
    static const struct {
        const char *golden;
        struct klx_sv text;
    } cases[] = {
        { "hostile-mentions",
          KLX_SV("<!channel> <!here> <@U1> <#C1> <!subteam^S1> <https://evil.example|your bank>") },
        { "hostile-markup",
          KLX_SV("*x* _y_ ~z~ `c` ```p``` :fire: >q &lt;!channel&gt; & http://evil.example "
                 "[a](http://evil.example) prod_weu") },
        { "hostile-lines", KLX_SV(">a\r\nBcc: z@z\n\n> b\t\xE2\x80\xAE"
                                  "cba\xE2\x80\xA8x\x1b[31m\"},{\"type\":\"divider\"\\") },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        klx_arena_reset(&arena);
        check_golden(cases[i].golden, render_hostile(cases[i].text));
    }
}

/* 64 KB of one character everywhere: the widest in each way of counting. */
static void long_text_is_cut_within_every_limit(void **state) {
    (void)state;
    static const struct {
        const char *golden; /* NULL: only checked */
        const char *unit;
    } cases[] = {
        { "hostile-64k", "&" },       /* five characters for one */
        { NULL, "\"" },               /* two in JSON */
        { NULL, "x" },                /* */
        { NULL, "\xE6\xBC\xA2" },     /* three bytes for a unit */
        { NULL, "\xF0\x9F\x94\xA5" }, /* two units */
        { NULL, "<!channel>\xF0\x9F\x94\xA5" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_buf text KLX_CLEANUP(klx_buf_release);
        klx_arena_reset(&arena);
        klx_buf_init(&text, 1 << 20);
        while (text.len < 65536) {
            klx_buf_add_str(&text, cases[i].unit);
        }
        struct klx_sv payload = render_hostile(klx_buf_sv(&text));
        payload_check(payload_parse(&arena, payload));
        if (cases[i].golden != NULL) {
            check_golden(cases[i].golden, payload);
        }
    }
}

/* As many facts as a card can hold, each as long as it can be. */
static struct klx_card full_card(struct klx_sv text) {
    struct klx_card c = { .subject = text,
                          .title = text,
                          .state = text,
                          .summary = text,
                          .advice = text,
                          .code = KLX_SV("kubectl describe node aks-1"),
                          .footer = text,
                          .facts_n = KLX_CARD_FACTS_MAX };
    for (size_t i = 0; i < c.facts_n; i++) {
        c.facts[i] = (struct klx_card_fact){ KLX_SV("Fact"), text };
    }
    return c;
}

static void facts_that_do_not_fit_are_counted(void **state) {
    (void)state;
    char text[KLX_CARD_SUMMARY_BYTES_MAX + 1];
    memset(text, '<', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    klx_arena_reset(&arena);
    struct klx_card c = full_card(klx_sv(text));
    struct klx_sv payload = render_card(&c);
    payload_check(payload_parse(&arena, payload));
    assert_non_null(strstr(payload.p, "more facts were left out: the message would be too long"));
    assert_non_null(strstr(payload.p, "kubectl describe node aks-1"));
    c = full_card(KLX_SV("short"));
    payload = render_card(&c);
    payload_check(payload_parse(&arena, payload)); /* twelve facts are two sections */
    assert_null(strstr(payload.p, "left out"));
}

static void a_card_of_almost_nothing_is_a_message(void **state) {
    (void)state;
    const struct klx_card c = { .subject = KLX_SV("s"), .title = KLX_SV("t") };
    klx_arena_reset(&arena);
    struct klx_sv payload = render_card(&c);
    const struct klx_json *message = payload_parse(&arena, payload);
    assert_sv(klx_json_str(message, "text"), "t · s");
    payload_check(message);
}

static void colour_and_word_are_the_severity(void **state) {
    (void)state;
    static const struct {
        enum klx_severity severity;
        bool resolved;
        const char *color, *text;
    } cases[] = {
        { KLX_SEVERITY_INFO, false, "#439FE0", "t · s · update 2" },
        { KLX_SEVERITY_WARNING, false, "warning", "Warning: t · s · update 2" },
        { KLX_SEVERITY_CRITICAL, false, "danger", "Critical: t · s · update 2" },
        { KLX_SEVERITY_CRITICAL, true, "good", "Resolved: t · s" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        const struct klx_card c = { .subject = KLX_SV("s"),
                                    .title = KLX_SV("t"),
                                    .state = KLX_SV("update 2"),
                                    .severity = cases[i].severity,
                                    .resolved = cases[i].resolved };
        klx_arena_reset(&arena);
        const struct klx_json *message = payload_parse(&arena, render_card(&c));
        const struct klx_json *one = klx_json_first(klx_json_get(message, "attachments"));
        assert_sv(klx_json_str(message, "text"), cases[i].text);
        assert_sv(klx_json_str(one, "color"), cases[i].color);
    }
}

static void plain_text_says_the_same(void **state) {
    (void)state;
    struct klx_buf plain KLX_CLEANUP(klx_buf_release);
    klx_arena_reset(&arena);
    klx_buf_init(&plain, 65536);
    struct klx_sv payload = render_hostile(KLX_SV("*a* <!here> `b` :fire: >c"));
    assert_int_equal(klx_slack_render_plain(payload, &plain), 0);
    const struct klx_json *message = payload_parse(&arena, klx_buf_sv(&plain));
    struct klx_sv text = klx_json_str(message, "text");
    payload_assert_inert(text);
    assert_true(klx_sv_ends(text, KLX_SV(" · ∗a∗ &lt;!here&gt; ˋbˋ ∶fire: &gt;c")));
    assert_null(klx_json_get(message, "attachments"));
    assert_int_equal(klx_slack_render_plain(KLX_SV("{}"), &plain), -EINVAL);
    assert_int_equal(klx_slack_render_plain(KLX_SV("nothing"), &plain), -EINVAL);
}

static void check_limits(const char *text) {
    klx_arena_reset(&arena);
    payload_check(payload_parse(&arena, klx_sv(text)));
}

/* Also what a later change forgets to render. */
static void every_golden_file_keeps_the_limits(void **state) {
    (void)state;
    assert_int_equal(golden_each("slack", check_limits), KLX_KINDS_N + 9);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_words_are_text_too),
        cmocka_unit_test(each_kind_has_its_message),
        cmocka_unit_test(what_is_no_news_says_so),
        cmocka_unit_test(hostile_text_stays_text),
        cmocka_unit_test(long_text_is_cut_within_every_limit),
        cmocka_unit_test(facts_that_do_not_fit_are_counted),
        cmocka_unit_test(a_card_of_almost_nothing_is_a_message),
        cmocka_unit_test(colour_and_word_are_the_severity),
        cmocka_unit_test(plain_text_says_the_same),
        cmocka_unit_test(every_golden_file_keeps_the_limits),
    };
    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
