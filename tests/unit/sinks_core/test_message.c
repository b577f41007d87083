#include "tests/unit/support/support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "sinks/core/message.h"

struct done {
    int settled, abandoned;
};

static void on_done(void *arg, struct klx_message *m) {
    struct done *d = arg;
    d->settled += !m->abandoned;
    d->abandoned += m->abandoned;
}

static struct klx_record_header headers[] = {
    { KLX_SV("ce_specversion"), KLX_SV("1.0") },
    { KLX_SV("ce_id"), KLX_SV("7") },
    { KLX_SV("ce_source"), KLX_SV("/x") },
    { KLX_SV("ce_type"), KLX_SV("io.klaxon.node.ready") },
};

static struct klx_record record(char *topic, char *value) {
    return (struct klx_record){ .topic = topic,
                                .partition = 3,
                                .offset = 42,
                                .value = klx_sv(value),
                                .headers = headers,
                                .headers_n = KLX_COUNT(headers) };
}

static void what_is_kept_is_a_copy(void **state) {
    (void)state;
    struct done done = { 0 };
    struct klx_message_pool *pool = klx_message_pool_new(on_done, &done);
    char topic[] = "klaxon.nodes", value[] = "{\"reason\":\"x\"}";
    const struct klx_record r = record(topic, value);
    struct klx_message *m = klx_message_new(pool, &r);
    assert_int_equal(klx_message_decode(m, NULL), 0);
    assert_int_equal(klx_message_keep(m, NULL), 0);
    memset(topic, '#', strlen(topic));
    memset(value, '#', strlen(value));
    assert_string_equal(m->record.topic, "klaxon.nodes");
    assert_sv(m->record.value, "{\"reason\":\"x\"}");
    assert_sv(m->event.data, "{\"reason\":\"x\"}");
    assert_sv(klx_json_str(m->data, "reason"), "x");
    assert_int_equal(m->event.kind, KLX_KIND_NODE_READY);
    assert_true(klx_message_pool_bytes(pool) > sizeof(*m));
    klx_message_ref(m);
    klx_message_unref(m);
    assert_int_equal(done.settled, 0);
    klx_message_unref(m);
    assert_int_equal(done.settled, 1);
    assert_int_equal(klx_message_pool_bytes(pool), 0);
    klx_message_pool_free(pool);
}

static void one_who_abandons_it_is_enough(void **state) {
    (void)state;
    struct done done = { 0 };
    struct klx_message_pool *pool = klx_message_pool_new(on_done, &done);
    char topic[] = "t", value[] = "{}";
    const struct klx_record r = record(topic, value);
    struct klx_message *m = klx_message_new(pool, &r);
    klx_message_ref(m);
    klx_message_abandon(m);
    klx_message_unref(m);
    assert_int_equal(done.settled, 0);
    assert_int_equal(done.abandoned, 1);
    m = klx_message_new(pool, &r); /* the same memory, used again */
    klx_message_unref(m);
    assert_int_equal(done.settled, 1);
    klx_message_pool_free(pool);
}

static void what_cannot_be_read_is_said(void **state) {
    (void)state;
    static const struct {
        const char *value, *error;
    } cases[] = {
        { "{\"a\":", "the data of the event 7: JSON: syntax error" },
        { "[1]", "is not a JSON object" },
        { "{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]}",
          "nested deeper than 28" },
    };
    struct done done = { 0 };
    struct klx_message_pool *pool = klx_message_pool_new(on_done, &done);
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_error e = { 0 };
        char topic[] = "t";
        struct klx_record r = record(topic, NULL);
        r.value = klx_sv(cases[i].value);
        struct klx_message *m = klx_message_new(pool, &r);
        assert_int_equal(klx_message_decode(m, &e), 0);
        assert_int_equal(klx_message_keep(m, &e), -EBADMSG);
        if (strstr(e.text, cases[i].error) == NULL) {
            fail_msg("\"%s\" is not in \"%s\"", cases[i].error, e.text);
        }
        klx_message_unref(m);
    }
    struct klx_error e = { 0 };
    const struct klx_record bare = { .topic = "t", .value = KLX_SV("x") };
    struct klx_message *m = klx_message_new(pool, &bare);
    assert_int_equal(klx_message_decode(m, &e), -EBADMSG);
    klx_message_unref(m);
    klx_message_pool_free(pool);
}

static void a_bomb_has_a_limit(void **state) {
    (void)state;
    struct done done = { 0 };
    struct klx_message_pool *pool = klx_message_pool_new(on_done, &done);
    size_t n = 2u << 20;
    char *value = klx_new_bytes(n + 1), topic[] = "t";
    memset(value, ',', n);
    for (size_t i = 0; i < n; i += 2) {
        value[i] = '1'; /* a million numbers, each 64 bytes once it is parsed */
    }
    memcpy(value, "{\"\":[1", 6);
    memcpy(value + n - 3, "1]}", 3);
    struct klx_record r = record(topic, value);
    struct klx_error e = { 0 };
    struct klx_message *m = klx_message_new(pool, &r);
    assert_int_equal(klx_message_decode(m, &e), 0);
    assert_int_equal(klx_message_keep(m, &e), -EBADMSG);
    assert_non_null(strstr(e.text, "needs more than"));
    assert_true(klx_message_pool_bytes(pool) <= KLX_MESSAGE_BYTES_MAX + sizeof(*m));
    klx_message_unref(m);
    klx_message_pool_free(pool);
    free(value);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept_is_a_copy),
        cmocka_unit_test(one_who_abandons_it_is_enough),
        cmocka_unit_test(what_cannot_be_read_is_said),
        cmocka_unit_test(a_bomb_has_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
