#include "tests/unit/support/support.h"

#include <errno.h>

#include "collector/kube/list_stream.h"
#include "lib/base/cleanup.h"

/* The items of a list that comes in pieces of `step` bytes, one a line, then its "continue", or the error. */
static void read_all(struct klx_sv body, size_t step, struct klx_buf *out) {
    struct klx_arena arena KLX_CLEANUP(klx_arena_release);
    struct klx_list_stream s;
    struct klx_sv item;
    const struct klx_json *list = NULL;
    klx_arena_init(&arena, 4096, 1 << 20);
    klx_list_stream_init(&s);
    int rc = 0;
    for (size_t i = 0; i < body.n && rc >= 0; i += step) {
        klx_list_stream_feed(&s, klx_sv_n(body.p + i, body.n - i < step ? body.n - i : step));
        while ((rc = klx_list_stream_next(&s, &item)) > 0) {
            klx_buf_printf(out, "%.*s\n", KLX_SV_FMT(item));
        }
    }
    rc = rc < 0 ? rc : klx_list_stream_end(&s, &arena, &list);
    if (rc == 0) {
        klx_buf_printf(out, "<%.*s>", KLX_SV_FMT(klx_json_str(list, "metadata.continue")));
    } else {
        klx_buf_printf(out, "%s", rc == -EBADMSG ? "EBADMSG" : "EMSGSIZE");
    }
    klx_list_stream_release(&s);
}

static void check(const char *body, const char *wanted) {
    for (size_t step = 1; step <= strlen(body) + 1; step++) {
        struct klx_buf out KLX_CLEANUP(klx_buf_release);
        klx_buf_init(&out, 1u << 20);
        read_all(klx_sv(body), step, &out);
        assert_string_equal(klx_buf_str(&out), wanted);
    }
}

static void items_come_one_by_one(void **state) {
    (void)state;
    check("{\"kind\":\"L\",\"metadata\":{\"continue\":\"c\"},\"items\":[{\"a\":[1,{\"b\":2}]},{}]}",
          "{\"a\":[1,{\"b\":2}]}\n{}\n<c>");
    check("{ \"items\" : [ {\"a\":1} , {\"a\":2} ] , \"metadata\" : { \"continue\" : \"c\" } }\n",
          "{\"a\":1}\n{\"a\":2}\n<c>");
    check("{\"items\":[]}", "<>");
    check("{\"items\":null,\"metadata\":{}}", "<>");
    check("{}", "<>");
}

static void strings_are_not_looked_into(void **state) {
    (void)state;
    check("{\"items\":[{\"a\":\"}]\\\"{\"}],\"x\":\"[{\"}", "{\"a\":\"}]\\\"{\"}\n<>");
    check("{\"x\":\"items\",\"y\":[{\"a\":1}],\"metadata\":{\"items\":[{\"b\":1}],\"continue\":"
          "\"c\"}}",
          "<c>");
    check("{\"a\\\"items\":[{\"a\":1}]}", "<>");
}

static void what_is_no_list_is_said(void **state) {
    (void)state;
    check("", "EBADMSG");
    check("{\"items\":[{\"a\":1}", "{\"a\":1}\nEBADMSG");
    check("{\"items\":[{\"a\":1}]", "{\"a\":1}\nEBADMSG");
    check("[]", "EBADMSG");
    check("no healthy upstream", "EBADMSG");
    check("{\"items\":[]}}", "EBADMSG");
    check("{\"items\":[]} x", "EBADMSG");
}

static void what_is_too_large_is_refused(void **state) {
    (void)state;
    struct klx_buf body KLX_CLEANUP(klx_buf_release), out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&body, 16u << 20);
    klx_buf_init(&out, 1u << 20);
    klx_buf_add_str(&body, "{\"items\":[{\"a\":\"");
    for (size_t i = 0; i < KLX_LIST_ITEM_BYTES_MAX; i++) {
        klx_buf_add_char(&body, 'x');
    }
    read_all(klx_buf_sv(&body), 16384, &out);
    assert_string_equal(klx_buf_str(&out), "EMSGSIZE");
    klx_buf_reset(&body);
    klx_buf_reset(&out);
    for (size_t i = 0; i < 1000; i++) {
        klx_buf_add_char(&body, '[');
    }
    read_all(klx_buf_sv(&body), 7, &out);
    assert_string_equal(klx_buf_str(&out), "EMSGSIZE");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_come_one_by_one),
        cmocka_unit_test(strings_are_not_looked_into),
        cmocka_unit_test(what_is_no_list_is_said),
        cmocka_unit_test(what_is_too_large_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
