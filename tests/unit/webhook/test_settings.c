/* What a channel's configuration may be, and what is said where it is wrong. */
#include "tests/unit/webhook/channel.h"

#include <stdlib.h>

static void check_mistake(const char *yaml, const char *mistake) {
    struct rig r = { 0 };
    struct klx_error e = { 0 };
    rig_bind(&r, &klx_sink_webhook, yaml);
    const struct klx_config_node *at = klx_config_root(r.yaml);
    int rc = r.ops->check(r.config, at, &e);
    rc = rc == 0 ? r.ops->check_here(r.config, at, &e) : rc;
    if (rc == 0 || strstr(e.text, mistake) == NULL) {
        fail_msg("%s\nexpected: %s\nfound:    %s", yaml, mistake, rc != 0 ? e.text : "nothing");
    }
    assert_null(strstr(e.text, "c2VjcmV0"));
    rig_unbind(&r);
}

#define URL "url: 'https://a.example.com/x'"

static void says_what_is_wrong_and_where(void **state) {
    (void)state;
    static const struct {
        const char *yaml, *mistake;
    } cases[] = {
        { "{}", "a webhook has either url or secret_url" },
        { "{" URL ", secret_url: {env: WEBHOOK_TEST_URL}}", "secret_url: a webhook has either" },
        { "{url: 'http://a.example.com/x'}", "test.yaml:1:7: url: the URL " },
        { "{url: 'https://u:c2VjcmV0@a.example.com/'}", "url: the URL " },
        { "{secret_url: {env: WEBHOOK_TEST_BAD_URL}}", "secret_url: the webhook's URL in" },
        { "{" URL ", method: GET}", "method: expected POST, PUT or PATCH, found \"GET\"" },
        { "{" URL ", format: xml}", "format: expected cloudevents" },
        { "{" URL ", format: template}", "format: there is no template" },
        { "{" URL ", format: cloudevents, template: '{}'}", "format: there is a template" },
        { "{" URL ", content_type: text/plain}", "content_type: this is for a template" },
        { "{" URL ", template: '{}', content_type: image/png}", "what values are escaped for" },
        { "{" URL ", template: '{}', content_type: x}", "content_type: expected a content type" },
        { "{" URL ", template: '{}', escape: xml}", "escape: expected json, url, html or none" },
        { "{" URL ", template: '{', template_file: /dev/null}",
          "either template or template_file" },
        { "{" URL ", template: '{{{x}}}'}", "template: line 1, column 1: unescaped output" },
        { "{" URL ", template: '{{>row}}'}", "template: there is no partial \"row\"" },
        { "{" URL ", template: '{{>row}}', partials: {row: '{{#a}}'}}",
          "partial \"row\": line 1, column 7: this section is never closed" },
        { "{" URL ", template: '{}', partials: [a]}", "partials: expected a map" },
        { "{" URL ", template: \"\\x01\"}", "template: the template holds a control character" },
        { "{" URL ", template: '{\"a\": {{summary}}}'}", "template: tried with io.klaxon." },
        { "{" URL ", template: '{\"a\": [{{#facts}}\"{{name}}\",{{/facts}}]}'}",
          "the template made something that is not JSON" },
        { "{" URL ", headers: {Content-Type: x}}", "headers: Content-Type is said by klaxon" },
        { "{" URL ", headers: {ce-id: x}}", "headers: ce-id is said by klaxon" },
        { "{" URL ", headers: {idempotency-key: x}}", "idempotency-key is said by klaxon" },
        { "{" URL ", headers: {X-Api-Key: c2VjcmV0}}", "X-Api-Key looks like a credential" },
        { "{" URL ", headers: {'X Y': a}}", "expected at most 16 names" },
        { "{" URL ", headers: {X: \"a\\r\\nb\"}}", "X holds a line end" },
        { "{" URL ", headers: {X: {env: WEBHOOK_TEST_LINES}}}", "holds a line end" },
        { "{" URL ", headers: {X: {env: WEBHOOK_TEST_NOTHING}}}", "headers: environment variable" },
        { "{" URL ", headers: {X: {flie: a}}}",
          "headers.X: expected {file: /path} or {env: NAME}" },
        { "{" URL ", secrets: {a: {env: WEBHOOK_TEST_URL}}}", "secrets: there is no template" },
        { "{" URL ", template: '{}', secrets: {a: c2VjcmV0}}", "secrets: a is written out" },
        { "{" URL ", user: a}", "user and password belong together" },
        { "{" URL ", user: 'a:b', password: {env: WEBHOOK_TEST_URL}}", "user: a name without ':'" },
        { "{" URL ", user: a, password: {env: HOME}, bearer_token: {env: HOME}}",
          "either bearer_token or user" },
        { "{" URL ", bearer_token: {env: HOME}, headers: {Authorization: {env: HOME}}}",
          "Authorization is said by klaxon" },
        { "{" URL ", idempotency_header: 'a b'}", "\"a b\" is no name of a header" },
        { "{" URL ", signing_secret: {env: WEBHOOK_TEST_BAD_KEY}}", "without a key in Base64" },
        { "{" URL ", timezone: Europe/Berlim}", "timezone: there is no time zone" },
        { "{" URL ", responses: {status: 200}}", "responses: expected a list" },
        { "{" URL ", responses: [{status: 100, outcome: retry}]}",
          "responses[0].status: expected" },
        { "{" URL ", responses: [{status: 200, outcome: ok}]}", "outcome: expected delivered" },
        { "{" URL ", responses: [{outcome: retry}]}", "a rule has a status, a body or both" },
        { "{" URL ", responses: [{body: '~(', outcome: retry}]}", "responses[0].body: " },
    };
    setenv("WEBHOOK_TEST_URL", "https://a.example.com/c2VjcmV0", 1);
    setenv("WEBHOOK_TEST_BAD_URL", "ftp://a.example.com/c2VjcmV0", 1);
    setenv("WEBHOOK_TEST_LINES", "a\nb", 1);
    setenv("WEBHOOK_TEST_BAD_KEY", "whsec_!c2VjcmV0", 1);
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        check_mistake(cases[i].yaml, cases[i].mistake);
    }
}

