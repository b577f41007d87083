/* Silences and their matchers. */
#include "tests/unit/support/support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/time.h"
#include "sinks/core/noise/silence.h"

#define T0 INT64_C(1773216000000000) /* 2026-03-11T08:00:00Z */
#define MINUTE (60 * KLX_US_PER_S)

/* An event that is matched: a node's. */
static const char data_text[] =
    "{\"summary\":\"s\",\"object\":{\"kind\":\"Node\",\"name\":\"aks-1\"},\"reason\":\"NotReady\","
    "\"labels\":{\"agentpool\":\"system\",\"team\":\"shadowed\",\"a b\":\"c,d\"}}";

struct world {
    struct klx_arena arena;
    struct klx_event event;
    struct klx_matched what;
};

static void open_world(struct world *w) {
    struct klx_error e;
    klx_arena_init(&w->arena, 4096, 1 << 20);
    w->event = (struct klx_event){ .kind = KLX_KIND_NODE_NOT_READY,
                                   .type = KLX_SV("io.klaxon.node.notready"),
                                   .cluster = KLX_SV("prod-weu"),
                                   .incident = KLX_SV("i1"),
                                   .phase = KLX_PHASE_OPEN };
    w->what = (struct klx_matched){ .event = &w->event,
                                    .severity = KLX_SEVERITY_WARNING,
                                    .topic = KLX_SV("nodes"),
                                    .team = KLX_SV("operations"),
                                    .channel = KLX_SV("ops-slack") };
    assert_int_equal(klx_json_parse(&w->arena, klx_sv(data_text), NULL, &w->what.data, &e), 0);
}

static void close_world(struct world *w) {
    klx_arena_release(&w->arena);
}

static bool matches(struct world *w, const char *text) {
    struct klx_matchers m = { 0 };
    struct klx_error e = { .text = "" };
    if (klx_matchers_parse(&m, klx_sv(text), &e) != 0) {
        fail_msg("%s: %s", text, e.text);
    }
    bool found = klx_matchers_test(&m, &w->what);
    /* Written and read again it is the same. */
    struct klx_buf b KLX_CLEANUP(klx_buf_release);
    struct klx_matchers again = { 0 };
    klx_buf_init(&b, 1 << 16);
    klx_matchers_write(&m, &b);
    assert_int_equal(klx_matchers_parse(&again, klx_buf_sv(&b), &e), 0);
    assert_int_equal(again.n, m.n);
    assert_int_equal(klx_matchers_test(&again, &w->what), found);
    klx_matchers_release(&again);
    klx_matchers_release(&m);
    return found;
}

static void names_and_operators(void **state) {
    (void)state;
    static const char *const hold[] = {
        "cluster=prod-weu",
        "cluster=~prod-.*",
        "cluster!=prod-neu",
        "cluster!~\"dev-.*|test\"",
        "namespace=\"\"",
        "namespace=",
        "namespace!~.+",
        "kind=Node",
        "name=aks-1",
        "type=node.notready",
        "type=io.klaxon.node.notready",
        "type=~\"node[.].*\"",
        "reason=NotReady",
        "severity=warning",
        "phase=open",
        "incident=i1",
        "topic=nodes",
        "team=operations",
        "labels.team=shadowed",
        "channel=ops-slack",
        "agentpool=system",
        "labels.agentpool=~s.*m",
        "missing=\"\"",
        "missing!=x",
        "\"a b\"=\"c,d\"",
        " { cluster = prod-weu , kind=\"Node\" , } ",
        "cluster=prod-weu,kind=Node",
        "reason=\"Not\\x52eady\"",
        "reason=\"Not\\u0052eady\"",
    };
    static const char *const fail[] = {
        "cluster=prod",
        "cluster=~prod",
        "cluster!=prod-weu",
        "cluster!~prod-weu",
        "namespace=~.+",
        "kind=node",
        "missing=x",
        "missing=~.+",
        "agentpool!=system",
        "severity=critical",
        "cluster=prod-weu,kind=Pod",
        "cluster=~\"prod-weu\\n\"",
    };
    struct world w;
    open_world(&w);
    for (size_t i = 0; i < KLX_COUNT(hold); i++) {
        if (!matches(&w, hold[i])) {
            fail_msg("%s should hold", hold[i]);
        }
    }
    for (size_t i = 0; i < KLX_COUNT(fail); i++) {
        if (matches(&w, fail[i])) {
            fail_msg("%s should not hold", fail[i]);
        }
    }
    close_world(&w);
}

