/* Which URLs may carry a message, and that they never come back out. */
#include "tests/unit/support/support.h"

#include <string.h>

#include "lib/base/cleanup.h"
#include "sinks/core/secret_url.h"
#include "sinks/slack/webhook.h"

#define TOKEN "XyZtoken0123456789abcdef"
#define URL "https://hooks.slack.com/services/T1/B1/" TOKEN

static void good_urls(void **state) {
    (void)state;
    static const char *const urls[] = {
        URL,
        "HTTPS://hooks.slack.com/services/T1/B1/x",
        "https://hooks.slack-gov.com/services/T1/B1/x",
        "https://proxy.example:8443/slack?x=1",
        "http://127.0.0.1:8080/services/x",
        "http://127.9.9.9/x",
        "http://localhost:1/x",
        "http://[::1]:8080/x",
    };
    for (size_t i = 0; i < KLX_COUNT(urls); i++) {
        struct klx_error e = { 0 };
        if (klx_slack_webhook_check(klx_sv(urls[i]), "file x", &e) != 0) {
            fail_msg("%s: %s", urls[i], e.text);
        }
    }
}

static void bad_urls_say_why_and_do_not_show_themselves(void **state) {
    (void)state;
    static const struct {
        const char *url, *words;
    } cases[] = {
        { "", "is not a URL that begins with https://" },
        { TOKEN, "is not a URL that begins with https://" },
        { "ftp://hooks.slack.com/" TOKEN, "is not a URL that begins with https://" },
        { "https:///services/" TOKEN, "has no host" },
        { "https://:443/services/" TOKEN, "has no host" },
        { "https://hooks.slack.com", "has no path" },
        { "https://hooks.slack.com/", "has no path" },
        { "https://hooks.slack.com?" TOKEN, "has a host that is not acceptable" },
        { "https://user:" TOKEN "@hooks.slack.com/x", "has a host that is not acceptable" },
        { "http://127.0.0.1@evil.example/" TOKEN, "has a host that is not acceptable" },
        { "http://127.0.0.1\\@evil.example/" TOKEN, "has a host that is not acceptable" },
        { "http://127.0.0.1#@evil.example/" TOKEN, "has a host that is not acceptable" },
        { "http://hooks.slack.com/services/" TOKEN, "is http" },
        { "http://127.0.0.1.evil.example/" TOKEN, "is http" },
        { "http://localhost.evil.example/" TOKEN, "is http" },
        { "http://10.127.0.1/" TOKEN, "is http" },
        { "http://[::2]/" TOKEN, "is http" },
        { URL " ", "holds a space" },
        { URL "\nhttps://x", "holds a space, a line end" },
        { "https://hooks.slack.com/workflows/T1/" TOKEN, "a trigger of Workflow Builder" },
        { "https://hooks.slack.com/triggers/T1/" TOKEN, "a trigger of Workflow Builder" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_error e = { 0 };
        int rc = klx_slack_webhook_check(klx_sv(cases[i].url), "file /run/secrets/hook", &e);
        if (rc != -EINVAL || strstr(e.text, cases[i].words) == NULL) {
            fail_msg("%s: %d %s", cases[i].url, rc, e.text);
        }
        assert_non_null(strstr(e.text, "the webhook's URL in file /run/secrets/hook"));
        assert_null(strstr(e.text, TOKEN));
    }
}

static void assert_redacted(const char *answer, const char *expected) {
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, 4096);
    klx_secret_url_redact(&out, klx_sv(answer), KLX_SV(URL));
    assert_sv(klx_buf_sv(&out), expected);
}

static void an_answer_that_repeats_the_url_is_redacted(void **state) {
    (void)state;
    assert_redacted("no_service", "no_service");
    assert_redacted("", "");
    assert_redacted("404: " URL " not here", "404: https://hooks.slack.com… not here");
    assert_redacted("/services/T1/B1/" TOKEN "/services/T1/B1/" TOKEN, "……");
    assert_redacted("token=" TOKEN "&x", "token=…&x");
    assert_redacted("T1 B1", "T1 B1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_urls),
        cmocka_unit_test(bad_urls_say_why_and_do_not_show_themselves),
        cmocka_unit_test(an_answer_that_repeats_the_url_is_redacted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
