/* What a Slack channel may be, and what the words of a mistake are. */
#include "tests/unit/support/sink_rig.h"

#include <stdio.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "sinks/slack/settings.h"

#define HOOK "https://hooks.example/services/T1/B1/abcdefgh"
#define TOKEN "xoxb-123456789012-abcdefghijkl"

static char dir[] = "/tmp/klaxon-slack-XXXXXX";
static char path[64];

static int setup(void **state) {
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/secret", dir);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    unlink(path);
    rmdir(dir);
    return 0;
}

/* `key` is that of the secret; the rest of the channel stands behind it. */
static void check_as(const char *key, const char *rest, const char *secret, const char *words) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    struct rig r = { 0 };
    struct klx_error e = { .text = "" };
    test_write_file(path, secret);
    klx_buf_init(&text, 4096);
    klx_buf_printf(&text, "{ %s: { file: %s }, %s }", key, path, rest);
    rig_bind(&r, &klx_sink_slack, klx_buf_str(&text));
    int rc = klx_sink_slack.check(r.config, klx_config_root(r.yaml), &e);
    assert_null(strstr(e.text, secret));
    if (words == NULL ? rc != 0 : strstr(e.text, words) == NULL) {
        fail_msg("%s: %s", rest, e.text);
    }
    assert_int_equal(rc, words == NULL ? 0 : -EINVAL);
    rig_unbind(&r);
}

static void check(const char *rest, const char *secret, const char *words) {
    check_as("token", rest, secret, words);
}

static void good_bots(void **state) {
    (void)state;
    check("channel: C024BE91L", TOKEN, NULL);
    check("channel: '#ops'", TOKEN "\n", NULL);
    check("channel: ops, updates: edit, broadcast: false", TOKEN, NULL);
    check("channel: Ünïcode, updates: thread", TOKEN, NULL);
    check("channel: ops, base_url: 'https://slack-gov.com/api/'", TOKEN, NULL);
    check("channel: ops, base_url: 'http://127.0.0.1:8080/api'", TOKEN, NULL);
}

static void mistakes_have_words(void **state) {
    (void)state;
    check("updates: edit", TOKEN, "a token needs a channel");
    check("channel: ''", TOKEN, "this is not a channel");
    check("channel: 'my ops'", TOKEN, "holds no space");
    check("channel: 'https://x.example'", TOKEN, "holds no space and none of");
    check("channel: ops, updates: always", TOKEN, "expected edit, thread or both");
    check("channel: ops, base_url: 'http://slack.example/api/'", TOKEN, "is sent over https only");
    check("channel: ops, base_url: 'https://slack.com/api/?x=1'", TOKEN, "has a query");
    check("channel: ops", "xapp-1-abcdefghijkl", "is an app-level token");
    check("channel: ops", HOOK, "write webhook_url");
    check("channel: ops", "abcdefghijklmno", "is not a token of Slack");
    check("channel: ops", "xoxb-12 34567890", "holds a space");
    check("channel: ops, webhook_url: { env: NOBODY }", TOKEN, "webhook_url or token, not both");
    check_as("webhook_url", "channel: ops", HOOK, "a webhook has none");
    check_as("webhook_url", "updates: edit", HOOK, "a webhook has none");
}

static void nothing_at_all(void **state) {
    (void)state;
    struct rig r = { 0 };
    struct klx_error e = { .text = "" };
    rig_bind(&r, &klx_sink_slack, "{ channel: ops }");
    assert_int_equal(klx_sink_slack.check(r.config, klx_config_root(r.yaml), &e), -EINVAL);
    assert_non_null(strstr(e.text, "needs webhook_url, or token and channel"));
    rig_unbind(&r);
}

/* Channels of one token share a circuit; the token itself is never said. */
static void a_credential_is_a_place(void **state) {
    (void)state;
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    struct rig r = { 0 };
    klx_buf_init(&text, 4096);
    rig_bind(&r, &klx_sink_slack, "{ token: { file: /run/secrets/bot }, channel: ops }");
    klx_sink_slack.credential(r.config, &text);
    assert_string_equal(klx_buf_str(&text), "file /run/secrets/bot at https://slack.com/api/");
    rig_unbind(&r);
    klx_buf_reset(&text);
    rig_bind(&r, &klx_sink_slack, "{ webhook_url: { env: OPS } }");
    klx_sink_slack.credential(r.config, &text);
    assert_string_equal(klx_buf_str(&text), "environment variable OPS");
    rig_unbind(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_bots),
        cmocka_unit_test(mistakes_have_words),
        cmocka_unit_test(nothing_at_all),
        cmocka_unit_test(a_credential_is_a_place),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
