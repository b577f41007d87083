/* Words of an operator: which of them count, what comes of them on a card, and what is wrong with them. */
#include "tests/unit/support/wording_sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "sinks/core/context.h"
#include "tests/unit/support/arena_rig.h"

static struct klx_event event;

static struct klx_notice notice_of(enum klx_kind kind, struct klx_wording_use *use) {
    struct klx_notice n = {
        .event = &event, .team = KLX_SV("operations"), .channel = KLX_SV("ops"), .wording = use
    };
    test_read_event(&arena, kind, &event, &n.data);
    return n;
}

static struct klx_card card_of(const struct klx_notice *n) {
    struct klx_card card;
    assert_int_equal(klx_card_make(&arena, n, &card), 0);
    return card;
}

/* The card of a kind in the words of `yaml`, of a channel. */
static struct klx_card told(enum klx_kind kind, const char *yaml) {
    struct test_words w;
    test_words_new(&w, yaml);
    struct klx_notice n = notice_of(kind, &w.use);
    struct klx_card card = card_of(&n);
    assert_int_equal(w.use.failed, 0);
    test_words_release(&w);
    return card;
}

static struct klx_card ours(enum klx_kind kind) {
    struct klx_notice n = notice_of(kind, NULL);
    return card_of(&n);
}

static void what_is_left_out_stays_as_it_is(void **state) {
    (void)state;
    struct klx_card own = ours(KLX_KIND_REPAIR_FAILED);
    struct klx_card c = told(KLX_KIND_REPAIR_FAILED, "{ title: \"{{cluster}}: {{title}}\" }");
    assert_sv(c.title, "prod-weu: Auto-repair action failed");
    assert_sv(c.subject, own.subject.p);
    assert_sv(c.summary, own.summary.p);
    assert_sv(c.advice, own.advice.p);
    assert_int_equal(c.facts_n, own.facts_n);
    assert_sv(c.facts[0].value, own.facts[0].value.p);
}

static void the_first_entry_for_the_event_that_has_the_part_counts(void **state) {
    (void)state;
    static const char yaml[] = "- { event: \"node.repair.*\", title: repair }\n"
                               "- { event: node.repair.failed, title: failed, advice: call }\n"
                               "- { title: any, advice: any }\n";
    struct klx_card c = told(KLX_KIND_REPAIR_FAILED, yaml);
    assert_sv(c.title, "repair");
    assert_sv(c.advice, "call");
    c = told(KLX_KIND_REPAIR_STARTED, yaml);
    assert_sv(c.title, "repair");
    assert_sv(c.advice, "any");
    c = told(KLX_KIND_NODE_READY, yaml);
    assert_sv(c.title, "any");
}

static void the_subscription_counts_before_the_channel(void **state) {
    (void)state;
    struct test_words channel, team;
    test_words_new(&channel, "{ title: channel, summary: channel }");
    test_words_new(&team, "- { event: node.ready, summary: ready }\n- { title: team }\n");
    struct klx_wording_use use = { .of_subscription = team.wording, .of_channel = channel.wording };
    struct klx_notice n = notice_of(KLX_KIND_NODE_READY, &use);
    struct klx_card c = card_of(&n);
    assert_sv(c.title, "team");
    assert_sv(c.summary, "ready");
    n = notice_of(KLX_KIND_REPAIR_FAILED, &use);
    c = card_of(&n);
    assert_sv(c.title, "team");
    assert_sv(c.summary, "channel");
    test_words_release(&channel);
    test_words_release(&team);
}

static void a_digest_has_only_words_of_its_channel_that_name_it(void **state) {
    (void)state;
    struct test_words w, team;
    struct klx_notice n;
    test_words_new(&w, "- { title: any }\n- { event: [digest, node.ready], summary: both }\n");
    test_words_new(&team, "{ title: team, summary: team }");
    struct klx_wording_use use = { .of_subscription = team.wording, .of_channel = w.wording };
    test_digest(&arena, 3, &event, &n);
    n.wording = &use;
    struct klx_card c = card_of(&n);
    assert_sv(c.title, "Digest");
    assert_sv(c.summary, "both");
    use.of_subscription = NULL;
    n = notice_of(KLX_KIND_NODE_READY, &use);
    c = card_of(&n);
    assert_sv(c.title, "any");
    assert_sv(c.summary, "both");
    test_words_release(&w);
    test_words_release(&team);
}

