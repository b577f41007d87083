/* What is sent to ntfy: a golden message for each kind, and hostile text that stays text within every limit. */
#include "tests/unit/support/json_payload.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/url.h"
#include "sinks/core/card.h"
#include "sinks/ntfy/message.h"
#include "tests/unit/support/arena_rig.h"
#include "tests/unit/support/digest_sample.h"
#include "tests/unit/support/sample.h"
#include "tests/unit/support/wording_sample.h"

static char topic[] = "klaxon-ops";
static struct klx_sv tag = { "prod", 4 };
static const struct klx_ntfy_config config = { .topic = topic, .tags = { &tag, 1 } };

/* docs.ntfy.sh/publish, written down again, so that a mistake in sinks/ntfy/limits.h is found. */
static void check(struct klx_sv payload, const struct klx_json *m) {
    struct klx_sv title = klx_json_str(m, "title"), message = klx_json_str(m, "message");
    static const char *const keys[] = { "topic", "title", "message", "tags", "priority", "click" };
    size_t known = 0, all = 0;
    for (const struct klx_json *one = klx_json_first(m); one != NULL; one = klx_json_next(one)) {
        for (size_t i = 0; i < KLX_COUNT(keys); i++) {
            known += klx_sv_eq(klx_json_key(one), klx_sv(keys[i]));
        }
        all++;
    }
    assert_int_equal(known, all);
    assert_in_range(payload.n, 1, 8192);
    assert_sv(klx_json_str(m, "topic"), "klaxon-ops");
    assert_in_range(title.n, 1, 250);
    assert_in_range(message.n, 1, 4096);
    assert_int_equal(klx_sv_find(title, '\n'), title.n);
    assert_int_equal(klx_sv_find(message, '\r'), message.n);
    assert_in_range(klx_json_int(m, "priority", 0), 1, 5);
    if (klx_json_get(m, "click") != NULL) {
        assert_true(klx_url_is_link(klx_json_str(m, "click")));
    }
}

/* The payload lives in the arena. */
static struct klx_sv render(const struct klx_notice *notice) {
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    struct klx_card card;
    klx_buf_init(&out, klx_sink_ntfy.payload_bytes_max);
    assert_int_equal(klx_card_make(&arena, notice, &card), 0);
    klx_ntfy_render(&card, &config, &out);
    assert_int_equal(klx_buf_check(&out), 0);
    return klx_arena_dup(&arena, klx_buf_sv(&out));
}

static const struct klx_json *check_golden(const char *name, const struct klx_notice *notice) {
    char golden[128];
    struct klx_sv payload = render(notice);
    snprintf(golden, sizeof(golden), "ntfy/%s.json", name);
    const struct klx_json *parsed = payload_golden(&arena, golden, payload);
    check(payload, parsed);
    return parsed;
}

static struct klx_notice notice_of(enum klx_kind kind, struct klx_event *e) {
    struct klx_notice notice = { .event = e,
                                 .team = KLX_SV("operations"),
                                 .channel = KLX_SV("ops-phone") };
    klx_arena_reset(&arena);
    test_read_event(&arena, kind, e, &notice.data);
    return notice;
}

static void each_kind_has_its_message(void **state) {
    (void)state;
    for (int kind = 0; kind < KLX_KINDS_N; kind++) {
        struct klx_event e;
        const struct klx_notice notice = notice_of((enum klx_kind)kind, &e);
        check_golden(test_kind_name((enum klx_kind)kind), &notice);
    }
}

static void check_notice(const char *name, const struct klx_notice *notice) {
    check_golden(name, notice);
}

static void own_words_are_text_too(void **state) {
    (void)state;
    test_in_own_words(&arena, check_notice);
}

