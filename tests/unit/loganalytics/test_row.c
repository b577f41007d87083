/* The rows: a golden one for each kind, within every limit, of the columns that table, stream and deploy/azure have. */
#include "tests/unit/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "sinks/loganalytics/row.h"
#include "tests/unit/support/arena_rig.h"
#include "tests/unit/support/sample.h"

#define HOUR_US (3600 * KLX_US_PER_S)
#define NOW_US INT64_C(1773219600000000) /* 2026-03-11 09:00, an hour after the samples */

static bool seen[64]; /* columns that some row had */

static const struct klx_loganalytics_column *column(struct klx_sv name, size_t *ret_at) {
    for (size_t i = 0; klx_loganalytics_columns[i].name != NULL; i++) {
        if (klx_sv_eq(name, klx_sv(klx_loganalytics_columns[i].name))) {
            *ret_at = i;
            return &klx_loganalytics_columns[i];
        }
    }
    fail_msg("%.*s is no column", KLX_SV_FMT(name));
    return NULL;
}

static bool has_type(const struct klx_json *value, const char *type) {
    int64_t us = 0, n = klx_json_int(value, "", INT64_MIN);
    struct klx_sv text = klx_json_str(value, "");
    if (strcmp(type, "datetime") == 0) {
        return klx_time_parse(text, &us) == 0;
    }
    if (strcmp(type, "int") == 0) {
        return n >= INT32_MIN && n <= INT32_MAX;
    }
    if (strcmp(type, "boolean") == 0) {
        return klx_json_bool(value, "", true) == klx_json_bool(value, "", false);
    }
    return strcmp(type, "dynamic") == 0 ? klx_json_is_object(value) : klx_json_is_string(value);
}

static struct klx_sv text_of(const struct klx_json *node) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&text, 8 << 20);
    klx_jw_init(&w, &text);
    klx_jw_node(&w, node);
    return klx_arena_dup(&arena, klx_buf_sv(&text));
}

/* What Azure would take and keep as it is. */
static void check_row(const struct klx_json *row) {
    assert_true(klx_json_is_object(row));
    for (const struct klx_json *m = klx_json_first(row); m != NULL; m = klx_json_next(m)) {
        size_t at = 0;
        const struct klx_loganalytics_column *c = column(klx_json_key(m), &at);
        bool is_text = klx_json_is_string(m);
        size_t bytes = is_text ? klx_json_str(m, "").n : text_of(m).n;
        seen[at] = true;
        if (!has_type(m, c->type)) {
            fail_msg("%s is no %s", c->name, c->type);
        }
        assert_in_range(bytes, 1, KLX_LOGANALYTICS_FIELD_BYTES_MAX);
    }
    assert_true(klx_json_str(row, "TimeGenerated").n > 0);
    assert_int_equal(klx_json_str(row, "RecordId").n, 32);
}

/* The row's text lives in the arena. */
static struct klx_sv render(const struct klx_notice *notice, int64_t now_us) {
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, KLX_LOGANALYTICS_ROW_BYTES_MAX);
    assert_int_equal(klx_loganalytics_row(notice, now_us, &out), 0);
    return klx_arena_dup(&arena, klx_buf_sv(&out));
}

static const struct klx_json *parse(struct klx_sv text) {
    const struct klx_json *row = NULL;
    struct klx_error e = { 0 };
    if (klx_json_parse(&arena, text, NULL, &row, &e) != 0) {
        fail_msg("%s", e.text);
    }
    return row;
}

static const struct klx_json *row_of(const struct klx_event *e, const struct klx_json *data,
                                     int64_t now_us) {
    const struct klx_notice notice = {
        .event = e, .data = data, .team = KLX_SV("operations"), .channel = KLX_SV("history")
    };
    const struct klx_json *row = parse(render(&notice, now_us));
    check_row(row);
    return row;
}

/* A line a column. */
static void check_golden(const char *name, const struct klx_json *row) {
    struct klx_buf pretty KLX_CLEANUP(klx_buf_release);
    char golden[128];
    klx_buf_init(&pretty, 1 << 20);
    klx_buf_add_str(&pretty, "{");
    for (const struct klx_json *m = klx_json_first(row); m != NULL; m = klx_json_next(m)) {
        klx_buf_printf(&pretty, "%s\n  \"%.*s\": ", m == klx_json_first(row) ? "" : ",",
                       KLX_SV_FMT(klx_json_key(m)));
        klx_buf_add_sv(&pretty, text_of(m));
    }
    klx_buf_add_str(&pretty, "\n}\n");
    snprintf(golden, sizeof(golden), "loganalytics/%s.json", name);
    golden_check(golden, klx_buf_sv(&pretty));
}