static void a_reminder_is_told_in_them_too(void **state) {
    (void)state;
    struct test_words w;
    test_words_new(&w, "{ title: \"{{#is.reminder}}Still: {{/is.reminder}}{{title}}\" }");
    struct klx_notice n = notice_of(KLX_KIND_REPAIR_FAILED, &w.use);
    n.reason = KLX_NOTICE_REMINDER;
    struct klx_card c = card_of(&n);
    assert_sv(c.title, "Still: Auto-repair action failed");
    assert_sv(c.state, "still open");
    test_words_release(&w);
}

static void what_comes_of_it_is_one_line_that_is_cut(void **state) {
    (void)state;
    struct klx_card c =
        told(KLX_KIND_NODE_READY, "{ title: \"a\\n\\n  b\\u0007\\u202e{{cluster}}\\r\\nc\",\n"
                                  "  summary: \"{{#facts}}{{#facts}}{{#facts}}{{name}}: {{value}} "
                                  "{{/facts}}{{/facts}}{{/facts}}\" }");
    assert_sv(c.title, "a b prod-weu c");
    assert_in_range(c.summary.n, KLX_CARD_SUMMARY_BYTES_MAX - 8, KLX_CARD_SUMMARY_BYTES_MAX);
    assert_true(klx_sv_ends(c.summary, KLX_SV("…")));
}

static void a_message_is_never_without_title_and_text(void **state) {
    (void)state;
    struct klx_card own = ours(KLX_KIND_REPAIR_FAILED);
    struct klx_card c =
        told(KLX_KIND_REPAIR_FAILED, "{ title: \"{{data.x}}\", summary: \" {{data.x}} \", "
                                     "subject: \"{{data.x}}\", advice: \"\" }");
    assert_sv(c.title, own.title.p);
    assert_sv(c.summary, own.summary.p);
    assert_sv(c.subject, own.subject.p);
    assert_int_equal(c.advice.n, 0);
}

static void facts_are_its_own_and_those_that_it_does_not_name(void **state) {
    (void)state;
    struct klx_card own = ours(KLX_KIND_NODE_READY);
    struct klx_card c = told(KLX_KIND_NODE_READY, "{ facts: [] }");
    assert_int_equal(c.facts_n, 0);
    c = told(KLX_KIND_NODE_READY,
             "facts: [{ name: A, value: \"{{team}}\" }, { name: No, value: \"{{data.x}}\" }]");
    assert_int_equal(c.facts_n, 1);
    assert_sv(c.facts[0].name, "A");
    assert_sv(c.facts[0].value, "operations");
    c = told(KLX_KIND_NODE_READY, "facts: [defaults, { name: Cluster, value: \"\" }, "
                                  "{ name: \"{{object.kind}}\", value: z }]");
    assert_sv(own.facts[0].name, "Cluster");
    assert_int_equal(c.facts_n, own.facts_n - 1);
    assert_sv(c.facts[c.facts_n - 1].name, "Node");
    assert_sv(c.facts[c.facts_n - 1].value, "z");
    for (size_t i = 0; i + 1 < c.facts_n; i++) {
        assert_false(klx_sv_eq(c.facts[i].name, KLX_SV("Cluster")) ||
                     klx_sv_eq(c.facts[i].name, KLX_SV("Node")));
    }
}

static void its_own_facts_are_there_before_those_of_klaxon(void **state) {
    (void)state;
    struct klx_buf yaml KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&yaml, 4096);
    klx_buf_add_str(&yaml, "facts: [defaults");
    for (int i = 0; i < KLX_CARD_FACTS_MAX - 1; i++) {
        klx_buf_printf(&yaml, ", { name: own%d, value: x }", i);
    }
    klx_buf_add_str(&yaml, "]");
    struct klx_card c = told(KLX_KIND_NODE_READY, klx_buf_str(&yaml));
    assert_int_equal(c.facts_n, KLX_CARD_FACTS_MAX);
    assert_sv(c.facts[0].name, "Cluster");
    assert_sv(c.facts[KLX_CARD_FACTS_MAX - 1].name, "own10");
}

