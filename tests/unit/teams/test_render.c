/* What is sent to Teams: a golden message for each kind, and hostile text that stays text within every limit. */
#include "tests/unit/teams/message.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/cleanup.h"
#include "sinks/teams/adaptive.h"
#include "tests/unit/support/arena_rig.h"
#include "tests/unit/support/sample.h"
#include "tests/unit/support/wording_sample.h"

static const struct klx_teams_mention people[] = {
    { { "Jo Miller", 9 }, { "jo@example.com", 14 } },
    { { "Ann", 3 }, { "01234567-89ab-cdef-0123-456789abcdef", 36 } },
};

static const struct klx_event no_event = { .kind = KLX_KIND_UNKNOWN };

static struct klx_notice notice_of(const struct klx_event *e, const struct klx_json *data) {
    return (struct klx_notice){
        .event = e, .data = data, .team = KLX_SV("operations"), .channel = KLX_SV("ops-teams")
    };
}

/* The message's text lives in the arena. */
static struct klx_sv render_in(const struct klx_card *card, const struct klx_notice *notice,
                               size_t mentions_n) {
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    const struct klx_teams_envelope envelope = { notice, people, mentions_n };
    klx_buf_init(&out, KLX_TEAMS_PAYLOAD_BYTES_MAX);
    klx_teams_render(card, &envelope, &out);
    assert_int_equal(klx_buf_check(&out), 0);
    return klx_arena_dup(&arena, klx_buf_sv(&out));
}

static struct klx_sv render_card(const struct klx_card *card) {
    const struct klx_notice notice = notice_of(&no_event, NULL);
    return render_in(card, &notice, 0);
}

static struct klx_sv render_notice(const struct klx_notice *notice, size_t mentions_n) {
    struct klx_card card;
    assert_int_equal(klx_card_make(&arena, notice, &card), 0);
    return render_in(&card, notice, mentions_n);
}

static struct klx_sv render_event(const struct klx_event *e, const struct klx_json *data) {
    const struct klx_notice notice = notice_of(e, data);
    return render_notice(&notice, 0);
}

static const struct klx_json *parse(struct klx_sv payload) {
    const struct klx_json *message = payload_parse(&arena, payload);
    message_check(payload, message);
    return message;
}

static void check_golden(const char *name, struct klx_sv payload) {
    char golden[128];
    snprintf(golden, sizeof(golden), "teams/%s.json", name);
    message_check(payload, payload_golden(&arena, golden, payload));
}

static void check_event(const char *name, const struct klx_event *e, const struct klx_json *data) {
    check_golden(name, render_event(e, data));
}

static void each_kind_has_its_message(void **state) {
    (void)state;
    test_each_event(&arena, check_event);
}

static void check_notice(const char *name, const struct klx_notice *notice) {
    check_golden(name, render_notice(notice, 0));
}

static void own_words_are_text_too(void **state) {
    (void)state;
    test_in_own_words(&arena, check_notice);
}

static void a_reply_names_its_message_and_people_are_mentioned(void **state) {
    (void)state;
    struct klx_event e;
    const struct klx_json *data = NULL;
    klx_arena_reset(&arena);
    test_read_event(&arena, KLX_KIND_REPAIR_STUCK, &e, &data);
    struct klx_notice notice = notice_of(&e, data);
    notice.handle = KLX_SV("1773216798316");
    struct klx_sv payload = render_notice(&notice, 2);
    check_golden("with-reply-and-mentions", payload);
    assert_sv(klx_json_str(parse(payload), "replyToId"), "1773216798316");
    assert_non_null(klx_json_get(message_card(parse(payload)), "msteams.entities"));
    assert_null(klx_json_get(message_card(parse(render_notice(&notice, 0))), "msteams.entities"));
}

