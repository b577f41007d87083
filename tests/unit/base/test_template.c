#include "tests/unit/support/support.h"

#include <errno.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/template.h"

struct named {
    const char *name, *text;
};

/* Renders with up to two partials; those without a name are none. */
static int render(const char *text, const struct named *partials, const char *json,
                  klx_escape_fn escape, struct klx_buf *out) {
    struct klx_arena a;
    klx_arena_init(&a, 4096, 1 << 20);
    const struct klx_json *context = NULL;
    struct klx_template *t = NULL;
    struct klx_error e = { 0 };
    struct klx_template_partial given[2];
    size_t n = 0;
    for (; partials != NULL && n < KLX_COUNT(given) && partials[n].name != NULL; n++) {
        given[n] =
            (struct klx_template_partial){ klx_sv(partials[n].name), klx_sv(partials[n].text) };
    }
    assert_int_equal(klx_json_parse(&a, klx_sv(json), NULL, &context, &e), 0);
    if (klx_template_new_with(klx_sv(text), given, n, &t, &e) != 0) {
        fail_msg("%s: %s", text, e.text);
    }
    int rc = klx_template_render(t, context, KLX_TEMPLATE_WORK_MAX, escape, out);
    klx_template_free(t);
    klx_arena_release(&a);
    return rc;
}

static void check_with(const char *text, const struct named *partials, const char *json,
                       klx_escape_fn escape, const char *expected) {
    struct klx_buf out;
    klx_buf_init(&out, 4096);
    assert_int_equal(render(text, partials, json, escape, &out), 0);
    if (strcmp(klx_buf_str(&out), expected) != 0) {
        fail_msg("%s\nexpected: \"%s\"\nfound:    \"%s\"", text, expected, klx_buf_str(&out));
    }
    klx_buf_release(&out);
}

static void check(const char *text, const char *json, klx_escape_fn escape, const char *expected) {
    check_with(text, NULL, json, escape, expected);
}

/*
 * Cases of the Mustache specification, by its files. Left out is what needs {{{x}}} and {{&x}}, which klaxon refuses (the same places are
 * tried with {{x}}, and klx_escape_none where the expected text is unescaped), and one case of each pair that tries two falsey or truthy values
 * in the same way.
 */
struct spec_case {
    const char *text, *json, *expected;
    struct named partials[2];
};

static void check_cases(const struct spec_case *cases, size_t n) {
    for (size_t i = 0; i < n; i++) {
        check_with(cases[i].text, cases[i].partials, cases[i].json, klx_escape_none,
                   cases[i].expected);
    }
}

static void conforms_to_comments(void **state) {
    (void)state;
    static const struct spec_case cases[] = {
        { "12345{{! Comment Block! }}67890", "{}", "1234567890", { { 0 } } },
        { "12345{{!\n  This is a\n  multi-line comment...\n}}67890\n",
          "{}",
          "1234567890\n",
          { { 0 } } },
        { "Begin.\n{{! Comment Block! }}\nEnd.\n", "{}", "Begin.\nEnd.\n", { { 0 } } },
        { "Begin.\n  {{! Indented Comment Block! }}\nEnd.\n", "{}", "Begin.\nEnd.\n", { { 0 } } },
        { "|\r\n{{! Standalone Comment }}\r\n|", "{}", "|\r\n|", { { 0 } } },
        { "  {{! I'm Still Standalone }}\n!", "{}", "!", { { 0 } } },
        { "!\n  {{! I'm Still Standalone }}", "{}", "!\n", { { 0 } } },
        { "Begin.\n{{!\nSomething's going on here...\n}}\nEnd.\n",
          "{}",
          "Begin.\nEnd.\n",
          { { 0 } } },
        { "Begin.\n  {{!\n    Something's going on here...\n  }}\nEnd.\n",
          "{}",
          "Begin.\nEnd.\n",
          { { 0 } } },
        { "  12 {{! 34 }}\n", "{}", "  12 \n", { { 0 } } },
        { "12345 {{! Comment Block! }} 67890", "{}", "12345  67890", { { 0 } } },
        { "comments never show: >{{! name }}<",
          "{\"! name\":1,\"name\":2}",
          "comments never show: ><",
          { { 0 } } },
    };
    check_cases(cases, KLX_COUNT(cases));
}

