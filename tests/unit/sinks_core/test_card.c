/* What every channel tells: one golden card for each kind, and hostile text that stays text. */
#include "tests/unit/support/support.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "sinks/core/card.h"
#include "tests/unit/support/arena_rig.h"
#include "tests/unit/support/digest_sample.h"
#include "tests/unit/support/sample.h"

static struct klx_card card_of(const struct klx_event *e, const struct klx_json *data) {
    struct klx_card c = { 0 };
    const struct klx_notice notice = {
        .event = e, .data = data, .team = KLX_SV("operations"), .channel = KLX_SV("ops-slack")
    };
    assert_int_equal(klx_card_make(&arena, &notice, &c), 0);
    return c;
}

static void print_field(struct klx_buf *out, const char *name, struct klx_sv value) {
    if (value.n > 0) {
        klx_buf_printf(out, "%-18s %.*s\n", name, KLX_SV_FMT(value));
    }
}

static void print_card(struct klx_buf *out, const struct klx_card *c) {
    print_field(out, "severity", klx_sv(klx_severity_name(c->severity)));
    print_field(out, "subject", c->subject);
    print_field(out, "title", c->title);
    print_field(out, "state", c->state);
    print_field(out, "summary", c->summary);
    for (size_t i = 0; i < c->facts_n; i++) {
        char name[64];
        snprintf(name, sizeof(name), "  %.*s", KLX_SV_FMT(c->facts[i].name));
        print_field(out, name, c->facts[i].value);
    }
    print_field(out, "advice", c->advice);
    print_field(out, "link", c->link);
    print_field(out, "code", c->code);
    print_field(out, "footer", c->footer);
}

static void check_event(const char *name, const struct klx_event *e, const struct klx_json *data) {
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    char golden[128];
    klx_buf_init(&out, 16384);
    struct klx_card c = card_of(e, data);
    print_card(&out, &c);
    snprintf(golden, sizeof(golden), "card/%s.txt", name);
    golden_check(golden, klx_buf_sv(&out));
}

static void each_kind_has_its_card(void **state) {
    (void)state;
    test_each_event(&arena, check_event);
}

static void check_notice(const char *name, const struct klx_notice *notice) {
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    struct klx_card c = { 0 };
    char golden[128];
    klx_buf_init(&out, 16384);
    assert_int_equal(klx_card_make(&arena, notice, &c), 0);
    print_card(&out, &c);
    snprintf(golden, sizeof(golden), "card/%s.txt", name);
    golden_check(golden, klx_buf_sv(&out));
}

static void what_is_no_news_says_so(void **state) {
    (void)state;
    struct klx_event e;
    struct klx_notice notice = { .event = &e, .team = KLX_SV("operations") };
    klx_arena_reset(&arena);
    test_read_event(&arena, KLX_KIND_REPAIR_STARTED, &e, &notice.data);
    notice.reason = KLX_NOTICE_REMINDER;
    check_notice("reminder", &notice);
    notice.reason = KLX_NOTICE_ESCALATION;
    check_notice("escalation", &notice);
}

static void a_digest_shows_what_it_holds(void **state) {
    (void)state;
    struct klx_notice notice;
    struct klx_event e;
    klx_arena_reset(&arena);
    test_digest(&arena, 5, &e, &notice);
    check_notice("digest", &notice);
    test_digest(&arena, 40, &e, &notice);
    check_notice("digest-many", &notice);
}

static struct klx_card card_of_data(const char *json) {
    const struct klx_json *data = NULL;
    const struct klx_event e = { .kind = KLX_KIND_NODE_NOT_READY,
                                 .cluster = KLX_SV("prod"),
                                 .severity = KLX_SEVERITY_WARNING };
    klx_arena_reset(&arena);
    assert_int_equal(klx_json_parse(&arena, klx_sv(json), NULL, &data, NULL), 0);
    return card_of(&e, data);
}

static void hostile_text_stays_one_line_of_text(void **state) {
    (void)state;
    struct klx_card c =
        card_of_data("{\"summary\":\"x\\r\\nBcc: z@z "
                     "\\u202ecba\",\"object\":{\"kind\":\"Node\",\"name\":\"a; rm -rf /\"}}");
    assert_sv(c.summary, "x Bcc: z@z cba");
    assert_sv(c.code, "");
    assert_sv(c.subject, "Node a; rm -rf / (prod)");
}

static void a_command_is_made_of_plain_names_only(void **state) {
    (void)state;
    assert_sv(card_of_data("{\"object\":{\"kind\":\"Node\",\"name\":\"aks-1\"}}").code,
              "kubectl describe Node aks-1");
    assert_sv(card_of_data(
                  "{\"object\":{\"kind\":\"Pod\",\"name\":\"a.b\",\"namespace\":\"kube-system\"}}")
                  .code,
              "kubectl describe Pod a.b -n kube-system");
    assert_sv(card_of_data("{\"object\":{\"kind\":\"Pod\",\"name\":\"-A\"}}").code, "");
    assert_sv(card_of_data("{\"object\":{\"kind\":\"Po d\",\"name\":\"a\"}}").code, "");
    assert_sv(
        card_of_data("{\"object\":{\"kind\":\"Pod\",\"name\":\"a\",\"namespace\":\"$(x)\"}}").code,
        "");
}

static void only_a_plain_address_is_a_link(void **state) {
    (void)state;
    struct klx_card c = card_of_data(
        "{\"links\":[{\"title\":\"Argo\\r\\n CD\",\"url\":\"https://cd.example.com/a\"}]}");
    assert_sv(c.link, "https://cd.example.com/a");
    assert_sv(c.link_title, "Argo CD");
    assert_sv(card_of_data("{\"links\":[{\"url\":\"https://h/\"}]}").link_title, "Details");
    assert_sv(card_of_data("{\"links\":[{\"url\":\"javascript:alert(1)\"}]}").link, "");
    assert_sv(card_of_data("{\"links\":[{\"url\":\"https://u:p@h/\"}]}").link, "");
    assert_sv(card_of_data("{\"links\":\"https://h/\"}").link, "");
}

static void long_texts_are_cut_and_missing_ones_left_out(void **state) {
    (void)state;
    char json[8192];
    int n = snprintf(json, sizeof(json), "{\"reason\":\"");
    memset(json + n, 'x', 5000);
    snprintf(json + n + 5000, sizeof(json) - (size_t)n - 5000, "\"}");
    struct klx_card c = card_of_data(json);
    assert_sv(c.summary, "Node not ready");
    assert_int_equal(c.facts_n, 2);
    assert_int_equal(c.facts[1].value.n, KLX_CARD_FACT_BYTES_MAX);
    assert_true(klx_sv_ends(c.facts[1].value, KLX_SV("…")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_has_its_card),
        cmocka_unit_test(what_is_no_news_says_so),
        cmocka_unit_test(a_digest_shows_what_it_holds),
        cmocka_unit_test(hostile_text_stays_one_line_of_text),
        cmocka_unit_test(a_command_is_made_of_plain_names_only),
        cmocka_unit_test(only_a_plain_address_is_a_link),
        cmocka_unit_test(long_texts_are_cut_and_missing_ones_left_out),
    };
    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
