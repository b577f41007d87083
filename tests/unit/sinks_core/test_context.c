/* What a template may say: a golden tree, one with a digest, and hostile text that stays on its line. */
#include "tests/unit/support/support.h"

#include "lib/base/cleanup.h"
#include "lib/base/template.h"
#include "sinks/core/context.h"
#include "tests/unit/support/arena_rig.h"
#include "tests/unit/support/sample.h"

/* One member of the top level a line. */
static void check_golden(const char *name, const struct klx_json *context) {
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, 1 << 20);
    for (const struct klx_json *m = klx_json_first(context); m != NULL; m = klx_json_next(m)) {
        struct klx_jw w;
        klx_buf_printf(&out, "%-10.*s ", KLX_SV_FMT(klx_json_key(m)));
        klx_jw_init(&w, &out);
        klx_jw_node(&w, m);
        klx_buf_add_char(&out, '\n');
    }
    golden_check(name, klx_buf_sv(&out));
}

static const struct klx_json *context_of(const struct klx_notice *notice, const char *zone) {
    const struct klx_json *context = NULL;
    struct klx_zone *z = NULL;
    assert_int_equal(klx_zone_new(klx_sv(zone), &z, NULL), 0);
    assert_int_equal(klx_context_make(&arena, notice, z, &context), 0);
    klx_zone_free(z);
    return context;
}

static struct klx_notice notice_of(enum klx_kind kind, struct klx_event *e) {
    const struct klx_json *data = NULL;
    test_read_event(&arena, kind, e, &data);
    return (struct klx_notice){
        .event = e, .data = data, .team = KLX_SV("operations"), .channel = KLX_SV("pager")
    };
}

static void has_all_that_the_card_has_and_more(void **state) {
    (void)state;
    struct klx_event e;
    struct klx_notice n = notice_of(KLX_KIND_REPAIR_FAILED, &e);
    check_golden("context/node.repair.failed.txt", context_of(&n, "Europe/Berlin"));
    n = notice_of(KLX_KIND_APP_DEGRADED, &e);
    n.reason = KLX_NOTICE_REMINDER;
    check_golden("context/app.degraded-reminder.txt", context_of(&n, "UTC"));
}

static void tells_what_a_digest_stands_for(void **state) {
    (void)state;
    static const struct klx_digest_line lines[] = {
        { { "Node aks-1\n(prod)", 17 }, KLX_SEVERITY_CRITICAL, 30 },
        { { "Pod web-1 (prod)", 16 }, KLX_SEVERITY_WARNING, 1 },
    };
    const struct klx_digest digest = { .events = 40,
                                       .incidents = 12,
                                       .since_us = INT64_C(1773216000000000),
                                       .until_us = INT64_C(1773216300000000),
                                       .lines = lines,
                                       .lines_n = KLX_COUNT(lines) };
    struct klx_event e;
    struct klx_notice n = notice_of(KLX_KIND_NODE_READY, &e);
    n.reason = KLX_NOTICE_DIGEST;
    n.digest = &digest;
    const struct klx_json *context = context_of(&n, "America/New_York");
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&out, 4096);
    klx_jw_init(&w, &out);
    klx_jw_node(&w, klx_json_get(context, "digest"));
    assert_string_equal(
        klx_buf_str(&out),
        "{\"events\":40,\"incidents\":12,\"since\":\"2026-03-11T08:00:00Z\",\"since_local\":"
        "\"2026-03-11 04:00:00 EDT\",\"until\":\"2026-03-11T08:05:00Z\",\"until_local\":"
        "\"2026-03-11 04:05:00 EDT\",\"duration\":\"5 min\",\"seconds\":300,\"lines\":["
        "{\"last\":false,\"text\":\"Node aks-1 (prod)\",\"severity\":\"critical\",\"events\":30},"
        "{\"last\":true,\"text\":\"Pod web-1 (prod)\",\"severity\":\"warning\",\"events\":1}]}");
    assert_true(klx_json_bool(context, "is.digest", false));
}

static void check_lines(const struct klx_json *node) {
    struct klx_sv text = klx_json_str(node, "");
    for (size_t i = 0; i < text.n; i++) {
        assert_true((unsigned char)text.p[i] >= ' ' && text.p[i] != 0x7f);
    }
    for (const struct klx_json *m = klx_json_first(node); m != NULL; m = klx_json_next(m)) {
        check_lines(m);
    }
}

static void hostile_text_stays_on_its_line(void **state) {
    (void)state;
    struct klx_event e;
    const struct klx_json *data = NULL;
    test_hostile_event(&arena, KLX_SV("a\r\nBcc: x\x1b[31m\xff\xe2\x80\xae{{title}}"), &e, &data);
    const struct klx_notice n = {
        .event = &e, .data = data, .team = e.cluster, .channel = KLX_SV("c")
    };
    check_lines(context_of(&n, "UTC"));
}

static void every_kind_has_one(void **state) {
    (void)state;
    for (int kind = 0; kind < KLX_KINDS_N; kind++) {
        struct klx_event e;
        klx_arena_reset(&arena);
        struct klx_notice n = notice_of((enum klx_kind)kind, &e);
        const struct klx_json *context = context_of(&n, "UTC");
        assert_sv(klx_json_str(context, "kind"), test_kind_name((enum klx_kind)kind));
        assert_true(klx_json_str(context, "summary").n > 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ARENA_TEST(has_all_that_the_card_has_and_more),
        ARENA_TEST(tells_what_a_digest_stands_for),
        ARENA_TEST(hostile_text_stays_on_its_line),
        ARENA_TEST(every_kind_has_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