static void check_event(const char *name, const struct klx_event *e, const struct klx_json *data) {
    const struct klx_json *row = row_of(e, data, NOW_US);
    assert_int_equal(klx_json_str(row, "Adjusted").n, 0);
    check_golden(name, row);
}

static void each_kind_has_its_row(void **state) {
    (void)state;
    test_each_event(&arena, check_event);
}

static const struct klx_json *hostile_row(struct klx_sv text) {
    struct klx_event e;
    const struct klx_json *data = NULL;
    test_hostile_event(&arena, text, &e, &data);
    return row_of(&e, data, NOW_US);
}

static void hostile_text_stays_text(void **state) {
    (void)state;
    static const struct {
        const char *golden;
        struct klx_sv text;
    } cases[] = {
        { "hostile-json", KLX_SV("\"},{\"Cluster\":\"other\"}],\\\"\n\r\t\x01 ]") },
        { "hostile-query", KLX_SV("' | union * | take 1 // =cmd|' /C calc'!A0 <script>") },
        { "hostile-unicode", KLX_SV("\xE2\x80\xAE"
                                    "cba\xE2\x80\xA8x\x1b[31m\xff\xfe \xE6\xBC\xA2 "
                                    "\xF0\x9F\x94\xA5 \xED\xA0\x80") },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        klx_arena_reset(&arena);
        check_golden(cases[i].golden, hostile_row(cases[i].text));
    }
}

/* 66 KB of one character everywhere: the row is bounded, what is cut says so, and nothing else is. */
static void long_text_is_cut_and_says_so(void **state) {
    (void)state;
    static const char *const units[] = { "x",        "\"",           "\x01",
                                         "\xC3\xA9", "\xE6\xBC\xA2", "\xF0\x9F\x94\xA5",
                                         "\xff" };
    for (size_t i = 0; i < KLX_COUNT(units); i++) {
        struct klx_buf text KLX_CLEANUP(klx_buf_release);
        klx_arena_reset(&arena);
        klx_buf_init(&text, 1 << 20);
        while (text.len < 66000) {
            klx_buf_add_str(&text, units[i]);
        }
        const struct klx_json *row = hostile_row(klx_buf_sv(&text));
        struct klx_sv message = klx_json_str(row, "Message");
        assert_true(klx_sv_ends(message, KLX_SV("…")));
        assert_in_range(message.n, KLX_LOGANALYTICS_FIELD_BYTES_MAX - 6,
                        KLX_LOGANALYTICS_FIELD_BYTES_MAX);
        assert_in_range(klx_json_str(row, "ObjectName").n, 1018, 1024);
        assert_sv(klx_json_str(row, "Adjusted"),
                  "EventId, Cluster, Source, EventType, Reason, ObjectKind, ObjectNamespace, "
                  "ObjectName, Message, Incident, ReplayId, Payload");
        const struct klx_json *payload = klx_json_get(row, "Payload");
        assert_true(klx_json_int(payload, "count", -1) == 7); /* what fits is there whole */
        assert_true(klx_json_int(payload, "klaxonLeftOut.summary", -1) >= 66000);
        assert_null(klx_json_get(payload, "summary"));
    }
}

/* Exactly at the limit nothing is cut, one byte past it is. */
static void the_limits_are_exact(void **state) {
    (void)state;
    static char text[KLX_LOGANALYTICS_FIELD_BYTES_MAX + 2];
    for (size_t over = 0; over < 2; over++) {
        struct klx_event e = { .id = KLX_SV("1"), .time_us = NOW_US };
        struct klx_buf json KLX_CLEANUP(klx_buf_release);
        size_t n = KLX_LOGANALYTICS_FIELD_BYTES_MAX + over - strlen("{\"a\":\"\"}");
        klx_arena_reset(&arena);
        memset(text, 'x', sizeof(text));
        klx_buf_init(&json, 1 << 20);
        klx_buf_printf(&json, "{\"a\":\"%.*s\"}", (int)n, text);
        const struct klx_json *row = row_of(&e, parse(klx_buf_sv(&json)), NOW_US);
        assert_sv(klx_json_str(row, "Adjusted"), over ? "Payload" : "");
        assert_int_equal(klx_json_int(row, "Payload.klaxonLeftOut.a", -1),
                         over ? (int64_t)n + 2 : -1);
        e.cluster = klx_sv_n(text, KLX_LOGANALYTICS_NAME_BYTES_MAX + over);
        row = row_of(&e, NULL, NOW_US);
        assert_sv(klx_json_str(row, "Adjusted"), over ? "Cluster" : "");
        assert_int_equal(klx_json_str(row, "Cluster").n, 1024);
    }
}