static void an_entry_has_its_own_time_zone(void **state) {
    (void)state;
    struct klx_card c =
        told(KLX_KIND_NODE_READY, "- { title: \"{{time_local}}\", timezone: Asia/Tokyo }\n"
                                  "- { summary: \"{{time_local}}\", timezone: Europe/Berlin }\n"
                                  "- { advice: \"{{time_local}}\" }\n");
    assert_true(klx_sv_ends(c.title, KLX_SV("JST")));
    assert_true(klx_sv_ends(c.summary, KLX_SV("CET")));
    assert_true(klx_sv_ends(c.advice, KLX_SV("UTC")));
}

/* The body of a webhook takes the same words. */
static void a_context_has_the_card_in_them(void **state) {
    (void)state;
    struct test_words w;
    const struct klx_json *context = NULL;
    test_words_new(&w, "{ title: \"own {{title}}\", facts: [{ name: a, value: b }] }");
    struct klx_notice n = notice_of(KLX_KIND_NODE_READY, &w.use);
    assert_int_equal(klx_context_make(&arena, &n, NULL, &context), 0);
    assert_sv(klx_json_str(context, "title"), "own Node ready again");
    assert_sv(klx_json_str(klx_json_first(klx_json_get(context, "facts")), "value"), "b");
    test_words_release(&w);
}

/* A list of 2000 in itself, three times: no sample shows it, and the message must go out. */
static void what_cannot_be_filled_in_is_told_in_ours(void **state) {
    (void)state;
    struct klx_buf json KLX_CLEANUP(klx_buf_release);
    struct test_words w;
    klx_buf_init(&json, 1 << 20);
    klx_buf_add_str(&json, "{\"summary\":\"s\",\"list\":[0");
    for (int i = 1; i < 2000; i++) {
        klx_buf_printf(&json, ",%d", i);
    }
    klx_buf_add_str(&json, "]}");
    test_words_new(
        &w, "title: \"{{#data.list}}{{#data.list}}{{#data.list}}{{^data.list}}x"
            "{{/data.list}}{{/data.list}}{{/data.list}}{{/data.list}}\"\n"
            "summary: \"own {{summary}}\"\n"
            "facts: [{ name: a, value: \"{{#data.list}}{{#data.list}}{{#data.list}}"
            "{{^data.list}}x{{/data.list}}{{/data.list}}{{/data.list}}{{/data.list}}\" }]\n");
    struct klx_notice n = notice_of(KLX_KIND_NODE_READY, &w.use);
    assert_int_equal(klx_json_parse(&arena, klx_buf_sv(&json), NULL, &n.data, NULL), 0);
    struct klx_card c = card_of(&n);
    assert_sv(c.title, "Node ready again");
    assert_sv(c.summary, "own s");
    assert_sv(c.facts[0].name, "Cluster");
    assert_int_equal(w.use.failed, 2);
    assert_string_equal(w.use.why.text, "k.yaml:1:8: title: too much work for this event");
    test_words_release(&w);
}

/* An arena without room for words has room for none: the card is as it was. */
static void a_full_arena_leaves_the_card(void **state) {
    (void)state;
    struct klx_card own = ours(KLX_KIND_NODE_READY), card = own;
    struct klx_arena full;
    struct test_words w;
    test_words_new(&w, "{ title: abc, facts: [{ name: a, value: b }] }");
    struct klx_notice n = notice_of(KLX_KIND_NODE_READY, &w.use);
    klx_arena_init(&full, 16, 0);
    klx_wording_apply(&full, &n, &card);
    assert_memory_equal(&card, &own, sizeof(card));
    assert_int_equal(w.use.failed, 2);
    klx_arena_release(&full);
    test_words_release(&w);
}

static void check_said(const char *yaml, enum klx_wording_owner owner, const char *words) {
    struct test_words w;
    test_words_bind(&w, yaml, owner);
    if (strstr(klx_buf_str(&w.said), words) == NULL) {
        fail_msg("%s\nsays: %s\nnot: %s", yaml, klx_buf_str(&w.said), words);
    }
    test_words_release(&w);
}

