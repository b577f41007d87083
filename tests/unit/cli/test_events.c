/* What is made of schema/kinds.def and schema/data.def is there and is of them: schema/events/, schema/asyncapi.json, docs/events.md. */
#include "tests/unit/support/support.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/asyncapi.h"
#include "cli/event_schema.h"
#include "lib/base/cleanup.h"
#include "tests/unit/support/arena_rig.h"
#include "tests/unit/support/events_page.h"
#include "tests/unit/support/sample.h"
#include "tests/unit/support/schema_change.h"

#define UPDATE "KLX_GOLDEN_UPDATE=1 build/dev/tests/cli_test_events"
#define GENERATED                                                                                  \
    "<!-- What follows is made of schema/kinds.def, schema/data.def and schema/samples/: " UPDATE  \
    " -->\n"

static bool is_updating(void) {
    const char *update = getenv("KLX_GOLDEN_UPDATE");
    return update != NULL && strcmp(update, "1") == 0;
}

static void each_kind_is_described(void **state) {
    (void)state;
    for (size_t k = 0; k < KLX_KINDS_N; k++) {
        struct klx_data_use uses[KLX_DATA_USES_MAX];
        if (klx_data_specs[k].version == 0) {
            fail_msg(
                "%s is in schema/kinds.def, but has no KLX_DATA(…) in schema/data.def: add its "
                "version, phases, members and what it means, then run\n  " UPDATE,
                klx_kind_specs[k].type);
        }
        if (klx_data_members((enum klx_kind)k, uses) == SIZE_MAX) {
            fail_msg("%s has the member %.*s in schema/data.def: add it to a table of "
                     "schema/members.def",
                     klx_kind_specs[k].type, KLX_SV_FMT(uses[0].name));
        }
    }
}

static const struct klx_json *parse(struct klx_sv text) {
    const struct klx_json *node = NULL;
    assert_int_equal(klx_json_parse(&arena, text, NULL, &node, NULL), 0);
    return node;
}

static void file_of(enum klx_kind kind, char *out, size_t n) {
    snprintf(out, n, "../schema/events/%s.v%u.json", test_kind_name(kind),
             klx_data_specs[kind].version);
}

static void assert_breaks_nobody(enum klx_kind kind, const char *published, struct klx_sv made) {
    struct klx_buf breaks KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&breaks, 65536);
    klx_arena_reset(&arena);
    test_schema_breaks(parse(klx_sv(published)), parse(made), &breaks);
    if (breaks.len > 0) {
        fail_msg(
            "this change of the data of %s breaks who reads it:\n%s"
            "Undo it, or move the version of the kind in schema/data.def to %u and run\n  " UPDATE
            "\nThe schema of version %u stays, for the records that were written by it.",
            klx_kind_specs[kind].type, klx_buf_str(&breaks), klx_data_specs[kind].version + 1,
            klx_data_specs[kind].version);
    }
}

/* An update writes what is new to no reader; what breaks one is refused even then. */
static void a_published_schema_changes_only_so_that_it_breaks_nobody(void **state) {
    (void)state;
    for (size_t k = 0; k < KLX_KINDS_N; k++) {
        struct klx_buf made KLX_CLEANUP(klx_buf_release);
        char name[160], path[1024], golden[200];
        if (klx_data_specs[k].version == 0) {
            continue; /* as each_kind_is_described says */
        }
        klx_buf_init(&made, 1 << 20);
        klx_event_schema_write(&made, (enum klx_kind)k);
        file_of((enum klx_kind)k, name, sizeof(name));
        snprintf(path, sizeof(path), "%s/%s", KLX_TESTS_DIR, name);
        snprintf(golden, sizeof(golden), "../%s", name);
        if (access(path, R_OK) == 0) {
            char *published = test_read_file(name);
            assert_breaks_nobody((enum klx_kind)k, published, klx_buf_sv(&made));
            free(published);
        } else if (!is_updating()) {
            fail_msg("schema/%s is missing: run\n  " UPDATE, name + strlen("../schema/"));
        }
        golden_check(golden, klx_buf_sv(&made));
    }
}

static bool is_of_a_kind(const char *file) {
    for (size_t k = 0; k < KLX_KINDS_N; k++) {
        for (unsigned v = 1; v <= klx_data_specs[k].version; v++) {
            char name[160];
            snprintf(name, sizeof(name), "%s.v%u.json", test_kind_name((enum klx_kind)k), v);
            if (strcmp(name, file) == 0) {
                return true;
            }
        }
    }
    return false;
}

static void each_published_schema_is_of_a_kind(void **state) {
    (void)state;
    DIR *d = opendir(KLX_TESTS_DIR "/../schema/events");
    assert_non_null(d);
    for (struct dirent *entry = readdir(d); entry != NULL; entry = readdir(d)) {
        if (entry->d_name[0] != '.' && !is_of_a_kind(entry->d_name)) {
            fail_msg(
                "schema/events/%s is the schema of no kind: that a kind is gone, or its version "
                "is smaller, breaks who reads it",
                entry->d_name);
        }
    }
    closedir(d);
}