static void conforms_to_delimiters(void **state) {
    (void)state;
    static const struct spec_case cases[] = {
        { "{{=<% %>=}}(<%text%>)", "{\"text\":\"Hey!\"}", "(Hey!)", { { 0 } } },
        { "({{=[ ]=}}[text])", "{\"text\":\"It worked!\"}", "(It worked!)", { { 0 } } },
        { "[\n{{#section}}\n  {{data}}\n  |data|\n{{/section}}\n\n{{= | | =}}\n|#section|\n"
          "  {{data}}\n  |data|\n|/section|\n]\n",
          "{\"section\":true,\"data\":\"I got interpolated.\"}",
          "[\n  I got interpolated.\n  |data|\n\n  {{data}}\n  I got interpolated.\n]\n",
          { { 0 } } },
        { "[\n{{^section}}\n  {{data}}\n  |data|\n{{/section}}\n\n{{= | | =}}\n|^section|\n"
          "  {{data}}\n  |data|\n|/section|\n]\n",
          "{\"section\":false,\"data\":\"I got interpolated.\"}",
          "[\n  I got interpolated.\n  |data|\n\n  {{data}}\n  I got interpolated.\n]\n",
          { { 0 } } },
        { "[ {{>include}} ]\n{{= | | =}}\n[ |>include| ]\n",
          "{\"value\":\"yes\"}",
          "[ .yes. ]\n[ .yes. ]\n",
          { { "include", ".{{value}}." } } },
        { "[ {{>include}} ]\n[ .{{value}}.  .|value|. ]\n",
          "{\"value\":\"yes\"}",
          "[ .yes.  .yes. ]\n[ .yes.  .|value|. ]\n",
          { { "include", ".{{value}}. {{= | | =}} .|value|." } } },
        { "| {{=@ @=}} |", "{}", "|  |", { { 0 } } },
        { " | {{=@ @=}}\n", "{}", " | \n", { { 0 } } },
        { "Begin.\n{{=@ @=}}\nEnd.\n", "{}", "Begin.\nEnd.\n", { { 0 } } },
        { "Begin.\n  {{=@ @=}}\nEnd.\n", "{}", "Begin.\nEnd.\n", { { 0 } } },
        { "|\r\n{{= @ @ =}}\r\n|", "{}", "|\r\n|", { { 0 } } },
        { "  {{=@ @=}}\n=", "{}", "=", { { 0 } } },
        { "=\n  {{=@ @=}}", "{}", "=\n", { { 0 } } },
        { "|{{= @   @ =}}|", "{}", "||", { { 0 } } },
    };
    check_cases(cases, KLX_COUNT(cases));
}