static void mistakes_are_said_with_their_place(void **state) {
    (void)state;
    static const struct {
        const char *yaml, *words;
    } cases[] = {
        { "{ title: \"{{titel}}\" }",
          "k.yaml:1:10: title: line 1, column 3: {{titel}}: no event has it, did you mean "
          "\"title\"?" },
        { "{ event: node.redy, title: x }",
          "k.yaml:1:10: event: there is no kind of event \"node.redy\", did you mean" },
        { "{ event: \"~(\", title: x }", "k.yaml:1:10: event: " },
        { "{ event: [], title: x }", "the list is empty" },
        { "{ event: io.klaxon.node.ready, title: x }", "leave io.klaxon. out" },
        { "{ summary: \"{{{summary}}}\" }", "unescaped output is not available" },
        { "{ summary: \"{{>p}}\" }", "there are no partials here, found {{>p}}" },
        { "{ title: \" \" }", "a message has a title" },
        { "{ subject: \"\" }", "a message has a subject" },
        { "{ titel: x }", "did you mean \"title\"?" },
        { "{ event: node.ready }", "this changes nothing" },
        { "{ title: }", "this changes nothing" },
        { "", "k.yaml:1:1: this changes nothing" },
        { "~", "k.yaml:1:1: this changes nothing" },
        { "- { title: x }\n-\n", "[1]: this changes nothing" },
        { "[]", "the list is empty" },
        { "[x]", "k.yaml:1:2: [0]: expected a map" },
        { "{ title: x, timezone: Europe/Berln }", "there is no time zone" },
        { "{ facts: x }", "expected a list" },
        { "{ facts: [x] }", "expected {name: …, value: …} or defaults" },
        { "{ facts: [{ name: x }] }", "\"value\" is missing" },
        { "{ facts: [defaults, defaults] }", "defaults is in the list twice" },
        { "{ facts: [{ name: x, value: \"{{y}}\" }] }",
          "k.yaml:1:29: facts[0].value: line 1, column 3: {{y}}: no event has it" },
        { "- { title: x }\n- { event: node.ready, title: y }\n",
          "k.yaml:2:31: [1].title: the entry in line 1 is for every event and has title too" },
        { "- { facts: [] }\n- { facts: [] }\n", "has facts too" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        check_said(cases[i].yaml, KLX_WORDING_OF_CHANNEL, cases[i].words);
    }
    check_said("{ event: digest, title: x }", KLX_WORDING_OF_SUBSCRIPTION,
               "put its words at the channel");
}

static void too_much_is_refused(void **state) {
    (void)state;
    struct klx_buf yaml KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&yaml, 65536);
    klx_buf_add_str(&yaml, "facts: [defaults");
    for (int i = 0; i <= KLX_CARD_FACTS_MAX; i++) {
        klx_buf_printf(&yaml, ", { name: own%d, value: x }", i);
    }
    klx_buf_add_str(&yaml, "]");
    check_said(klx_buf_str(&yaml), KLX_WORDING_OF_CHANNEL, "a message has at most 12 facts");
    klx_buf_reset(&yaml);
    for (int i = 0; i < 65; i++) {
        klx_buf_add_str(&yaml, "- { event: node.ready, title: x }\n");
    }
    check_said(klx_buf_str(&yaml), KLX_WORDING_OF_CHANNEL, "at most 64 entries");
}

/* An entry for digests is no harm to those after it, nor one for other parts. */
static void what_can_count_may_stand_anywhere(void **state) {
    (void)state;
    struct test_words w;
    test_words_new(&w, "- { event: digest, title: x }\n- { summary: y }\n"
                       "- { event: [node.ready, digest], summary: z }\n- { title: t }\n");
    test_words_release(&w);
}

struct trial {
    struct klx_buf mistakes, doubts;
};

static void keep_mistake(void *arg, const char *text) {
    klx_buf_printf(&((struct trial *)arg)->mistakes, "%s\n", text);
}

static void keep_doubt(void *arg, const char *text) {
    klx_buf_printf(&((struct trial *)arg)->doubts, "%s\n", text);
}

