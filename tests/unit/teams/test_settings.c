/* Who is mentioned, and what is no person. */
#include "tests/unit/support/sink_rig.h"

#include <stdio.h>

#include "lib/base/cleanup.h"
#include "sinks/teams/settings.h"

static int read_settings(const char *yaml, struct klx_error *e, struct klx_teams_settings *ret) {
    struct rig r = { 0 };
    rig_bind(&r, &klx_sink_teams, yaml);
    int rc = klx_teams_settings_read(r.config, klx_config_root(r.yaml), ret, e);
    rig_unbind(&r);
    return rc;
}

static void people_are_mentioned_by_name_and_id(void **state) {
    (void)state;
    struct rig r = { 0 };
    struct klx_error e = { 0 };
    struct klx_teams_settings s;
    rig_bind(&r, &klx_sink_teams,
             "webhook_url: { env: HOME }\n"
             "mentions: [ \"Jo Müller (on call) <jo.mueller@example.com>\",\n"
             "  \"Ann<01234567-89ab-cdef-0123-456789ABCDEF>\" ]\n"
             "mention_from: warning\n");
    assert_int_equal(klx_teams_settings_read(r.config, klx_config_root(r.yaml), &s, &e), 0);
    assert_int_equal(s.mentions_n, 2);
    assert_sv(s.mentions[0].name, "Jo Müller (on call)");
    assert_sv(s.mentions[0].id, "jo.mueller@example.com");
    assert_sv(s.mentions[1].name, "Ann");
    assert_sv(s.mentions[1].id, "01234567-89ab-cdef-0123-456789ABCDEF");
    assert_int_equal(s.mention_from, KLX_SEVERITY_WARNING);
    rig_unbind(&r);
    assert_int_equal(read_settings("webhook_url: { env: HOME }\n", &e, &s), 0);
    assert_int_equal(s.mentions_n, 0);
    assert_int_equal(s.mention_from, KLX_SEVERITY_CRITICAL);
}

static void what_is_no_person_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *line, *words;
    } cases[] = {
        { "mentions: jo@example.com", "test.yaml:2:11: mentions: expected a name and who it is" },
        { "mentions: \"<jo@example.com>\"", "mentions: the name has 1 to 64 bytes" },
        { "mentions: \"*Jo* <jo@example.com>\"", "mentions: the name has 1 to 64 bytes" },
        { "mentions: [ \"Jo <jo@x.example>\", \"[a](b) <jo@x.example>\" ]",
          "test.yaml:2:34: mentions[1]: the name has" },
        { "mentions: \"Ops <19:abc@thread.tacv2>\"", "a user principal name" },
        { "mentions: \"Ops <ops>\"", "channels, teams and tags cannot be mentioned" },
        { "mentions: \"Ops <a@b@c>\"", "a user principal name" },
        { "mentions: \"Ops <0123456789ab-cdef-0123-456789ABCDEF00>\"", "a user principal name" },
        { "mention_from: high", "mention_from: expected info, warning or critical" },
        { "mentions: [ \"a <a@x>\", \"a <a@x>\", \"a <a@x>\", \"a <a@x>\", \"a <a@x>\", \"a "
          "<a@x>\","
          " \"a <a@x>\", \"a <a@x>\", \"a <a@x>\", \"a <a@x>\", \"a <a@x>\" ]",
          "mentions[10]: more than 10 people" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        char yaml[512];
        struct klx_error e = { 0 };
        struct klx_teams_settings s;
        snprintf(yaml, sizeof(yaml), "webhook_url: { env: HOME }\n%s\n", cases[i].line);
        if (read_settings(yaml, &e, &s) != -EINVAL || strstr(e.text, cases[i].words) == NULL) {
            fail_msg("%s: %s", cases[i].line, e.text);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(people_are_mentioned_by_name_and_id),
        cmocka_unit_test(what_is_no_person_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
