#include "tests/unit/support/support.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "lib/base/json.h"

static struct klx_arena arena;

static int setup(void **state) {
    (void)state;
    klx_arena_init(&arena, 4096, 1 << 20);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    klx_arena_release(&arena);
    return 0;
}

static const struct klx_json *parsed(const char *text) {
    const struct klx_json *node = NULL;
    struct klx_error e = { 0 };
    if (klx_json_parse(&arena, klx_sv(text), NULL, &node, &e) != 0) {
        fail_msg("%s", e.text);
    }
    return node;
}

static void reads_by_path_and_type(void **state) {
    (void)state;
    const struct klx_json *n = parsed("{\"metadata\":{\"name\":\"n\\u00e9\",\"a.b\":\"dot\"},"
                                      "\"count\":3,\"big\":1e300,\"half\":0.5,"
                                      "\"yes\":true,\"none\":null,\"list\":[1,\"two\"]} \n");
    assert_sv(klx_json_str(n, "metadata.name"), "n\xC3\xA9");
    assert_sv(klx_json_str(n, "metadata.missing.deeper"), "");
    assert_sv(klx_json_str(n, "count"), "");
    assert_sv(klx_json_str(klx_json_member(klx_json_get(n, "metadata"), KLX_SV("a.b")), ""), "dot");
    assert_int_equal(klx_json_int(n, "count", -1), 3);
    assert_int_equal(klx_json_int(n, "big", -1), -1);
    assert_int_equal(klx_json_int(n, "half", -1), -1);
    assert_true(klx_json_bool(n, "yes", false));
    assert_true(klx_json_bool(n, "count", true));
    assert_true(klx_json_is_null(klx_json_get(n, "none")));
    const struct klx_json *first = klx_json_first(klx_json_get(n, "list"));
    assert_sv(klx_json_str(klx_json_next(first), ""), "two");
    assert_null(klx_json_first(klx_json_get(n, "count")));
    assert_null(klx_json_get(NULL, "x"));
}

static void keys_are_compared_whole_and_with_case(void **state) {
    (void)state;
    const struct klx_json *n = parsed("{\"Name\":1,\"name\":2,\"names\":3,\"name\":4}");
    assert_int_equal(klx_json_int(n, "name", 0), 2);
    assert_int_equal(klx_json_int(n, "nam", 0), 0);
}

static void refuses_what_is_not_one_bounded_value(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int rc;
        const char *words;
    } cases[] = {
        { "", -EINVAL, "syntax error" },
        { "{\"a\":}", -EINVAL, "syntax error at byte" },
        { "{} {}", -EINVAL, "follows the value at byte 3" },
        { "{\"a\":\"x\\u0000y\"}", -EINVAL, "\\u0000" },
        { "{\"a\":", -EINVAL, "syntax error" },
        { "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", -EMSGSIZE,
          "nested deeper than 32" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct klx_json *n = NULL;
        struct klx_error e = { 0 };
        assert_int_equal(klx_json_parse(&arena, klx_sv(cases[i].text), NULL, &n, &e), cases[i].rc);
        assert_non_null(strstr(e.text, cases[i].words));
        assert_null(n);
    }
    assert_non_null(parsed("{\"a\":\"x\\\\u0000\"}")); /* an escaped backslash, not a NUL */
}

static void respects_size_and_arena(void **state) {
    (void)state;
    const struct klx_json *n = NULL;
    struct klx_error e = { 0 };
    struct klx_json_limits limits = { .bytes_max = 8, .depth_max = 4 };
    assert_int_equal(klx_json_parse(&arena, KLX_SV("[1,2,3,4,5]"), &limits, &n, &e), -EMSGSIZE);
    struct klx_arena small;
    klx_arena_init(&small, 64, 64);
    char text[256];
    memset(text, ' ', sizeof(text));
    memcpy(text, "[1,2,3]", 7);
    assert_int_equal(klx_json_parse(&small, klx_sv_n(text, sizeof(text)), NULL, &n, &e), -ENOMEM);
    klx_arena_release(&small);
}

static void writes_valid_utf8_whatever_comes(void **state) {
    (void)state;
    struct klx_buf out;
    klx_buf_init(&out, 4096);
    struct klx_jw w;
    klx_jw_init(&w, &out);
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "a", "q\"b\\n\n\t\x01\x7f");
    klx_jw_member_str(&w, "bad", "\xC0\xAF|\xED\xA0\x80|\xF0\x9F\x9A\xA8|\xFF");
    klx_jw_member_int(&w, "n", INT64_MIN);
    klx_jw_key(&w, "list");
    klx_jw_begin_array(&w);
    klx_jw_bool(&w, true);
    klx_jw_null(&w);
    klx_jw_double(&w, INFINITY);
    klx_jw_end_array(&w);
    klx_jw_member_time(&w, "t", 1773215538316045);
    klx_jw_member_sv_opt(&w, "empty", KLX_SV(""));
    klx_jw_end_object(&w);
    assert_string_equal(klx_buf_str(&out),
                        "{\"a\":\"q\\\"b\\\\n\\n\\t\\u0001\\u007f\","
                        "\"bad\":\"\xEF\xBF\xBD\xEF\xBF\xBD|\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD|"
                        "\xF0\x9F\x9A\xA8|\xEF\xBF\xBD\","
                        "\"n\":-9223372036854775808,\"list\":[true,null,null],"
                        "\"t\":\"2026-03-11T07:52:18.316045Z\"}");
    klx_buf_release(&out);
}

static void a_tree_is_written_as_it_was_read(void **state) {
    (void)state;
    const char *text = "{\"a\":[1,2.5,{\"b\":null}],\"c\":\"x\\ny\",\"d\":false,\"e\":{},\"f\":[]}";
    struct klx_buf out;
    klx_buf_init(&out, 4096);
    struct klx_jw w;
    klx_jw_init(&w, &out);
    klx_jw_node(&w, parsed(text));
    assert_string_equal(klx_buf_str(&out), text);
    klx_buf_release(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_by_path_and_type),
        cmocka_unit_test(keys_are_compared_whole_and_with_case),
        cmocka_unit_test(refuses_what_is_not_one_bounded_value),
        cmocka_unit_test(respects_size_and_arena),
        cmocka_unit_test(writes_valid_utf8_whatever_comes),
        cmocka_unit_test(a_tree_is_written_as_it_was_read),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