/* A thousand members of a kilobyte: as many as fit, and the first few of the others by name. */
static void members_that_are_left_out_are_named_and_counted(void **state) {
    (void)state;
    struct klx_event e = { .id = KLX_SV("1"), .time_us = NOW_US };
    struct klx_buf json KLX_CLEANUP(klx_buf_release);
    klx_arena_reset(&arena);
    klx_buf_init(&json, 4 << 20);
    for (int i = 0; i < 1000; i++) {
        klx_buf_printf(&json, "%s\"\\u0001\\u0002a-long-name-of-a-member-%04d\":\"%01000d\"",
                       i == 0 ? "{" : ",", i, i);
    }
    klx_buf_add_str(&json, "}");
    const struct klx_json *payload =
        klx_json_get(row_of(&e, parse(klx_buf_sv(&json)), NOW_US), "Payload");
    size_t kept = 0, named = 0;
    for (const struct klx_json *m = klx_json_first(payload); m != NULL; m = klx_json_next(m)) {
        kept += klx_json_is_string(m);
    }
    const struct klx_json *m = klx_json_first(klx_json_get(payload, "klaxonLeftOut"));
    for (; m != NULL; m = klx_json_next(m)) {
        named++;
    }
    assert_in_range(kept, 50, 62);
    assert_int_equal(named, 17);
    assert_int_equal(
        klx_json_int(klx_json_member(klx_json_get(payload, "klaxonLeftOut"), KLX_SV("…")), "", -1),
        1000 - (int64_t)kept - 16);
}

static void time_that_azure_would_replace_is_replaced_here(void **state) {
    (void)state;
    static const struct {
        int64_t age_us;
        bool kept;
    } cases[] = {
        { 0, true },
        { 46 * HOUR_US, true },
        { 47 * HOUR_US - 1, true },
        { 47 * HOUR_US, false },
        { 49 * HOUR_US, false },
        { 400 * 24 * HOUR_US, false },
        { -22 * HOUR_US, true },
        { -23 * HOUR_US, false },
        { -25 * HOUR_US, false },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        const struct klx_event e = { .id = KLX_SV("1"), .time_us = NOW_US - cases[i].age_us };
        char time[KLX_TIME_TEXT_BYTES], now[KLX_TIME_TEXT_BYTES];
        klx_arena_reset(&arena);
        const struct klx_json *row = row_of(&e, NULL, NOW_US);
        klx_time_format(e.time_us, KLX_TIME_MICROS, time);
        klx_time_format(NOW_US, KLX_TIME_MICROS, now);
        assert_sv(klx_json_str(row, "EventTime"), time);
        assert_sv(klx_json_str(row, "TimeGenerated"), cases[i].kept ? time : now);
        assert_sv(klx_json_str(row, "Adjusted"), cases[i].kept ? "" : "TimeGenerated");
    }
    const struct klx_event none = { .id = KLX_SV("1"), .time_us = KLX_TIME_NONE };
    const struct klx_json *row = row_of(&none, NULL, NOW_US);
    assert_null(klx_json_get(row, "EventTime"));
}

static struct klx_sv record_id(const struct klx_notice *notice) {
    return klx_json_str(parse(render(notice, NOW_US)), "RecordId");
}

static void the_record_id_tells_what_is_told_apart(void **state) {
    (void)state;
    const struct klx_event e = { .id = KLX_SV("1"), .source = KLX_SV("/a"), .time_us = NOW_US };
    struct klx_event other_source = e, other_id = e, replayed = e;
    klx_arena_reset(&arena);
    other_source.source = KLX_SV("/b");
    other_id.id = KLX_SV("2");
    replayed.replay_id = KLX_SV("r");
    const struct klx_notice first = { .event = &e, .channel = KLX_SV("a"), .team = KLX_SV("t") };
    const struct klx_notice same = { .event = &e, .channel = KLX_SV("b"), .team = KLX_SV("u") };
    assert_true(klx_sv_eq(record_id(&first), record_id(&same)));
    const struct klx_notice others[] = { { .event = &other_source },
                                         { .event = &other_id },
                                         { .event = &replayed },
                                         { .event = &e, .reason = KLX_NOTICE_REMINDER } };
    for (size_t i = 0; i < KLX_COUNT(others); i++) {
        assert_false(klx_sv_eq(record_id(&first), record_id(&others[i])));
    }
}

