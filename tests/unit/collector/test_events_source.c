/* The source events: an Event of any size is told, trimmed where it is too long, and says where. */
#include "tests/unit/support/support.h"

#include <stdlib.h>
#include <string.h>

#include "collector/kube/frame.h"
#include "collector/sources/source.h"
#include "lib/base/cleanup.h"

struct recorder {
    struct klx_outbox out;
    struct klx_arena arena;
    struct klx_sv data, key;
};

static void on_event(struct klx_outbox *o, const struct klx_event *e) {
    struct recorder *r = (struct recorder *)o;
    r->data = klx_arena_dup(&r->arena, e->data);
    r->key = klx_arena_dup(&r->arena, e->key);
    assert_true(r->data.p != NULL && e->id.n == 32 && e->subject.n > 0);
}

static const struct klx_json *publish(struct recorder *r, struct klx_sv text) {
    const struct klx_json *object = NULL, *data = NULL;
    const struct klx_json_limits limits = { .bytes_max = KLX_FRAME_BYTES_MAX, .depth_max = 64 };
    struct klx_observation o = { .kind = KLX_OBSERVED_EVENT, .cluster = KLX_SV("prod") };
    *r = (struct recorder){ .out = { .event = on_event } };
    klx_arena_init(&r->arena, 65536, 256u << 20);
    r->out.arena = &r->arena;
    assert_int_equal(klx_json_parse(&r->arena, text, &limits, &object, NULL), 0);
    assert_int_equal(klx_source_events.observe(object, &o), 0);
    klx_source_events.publish(&o, object, &r->out);
    assert_int_equal(klx_json_parse(&r->arena, r->data, NULL, &data, NULL), 0);
    assert_true(r->data.n < 256u * 1024 && r->key.n < 2000);
    return data;
}

static bool names(const struct klx_json *data, const char *member) {
    const struct klx_json *n = klx_json_first(klx_json_get(data, "truncated"));
    while (n != NULL && !klx_sv_eq(klx_json_str(n, ""), klx_sv(member))) {
        n = klx_json_next(n);
    }
    return n != NULL;
}

static void add_text(struct klx_buf *b, const char *what, size_t times) {
    for (size_t i = 0; i < times; i++) {
        klx_buf_add_str(b, what);
    }
}

static void event(struct klx_buf *b, const char *of, size_t message, size_t name, size_t labels) {
    klx_buf_reset(b);
    klx_buf_add_str(b, "{\"metadata\":{\"name\":\"e\",\"namespace\":\"shop\",\"uid\":\"u\","
                       "\"resourceVersion\":\"7\",\"labels\":{");
    for (size_t i = 0; i < labels; i++) {
        klx_buf_printf(b, "%s\"label-%zu\":\"value\"", i > 0 ? "," : "", i);
    }
    klx_buf_add_str(b,
                    "}},\"involvedObject\":{\"kind\":\"Pod\",\"namespace\":\"shop\",\"name\":\"");
    add_text(b, of, name);
    klx_buf_add_str(b, "\"},\"reason\":\"R\",\"message\":\"");
    add_text(b, of, message);
    klx_buf_add_str(b, "\"}");
    assert_false(b->failed);
}

static void whatever_its_size_it_is_told(void **state) {
    (void)state;
    static const struct {
        const char *of; /* as JSON */
        size_t message, name, labels;
        bool cut_message, cut_name;
    } cases[] = { { "x", 100, 10, 0, false, false },
                  { "x", 16384, 512, 3, false, false },
                  { "x", 16385, 513, 0, true, true },
                  { "x", 1 << 20, 10, 0, true, false },
                  { "\\u0001", 1 << 20, 1 << 19, 0, true, true },
                  { "x", 10, 1 << 20, 0, false, true },
                  { "\\u20ac", 700000, 10, 0, true, false },
                  { "x", 10, 10, 10000, false, false },
                  { "\\\"", 1 << 20, 1 << 19, 10000, true, true } };
    struct klx_buf b KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&b, KLX_FRAME_BYTES_MAX);
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct recorder r;
        event(&b, cases[i].of, cases[i].message, cases[i].name, cases[i].labels);
        const struct klx_json *data = publish(&r, klx_buf_sv(&b));
        assert_int_equal(names(data, "summary"), cases[i].cut_message);
        assert_int_equal(names(data, "object.name"), cases[i].cut_name);
        bool any = cases[i].cut_message || cases[i].cut_name;
        assert_int_equal(klx_json_get(data, "truncated") != NULL, any);
        assert_true(klx_json_str(data, "summary").n > 0 && klx_json_str(data, "object.name").n > 0);
        klx_arena_release(&r.arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(whatever_its_size_it_is_told) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
