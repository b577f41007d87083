/* schema/samples/ holds one record of each kind: each decodes, fits its description, and encodes to the same record. */
#include "tests/unit/support/support.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "schema/event.h"
#include "tests/unit/support/event_check.h"
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

/* What a dead letter has behind the event's own, for tools that do not look into it and for Kafka Connect; the event does not know of them. */
static void leave_out_tool_headers(struct klx_record *r) {
    while (r->headers_n > 0 &&
           (klx_sv_starts(r->headers[r->headers_n - 1].name, KLX_SV("__connect.errors.")) ||
            klx_sv_starts(r->headers[r->headers_n - 1].name, KLX_SV("klaxon-")))) {
        r->headers_n--;
    }
}

static void assert_same_text(const char *kind, const char *what, struct klx_sv written,
                             struct klx_sv sample) {
    if (!klx_sv_eq(written, sample)) {
        fail_msg("schema/samples/%s.json: %s is \"%.*s\", but klaxon writes \"%.*s\"", kind, what,
                 KLX_SV_FMT(sample), KLX_SV_FMT(written));
    }
}

static void assert_same_headers(const char *kind, const struct klx_record *written,
                                const struct klx_record *sample) {
    for (size_t i = 0; i < written->headers_n; i++) {
        struct klx_record_header w = written->headers[i];
        if (i >= sample->headers_n || !klx_sv_eq(w.name, sample->headers[i].name)) {
            fail_msg("schema/samples/%s.json: header %zu should be \"%.*s\": \"%.*s\"", kind, i + 1,
                     KLX_SV_FMT(w.name), KLX_SV_FMT(w.value));
        }
        char what[64];
        snprintf(what, sizeof(what), "%.*s", KLX_SV_FMT(w.name));
        assert_same_text(kind, what, w.value, sample->headers[i].value);
    }
    assert_int_equal(written->headers_n, sample->headers_n);
}

static void assert_same_record(const char *kind, const struct klx_record *written,
                               const struct klx_record *sample) {
    assert_string_equal(written->topic, sample->topic);
    assert_true(written->timestamp_ms == sample->timestamp_ms);
    assert_same_text(kind, "key", written->key, sample->key);
    assert_same_text(kind, "value", written->value, sample->value);
    assert_same_headers(kind, written, sample);
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
        test_check_event(&e);
        e.data_schema = klx_sv(NULL); /* so that the kind's own is written */
        assert_int_equal(klx_event_encode(&arena, &topics, &e, e.time_us, &back), 0);
        leave_out_tool_headers(&r);
        assert_same_record(test_kind_name((enum klx_kind)i), &back, &r);
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
    if (n != KLX_KINDS_N) {
        fail_msg("schema/samples has %zu files, but schema/kinds.def %d kinds", n, KLX_KINDS_N);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_decodes_and_encodes_the_same),
        cmocka_unit_test(no_sample_is_left_over),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
