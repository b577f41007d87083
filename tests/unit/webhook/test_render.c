/* What is sent: CloudEvents and templates, golden for some kinds; and that a secret is in no payload. */
#include "tests/unit/webhook/channel.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/support/arena_rig.h"
#include "tests/unit/support/sample.h"
#include "tests/unit/support/wording_sample.h"

static struct klx_sv render(const struct channel_rig *c, const struct klx_notice *n) {
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    struct klx_error e = { 0 };
    klx_buf_init(&out, KLX_WEBHOOK_PAYLOAD_BYTES_MAX);
    if (klx_webhook_render(&c->s, n, &out, &e) != 0) {
        fail_msg("%s", e.text);
    }
    return klx_arena_dup(&arena, klx_buf_sv(&out));
}

static struct klx_notice notice_of(enum klx_kind kind, struct klx_event *e) {
    const struct klx_json *data = NULL;
    test_read_event(&arena, kind, e, &data);
    return (struct klx_notice){
        .event = e, .data = data, .team = KLX_SV("operations"), .channel = KLX_SV("pager")
    };
}

static const struct klx_digest_line line = { { "Node \"aks-1\"", 12 }, KLX_SEVERITY_CRITICAL, 30 };
static const struct klx_digest digest = { .events = 40,
                                          .incidents = 12,
                                          .since_us = INT64_C(1773216000000000),
                                          .until_us = INT64_C(1773216300000000),
                                          .lines = &line,
                                          .lines_n = 1 };

static void check_kinds(struct channel_rig *c, const char *name) {
    static const enum klx_kind kinds[] = { KLX_KIND_REPAIR_FAILED, KLX_KIND_NODE_READY,
                                           KLX_KIND_KUBERNETES_EVENT, KLX_KIND_APP_DEGRADED };
    char golden[128];
    struct klx_event e;
    struct klx_notice n;
    for (size_t i = 0; i < KLX_COUNT(kinds); i++) {
        n = notice_of(kinds[i], &e);
        snprintf(golden, sizeof(golden), "webhook/%s-%s.txt", name, test_kind_name(kinds[i]));
        golden_check(golden, render(c, &n));
    }
    n.reason = KLX_NOTICE_DIGEST;
    n.digest = &digest;
    snprintf(golden, sizeof(golden), "webhook/%s-digest.txt", name);
    golden_check(golden, render(c, &n));
}

static void cloudevents_in_both_modes(void **state) {
    (void)state;
    struct channel_rig c;
    channel_bind(&c, "{url: 'https://a/'}");
    check_kinds(&c, "binary");
    channel_unbind(&c);
    channel_bind(&c, "{url: 'https://a/', format: cloudevents-structured}");
    check_kinds(&c, "structured");
    channel_unbind(&c);
}

/* The channel of docs/examples/<name>.yaml. */
static void bind_example(struct channel_rig *c, struct klx_config **ret, const char *name) {
    char path[512];
    struct klx_error e = { 0 };
    snprintf(path, sizeof(path), "%s/../docs/examples/%s.yaml", KLX_TESTS_DIR, name);
    if (klx_config_load(path, ret, &e) != 0) {
        fail_msg("%s", e.text);
    }
    const struct klx_config_node *at =
        klx_config_get(klx_config_get(klx_config_root(*ret), name), "webhook");
    c->r.ops = &klx_sink_webhook;
    c->r.config = klx_new_bytes(klx_sink_webhook.config_bytes);
    if (klx_config_bind(at, klx_sink_webhook.fields, c->r.config, &e) != 0 ||
        klx_sink_webhook.check(c->r.config, at, &e) != 0 ||
        klx_webhook_settings_read(c->r.config, at, &c->s, &e) != 0) {
        fail_msg("%s", e.text);
    }
}

static void the_examples_render_every_kind(void **state) {
    (void)state;
    static const char *const names[] = { "pagerduty", "servicenow" };
    for (size_t i = 0; i < KLX_COUNT(names); i++) {
        struct channel_rig c;
        struct klx_config *yaml = NULL;
        bind_example(&c, &yaml, names[i]);
        check_kinds(&c, names[i]);
        klx_webhook_settings_release(&c.s);
        klx_config_unbind(c.r.ops->fields, c.r.config);
        free(c.r.config);
        klx_config_free(yaml);
    }
}

