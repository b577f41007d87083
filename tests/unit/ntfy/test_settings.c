/* What a channel may have, and what is said of the rest. */
#include "tests/unit/support/sink_rig.h"

#include <stdio.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

#define TOKEN "tk_s3cr3ts3cr3ts3cr3t"

static int check(const char *yaml, struct klx_error *e) {
    struct rig r = { 0 };
    rig_bind(&r, &klx_sink_ntfy, yaml);
    int rc = klx_sink_ntfy.check(r.config, klx_config_root(r.yaml), e);
    rig_unbind(&r);
    return rc;
}

static void good_channels(void **state) {
    (void)state;
    static const char *const channels[] = {
        "topic: a",
        "{ topic: klaxon-Ops_1, url: \"https://ntfy.example.com/\" }",
        "{ topic: a, url: \"http://127.0.0.1:8080\", tags: [prod, \"+1\", e-mail] }",
        "{ topic: a, token: { env: KLX_TEST_NTFY } }",
    };
    setenv("KLX_TEST_NTFY", TOKEN "\n", 1);
    for (size_t i = 0; i < KLX_COUNT(channels); i++) {
        struct klx_error e = { 0 };
        if (check(channels[i], &e) != 0) {
            fail_msg("%s: %s", channels[i], e.text);
        }
    }
}

static void bad_channels_say_where_and_why(void **state) {
    (void)state;
    static const struct {
        const char *yaml, *place, *words;
    } cases[] = {
        { "topic: a b", "test.yaml:1:8: topic: ", "letters, digits, - and _" },
        { "topic: \"\"", "test.yaml:1:8: topic: ", "1 to 64" },
        { "topic: 01234567890123456789012345678901234567890123456789012345678901234",
          "test.yaml:1:8: topic: ", "1 to 64" },
        { "{ topic: a, url: \"http://ntfy.example.com\" }", "test.yaml:1:18: url: ", "is http" },
        { "{ topic: a, url: \"https://ntfy.sh/a\" }", "test.yaml:1:18: url: ", "has a path" },
        { "{ topic: a, url: ntfy.sh }", "test.yaml:1:18: url: ", "https://" },
        { "{ topic: a, tags: [a, \"b,c\"] }", "test.yaml:1:19: tags: ", "a tag is" },
        { "{ topic: a, tags: [a, b, c, d, e, f] }", "test.yaml:1:19: tags: ", "more than 5" },
        { "{ topic: a, token: { env: KLX_TEST_NTFY } }",
          "test.yaml:1:20: token: ", "the token in environment variable KLX_TEST_NTFY" },
    };
    setenv("KLX_TEST_NTFY", TOKEN " x", 1);
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_error e = { 0 };
        assert_int_equal(check(cases[i].yaml, &e), -EINVAL);
        if (strstr(e.text, cases[i].place) != e.text || strstr(e.text, cases[i].words) == NULL) {
            fail_msg("%s: %s", cases[i].yaml, e.text);
        }
        assert_null(strstr(e.text, TOKEN));
    }
}

static void an_open_topic_is_doubted(void **state) {
    (void)state;
    static const struct {
        const char *yaml;
        bool doubted;
    } cases[] = {
        { "topic: a", true },
        { "{ topic: a, url: \"https://NTFY.sh\" }", true },
        { "{ topic: a, url: \"https://ntfy.example.com\" }", false },
        { "{ topic: a, token: { env: KLX_TEST_NTFY } }", false },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        const char *key = NULL;
        struct rig r = { 0 };
        rig_bind(&r, &klx_sink_ntfy, cases[i].yaml);
        assert_int_equal(klx_sink_ntfy.doubt(r.config, &key) != NULL, cases[i].doubted);
        assert_string_equal(key, "topic");
        rig_unbind(&r);
    }
}

static void a_token_names_its_credential(void **state) {
    (void)state;
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    struct rig r = { 0 };
    klx_buf_init(&out, 1000);
    rig_bind(&r, &klx_sink_ntfy, "{ topic: a, token: { env: KLX_TEST_NTFY } }");
    klx_sink_ntfy.credential(r.config, &out);
    assert_string_equal(klx_buf_str(&out), "environment variable KLX_TEST_NTFY at https://ntfy.sh");
    rig_unbind(&r);
    klx_buf_reset(&out);
    rig_bind(&r, &klx_sink_ntfy, "topic: a");
    klx_sink_ntfy.credential(r.config, &out);
    assert_int_equal(out.len, 0);
    rig_unbind(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_channels),
        cmocka_unit_test(bad_channels_say_where_and_why),
        cmocka_unit_test(an_open_topic_is_doubted),
        cmocka_unit_test(a_token_names_its_credential),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
