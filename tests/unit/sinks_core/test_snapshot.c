/* The event that is kept with an incident's state. */
#include "tests/unit/support/support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "sinks/core/noise/snapshot.h"
#include "tests/unit/support/sample.h"

static void on_done(void *arg, struct klx_message *m) {
    (void)arg;
    (void)m;
}

static void same(struct klx_sv a, struct klx_sv b) {
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.p != NULL ? a.p : "", b.p != NULL ? b.p : "", a.n);
}

static struct klx_message *keep(struct klx_message_pool *pool, const struct klx_record *r) {
    struct klx_error e = { .text = "" };
    struct klx_message *m = klx_message_new(pool, r);
    if (klx_message_decode(m, &e) != 0 || klx_message_keep(m, &e) != 0) {
        fail_msg("%s", e.text);
    }
    return m;
}

/* Made, read, and made again it is the same. */
static char *through(struct klx_message_pool *pool, const struct klx_record *r) {
    struct klx_arena a;
    struct klx_record back;
    struct klx_error e = { .text = "" };
    size_t n = 0, again_n = 0;
    klx_arena_init(&a, 4096, 4 << 20);
    struct klx_message *m = keep(pool, r);
    char *text = klx_snapshot_make(m, &n);
    assert_non_null(text);
    assert_int_equal(klx_snapshot_read(&a, klx_sv_n(text, n), r->topic, &back, &e), 0);
    struct klx_message *b = keep(pool, &back);
    same(b->event.id, m->event.id);
    same(b->event.type, m->event.type);
    same(b->event.source, m->event.source);
    same(b->event.subject, m->event.subject);
    same(b->event.cluster, m->event.cluster);
    same(b->event.incident, m->event.incident);
    same(b->record.key, m->record.key);
    assert_int_equal(b->event.kind, m->event.kind);
    assert_int_equal(b->event.severity, m->event.severity);
    assert_int_equal(b->event.phase, m->event.phase);
    assert_int_equal(b->event.incident_seq, m->event.incident_seq);
    assert_int_equal(b->event.resync, m->event.resync);
    assert_true(b->event.time_us == m->event.time_us);
    assert_int_equal(b->record.partition, m->record.partition);
    assert_int_equal(b->record.offset, m->record.offset);
    assert_null(b->tracked.partition); /* it moves no offset */
    same(klx_json_str(b->data, "object.name"), klx_json_str(m->data, "object.name"));
    same(klx_json_str(b->data, "summary"), klx_json_str(m->data, "summary"));
    char *again = klx_snapshot_make(b, &again_n);
    assert_string_equal(again, text);
    free(again);
    klx_message_unref(b);
    klx_message_unref(m);
    klx_arena_release(&a);
    return text;
}

static void every_sample_comes_back(void **state) {
    (void)state;
    struct klx_message_pool *pool = klx_message_pool_new(on_done, NULL);
    for (int k = 0; k < KLX_KINDS_N; k++) {
        struct klx_arena a;
        struct klx_record r;
        klx_arena_init(&a, 4096, 4 << 20);
        test_read_sample(&a, (enum klx_kind)k, &r);
        free(through(pool, &r));
        klx_arena_release(&a);
    }
    klx_message_pool_free(pool);
}

static void large_data_is_cut_to_what_all_have(void **state) {
    (void)state;
    struct klx_message_pool *pool = klx_message_pool_new(on_done, NULL);
    struct klx_arena a;
    struct klx_record r;
    klx_arena_init(&a, 4096, 8 << 20);
    test_read_sample(&a, KLX_KIND_REPAIR_STARTED, &r);
    char *more = klx_new_bytes(100001);
    memset(more, 'x', 100000);
    struct klx_sv rest = klx_sv_n(r.value.p + 1, r.value.n - 1);
    r.value = KLX_CONCAT(&a, KLX_SV("{\"more\":\""), klx_sv(more), KLX_SV("\","), rest);
    free(more);
    char *text = through(pool, &r);
    assert_true(strlen(text) < KLX_SNAPSHOT_DATA_BYTES_MAX);
    assert_null(strstr(text, "xxxxx"));
    assert_non_null(strstr(text, "\"incident\":{"));
    free(text);
    klx_arena_release(&a);
    klx_message_pool_free(pool);
}

static void what_is_no_snapshot_is_refused(void **state) {
    (void)state;
    static const char *const texts[] = { "",
                                         "[]",
                                         "{}",
                                         "{\"data\":{}}",
                                         "{\"attributes\":{\"id\":\"1\"}}",
                                         "{\"attributes\":{\"id\":\"1\"},\"data\":7}" };
    for (size_t i = 0; i < KLX_COUNT(texts); i++) {
        struct klx_arena a;
        struct klx_record r;
        struct klx_error e = { .text = "" };
        klx_arena_init(&a, 4096, 1 << 20);
        assert_int_equal(klx_snapshot_read(&a, klx_sv(texts[i]), "t", &r, &e), -EBADMSG);
        klx_arena_release(&a);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_data_is_cut_to_what_all_have),
        cmocka_unit_test(what_is_no_snapshot_is_refused),
        cmocka_unit_test(every_sample_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