static void check_trial(const char *yaml, const char *mistake, const char *doubt) {
    struct klx_wording_trial *t = klx_wording_trial_new();
    struct test_words w;
    struct trial said;
    klx_buf_init(&said.mistakes, 65536);
    klx_buf_init(&said.doubts, 65536);
    test_words_new(&w, yaml);
    klx_wording_try(t, w.wording, keep_mistake, keep_doubt, &said);
    assert_string_equal(klx_buf_str(&said.mistakes), mistake);
    assert_string_equal(klx_buf_str(&said.doubts), doubt);
    klx_buf_release(&said.mistakes);
    klx_buf_release(&said.doubts);
    klx_wording_trial_free(t);
    test_words_release(&w);
}

#define LONG "0123456789012345678901234567890123456789012345678901234567890123456789"

static void a_trial_says_what_no_event_would_show_well(void **state) {
    (void)state;
    check_trial(test_words_yaml, "", "");
    check_trial("{ title: " LONG LONG LONG " }",
                "k.yaml:1:10: title: this is cut at 200 bytes, whatever comes: shorten it\n", "");
    check_trial("{ facts: [{ name: " LONG ", value: x }] }",
                "k.yaml:1:19: facts[0].name: this is cut at 60 bytes, whatever comes: shorten "
                "it\n",
                "");
    check_trial("{ event: node.ready, summary: \"{{data.hpa.max}}\" }", "",
                "k.yaml:1:31: summary: line 1, column 3: {{data.hpa.max}}: no kind of event that "
                "this is for has it\n");
    check_trial("{ summary: \"{{data.hpa.max}} {{data.object.name.9}} {{data.labels.mine}}\" }", "",
                "");
    check_trial("{ summary: \"{{#is.info}}{{#is.critical}}never{{/is.critical}}{{/is.info}}\" }",
                "",
                "k.yaml:1:12: summary: this comes out empty for every kind of event that it is "
                "for, as klaxon knows them\n");
    check_trial("{ facts: [{ name: Zone, value: \"\" }, { name: o, value: \"{{data.labels.o}}\" }] "
                "}",
                "", "");
    check_trial("{ event: \"foreign.*\", title: x }", "",
                "k.yaml:1:10: event: no kind of event of klaxon is this\n");
}

static void a_trial_says_with_which_event_it_cannot_be_filled_in(void **state) {
    (void)state;
    struct klx_buf yaml KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&yaml, 65536);
    klx_buf_add_str(&yaml, "{ event: node.repair.failed, title: \"");
    for (int i = 0; i < 10; i++) {
        klx_buf_add_str(&yaml, "{{#facts}}");
    }
    klx_buf_add_str(&yaml, "x");
    for (int i = 0; i < 10; i++) {
        klx_buf_add_str(&yaml, "{{/facts}}");
    }
    klx_buf_add_str(&yaml, "\" }");
    check_trial(klx_buf_str(&yaml),
                "k.yaml:1:37: title: with node.repair.failed: too much work for this event\n", "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_left_out_stays_as_it_is),
        cmocka_unit_test(the_first_entry_for_the_event_that_has_the_part_counts),
        cmocka_unit_test(the_subscription_counts_before_the_channel),
        cmocka_unit_test(a_digest_has_only_words_of_its_channel_that_name_it),
        cmocka_unit_test(a_reminder_is_told_in_them_too),
        cmocka_unit_test(what_comes_of_it_is_one_line_that_is_cut),
        cmocka_unit_test(a_message_is_never_without_title_and_text),
        cmocka_unit_test(facts_are_its_own_and_those_that_it_does_not_name),
        cmocka_unit_test(its_own_facts_are_there_before_those_of_klaxon),
        cmocka_unit_test(an_entry_has_its_own_time_zone),
        cmocka_unit_test(a_context_has_the_card_in_them),
        cmocka_unit_test(what_cannot_be_filled_in_is_told_in_ours),
        cmocka_unit_test(a_full_arena_leaves_the_card),
        cmocka_unit_test(mistakes_are_said_with_their_place),
        cmocka_unit_test(too_much_is_refused),
        cmocka_unit_test(what_can_count_may_stand_anywhere),
        cmocka_unit_test(a_trial_says_what_no_event_would_show_well),
        cmocka_unit_test(a_trial_says_with_which_event_it_cannot_be_filled_in),
    };
    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
