#include "tests/unit/support/support.h"

#include <errno.h>

#include "lib/base/cleanup.h"
#include "lib/base/json_path.h"
#include "lib/base/mem.h"

static const char document[] =
    "{\"spec\":{\"replicas\":3,\"template\":{\"containers\":[{\"name\":\"a\",\"image\":\"x:1\"},"
    "{\"name\":\"b\",\"image\":\"y:2\",\"ports\":[{\"port\":80},{\"port\":443}]},{\"name\":\"c\"}]}"
    "},"
    "\"metadata\":{\"annotations\":{\"example.com/owner\":\"me\",\"o'clock\":\"twelve\"}},"
    "\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\"},"
    "{\"type\":\"Available\",\"status\":\"True\"}]},\"data\":{\"a\":\"1\",\"b\":null}}";

static void write_node(void *arg, const struct klx_json *node) {
    struct klx_jw w;
    klx_jw_init(&w, arg);
    klx_jw_node(&w, node);
    klx_buf_add_char(arg, ' ');
}

static void leads(const char *text, const char *expected) {
    struct klx_arena arena KLX_CLEANUP(klx_arena_release);
    struct klx_buf found KLX_CLEANUP(klx_buf_release);
    const struct klx_json *root = NULL;
    struct klx_json_path *path = NULL;
    struct klx_error e = { 0 };
    klx_arena_init(&arena, 4096, 1 << 20);
    klx_buf_init(&found, 4096);
    assert_int_equal(klx_json_parse(&arena, klx_sv(document), NULL, &root, NULL), 0);
    if (klx_json_path_parse(klx_sv(text), &path, &e) != 0) {
        fail_msg("%s", e.text);
    }
    klx_json_path_each(path, root, write_node, &found);
    assert_string_equal(klx_buf_str(&found), expected);
    klx_json_path_free(path);
}

static void paths_lead(void **state) {
    (void)state;
    leads("spec.replicas", "3 ");
    leads(".spec.replicas", "3 ");
    leads("spec.template.containers[*].image", "\"x:1\" \"y:2\" ");
    leads("spec.template.containers[1].ports[*].port", "80 443 ");
    leads("spec.template.containers[name=b].image", "\"y:2\" ");
    leads("spec.template.containers[*].ports[0].port", "80 ");
    leads("status.conditions[type=Available].status", "\"True\" ");
    leads("status.conditions[?type=\"Ready\"].status", "\"False\" ");
    leads("metadata.annotations[\"example.com/owner\"]", "\"me\" ");
    leads("metadata.annotations[\"o'clock\"]", "\"twelve\" ");
    leads("metadata['annotations'][*]", "\"me\" \"twelve\" ");
    leads("data.b", "null ");
    leads("data", "{\"a\":\"1\",\"b\":null} ");
}

static void what_is_not_there_is_nothing(void **state) {
    (void)state;
    static const char *const paths[] = { "nothing",          "spec.replicas.deeper",
                                         "spec[0]",          "spec.template.containers[9].name",
                                         "data[type=x]",     "status.conditions[type=None].status",
                                         "spec.replicas[*]", "status.conditions.type" };
    for (size_t i = 0; i < KLX_COUNT(paths); i++) {
        leads(paths[i], "");
    }
}

static void refuses(const char *text, const char *words) {
    struct klx_json_path *path = NULL;
    struct klx_error e = { 0 };
    assert_int_equal(klx_json_path_parse(klx_sv(text), &path, &e), -EINVAL);
    assert_string_equal(e.text, words);
    assert_null(path);
}

static void mistakes_are_named(void **state) {
    (void)state;
    refuses("", "expected a path of 1 to 512 bytes, for example spec.replicas");
    refuses("a['b\n']", "there is a control character in the path");
    refuses("a..b", "expected a name at character 3 of \"a..b\"");
    refuses("a.", "expected a name at character 3 of \"a.\"");
    refuses(".", "expected a name at character 2 of \".\"");
    refuses("a b", "expected . or [ at character 2 of \"a b\"");
    refuses("a[", "expected a name at character 3 of \"a[\"");
    refuses("a[]", "expected a name at character 3 of \"a[]\"");
    refuses("a[*", "expected ] at character 4 of \"a[*\"");
    refuses("a[b]", "expected [0], [*], [\"key\"] or [name=value] at character 4 of \"a[b]\"");
    refuses("a[-1]", "expected [0], [*], [\"key\"] or [name=value] at character 5 of \"a[-1]\"");
    refuses("a['b]", "the quote has no end at character 4 of \"a['b]\"");
    refuses("a[?b]", "expected = at character 5 of \"a[?b]\"");
    refuses("a[b=]", "expected a name at character 5 of \"a[b=]\"");
    refuses("{.a}", "expected a name at character 1 of \"{.a}\"");
    refuses("a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a",
            "too many steps at character 65 of "
            "\"a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a\"");
}

static void a_path_says_what_it_is(void **state) {
    (void)state;
    static const struct {
        const char *text, *key;
        bool many;
    } cases[] = { { "spec.containers[*].image", "image", true },
                  { "data[\"db.password\"]", "db.password", false },
                  { "a.b[0]", "b", false },
                  { "a[x=y].z", "z", false } };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_json_path *p = NULL;
        assert_int_equal(klx_json_path_parse(klx_sv(cases[i].text), &p, NULL), 0);
        assert_int_equal(klx_json_path_is_many(p), cases[i].many);
        assert_sv(klx_json_path_last_key(p), cases[i].key);
        klx_json_path_free(p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_lead),
        cmocka_unit_test(what_is_not_there_is_nothing),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(a_path_says_what_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
