/* What klaxon check says of a template: names that lead to nothing are mistakes before the first message, not by it. */
#include "tests/unit/webhook/channel.h"

#include <stdio.h>

#define CHANNEL                                                                                    \
    "url: https://a/\nsecrets: {key: {env: KLX_TEST_KEY}}\npartials: {row: '%s'}\ntemplate: "      \
    "'%s'\n"

/* "": it is in order. */
static void check(const char *template, const char *partial, const char *message) {
    struct channel_rig c = { .s = { 0 } };
    struct klx_error e = { 0 };
    char yaml[4096];
    snprintf(yaml, sizeof(yaml), CHANNEL, partial, template);
    channel_bind(&c, yaml);
    int rc = klx_webhook_try(&c.s, &e);
    if ((rc != 0) != (message[0] != '\0') || strstr(e.text, message) == NULL) {
        fail_msg("%s\nexpected: %s\nfound:    %s", template, message, e.text);
    }
    channel_unbind(&c);
}

static void a_secret_that_is_not_there_is_a_mistake(void **state) {
    (void)state;
    check("{\"k\": \"{{secrets.kei}}\"}", "",
          "line 1, column 10: {{secrets.kei}}: \"secrets\" has no \"kei\", did you mean "
          "\"key\"?");
    check("{\"k\": \"{{#secrets}}{{kei}}{{/secrets}}\"}", "", "{{kei}}");
    check("{\"k\": \"{{^secrets.x}}{{/secrets.x}}\"}", "", "{{secrets.x}}");
    check("{\"k\": \"{{secrets.key.3}}\"}", "", "{{secrets.key.3}}");
    check("[{{#facts}}{{#data}}\"{{secrets.kei}}\"{{/data}}{{/facts}}]", "", "{{secrets.kei}}");
    check("{\"k\": \"{{>row}}\"}", "a\n\n {{secrets.kei}}",
          "partial \"row\": line 2, column 3: {{secrets.kei}}");
    check("{\"k\": \"{{secrets.key}}\"}", "", "");
    check("{\"k\": \"{{#secrets}}{{key}}{{/secrets}}\"}", "", "");
    check("[{{#facts}}\"{{secrets.key}}\"{{^last}},{{/last}}{{/facts}}]", "", "");
}

static void a_name_that_no_event_has_is_a_mistake(void **state) {
    (void)state;
    check("{\"t\": \"{{summray}}\"}", "",
          "line 1, column 10: {{summray}}: no event has it, did you mean \"summary\"?");
    check("{\"t\": \"{{summray.80}}\"}", "", "{{summray.80}}");
    check("{\"t\": \"{{#is.critcal}}x{{/is.critcal}}\"}", "", "{{is.critcal}}");
    check("{\"t\": \"{{#escalated}}{{/escalated}}\"}", "", "{{escalated}}");
    check("{\"t\": \"{{incident.numbr}}\"}", "", "{{incident.numbr}}");
    check("{\"t\": \"{{facts.name}}\"}", "", "\"facts\" is a list: write {{#facts}}");
    check("{\"t\": \"{{value}}\"}", "", "{{value}}");
    check("{\"t\": \"{{severity.x}}\"}", "", "{{severity.x}}");
    check("{\"t\": \"{{event.incident.x}}\"}", "", "{{event.incident.x}}");
    check("[{{#facts}}\"{{nmae}}\"{{^last}},{{/last}}{{/facts}}]", "", "{{nmae}}");
    check("{\"t\": \"{{>row}}\"}", "{{value}}", "{{value}}");
}

static void what_some_event_has_is_none(void **state) {
    (void)state;
    check("[{{#facts}}\"{{name.9}}{{.value}}{{title}}\"{{^last}},{{/last}}{{/facts}}]", "", "");
    check("[{{#facts}}\"{{>row}}\"{{^last}},{{/last}}{{/facts}}]", "{{value}}", "");
    check("{\"t\": \"{{#data.hpa}}{{max}}{{what.ever}}{{/data.hpa}}{{data.some.day}}\"}", "", "");
    check("{\"t\": \"{{#incident}}{{short.4}}{{number}}{{/incident}}{{object.kind.100}}\"}", "",
          "");
    check("{\"t\": \"{{#digest.lines}}{{text}}{{events}}{{/digest.lines}}{{digest.duration}}\"}",
          "", "");
    check("{\"t\": \"{{#summary}}{{.}}{{.80}}{{/summary}}{{#is.update}}u{{/is.update}}\"}", "", "");
    check("{\"t\": \"{{^links}}{{#labels}}{{key}}{{/labels}}{{/links}}{{event.replayid}}\"}", "",
          "");
}

/* One that takes itself in stops where the data does. */
static void partials_may_take_in_each_other(void **state) {
    (void)state;
    check("{\"t\": \"{{#digest.lines}}{{>row}}{{/digest.lines}}\"}",
          "{{text}}{{#none}}{{>row}}{{/none}}", "{{none}}");
    check("{\"t\": \"{{#digest.lines}}{{>row}}{{/digest.lines}}\"}",
          "{{text}}{{#data.none}}{{>row}}{{/data.none}}", "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_that_is_not_there_is_a_mistake),
        cmocka_unit_test(a_name_that_no_event_has_is_a_mistake),
        cmocka_unit_test(what_some_event_has_is_none),
        cmocka_unit_test(partials_may_take_in_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