static void the_asyncapi_document_is_that_of_the_lists(void **state) {
    (void)state;
    struct klx_buf made KLX_CLEANUP(klx_buf_release);
    struct klx_topic_names topics;
    klx_buf_init(&made, 4 << 20);
    assert_int_equal(klx_topic_names_init(&topics, KLX_SV("klaxon."), NULL), 0);
    klx_asyncapi_write(&made, &topics);
    assert_int_equal(klx_buf_check(&made), 0);
    golden_check("../../schema/asyncapi.json", klx_buf_sv(&made));
}

static void the_page_is_that_of_the_lists(void **state) {
    (void)state;
    struct klx_buf page KLX_CLEANUP(klx_buf_release);
    char *text = test_read_file("../docs/events.md");
    char *end = strstr(text, GENERATED);
    klx_buf_init(&page, 4 << 20);
    if (end == NULL) {
        fail_msg("docs/events.md lacks the line\n%s", GENERATED);
    }
    klx_buf_add_sv(&page, klx_sv_n(text, (size_t)(end - text) + strlen(GENERATED)));
    test_write_events_page(&page);
    assert_int_equal(klx_buf_check(&page), 0);
    golden_check("../../docs/events.md", klx_buf_sv(&page));
    free(text);
}

#define OBJECT(required, properties)                                                               \
    "{\"type\":\"object\",\"required\":[" required "],\"properties\":{" properties "}}"
#define A "\"a\":{\"type\":\"string\"}"
#define WORD(words) "\"w\":{\"type\":\"string\",\"enum\":[" words "]}"

static void what_breaks_readers_is_told(void **state) {
    (void)state;
    static const struct {
        const char *old, *new, *breaks;
    } cases[] = {
        { OBJECT("", A), OBJECT("", A ",\"b\":{\"type\":\"integer\"}"), "" },
        { OBJECT("", A), OBJECT("", "\"a\":{\"type\":\"string\",\"description\":\"x\"}"), "" },
        { OBJECT("", WORD("\"x\"")), OBJECT("", WORD("\"x\",\"y\"")), "" },
        { OBJECT("", A), OBJECT("", ""), "a: is gone\n" },
        { OBJECT("", A), OBJECT("", "\"a\":{\"type\":\"integer\"}"), "a: its type is another\n" },
        { OBJECT("", A), OBJECT("", "\"a\":{\"type\":[\"string\",\"null\"]}"),
          "a: its type is another\n" },
        { OBJECT("", A), OBJECT("", "\"a\":{\"type\":\"string\",\"format\":\"date-time\"}"),
          "a: its format is another\n" },
        { OBJECT("\"a\"", A), OBJECT("", A), "a: is not always there any more\n" },
        { OBJECT("", A), OBJECT("\"a\"", A),
          "a: is always there from now on, but was not before\n" },
        { OBJECT("", WORD("\"x\",\"y\"")), OBJECT("", WORD("\"x\"")), "w: the word y is gone\n" },
        { OBJECT("", "\"w\":{\"type\":\"string\"}"), OBJECT("", WORD("\"x\"")),
          "w: is a list of words in one of them only\n" },
        { OBJECT("", "\"o\":" OBJECT("", A)), OBJECT("", "\"o\":" OBJECT("", "")),
          "o.a: is gone\n" },
        { OBJECT("", "\"l\":{\"type\":\"array\",\"items\":" OBJECT("", A) "}"),
          OBJECT("", "\"l\":{\"type\":\"array\",\"items\":" OBJECT("", "") "}"),
          "l[].a: is gone\n" },
        { OBJECT("", "\"t\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}"),
          OBJECT("", "\"t\":{\"type\":\"object\"}"), "t: its additionalProperties is another\n" },
        { "{\"type\":\"object\"}", "{\"type\":\"string\"}", "the data: its type is another\n" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_buf breaks KLX_CLEANUP(klx_buf_release);
        klx_buf_init(&breaks, 4096);
        klx_arena_reset(&arena);
        test_schema_breaks(parse(klx_sv(cases[i].old)), parse(klx_sv(cases[i].new)), &breaks);
        assert_string_equal(klx_buf_str(&breaks), cases[i].breaks);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_is_described),
        cmocka_unit_test(a_published_schema_changes_only_so_that_it_breaks_nobody),
        cmocka_unit_test(each_published_schema_is_of_a_kind),
        cmocka_unit_test(the_asyncapi_document_is_that_of_the_lists),
        cmocka_unit_test(the_page_is_that_of_the_lists),
        cmocka_unit_test(what_breaks_readers_is_told),
    };
    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