static void severity_is_priority_and_emoji(void **state) {
    (void)state;
    static const struct {
        enum klx_severity severity;
        enum klx_phase phase;
        int64_t priority;
        const char *first_tag;
    } cases[] = {
        { KLX_SEVERITY_INFO, KLX_PHASE_OPEN, 3, "prod" },
        { KLX_SEVERITY_WARNING, KLX_PHASE_OPEN, 4, "warning" },
        { KLX_SEVERITY_CRITICAL, KLX_PHASE_OPEN, 5, "rotating_light" },
        { KLX_SEVERITY_CRITICAL, KLX_PHASE_RESOLVED, 3, "white_check_mark" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_event e;
        const struct klx_notice notice = notice_of(KLX_KIND_REPAIR_STUCK, &e);
        e.severity = cases[i].severity;
        e.phase = cases[i].phase;
        const struct klx_json *m = payload_parse(&arena, render(&notice));
        assert_int_equal(klx_json_int(m, "priority", 0), cases[i].priority);
        assert_sv(klx_json_str(klx_json_first(klx_json_get(m, "tags")), ""), cases[i].first_tag);
    }
}

static void a_notice_says_why(void **state) {
    (void)state;
    struct klx_event e;
    struct klx_notice notice = notice_of(KLX_KIND_REPAIR_STUCK, &e);
    notice.reason = KLX_NOTICE_REMINDER;
    const struct klx_json *m = check_golden("notice-reminder", &notice);
    struct klx_sv title = klx_json_str(m, "title");
    assert_true(klx_sv_find_sv(title, KLX_SV("still open")) < title.n);
}

static void a_digest_tells_of_many(void **state) {
    (void)state;
    struct klx_event e;
    struct klx_notice notice;
    klx_arena_reset(&arena);
    test_digest(&arena, 40, &e, &notice);
    check_golden("notice-digest", &notice);
}

static struct klx_notice hostile(struct klx_sv text, struct klx_event *e) {
    struct klx_notice notice = { .event = e, .team = text, .channel = KLX_SV("ops-phone") };
    klx_arena_reset(&arena);
    test_hostile_event(&arena, text, e, &notice.data);
    return notice;
}

static void hostile_text_stays_text(void **state) {
    (void)state;
    struct klx_event e;
    const struct klx_notice notice = hostile(
        KLX_SV("a\r\nWhat to do: run\t\"},{\"topic\":\"other\"\\ **x** [a](http://evil.example) "
               "\xE2\x80\xAE"
               "cba\x1b[31m"),
        &e);
    const struct klx_json *m = check_golden("hostile", &notice);
    struct klx_sv message = klx_json_str(m, "message");
    assert_int_equal(klx_sv_find_sv(message, KLX_SV("\nWhat to do: run")), message.n);
}

/* 64 KB of one character everywhere: the widest in each way of counting. */
static void long_text_is_cut_within_every_limit(void **state) {
    (void)state;
    static const char *const units[] = { "\"", "\\", "x", "&", "\xE6\xBC\xA2", "\xF0\x9F\x94\xA5" };
    for (size_t i = 0; i < KLX_COUNT(units); i++) {
        struct klx_buf text KLX_CLEANUP(klx_buf_release);
        struct klx_event e;
        klx_buf_init(&text, 1 << 20);
        while (text.len < 65536) {
            klx_buf_add_str(&text, units[i]);
        }
        const struct klx_notice notice = hostile(klx_buf_sv(&text), &e);
        struct klx_sv payload = render(&notice);
        const struct klx_json *m = payload_parse(&arena, payload);
        check(payload, m);
        struct klx_sv message = klx_json_str(m, "message");
        assert_true(klx_sv_find_sv(message, KLX_SV("\xE2\x80\xA6")) < message.n);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_words_are_text_too),
        cmocka_unit_test(each_kind_has_its_message),
        cmocka_unit_test(severity_is_priority_and_emoji),
        cmocka_unit_test(a_notice_says_why),
        cmocka_unit_test(a_digest_tells_of_many),
        cmocka_unit_test(hostile_text_stays_text),
        cmocka_unit_test(long_text_is_cut_within_every_limit),
    };
    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