/* A header is one line of printable ASCII, a structured event JSON, whatever the event says. */
static void hostile_text_stays_text(void **state) {
    (void)state;
    const struct klx_sv text = KLX_SV("a\r\nx-evil: 1\n\n\x01k\x01\"\\\xff\xc3\xa4%");
    struct klx_event e;
    const struct klx_json *data = NULL, *parsed = NULL;
    struct channel_rig c;
    test_hostile_event(&arena, text, &e, &data);
    const struct klx_notice n = { .event = &e, .data = data, .team = text, .channel = text };
    channel_bind(&c, "{url: 'https://a/'}");
    struct klx_sv payload = render(&c, &n), head = klx_webhook_cut_head(&payload);
    assert_int_equal(klx_sv_find_sv(head, KLX_SV("\nx-evil")), head.n);
    assert_true(klx_sv_find_sv(head, KLX_SV("ce-id: a%0D%0Ax-evil:%201%0A%0A%01k%01%22\\%EF%BF%BD"
                                            "%C3%A4%25\n")) < head.n);
    assert_int_equal(klx_json_parse(&arena, payload, NULL, &parsed, NULL), 0);
    channel_unbind(&c);
    channel_bind(&c, "{url: 'https://a/', format: cloudevents-structured}");
    payload = render(&c, &n);
    klx_webhook_cut_head(&payload);
    assert_int_equal(klx_json_parse(&arena, payload, NULL, &parsed, NULL), 0);
    channel_unbind(&c);
}

/* Only the template can ask for a secret; an event that looks like a placeholder gets none. */
static void a_secret_is_put_in_when_it_is_sent(void **state) {
    (void)state;
    struct klx_event e;
    const struct klx_json *data = NULL;
    struct channel_rig c;
    struct klx_buf body KLX_CLEANUP(klx_buf_release);
    struct klx_error error = { 0 };
    setenv("WEBHOOK_TEST_KEY", "s3cr\"t-value\n", 1);
    klx_buf_init(&body, 65536);
    test_hostile_event(&arena, KLX_SV("\x01k\x01 {{secrets.k}}"), &e, &data);
    const struct klx_notice n = {
        .event = &e, .data = data, .team = KLX_SV("\x01k\x01"), .channel = KLX_SV("\x01k\x01")
    };
    channel_bind(&c,
                 "{url: 'https://a/', secrets: {k: {env: WEBHOOK_TEST_KEY}}, template: '{\"key\": "
                 "\"{{secrets.k}}\", \"a\": \"{{summary}}{{team}}{{channel}}{{id}}\", \"d\": "
                 "\"{{data}}\", \"s\": \"{{secrets}}\"}'}");
    struct klx_sv payload = render(&c, &n);
    assert_int_equal(klx_sv_find_sv(payload, KLX_SV("s3cr")), payload.n);
    klx_webhook_cut_head(&payload);
    assert_int_equal(klx_webhook_fill(&c.s, payload, &body, &error), 0);
    const char *first = strstr(klx_buf_str(&body), "s3cr");
    assert_ptr_equal(strstr(klx_buf_str(&body), "{\"key\": \"s3cr\\\"t-value\", "), body.data);
    assert_null(strstr(first + 1, "s3cr"));
    channel_unbind(&c);
}

static void a_template_for_a_form(void **state) {
    (void)state;
    struct klx_event e;
    struct klx_notice n = notice_of(KLX_KIND_REPAIR_FAILED, &e);
    struct channel_rig c;
    channel_bind(&c,
                 "{url: 'https://a/', content_type: application/x-www-form-urlencoded, timezone: "
                 "Europe/Berlin, template: 'title={{title}}&at={{clock_local}}'}");
    assert_sv(render(&c, &n), "content-type: application/x-www-form-urlencoded\n\n"
                              "title=Auto-repair%20action%20failed&at=09%3A04%3A18");
    channel_unbind(&c);
}

static struct channel_rig in_words;

static void check_own_words(const char *name, const struct klx_notice *n) {
    char golden[128];
    snprintf(golden, sizeof(golden), "webhook/%s.txt", name);
    golden_check(golden, render(&in_words, n));
}

static void a_template_has_the_words_of_the_channel(void **state) {
    (void)state;
    channel_bind(&in_words,
                 "{url: 'https://a/', template: '{\"title\": \"{{title}}\", \"about\": "
                 "\"{{subject}}\", \"text\": \"{{summary}}\", \"do\": \"{{advice}}\", \"facts\": "
                 "[{{#facts}}\"{{name}}: {{value}}\"{{^last}}, {{/last}}{{/facts}}]}'}");
    test_in_own_words(&arena, check_own_words);
    channel_unbind(&in_words);
}

static void only_a_template_is_for_people(void **state) {
    (void)state;
    static const struct {
        const char *yaml;
        bool data;
    } cases[] = {
        { "{url: 'https://a/'}", true },
        { "{url: 'https://a/', format: cloudevents-structured}", true },
        { "{url: 'https://a/', template: '{}'}", false },
        { "{url: 'https://a/', template_file: /x}", false },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rig r = { 0 };
        rig_bind(&r, &klx_sink_webhook, cases[i].yaml);
        assert_int_equal(klx_sink_webhook.sends_data(r.config), cases[i].data);
        rig_unbind(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ARENA_TEST(cloudevents_in_both_modes),
        ARENA_TEST(the_examples_render_every_kind),
        ARENA_TEST(hostile_text_stays_text),
        ARENA_TEST(a_secret_is_put_in_when_it_is_sent),
        ARENA_TEST(a_template_for_a_form),
        ARENA_TEST(a_template_has_the_words_of_the_channel),
        cmocka_unit_test(only_a_template_is_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
