/* schema/samples/ holds one record of each kind: each decodes, encodes to the same record, and is told of in docs/events.md. */
#include "tests/unit/support/support.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "schema/event.h"
#include "tests/unit/support/sample.h"

static struct klx_arena arena;
static struct klx_topic_names topics;

static int setup(void **state) {
    (void)state;
    klx_arena_init(&arena, 65536, 1 << 20);
    return klx_topic_names_init(&topics, KLX_SV("klaxon."), NULL);
}

static int teardown(void **state) {
    (void)state;
    klx_arena_release(&arena);
    return 0;
}

/* Those of Kafka Connect stand behind the event's own, on dead letters; the event does not know of them. */
static void leave_out_connect_headers(struct klx_record *r) {
    while (r->headers_n > 0 &&
           klx_sv_starts(r->headers[r->headers_n - 1].name, KLX_SV("__connect.errors."))) {
        r->headers_n--;
    }
}

static void assert_same_text(struct klx_sv a, struct klx_sv b) {
    if (!klx_sv_eq(a, b)) {
        fail_msg("\"%.*s\" is not \"%.*s\"", KLX_SV_FMT(a), KLX_SV_FMT(b));
    }
}

static void assert_same_record(const struct klx_record *a, const struct klx_record *b) {
    assert_string_equal(a->topic, b->topic);
    assert_true(a->timestamp_ms == b->timestamp_ms);
    assert_same_text(a->key, b->key);
    assert_same_text(a->value, b->value);
    assert_int_equal(a->headers_n, b->headers_n);
    for (size_t i = 0; i < a->headers_n; i++) {
        assert_same_text(a->headers[i].name, b->headers[i].name);
        assert_same_text(a->headers[i].value, b->headers[i].value);
    }
}

static void assert_data_is_whole(const struct klx_event *e) {
    const struct klx_json *data = NULL;
    assert_int_equal(klx_json_parse(&arena, e->data, NULL, &data, NULL), 0);
    assert_true(klx_json_str(data, "summary").n > 0);
    assert_true(klx_json_str(data, "object.kind").n > 0);
    assert_true(klx_json_str(data, "object.name").n > 0);
    assert_true(klx_json_str(data, "reason").n > 0);
    assert_true(klx_json_is_object(klx_json_get(data, "labels")));
}

static void each_kind_decodes_and_encodes_the_same(void **state) {
    (void)state;
    for (size_t i = 0; i < KLX_KINDS_N; i++) {
        const struct klx_kind_spec *spec = &klx_kind_specs[i];
        klx_arena_reset(&arena);
        struct klx_record r, back;
        test_read_sample(&arena, (enum klx_kind)i, &r);
        struct klx_event e;
        struct klx_error err = { 0 };
        if (klx_event_decode(&arena, &r, &e, &err) != 0) {
            fail_msg("%s: %s", spec->type, err.text);
        }
        assert_int_equal(e.kind, i);
        assert_true(e.incident.n == 0 || (e.phase != KLX_PHASE_NONE && e.incident_seq > 0));
        assert_data_is_whole(&e);
        assert_int_equal(klx_event_encode(&arena, &topics, &e, e.time_us, &back), 0);
        leave_out_connect_headers(&r);
        assert_same_record(&back, &r);
    }
}

static void no_sample_is_left_over(void **state) {
    (void)state;
    size_t n = 0;
    DIR *d = opendir(KLX_TESTS_DIR "/../schema/samples");
    assert_non_null(d);
    for (struct dirent *entry = readdir(d); entry != NULL; entry = readdir(d)) {
        n += entry->d_name[0] != '.';
    }
    closedir(d);
    assert_int_equal(n, KLX_KINDS_N);
}

/* The page has one heading a kind, with its topic and severity in the next line, and says what to do in the words of the list. */
static void each_kind_is_documented(void **state) {
    (void)state;
    char *page = test_read_file("../docs/events.md");
    for (size_t i = 0; i < KLX_KINDS_N; i++) {
        const struct klx_kind_spec *spec = &klx_kind_specs[i];
        char wanted[256];
        snprintf(wanted, sizeof(wanted), "### %s\n`%s` · `klaxon.%s` · %s\n", spec->title,
                 spec->type, klx_topic_specs[spec->topic].short_name,
                 klx_severity_name(spec->severity));
        if (strstr(page, wanted) == NULL) {
            fail_msg("docs/events.md lacks:\n%s", wanted);
        }
        snprintf(wanted, sizeof(wanted), "**What to do:** %s\n", spec->advice);
        if (strstr(page, wanted) == NULL) {
            fail_msg("docs/events.md lacks, for %s:\n%s", spec->type, wanted);
        }
    }
    free(page);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_decodes_and_encodes_the_same),
        cmocka_unit_test(no_sample_is_left_over),
        cmocka_unit_test(each_kind_is_documented),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