static void check_good(const char *yaml) {
    struct rig r = { 0 };
    struct klx_error e = { 0 };
    rig_bind(&r, &klx_sink_webhook, yaml);
    const struct klx_config_node *at = klx_config_root(r.yaml);
    if (r.ops->check(r.config, at, &e) != 0 || r.ops->check_here(r.config, at, &e) != 0) {
        fail_msg("%s: %s", yaml, e.text);
    }
    rig_unbind(&r);
}

static void takes_what_is_right(void **state) {
    (void)state;
    setenv("WEBHOOK_TEST_URL", "https://a.example.com/c2VjcmV0\n", 1);
    setenv("WEBHOOK_TEST_KEYS", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\nplain", 1);
    check_good("{" URL "}");
    check_good("{secret_url: {env: WEBHOOK_TEST_URL}, signing_secret: {env: WEBHOOK_TEST_KEYS}}");
    check_good("{url: 'http://127.0.0.1:1/', format: cloudevents-structured, method: PUT}");
    check_good("{" URL ", template: 'a={{summary}}', content_type: "
               "application/x-www-form-urlencoded, headers: {X-Team: ops, N: 3}}");
    check_good("{" URL ", template: '{{#advice}}x{{/advice}}', content_type: text/plain, timezone: "
               "Asia/Kolkata, concurrency: 16, timeout: 5m}");
    check_good("{" URL ", template: '{\"a\": \"{{summary}}\"}', escape: none}");
    check_good("{" URL ", template: '{\"k\": \"{{secrets.k}}\"}', secrets: {k: {env: HOME}}}");
}

/* Without the environment nothing of it is a mistake. */
static void does_not_ask_for_secrets_elsewhere(void **state) {
    (void)state;
    struct rig r = { 0 };
    struct klx_error e = { 0 };
    rig_bind(&r, &klx_sink_webhook,
             "{secret_url: {env: NOWHERE_1}, headers: {X: {env: NOWHERE_2}}, template: "
             "'{\"k\": \"{{secrets.k}}\"}', secrets: {k: {file: /nowhere}}}");
    if (r.ops->check(r.config, klx_config_root(r.yaml), &e) != 0) {
        fail_msg("%s", e.text);
    }
    rig_unbind(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_is_wrong_and_where),
        cmocka_unit_test(takes_what_is_right),
        cmocka_unit_test(does_not_ask_for_secrets_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
