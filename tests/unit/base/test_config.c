#include "tests/unit/support/support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/config.h"
#include "lib/base/secret.h"

struct target {
    char *name;
    struct klx_config_strings list;
    int64_t count;
    bool on;
    int64_t every_ms;
    int64_t size;
    struct klx_secret *secret, *file;
    const struct klx_config_node *rest;
};

static const struct klx_config_field fields[] = {
    { .key = "name",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct target, name),
      .required = true,
      .help = "what it is called" },
    { .key = "list", .kind = KLX_CFG_STR_LIST, .offset = offsetof(struct target, list) },
    { .key = "count",
      .kind = KLX_CFG_INT,
      .offset = offsetof(struct target, count),
      .otherwise = "7",
      .min = 1,
      .max = 10 },
    { .key = "on",
      .kind = KLX_CFG_BOOL,
      .offset = offsetof(struct target, on),
      .otherwise = "true" },
    { .key = "every",
      .kind = KLX_CFG_DURATION,
      .offset = offsetof(struct target, every_ms),
      .otherwise = "30s" },
    { .key = "size", .kind = KLX_CFG_BYTES, .offset = offsetof(struct target, size) },
    { .key = "secret", .kind = KLX_CFG_SECRET, .offset = offsetof(struct target, secret) },
    { .key = "file", .kind = KLX_CFG_FILE, .offset = offsetof(struct target, file) },
    { .key = "rest", .kind = KLX_CFG_NODE, .offset = offsetof(struct target, rest) },
    { .key = NULL },
};

static void binds_values_and_defaults(void **state) {
    (void)state;
    struct klx_config *c = NULL;
    struct klx_error e = { 0 };
    const char *text = "name: \"x: y\"\nlist: [a, b]\nevery: 1m30s\nsize: 4MiB\nsecret: {file: "
                       "/run/s}\nfile: /run/f\nrest:\n  deep: [1, {k: v}]\n";
    assert_int_equal(klx_config_parse(klx_sv(text), "t.yaml", &c, &e), 0);
    struct target t = { 0 };
    assert_int_equal(klx_config_bind(klx_config_root(c), fields, &t, &e), 0);
    assert_string_equal(t.name, "x: y");
    assert_int_equal(t.list.n, 2);
    assert_sv(t.list.items[1], "b");
    assert_int_equal(t.count, 7);
    assert_true(t.on);
    assert_int_equal(t.every_ms, 90000);
    assert_int_equal(t.size, 4 << 20);
    assert_string_equal(klx_secret_where(t.secret), "file /run/s");
    assert_string_equal(klx_secret_where(t.file), "file /run/f");
    const struct klx_config_node *deep = klx_config_get(t.rest, "deep");
    const struct klx_config_node *map = klx_config_next(klx_config_first(deep));
    assert_sv(klx_config_scalar(klx_config_get(map, "k")), "v");
    assert_int_equal(klx_config_line(map), 8);
    klx_config_unbind(fields, &t);
    klx_config_free(c);
}

static int problem(const char *text, char *words, size_t n) {
    struct klx_config *c = NULL;
    struct klx_error e = { 0 };
    struct target t = { 0 };
    int rc = klx_config_parse(klx_sv(text), "t.yaml", &c, &e);
    if (rc == 0) {
        rc = klx_config_bind(klx_config_root(c), fields, &t, &e);
        if (rc == 0) {
            klx_config_unbind(fields, &t);
        }
        klx_config_free(c);
    }
    snprintf(words, n, "%s", e.text);
    return rc;
}