static void a_digest_is_a_row_of_its_own(void **state) {
    (void)state;
    struct klx_event e;
    const struct klx_json *data = NULL;
    klx_arena_reset(&arena);
    test_read_event(&arena, KLX_KIND_NODE_NOT_READY, &e, &data);
    const struct klx_digest_line lines[] = {
        { KLX_SV("Node aks-1 (prod-weu): Node is not ready \"}"), KLX_SEVERITY_CRITICAL, 3 },
        { KLX_SV("Node aks-2 (prod-weu): Node is not ready"), KLX_SEVERITY_WARNING, 1 },
    };
    const struct klx_digest digest = { .events = 4,
                                       .incidents = 2,
                                       .since_us = e.time_us,
                                       .until_us = e.time_us + KLX_US_PER_S,
                                       .lines = lines,
                                       .lines_n = 2 };
    struct klx_notice notice = { .event = &e,
                                 .data = data,
                                 .team = KLX_SV("operations"),
                                 .reason = KLX_NOTICE_DIGEST,
                                 .digest = &digest };
    const struct klx_json *row = parse(render(&notice, NOW_US));
    check_row(row);
    check_golden("digest", row);

    static struct klx_digest_line many[2000];
    for (size_t i = 0; i < KLX_COUNT(many); i++) {
        many[i] = lines[0];
    }
    const struct klx_digest long_one = { .events = 6000, .lines = many, .lines_n = 2000 };
    notice.digest = &long_one;
    row = parse(render(&notice, NOW_US));
    check_row(row);
    assert_non_null(strstr(klx_json_str(row, "Adjusted").p, "Payload"));
    assert_int_equal(klx_json_int(row, "Payload.linesLeftOut", -1), 1500);
}

/* "[variables('tableColumns')]" of the template: names and types as columns.def has them, in its order. */
static void check_columns(const struct klx_json *list, bool is_table) {
    const struct klx_json *item = klx_json_first(list);
    for (size_t i = 0; klx_loganalytics_columns[i].name != NULL; i++) {
        assert_non_null(item);
        const char *type = klx_loganalytics_columns[i].type;
        bool is_time = strcmp(type, "datetime") == 0;
        assert_sv(klx_json_str(item, "name"), klx_loganalytics_columns[i].name);
        assert_sv(klx_json_str(item, "type"), is_table && is_time ? "dateTime" : type);
        if (is_table) {
            assert_sv(klx_json_str(item, "description"), klx_loganalytics_columns[i].about);
        }
        item = klx_json_next(item);
    }
    assert_null(item);
}

static void table_stream_and_rows_have_the_same_columns(void **state) {
    (void)state;
    char *text = test_read_file("../deploy/azure/loganalytics.json");
    klx_arena_reset(&arena);
    const struct klx_json *template = parse(klx_sv(text));
    free(text);
    check_columns(klx_json_get(template, "variables.tableColumns"), true);
    check_columns(klx_json_get(template, "variables.streamColumns"), false);
    for (size_t i = 0; klx_loganalytics_columns[i].name != NULL; i++) {
        if (!seen[i]) {
            fail_msg("no row of this program's tests has a %s", klx_loganalytics_columns[i].name);
        }
    }
}

/* learn.microsoft.com/azure/azure-monitor/logs/create-custom-table */
static void the_names_are_azures_to_take(void **state) {
    (void)state;
    static const char *const reserved[] = { "_ResourceId", "id",   "_SubscriptionId",
                                            "TenantId",    "Type", "UniqueId",
                                            "Title" };
    for (size_t i = 0; klx_loganalytics_columns[i].name != NULL; i++) {
        struct klx_sv name = klx_sv(klx_loganalytics_columns[i].name);
        assert_in_range(name.n, 2, 45);
        for (size_t j = 0; j < KLX_COUNT(reserved); j++) {
            assert_false(klx_sv_eq_nocase(name, klx_sv(reserved[j])));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_has_its_row),
        cmocka_unit_test(hostile_text_stays_text),
        cmocka_unit_test(long_text_is_cut_and_says_so),
        cmocka_unit_test(the_limits_are_exact),
        cmocka_unit_test(members_that_are_left_out_are_named_and_counted),
        cmocka_unit_test(time_that_azure_would_replace_is_replaced_here),
        cmocka_unit_test(the_record_id_tells_what_is_told_apart),
        cmocka_unit_test(a_digest_is_a_row_of_its_own),
        cmocka_unit_test(table_stream_and_rows_have_the_same_columns),
        cmocka_unit_test(the_names_are_azures_to_take),
    };
    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