static void conforms_to_interpolation(void **state) {
    (void)state;
    static const struct spec_case cases[] = {
        { "Hello from {Mustache}!\n", "{}", "Hello from {Mustache}!\n", { { 0 } } },
        { "Hello, {{subject}}!\n", "{\"subject\":\"world\"}", "Hello, world!\n", { { 0 } } },
        { "{{template}}: {{planet}}",
          "{\"template\":\"{{planet}}\",\"planet\":\"Earth\"}",
          "{{planet}}: Earth",
          { { 0 } } },
        { "\"{{mph}} miles an hour!\"", "{\"mph\":85}", "\"85 miles an hour!\"", { { 0 } } },
        { "\"{{power}} jiggawatts!\"", "{\"power\":1.21}", "\"1.21 jiggawatts!\"", { { 0 } } },
        { "I ({{cannot}}) be seen!", "{\"cannot\":null}", "I () be seen!", { { 0 } } },
        { "I ({{cannot}}) be seen!", "{}", "I () be seen!", { { 0 } } },
        { "\"{{person.name}}\" == \"{{#person}}{{name}}{{/person}}\"",
          "{\"person\":{\"name\":\"Joe\"}}",
          "\"Joe\" == \"Joe\"",
          { { 0 } } },
        { "\"{{a.b.c.d.e.name}}\" == \"Phil\"",
          "{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":{\"name\":\"Phil\"}}}}}}",
          "\"Phil\" == \"Phil\"",
          { { 0 } } },
        { "\"{{a.b.c}}\" == \"\"", "{\"a\":{}}", "\"\" == \"\"", { { 0 } } },
        { "\"{{a.b.c.name}}\" == \"\"",
          "{\"a\":{\"b\":{}},\"c\":{\"name\":\"Jim\"}}",
          "\"\" == \"\"",
          { { 0 } } },
        { "\"{{#a}}{{b.c.d.e.name}}{{/a}}\" == \"Phil\"",
          "{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":{\"name\":\"Phil\"}}}}},\"b\":{\"c\":{\"d\":{\"e\":{"
          "\"name\":\"Wrong\"}}}}}",
          "\"Phil\" == \"Phil\"",
          { { 0 } } },
        { "{{#a}}{{b.c}}{{/a}}", "{\"a\":{\"b\":{}},\"b\":{\"c\":\"ERROR\"}}", "", { { 0 } } },
        { "{{a.b}}",
          "{\"a.b\":\"c\",\"a\":{\"b\":\"d\"}}",
          "d",
          { { 0 } } }, /* "Dotted Names are never single keys" */
        { "Hello, {{.}}!\n", "\"world\"", "Hello, world!\n", { { 0 } } },
        { "\"{{.}} miles an hour!\"", "85", "\"85 miles an hour!\"", { { 0 } } },
        { "| {{string}} |", "{\"string\":\"---\"}", "| --- |", { { 0 } } },
        { "  {{string}}\n", "{\"string\":\"---\"}", "  ---\n", { { 0 } } },
        { "|{{ string }}|", "{\"string\":\"---\"}", "|---|", { { 0 } } },
    };
    check_cases(cases, KLX_COUNT(cases));
}

static const struct spec_case sections[] = {
    { "\"{{#boolean}}This should be rendered.{{/boolean}}\"",
      "{\"boolean\":true}",
      "\"This should be rendered.\"",
      { { 0 } } },
    { "\"{{#boolean}}This should not be rendered.{{/boolean}}\"",
      "{\"boolean\":false}",
      "\"\"",
      { { 0 } } },
    { "\"{{#null}}This should not be rendered.{{/null}}\"", "{\"null\":null}", "\"\"", { { 0 } } },
    { "\"{{#context}}Hi {{name}}.{{/context}}\"",
      "{\"context\":{\"name\":\"Joe\"}}",
      "\"Hi Joe.\"",
      { { 0 } } },
    { "\"{{#sec}}{{a}}, {{b}}, {{c.d}}{{/sec}}\"",
      "{\"a\":\"foo\",\"b\":\"wrong\",\"sec\":{\"b\":\"bar\"},\"c\":{\"d\":\"baz\"}}",
      "\"foo, bar, baz\"",
      { { 0 } } },
    { "\"{{#foo}}{{.}} is {{foo}}{{/foo}}\"", "{\"foo\":\"bar\"}", "\"bar is bar\"", { { 0 } } },
    { "{{#tops}}{{#middles}}{{tname.lower}}{{mname}}.{{#bottoms}}{{tname.upper}}{{mname}}{{"
      "bname}}."
      "{{/bottoms}}{{/middles}}{{/tops}}",
      "{\"tops\":[{\"tname\":{\"upper\":\"A\",\"lower\":\"a\"},\"middles\":[{\"mname\":\"1\","
      "\"bottoms\":"
      "[{\"bname\":\"x\"},{\"bname\":\"y\"}]}]}]}",
      "a1.A1x.A1y.",
      { { 0 } } },
    { "{{#a}}\n{{one}}\n{{#b}}\n{{one}}{{two}}{{one}}\n{{#c}}\n{{one}}{{two}}{{three}}{{two}}"
      "{{one}}\n{{/c}}\n{{/b}}\n{{/a}}\n",
      "{\"a\":{\"one\":1},\"b\":{\"two\":2},\"c\":{\"three\":3}}",
      "1\n121\n12321\n",
      { { 0 } } },
    { "\"{{#list}}{{item}}{{/list}}\"",
      "{\"list\":[{\"item\":1},{\"item\":2},{\"item\":3}]}",
      "\"123\"",
      { { 0 } } },
    { "\"{{#list}}Yay lists!{{/list}}\"", "{\"list\":[]}", "\"\"", { { 0 } } },
    { "{{#bool}}\n* first\n{{/bool}}\n* {{two}}\n{{#bool}}\n* third\n{{/bool}}\n",
      "{\"bool\":true,\"two\":\"second\"}",
      "* first\n* second\n* third\n",
      { { 0 } } },
    { "| A {{#bool}}B {{#bool}}C{{/bool}} D{{/bool}} E |",
      "{\"bool\":true}",
      "| A B C D E |",
      { { 0 } } },
    { "| A {{#bool}}B {{#bool}}C{{/bool}} D{{/bool}} E |",
      "{\"bool\":false}",
      "| A  E |",
      { { 0 } } },
    { "[{{#missing}}Found key 'missing'!{{/missing}}]", "{}", "[]", { { 0 } } },
    { "\"{{#list}}({{.}}){{/list}}\"",
      "{\"list\":[\"a\",\"b\",\"c\"]}",
      "\"(a)(b)(c)\"",
      { { 0 } } },
    { "\"{{#list}}({{.}}){{/list}}\"", "{\"list\":[1.1,2.2]}", "\"(1.1)(2.2)\"", { { 0 } } },
    { "\"{{#list}}({{#.}}{{.}}{{/.}}){{/list}}\"",
      "{\"list\":[[1,2,3],[\"a\",\"b\"]]}",
      "\"(123)(ab)\"",
      { { 0 } } },
    { "\"{{#.}}({{value}}){{/.}}\"",
      "[{\"value\":\"a\"},{\"value\":\"b\"}]",
      "\"(a)(b)\"",
      { { 0 } } },
    { "\"{{#a.b.c}}Here{{/a.b.c}}\" == \"Here\"",
      "{\"a\":{\"b\":{\"c\":true}}}",
      "\"Here\" == \"Here\"",
      { { 0 } } },
    { "\"{{#a.b.c}}Here{{/a.b.c}}\" == \"\"", "{\"a\":{}}", "\"\" == \"\"", { { 0 } } },
    { " | {{#boolean}}\t|\t{{/boolean}} | \n", "{\"boolean\":true}", " | \t|\t | \n", { { 0 } } },
    { " | {{#boolean}} {{! Important Whitespace }}\n {{/boolean}} | \n",
      "{\"boolean\":true}",
      " |  \n  | \n",
      { { 0 } } },
    { " {{#boolean}}YES{{/boolean}}\n {{#boolean}}GOOD{{/boolean}}\n",
      "{\"boolean\":true}",
      " YES\n GOOD\n",
      { { 0 } } },
    { "| This Is\n{{#boolean}}\n|\n{{/boolean}}\n| A Line\n",
      "{\"boolean\":true}",
      "| This Is\n|\n| A Line\n",
      { { 0 } } },
    { "| This Is\n  {{#boolean}}\n|\n  {{/boolean}}\n| A Line\n",
      "{\"boolean\":true}",
      "| This Is\n|\n| A Line\n",
      { { 0 } } },
    { "|\r\n{{#boolean}}\r\n{{/boolean}}\r\n|", "{\"boolean\":true}", "|\r\n|", { { 0 } } },
    { "  {{#boolean}}\n#{{/boolean}}\n/", "{\"boolean\":true}", "#\n/", { { 0 } } },
    { "#{{#boolean}}\n/\n  {{/boolean}}", "{\"boolean\":true}", "#\n/\n", { { 0 } } },
    { "|{{# boolean }}={{/ boolean }}|", "{\"boolean\":true}", "|=|", { { 0 } } },
};

static void conforms_to_sections(void **state) {
    (void)state;
    check_cases(sections, KLX_COUNT(sections));
}

static void conforms_to_inverted(void **state) {
    (void)state;
    static const struct spec_case cases[] = {
        { "\"{{^boolean}}This should be rendered.{{/boolean}}\"",
          "{\"boolean\":false}",
          "\"This should be rendered.\"",
          { { 0 } } },
        { "\"{{^boolean}}Not.{{/boolean}}\"", "{\"boolean\":true}", "\"\"", { { 0 } } },
        { "\"{{^null}}Yes.{{/null}}\"", "{\"null\":null}", "\"Yes.\"", { { 0 } } },
        { "\"{{^context}}Hi {{name}}.{{/context}}\"",
          "{\"context\":{\"name\":\"Joe\"}}",
          "\"\"",
          { { 0 } } },
        { "\"{{^list}}{{n}}{{/list}}\"", "{\"list\":[{\"n\":1},{\"n\":2}]}", "\"\"", { { 0 } } },
        { "\"{{^list}}Yay lists!{{/list}}\"", "{\"list\":[]}", "\"Yay lists!\"", { { 0 } } },
        { "{{^bool}}\n* first\n{{/bool}}\n* {{two}}\n{{^bool}}\n* third\n{{/bool}}\n",
          "{\"bool\":false,\"two\":\"second\"}",
          "* first\n* second\n* third\n",
          { { 0 } } },
        { "| A {{^bool}}B {{^bool}}C{{/bool}} D{{/bool}} E |",
          "{\"bool\":false}",
          "| A B C D E |",
          { { 0 } } },
        { "[{{^missing}}Cannot find key 'missing'!{{/missing}}]",
          "{}",
          "[Cannot find key 'missing'!]",
          { { 0 } } },
        { "\"{{^a.b.c}}Not Here{{/a.b.c}}\" == \"Not Here\"",
          "{\"a\":{}}",
          "\"Not Here\" == \"Not Here\"",
          { { 0 } } },
        { " | {{^boolean}}\t|\t{{/boolean}} | \n",
          "{\"boolean\":false}",
          " | \t|\t | \n",
          { { 0 } } },
        { "| This Is\n  {{^boolean}}\n|\n  {{/boolean}}\n| A Line\n",
          "{\"boolean\":false}",
          "| This Is\n|\n| A Line\n",
          { { 0 } } },
        { "|\r\n{{^boolean}}\r\n{{/boolean}}\r\n|", "{\"boolean\":false}", "|\r\n|", { { 0 } } },
        { "^{{^boolean}}\n/\n  {{/boolean}}", "{\"boolean\":false}", "^\n/\n", { { 0 } } },
        { "|{{^ boolean }}={{/ boolean }}|", "{\"boolean\":false}", "|=|", { { 0 } } },
    };
    check_cases(cases, KLX_COUNT(cases));
}

static void conforms_to_partials(void **state) {
    (void)state;
    static const struct spec_case cases[] = {
        { "\"{{>text}}\"", "{}", "\"from partial\"", { { "text", "from partial" } } },
        { "\"{{>text}}\"", "{}", "\"\"", { { 0 } } }, /* "Failed Lookup" */
        { "\"{{>partial}}\"",
          "{\"text\":\"content\"}",
          "\"*content*\"",
          { { "partial", "*{{text}}*" } } },
        { "{{>node}}",
          "{\"content\":\"X\",\"nodes\":[{\"content\":\"Y\",\"nodes\":[]}]}",
          "X<Y<>>",
          { { "node", "{{content}}<{{#nodes}}{{>node}}{{/nodes}}>" } } },
        { "{{>outer}}",
          "{\"a\":\"hello\",\"b\":\"world\"}",
          "*hello world!*",
          { { "outer", "*{{a}} {{>inner}}*" }, { "inner", "{{b}}!" } } },
        { "| {{>partial}} |", "{}", "| \t|\t |", { { "partial", "\t|\t" } } },
        { "  {{data}}  {{> partial}}\n",
          "{\"data\":\"|\"}",
          "  |  >\n>\n",
          { { "partial", ">\n>" } } },
        { "|\r\n{{>partial}}\r\n|", "{}", "|\r\n>|", { { "partial", ">" } } },
        { "  {{>partial}}\n>", "{}", "  >\n  >>", { { "partial", ">\n>" } } },
        { ">\n  {{>partial}}", "{}", ">\n  >\n  >", { { "partial", ">\n>" } } },
        { "\\\n {{>partial}}\n/\n",
          "{\"content\":\"<\\n->\"}",
          "\\\n |\n <\n->\n |\n/\n",
          { { "partial", "|\n{{content}}\n|\n" } } },
        { "|{{> partial }}|", "{\"boolean\":true}", "|[]|", { { "partial", "[]" } } },
        /* Ours: a partial in an indented one is indented by both; a section that takes its line has none. */
        { "{{#x}}\n  {{>a}}\n{{/x}}\n",
          "{\"x\":true,\"l\":[1,2]}",
          "  a\n   1,\n   2,\n  z\n",
          { { "a", "a\n{{#l}}\n {{>b}}\n{{/l}}\nz\n" }, { "b", "{{.}},\n" } } },
    };
    check_cases(cases, KLX_COUNT(cases));
}

static void cuts_a_text(void **state) {
    (void)state;
    check("{{a.5}}|{{a.4}}|{{a.1}}|{{a.99}}", "{\"a\":\"12345\"}", klx_escape_none,
          "12345|123…|…|12345");
    check("{{o.a.3}}|{{#l}}{{.2}},{{/l}}", "{\"o\":{\"a\":\"äöüß\"},\"l\":[\"ab\",\"abc\"]}",
          klx_escape_none, "äö…|ab,a…,");
    check("{{a.4}}", "{\"a\":\"<<<<<\"}", klx_escape_html, "&lt;&lt;&lt;…");
    check("{{a.0}}|{{a.-1}}|{{a.x}}|{{n.2}}|{{a.2.1}}", "{\"a\":\"12345\",\"n\":12345}",
          klx_escape_none, "||||");
    check("{{a.2}}", "{\"a\":{\"2\":\"a member\"}}", klx_escape_none, "a member");
}

static void names_what_is_missing(void **state) {
    (void)state;
    static const struct klx_template_partial partials[] = { { { "a", 1 }, { "{{>b}}", 6 } } };
    struct klx_template *t = NULL;
    assert_int_equal(klx_template_new_with(KLX_SV("{{>a}}"), partials, 1, &t, NULL), 0);
    assert_true(klx_sv_eq(klx_template_missing(t), KLX_SV("b")));
    klx_template_free(t);
    assert_int_equal(klx_template_new_with(KLX_SV("{{a}}"), NULL, 0, &t, NULL), 0);
    assert_int_equal(klx_template_missing(t).n, 0);
    klx_template_free(t);
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
        { "{{=<% %>=}}\n<%&x%>", "line 2, column 1: unescaped output" },
        { "{{=<% %>=}}<%{x}%>", "unescaped output" },
        { "{{>*p}}", "the name of a partial cannot be a variable: *p" },
        { "{{<p}}{{/p}}", "inheritance is not available, partials are: {{>name}}: p" },
        { "{{$b}}{{/b}}", "inheritance is not available" },
        { "{{=<% %>}}", "a change of delimiters ends in =" },
        { "{{=<%=}}", "delimiters are two words" },
        { "{{=a b c=}}", "delimiters are two words" },
        { "{{=a= b=}}", "delimiters are two words" },
        { "{{=<% %>=}}<%a}}", "this tag is never closed with: %>" },
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

static void a_mistake_in_a_partial_has_its_name(void **state) {
    (void)state;
    static const struct klx_template_partial partials[] = { { { "row", 3 }, { "a\n{{&x}}", 8 } } };
    struct klx_template *t = NULL;
    struct klx_error e = { 0 };
    assert_int_equal(klx_template_new_with(KLX_SV("x"), partials, 1, &t, &e), -EINVAL);
    assert_non_null(strstr(e.text, "partial \"row\": line 2, column 1: unescaped output"));
}

static void escapes_for_the_place(void **state) {
    (void)state;
    check("{\"a\":\"{{x}}\"}", "{\"x\":\"\\\"\\n\\\\ä\\u0001\"}", klx_escape_json,
          "{\"a\":\"\\\"\\n\\\\ä\\u0001\"}");
    check("a={{x}}", "{\"x\":\"1&b=2 ä\"}", klx_escape_url, "a=1%26b%3D2%20%C3%A4");
}

static void depth_and_work_are_bounded(void **state) {
    (void)state;
    static const struct named forever[] = { { "p", "x{{>p}}" }, { 0 } };
    struct klx_buf out;
    struct klx_buf json;
    klx_buf_init(&out, 1 << 20);
    klx_buf_init(&json, 1 << 20);
    assert_int_equal(render("{{>p}}", forever, "{}", klx_escape_none, &out), -ELOOP);
    klx_buf_add_str(&json, "{\"l\":[0");
    for (int i = 0; i < 2000; i++) {
        klx_buf_add_str(&json, ",0");
    }
    klx_buf_add_str(&json, "]}");
    assert_int_equal(
        render("{{#l}}{{#l}}{{/l}}{{/l}}", NULL, klx_buf_str(&json), klx_escape_none, &out),
        -ETIME);
    klx_buf_release(&out);
    klx_buf_release(&json);
}

static void output_is_bounded(void **state) {
    (void)state;
    struct klx_template *t = NULL;
    struct klx_buf out;
    klx_buf_init(&out, 8);
    assert_int_equal(klx_template_new(KLX_SV("0123456789"), &t, NULL), 0);
    assert_int_equal(klx_template_render(t, NULL, KLX_TEMPLATE_WORK_MAX, klx_escape_none, &out),
                     -EMSGSIZE);
    klx_buf_release(&out);
    klx_template_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conforms_to_comments),
        cmocka_unit_test(conforms_to_delimiters),
        cmocka_unit_test(conforms_to_interpolation),
        cmocka_unit_test(conforms_to_sections),
        cmocka_unit_test(conforms_to_inverted),
        cmocka_unit_test(conforms_to_partials),
        cmocka_unit_test(cuts_a_text),
        cmocka_unit_test(names_what_is_missing),
        cmocka_unit_test(a_mistake_in_a_partial_has_its_name),
        cmocka_unit_test(escapes_for_the_place),
        cmocka_unit_test(depth_and_work_are_bounded),
        cmocka_unit_test(everything_goes_through_the_escaper),
        cmocka_unit_test(refuses_with_the_place),
        cmocka_unit_test(output_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