static void a_notice_says_why(void **state) {
    (void)state;
    static const struct {
        enum klx_notice_reason reason;
        const char *golden, *words;
    } cases[] = {
        { KLX_NOTICE_REMINDER, "notice-reminder", "still open" },
        { KLX_NOTICE_ESCALATION, "notice-escalation", "nobody has acknowledged it" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_event e;
        const struct klx_json *data = NULL;
        klx_arena_reset(&arena);
        test_read_event(&arena, KLX_KIND_REPAIR_STUCK, &e, &data);
        struct klx_notice notice = notice_of(&e, data);
        notice.reason = cases[i].reason;
        notice.handle = KLX_SV("1773216798316");
        struct klx_sv payload = render_notice(&notice, 2);
        check_golden(cases[i].golden, payload);
        assert_true(
            klx_sv_find_sv(klx_json_str(parse(payload), "summary"), klx_sv(cases[i].words)) <
            klx_json_str(parse(payload), "summary").n);
    }
}

/* A line of it is text of a cluster like any other. */
static void a_digest_tells_of_many(void **state) {
    (void)state;
    static const struct klx_digest_line lines[] = {
        { KLX_SV("Node aks-1 (prod-weu): Node is not ready"), KLX_SEVERITY_CRITICAL, 7 },
        { KLX_SV("Pod *api* <at>Jo</at> [a](http://evil.example): Back-off"), KLX_SEVERITY_WARNING,
          1 },
    };
    const struct klx_digest digest = { .events = 412,
                                       .incidents = 31,
                                       .since_us = INT64_C(1773216798000000),
                                       .until_us = INT64_C(1773216858000000),
                                       .lines = lines,
                                       .lines_n = KLX_COUNT(lines) };
    struct klx_event e;
    const struct klx_json *data = NULL;
    klx_arena_reset(&arena);
    test_read_event(&arena, KLX_KIND_REPAIR_STUCK, &e, &data);
    struct klx_notice notice = notice_of(&e, data);
    notice.reason = KLX_NOTICE_DIGEST;
    notice.digest = &digest;
    struct klx_sv payload = render_notice(&notice, 2);
    check_golden("notice-digest", payload);
    assert_non_null(strstr(payload.p, "412 events of 31 incidents"));
}

static struct klx_sv render_hostile(struct klx_sv text) {
    struct klx_event e;
    const struct klx_json *data = NULL;
    test_hostile_event(&arena, text, &e, &data);
    struct klx_notice notice = notice_of(&e, data);
    notice.team = text;
    return render_notice(&notice, 2);
}

static void hostile_text_stays_text(void **state) {
    (void)state;
    static const struct {
        const char *golden;
        struct klx_sv text;
    } cases[] = {
        { "hostile-mentions",
          KLX_SV("<at>Jo Miller</at> <AT id=\"0\">Ann</AT> <at>everyone</at> @channel") },
        { "hostile-markup",
          KLX_SV("- **x** _y_ ~z~ `c` [a](http://evil.example) ![i](http://e) # h "
                 "&lt;b&gt; <b>b</b> {{DATE(2026-01-01T00:00:00Z)}} ${x} a\\*b "
                 "prod_weu 1. x") },
        { "hostile-lines", KLX_SV("1. a\r\nBcc: z@z\n\n- b\t\xE2\x80\xAE"
                                  "cba\xE2\x80\xA8x\x1b[31m\"},{\"type\":\"Media\"\\") },
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
        { "hostile-64k", "&" }, /* three bytes for one */
        { NULL, "\"" },         /* two in JSON */
        { NULL, "x" },
        { NULL, "\xE6\xBC\xA2" },
        { NULL, "\xF0\x9F\x94\xA5" },
        { NULL, "<at>\xF0\x9F\x94\xA5" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_buf text KLX_CLEANUP(klx_buf_release);
        klx_arena_reset(&arena);
        klx_buf_init(&text, 1 << 20);
        while (text.len < 65536) {
            klx_buf_add_str(&text, cases[i].unit);
        }
        struct klx_sv payload = render_hostile(klx_buf_sv(&text));
        parse(payload);
        if (cases[i].golden != NULL) {
            check_golden(cases[i].golden, payload);
        }
    }
}

static void all_facts(struct klx_card *c, struct klx_sv text) {
    for (c->facts_n = 0; c->facts_n < KLX_CARD_FACTS_MAX; c->facts_n++) {
        c->facts[c->facts_n] = (struct klx_card_fact){ KLX_SV("Fact"), text };
    }
}

static void facts_that_do_not_fit_are_counted(void **state) {
    (void)state;
    char text[KLX_CARD_FACT_BYTES_MAX + 1];
    struct klx_card c = { .subject = KLX_SV("s"),
                          .title = KLX_SV("t"),
                          .summary = KLX_SV("u"),
                          .code = KLX_SV("kubectl describe node aks-1") };
    memset(text, '&', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    klx_arena_reset(&arena);
    all_facts(&c, KLX_SV("short"));
    struct klx_sv payload = render_card(&c);
    parse(payload);
    assert_null(strstr(payload.p, "left out"));
    all_facts(&c, klx_sv(text));
    payload = render_card(&c);
    parse(payload);
    assert_null(strstr(payload.p, "left out")); /* as long as a card has them, all fit */
    c.summary = klx_sv(text);
    static char link[KLX_URL_LINK_BYTES_MAX];
    memset(link, 'x', sizeof(link) - 1);
    memcpy(link, "https://", 8);
    c.links[0] = (struct klx_link){ KLX_SV("Argo CD"), klx_sv(link) };
    c.links_n = 1;
    c.subject = c.footer = c.advice = klx_sv(text);
    payload = render_card(&c);
    parse(payload);
    assert_non_null(strstr(payload.p, "fact"));
    assert_non_null(strstr(payload.p, " left out: the message would be too long for Teams"));
    assert_non_null(strstr(payload.p, "kubectl describe node aks-1"));
    assert_non_null(strstr(payload.p, "\"url\":\"https://xxxx"));
}

/* What no card has: everything but the facts is far too long, and the link has to go. */
static void what_is_too_long_without_facts_is_cut_as_well(void **state) {
    (void)state;
    static char text[KLX_CARD_SUMMARY_BYTES_MAX + 1], link[KLX_URL_LINK_BYTES_MAX];
    memset(text, '"', sizeof(text) - 1);
    memset(link, 'x', sizeof(link) - 1);
    memcpy(link, "https://", 8);
    struct klx_card c = { .subject = klx_sv(text),
                          .title = klx_sv(text),
                          .state = KLX_SV("update 3"),
                          .summary = klx_sv(text),
                          .advice = klx_sv(text),
                          .code = klx_sv(text),
                          .footer = klx_sv(text),
                          .links = { { KLX_SV("Argo CD"), klx_sv(link) },
                                     { KLX_SV("Runbook"), KLX_SV("https://wiki.example.com") } },
                          .links_n = 2 };
    klx_arena_reset(&arena);
    all_facts(&c, KLX_SV("a fact"));
    struct klx_sv payload = render_card(&c);
    parse(payload);
    assert_non_null(strstr(payload.p, "12 more facts, 2 more links left out: the message would"));
    assert_non_null(strstr(payload.p, "…"));
}

static void a_card_of_almost_nothing_is_a_message(void **state) {
    (void)state;
    const struct klx_card c = { .subject = KLX_SV("s"), .title = KLX_SV("t") };
    klx_arena_reset(&arena);
    const struct klx_json *message = parse(render_card(&c));
    assert_sv(klx_json_str(message, "summary"), "t · s");
    assert_sv(klx_json_str(message_card(message), "fallbackText"), "t · s");
    assert_null(klx_json_get(message, "replyToId"));
    assert_null(klx_json_get(message_card(message), "actions"));
}

static void colour_and_word_are_the_severity(void **state) {
    (void)state;
    static const struct {
        enum klx_severity severity;
        bool resolved;
        const char *style, *line, *head;
    } cases[] = {
        { KLX_SEVERITY_INFO, false, "emphasis", "t · s · update 2", "t" },
        { KLX_SEVERITY_WARNING, false, "warning", "Warning: t · s · update 2", "Warning: t" },
        { KLX_SEVERITY_CRITICAL, false, "attention", "Critical: t · s · update 2", "Critical: t" },
        { KLX_SEVERITY_CRITICAL, true, "good", "Resolved: t · s", "Resolved: t" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        const struct klx_card c = { .subject = KLX_SV("s"),
                                    .title = KLX_SV("t"),
                                    .state = KLX_SV("update 2"),
                                    .severity = cases[i].severity,
                                    .resolved = cases[i].resolved };
        klx_arena_reset(&arena);
        const struct klx_json *message = parse(render_card(&c));
        const struct klx_json *head = klx_json_first(klx_json_get(message_card(message), "body"));
        const struct klx_json *title = klx_json_first(klx_json_get(head, "items"));
        assert_sv(klx_json_str(message, "summary"), cases[i].line);
        assert_sv(klx_json_str(head, "style"), cases[i].style);
        assert_sv(klx_json_str(klx_json_first(klx_json_get(title, "inlines")), "text"),
                  cases[i].head);
    }
}

static void each_link_is_a_button(void **state) {
    (void)state;
    const struct klx_card c = { .subject = KLX_SV("s"),
                                .title = KLX_SV("t"),
                                .links = { { KLX_SV("Argo <at>CD"), KLX_SV("https://a.example") },
                                           { KLX_SV("Runbook"), KLX_SV("https://b.example/x") } },
                                .links_n = 2 };
    klx_arena_reset(&arena);
    const struct klx_json *first =
        klx_json_first(klx_json_get(message_card(parse(render_card(&c))), "actions"));
    assert_sv(klx_json_str(first, "title"), "Argo ‹at>CD");
    assert_sv(klx_json_str(first, "url"), "https://a.example");
    assert_sv(klx_json_str(klx_json_next(first), "url"), "https://b.example/x");
}

static void a_digest_is_of_no_incident_and_no_reply(void **state) {
    (void)state;
    struct klx_event e;
    const struct klx_json *data = NULL;
    klx_arena_reset(&arena);
    test_read_event(&arena, KLX_KIND_REPAIR_STUCK, &e, &data);
    struct klx_notice notice = notice_of(&e, data);
    notice.reason = KLX_NOTICE_DIGEST;
    notice.handle = KLX_SV("1");
    const struct klx_json *message = parse(render_notice(&notice, 0));
    assert_null(klx_json_get(message, "replyToId"));
    assert_sv(klx_json_str(message, "klaxon.incident"), "");
    assert_sv(klx_json_str(message, "klaxon.phase"), "");
    assert_sv(klx_json_str(message, "klaxon.reason"), "digest");
}

static void a_flow_may_decide_by_what_is_said_of_klaxon(void **state) {
    (void)state;
    struct klx_event e;
    const struct klx_json *data = NULL;
    klx_arena_reset(&arena);
    test_read_event(&arena, KLX_KIND_REPAIR_STUCK, &e, &data);
    struct klx_notice notice = notice_of(&e, data);
    notice.reason = KLX_NOTICE_REMINDER;
    const struct klx_json *said = klx_json_get(parse(render_notice(&notice, 0)), "klaxon");
    assert_true(klx_sv_eq(klx_json_str(said, "event"), e.id));
    assert_true(klx_sv_eq(klx_json_str(said, "incident"), e.incident));
    assert_int_equal(klx_json_int(said, "number", 0), e.incident_seq);
    assert_sv(klx_json_str(said, "phase"), "update");
    assert_sv(klx_json_str(said, "severity"), "critical");
    assert_sv(klx_json_str(said, "reason"), "reminder");
    assert_sv(klx_json_str(said, "channel"), "ops-teams");
    assert_sv(klx_json_str(said, "team"), "operations");
}

/* Also what a later change forgets to render. */
static void every_golden_file_is_one_of_these(void **state) {
    (void)state;
    assert_int_equal(golden_each("teams", NULL), KLX_KINDS_N + 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_words_are_text_too),
        cmocka_unit_test(each_kind_has_its_message),
        cmocka_unit_test(a_reply_names_its_message_and_people_are_mentioned),
        cmocka_unit_test(a_notice_says_why),
        cmocka_unit_test(a_digest_tells_of_many),
        cmocka_unit_test(hostile_text_stays_text),
        cmocka_unit_test(long_text_is_cut_within_every_limit),
        cmocka_unit_test(facts_that_do_not_fit_are_counted),
        cmocka_unit_test(what_is_too_long_without_facts_is_cut_as_well),
        cmocka_unit_test(a_card_of_almost_nothing_is_a_message),
        cmocka_unit_test(colour_and_word_are_the_severity),
        cmocka_unit_test(each_link_is_a_button),
        cmocka_unit_test(a_digest_is_of_no_incident_and_no_reply),
        cmocka_unit_test(a_flow_may_decide_by_what_is_said_of_klaxon),
        cmocka_unit_test(every_golden_file_is_one_of_these),
    };
    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