static void what_is_no_matcher_is_said(void **state) {
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        { "", "expected a name at character 1" },
        { "{}", "expected a name" },
        { "cluster", "expected one of = != =~ !~ at character 8" },
        { "=x", "expected a name at character 1" },
        { "cluster=a b", "expected \",\" or the end at character 11" },
        { "cluster=\"a", "expected the end of the value in quotes" },
        { "cluster=\"\\q\"", "expected the end of the value in quotes" },
        { "{cluster=a", "expected \",\" or \"}\" at character 11" },
        { "cluster=a}", "at character 10" },
        { "{cluster=a} x", "expected the end at character 13" },
        { "cluster=a,,kind=b", "expected a name at character 11" },
        { "cluster=~\"(a\"", "cluster: pattern \"~(a\": missing closing parenthesis" },
        { "cluster=~\"a)(?:b\"", "unmatched closing parenthesis" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_matchers m = { 0 };
        struct klx_error e = { .text = "" };
        assert_int_equal(klx_matchers_parse(&m, klx_sv(cases[i].text), &e), -EINVAL);
        assert_int_equal(m.n, 0);
        if (strstr(e.text, cases[i].says) == NULL) {
            fail_msg("%s: %s", cases[i].text, e.text);
        }
    }
}

static void there_is_a_limit_to_matchers(void **state) {
    (void)state;
    struct klx_matchers m = { 0 };
    struct klx_error e;
    for (int i = 0; i < KLX_MATCHERS_MAX; i++) {
        assert_int_equal(klx_matchers_parse(&m, KLX_SV("a=b"), &e), 0);
    }
    assert_int_equal(klx_matchers_parse(&m, KLX_SV("a=b"), &e), -E2BIG);
    assert_int_equal(m.n, KLX_MATCHERS_MAX);
    klx_matchers_release(&m);
}

static void a_silence_is_written_and_read(void **state) {
    (void)state;
    struct klx_clock_driven clock;
    struct klx_silence s, again;
    struct klx_error e = { .text = "" };
    struct klx_buf key KLX_CLEANUP(klx_buf_release), value KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&key, 256);
    klx_buf_init(&value, KLX_SILENCE_BYTES_MAX);
    klx_clock_driven_init(&clock, T0, 7);
    klx_silence_init(&s, &clock.clock);
    assert_int_equal(s.ends_us - s.starts_us, 60 * MINUTE);
    assert_int_equal(klx_silence_check(&s, &e), -EINVAL);
    klx_silence_set_texts(&s, "ada", "upgrade \"now\"");
    assert_int_equal(klx_silence_check(&s, &e), -EINVAL); /* no matcher */
    assert_int_equal(klx_matchers_parse(&s.matchers, KLX_SV("namespace=\"\",team!=x"), &e), 0);
    assert_int_equal(klx_silence_check(&s, &e), -EINVAL); /* everything */
    assert_non_null(strstr(e.text, "every event"));
    assert_int_equal(klx_matchers_parse(&s.matchers, KLX_SV("cluster=~\"prod-.*\""), &e), 0);
    assert_int_equal(klx_silence_check(&s, &e), 0);
    klx_silence_key(&s, &key);
    klx_silence_encode(&s, &value);
    assert_int_equal(klx_silence_decode(klx_buf_sv(&key), klx_buf_sv(&value), &again, &e), 0);
    assert_string_equal(again.id, s.id);
    assert_string_equal(again.comment, "upgrade \"now\"");
    assert_string_equal(again.author, "ada");
    assert_int_equal(again.starts_us, s.starts_us);
    assert_int_equal(again.ends_us, s.ends_us);
    assert_int_equal(again.matchers.n, 3);
    assert_int_equal(again.matchers.items[2].op, KLX_MATCHER_REGEX);
    assert_int_equal(klx_silence_state(&again, T0 - 1), KLX_SILENCE_PENDING);
    assert_int_equal(klx_silence_state(&again, T0), KLX_SILENCE_ACTIVE);
    assert_int_equal(klx_silence_state(&again, T0 + 60 * MINUTE), KLX_SILENCE_EXPIRED);
    klx_silence_release(&again);
    klx_silence_release(&s);
}

static const char *value_of(const char *matcher_value, int from_minute, int to_minute) {
    static char text[512];
    char from[KLX_TIME_TEXT_BYTES], to[KLX_TIME_TEXT_BYTES];
    klx_time_format(T0 + from_minute * MINUTE, KLX_TIME_SECONDS, from);
    klx_time_format(T0 + to_minute * MINUTE, KLX_TIME_SECONDS, to);
    snprintf(text, sizeof(text),
             "{\"matchers\":[{\"name\":\"cluster\",\"value\":\"%s\",\"isRegex\":false}],"
             "\"startsAt\":\"%s\",\"endsAt\":\"%s\",\"createdBy\":\"b\",\"comment\":\"c\"}",
             matcher_value, from, to);
    return text;
}

static int put(struct klx_silences *s, const char *key, const char *value) {
    struct klx_error e = { .text = "" };
    return klx_silences_put(s, klx_sv(key), klx_sv(value), T0, &e);
}

