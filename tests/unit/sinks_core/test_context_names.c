/* The names of a context: every one that some event has is known, as a template would write it. */
#include "tests/unit/support/support.h"

#include "lib/base/cleanup.h"
#include "sinks/core/context.h"
#include "sinks/core/context_names.h"
#include "tests/unit/support/sample.h"

static const struct klx_context_beside none = { .name = "secrets" };

static void add_names(struct klx_buf *out, const struct klx_json *node) {
    for (const struct klx_json *m = klx_json_first(node); m != NULL; m = klx_json_next(m)) {
        struct klx_sv key = klx_json_key(m);
        if (klx_json_is_object(m) || klx_json_is_array(m)) {
            klx_buf_printf(out, "{{#%.*s}}", KLX_SV_FMT(key));
            add_names(out, klx_json_is_array(m) ? klx_json_first(m) : m);
            klx_buf_printf(out, "{{/%.*s}}", KLX_SV_FMT(key));
        } else {
            klx_buf_printf(out, "{{%.*s}}", KLX_SV_FMT(key));
        }
    }
}

static void check_context(struct klx_arena *a, const struct klx_notice *n) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    const struct klx_json *context = NULL;
    struct klx_template *t = NULL;
    struct klx_error e = { 0 };
    klx_buf_init(&text, 1 << 20);
    assert_int_equal(klx_context_make(a, n, NULL, &context), 0);
    add_names(&text, context);
    assert_int_equal(klx_template_new(klx_buf_sv(&text), &t, &e), 0);
    if (klx_context_check_names(t, &none, &e) != 0) {
        fail_msg("%s", e.text);
    }
    klx_template_free(t);
}

static void all_that_an_event_has_is_known(void **state) {
    (void)state;
    static const struct klx_digest_line line = { { "Node", 4 }, KLX_SEVERITY_CRITICAL, 2 };
    static const struct klx_digest digest = {
        .events = 2, .incidents = 1, .until_us = 1, .lines = &line, .lines_n = 1
    };
    static const enum klx_notice_reason reasons[] = { KLX_NOTICE_NEWS, KLX_NOTICE_REMINDER,
                                                      KLX_NOTICE_ESCALATION };
    struct klx_arena a;
    klx_arena_init(&a, 65536, 16 << 20);
    for (int kind = 0; kind < KLX_KINDS_N; kind++) {
        struct klx_event e;
        struct klx_notice n = { .event = &e, .team = KLX_SV("t"), .channel = KLX_SV("c") };
        klx_arena_reset(&a);
        test_read_event(&a, (enum klx_kind)kind, &e, &n.data);
        for (size_t i = 0; i < KLX_COUNT(reasons); i++) {
            n.reason = reasons[i];
            check_context(&a, &n);
        }
        e.replay_id = KLX_SV("r");
        n.reason = KLX_NOTICE_DIGEST;
        n.digest = &digest;
        check_context(&a, &n);
    }
    klx_arena_release(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_that_an_event_has_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
