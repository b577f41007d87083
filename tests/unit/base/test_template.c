#include "tests/unit/support/support.h"

#include <errno.h>
#include <string.h>

#include "lib/base/template.h"

static void check(const char *text, const char *json, klx_escape_fn escape, const char *expected) {
    struct klx_arena a;
    klx_arena_init(&a, 4096, 1 << 20);
    const struct klx_json *context = NULL;
    struct klx_template *t = NULL;
    struct klx_error e = { 0 };
    struct klx_buf out;
    klx_buf_init(&out, 4096);
    assert_int_equal(klx_json_parse(&a, klx_sv(json), NULL, &context, &e), 0);
    if (klx_template_new(klx_sv(text), &t, &e) != 0) {
        fail_msg("%s: %s", text, e.text);
    }
    assert_int_equal(klx_template_render(t, context, escape, &out), 0);
    assert_string_equal(klx_buf_str(&out), expected);
    klx_buf_release(&out);
    klx_template_free(t);
    klx_arena_release(&a);
}

/* Cases of the Mustache specification, by its file. */
static void conforms_to_the_specification(void **state) {
    (void)state;
    static const struct {
        const char *text, *json, *expected;
    } cases[] = {
        { "Hello, {{subject}}!", "{\"subject\":\"world\"}", "Hello, world!" },
        { "{{a.b.c}}|{{ a.x.y }}", "{\"a\":{\"b\":{\"c\":85}}}", "85|" },
        { "{{#a}}{{b.c}}{{/a}}", "{\"a\":{\"b\":{}},\"b\":{\"c\":\"ERROR\"}}", "" },
        { "I ({{missing}}) {{price}} {{on}}", "{\"price\":1.21,\"on\":true}", "I () 1.21 true" },
        { "{{#list}}({{.}}){{/list}}", "{\"list\":[1,\"2\",3]}", "(1)(2)(3)" },
        { "{{#o}}{{name}}{{/o}}{{^o}}none{{/o}}", "{\"o\":{\"name\":\"n\"}}", "n" },
        { "{{#o}}x{{/o}}{{^o}}none{{/o}}", "{\"o\":[]}", "none" },
        { "{{#o}}x{{/o}}{{^o}}none{{/o}}", "{\"o\":false}", "none" },
        { "{{#a}}{{one}}{{#b}}{{one}}{{two}}{{/b}}{{/a}}", "{\"a\":{\"one\":1,\"b\":{\"two\":2}}}",
          "112" },
        { "a\n{{#x}}\nb\n{{/x}}\nc\n", "{\"x\":true}", "a\nb\nc\n" },
        { "a\r\n  {{! gone }}\r\nb", "{}", "a\r\nb" },
        { "1 {{! inline }} 2", "{}", "1  2" },
        { "{{#x}}{{/x}}\n", "{\"x\":true}", "\n" },
        { " | {{#x}}\t|\t{{/x}} | \n", "{\"x\":true}", " | \t|\t | \n" },
        { "#{{#x}}\n/\n  {{/x}}", "{\"x\":true}", "#\n/\n" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check(cases[i].text, cases[i].json, klx_escape_none, cases[i].expected);
    }
}

static void everything_goes_through_the_escaper(void **state) {
    (void)state;
    check("<b>{{x}}</b>", "{\"x\":\"<script>&\\\"'\"}", klx_escape_html,
          "<b>&lt;script&gt;&amp;&quot;&#39;</b>");
    check("{{x}}", "{\"x\":{\"k\":\"<\"}}", klx_escape_html, "{&quot;k&quot;:&quot;&lt;&quot;}");
}

static void refuses_with_the_place(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        { "a\n  {{{x}}}", "line 2, column 3: unescaped output is not available" },
        { "{{&x}}", "line 1, column 1: unescaped output" },
        { "{{>p}}", "partials are not supported: p" },
        { "{{=<% %>=}}", "delimiters cannot be changed" },
        { "{{#a}}x", "this section is never closed: a" },
        { "{{#a}}{{/b}}", "another section is open here: a" },
        { "{{/a}}", "this section was never opened: a" },
        { "{{a", "this tag is never closed" },
        { "{{ }}", "a tag without a name" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct klx_template *t = NULL;
        struct klx_error e = { 0 };
        assert_int_equal(klx_template_new(klx_sv(cases[i].text), &t, &e), -EINVAL);
        if (strstr(e.text, cases[i].message) == NULL) {
            fail_msg("expected: %s\nfound:    %s", cases[i].message, e.text);
        }
    }
}

static void output_is_bounded(void **state) {
    (void)state;
    struct klx_template *t = NULL;
    struct klx_buf out;
    klx_buf_init(&out, 8);
    assert_int_equal(klx_template_new(KLX_SV("0123456789"), &t, NULL), 0);
    assert_int_equal(klx_template_render(t, NULL, klx_escape_none, &out), -EMSGSIZE);
    klx_buf_release(&out);
    klx_template_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conforms_to_the_specification),
        cmocka_unit_test(everything_goes_through_the_escaper),
        cmocka_unit_test(refuses_with_the_place),
        cmocka_unit_test(output_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