static void every_mistake_has_its_place_and_remedy(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        { "name: x\nlsit: [a]\n", "t.yaml:2:1: unknown key \"lsit\", did you mean \"list\"?" },
        { "name: x\nzzzzzzzz: 1\n", "t.yaml:2:1: unknown key \"zzzzzzzz\"" },
        { "count: 3\n", "t.yaml:1:1: \"name\" is missing: what it is called" },
        { "name: x\nevery: soon\n",
          "t.yaml:2:8: every: expected a duration such as 30s, found \"soon\"" },
        { "name: x\ncount: 99\n", "t.yaml:2:8: count: 99 is not between 1 and 10" },
        { "name: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\n",
          "t.yaml:1:38: nested too deep: 32 levels are the most" },
        { "name: x\non: yes\n", "t.yaml:2:5: on: expected true or false, found \"yes\"" },
        { "name: [x]\n", "t.yaml:1:7: name: expected a single value, found a list" },
        { "name: x\nlist: [{a: b}]\n", "t.yaml:2:8: list[0]: expected a text, found a map" },
        { "name: x\nsecret: hunter2\n",
          "t.yaml:2:9: secret: a secret is not written into the configuration: put it into a file "
          "and write {file: /path}" },
        { "name: x\nsecret: {path: a}\n",
          "t.yaml:2:9: secret: expected {file: /path} or {env: NAME}" },
        { "name: x\nfile: \"\"\n", "t.yaml:2:7: file: expected the path of a file" },
        { "name: x\nfile: {file: a}\n", "t.yaml:2:7: file: expected a single value, found a map" },
        { "name: x\nname: y\n", "t.yaml:1:1: \"name\" is written twice, in lines 1 and 2" },
        { "name: &a x\nlist: [*a]\n",
          "t.yaml:2:8: aliases (*name) are not supported: write the value out" },
        { "name: !!str x\n", "t.yaml:1:7: tags (!name) are not supported" },
        { "name: x\n---\nname: y\n",
          "t.yaml:2:1: one file holds one document: remove the \"---\"" },
        { "name: x\n\tlist: [a]\n", "t.yaml:2:1: found a tab character that violates indentation" },
        { "- a\n", "t.yaml:1:1: expected a map, found a list" },
        { "name: x\nlist: [\xc3\xa4, \xff]\n", "t.yaml:2:11: invalid leading UTF-8 octet" },
        { "name: x\n\nlist: [\x01]\n", "t.yaml:3:8: control characters are not allowed" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char words[1024];
        assert_true(problem(cases[i].text, words, sizeof(words)) < 0);
        if (strstr(words, cases[i].message) == NULL) {
            fail_msg("expected: %s\nfound:    %s", cases[i].message, words);
        }
    }
}

static void a_secret_never_stands_in_a_message(void **state) {
    (void)state;
    char words[1024];
    assert_true(problem("name: x\nsecret: hunter2\n", words, sizeof(words)) < 0);
    assert_null(strstr(words, "hunter2"));
}

static void an_empty_file_is_an_empty_map(void **state) {
    (void)state;
    struct klx_config *c = NULL;
    assert_int_equal(klx_config_parse(KLX_SV("# nothing\n"), "t.yaml", &c, NULL), 0);
    assert_int_equal(klx_config_type(klx_config_root(c)), KLX_CONFIG_MAP);
    assert_null(klx_config_first(klx_config_root(c)));
    klx_config_free(c);
    struct klx_error e = { 0 };
    assert_int_equal(klx_config_load("/nonexistent/klaxon.yaml", &c, &e), -ENOENT);
    assert_string_equal(e.text, "cannot read /nonexistent/klaxon.yaml: No such file or directory");
}

/* libyaml alone would take hours over the second one. */
static void depth_costs_no_time(void **state) {
    (void)state;
    static const char *const pieces[] = { "{a: ", "[" };
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        struct klx_buf text KLX_CLEANUP(klx_buf_release);
        struct klx_config *c = NULL;
        struct klx_error e = { 0 };
        klx_buf_init(&text, 1 << 20);
        for (int n = 0; n < 200000; n++) {
            klx_buf_add_str(&text, pieces[i]);
        }
        assert_int_equal(klx_config_parse(klx_buf_sv(&text), "t.yaml", &c, &e), -EINVAL);
        assert_non_null(strstr(e.text, "nested too deep"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binds_values_and_defaults),
        cmocka_unit_test(every_mistake_has_its_place_and_remedy),
        cmocka_unit_test(a_secret_never_stands_in_a_message),
        cmocka_unit_test(depth_costs_no_time),
        cmocka_unit_test(an_empty_file_is_an_empty_map),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