static const char *found(struct klx_silences *s, struct world *w, int minute) {
    const struct klx_silence *one = klx_silences_find(s, &w->what, T0 + minute * MINUTE);
    return one != NULL ? one->id : "";
}

static void a_set_of_silences(void **state) {
    (void)state;
    struct world w;
    open_world(&w);
    struct klx_silences *s = klx_silences_new();
    assert_int_equal(put(s, "silence/a", value_of("prod-weu", 0, 10)), 0);
    assert_int_equal(put(s, "silence/b", value_of("other", 0, 60)), 0);
    assert_int_equal(put(s, "silence/c", value_of("prod-weu", 5, 20)), 0);
    assert_int_equal(put(s, "ack/x", "{}"), -ENOENT);
    assert_string_equal(found(s, &w, -1), "");
    assert_string_equal(found(s, &w, 0), "a");
    assert_string_equal(found(s, &w, 5), "c"); /* the one that ends last */
    assert_string_equal(found(s, &w, 20), "");
    assert_int_equal(klx_silences_active(s, T0), 2);
    assert_int_equal(put(s, "silence/c", value_of("prod-weu", 5, 6)), 0); /* ended early */
    assert_string_equal(found(s, &w, 7), "a");
    assert_int_equal(put(s, "silence/a", NULL), 0);
    assert_string_equal(found(s, &w, 7), "");
    assert_int_equal(put(s, "silence/a", NULL), 0); /* of one that is not there */
    assert_int_equal(klx_silences_n(s), 2);
    klx_silences_free(s);
    close_world(&w);
}

static void what_is_no_silence_has_no_effect(void **state) {
    (void)state;
    static const char *const values[] = {
        "",
        "{",
        "[]",
        "{}",
        "{\"matchers\":[],\"startsAt\":\"2026-03-11T08:00:00Z\",\"endsAt\":\"2026-03-11T09:00:"
        "00Z\"}",
        "{\"matchers\":[{\"name\":\"a\",\"value\":\"(\",\"isRegex\":true}],\"startsAt\":\"2026-03-"
        "11T08:00:00Z\",\"endsAt\":\"2026-03-11T09:00:00Z\"}",
        "{\"matchers\":[{\"name\":\"a\",\"value\":\"\"}],\"startsAt\":\"2026-03-11T08:00:00Z\","
        "\"endsAt\":\"2026-03-11T09:00:00Z\"}",
        "{\"matchers\":[{\"value\":\"a\"}],\"startsAt\":\"2026-03-11T08:00:00Z\",\"endsAt\":\"2026-"
        "03-11T09:00:00Z\"}",
        "{\"matchers\":[{\"name\":\"a\",\"value\":\"b\"}],\"startsAt\":\"2026-03-11T08:00:00Z\","
        "\"endsAt\":\"soon\"}",
        "{\"matchers\":[{\"name\":\"a\",\"value\":\"b\"}],\"startsAt\":\"2026-03-11T10:00:00Z\","
        "\"endsAt\":\"2026-03-11T09:00:00Z\"}",
    };
    struct klx_silences *s = klx_silences_new();
    for (size_t i = 0; i < KLX_COUNT(values); i++) {
        assert_int_equal(put(s, "silence/a", value_of("prod-weu", 0, 10)), 0);
        assert_int_equal(put(s, "silence/a", values[i]), -EBADMSG);
        assert_int_equal(klx_silences_n(s), 0); /* the old one is not in force any more */
    }
    assert_int_equal(put(s, "silence/", value_of("prod-weu", 0, 10)), -EBADMSG);
    assert_int_equal(put(s, "silence/a/b", value_of("prod-weu", 0, 10)), -EBADMSG);
    klx_silences_free(s);
}

static void there_is_a_limit_to_silences(void **state) {
    (void)state;
    char key[64];
    struct klx_silences *s = klx_silences_new();
    for (int i = 0; i < KLX_SILENCES_MAX; i++) {
        snprintf(key, sizeof(key), "silence/%d", i);
        assert_int_equal(put(s, key, value_of("x", i == 7 ? -20 : 0, i == 7 ? -10 : 10)), 0);
    }
    assert_int_equal(put(s, "silence/more", value_of("x", 0, 10)),
                     0); /* for the one that had ended */
    assert_int_equal(put(s, "silence/again", value_of("x", 0, 10)), -E2BIG);
    assert_int_equal(put(s, "silence/0", value_of("y", 0, 10)), 0); /* in the place of itself */
    assert_int_equal(klx_silences_n(s), KLX_SILENCES_MAX);
    klx_silences_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_operators),
        cmocka_unit_test(what_is_no_matcher_is_said),
        cmocka_unit_test(there_is_a_limit_to_matchers),
        cmocka_unit_test(a_silence_is_written_and_read),
        cmocka_unit_test(a_set_of_silences),
        cmocka_unit_test(what_is_no_silence_has_no_effect),
        cmocka_unit_test(there_is_a_limit_to_silences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
