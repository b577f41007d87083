/* What a detector remembers of each object: found, kept, written when it changed, restored, forgotten. */
#include "collector/detectors/object_table.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "tests/unit/support/support.h"

struct state {
    char name[64];
    int64_t n;
};

static void init(void *state, struct klx_sv namespace, struct klx_sv name) {
    struct state *s = state;
    *s = (struct state){ .n = 7 };
    snprintf(s->name, sizeof(s->name), "%.*s|%.*s", KLX_SV_FMT(namespace), KLX_SV_FMT(name));
}

static void write_number(const void *state, struct klx_buf *out) {
    klx_buf_printf(out, "%lld", (long long)((const struct state *)state)->n);
}

static int read_number(void *state, struct klx_sv namespace, struct klx_sv name,
                       struct klx_sv value) {
    init(state, namespace, name);
    return klx_sv_int(value, &((struct state *)state)->n) == 0 ? 0 : -EBADMSG;
}

static const struct klx_object_kind kind = {
    .state_bytes = sizeof(struct state),
    .record_bytes_max = 100,
    .init = init,
    .write = write_number,
    .read = read_number,
};

/* The state records that were written, "key=value" each. */
struct box {
    struct klx_outbox out;
    struct klx_arena arena;
    struct klx_buf written;
};

static void on_state(struct klx_outbox *o, struct klx_sv key, struct klx_sv value) {
    klx_buf_printf(&((struct box *)o)->written, "%.*s=%.*s\n", KLX_SV_FMT(key), KLX_SV_FMT(value));
}

static void box_init(struct box *b) {
    *b = (struct box){ .out = { .state = on_state } };
    klx_arena_init(&b->arena, 4096, 1 << 20);
    klx_buf_init(&b->written, 65536);
    b->out.arena = &b->arena;
}

static void box_release(struct box *b) {
    klx_arena_release(&b->arena);
    klx_buf_release(&b->written);
}

static void a_state_is_written_when_it_changed(void **state) {
    (void)state;
    struct box b;
    box_init(&b);
    struct klx_news_call c = { .cluster = "prod", .detector = "gitops", .out = &b.out };
    struct klx_object_table *t = klx_object_table_new(&kind);
    assert_null(klx_object_table_find(t, KLX_SV("shop"), KLX_SV("web")));
    struct state *s = klx_object_table_add(t, KLX_SV("shop"), KLX_SV("web"));
    struct state *node = klx_object_table_add(t, klx_sv(""), KLX_SV("aks-1"));
    assert_ptr_equal(klx_object_table_find(t, KLX_SV("shop"), KLX_SV("web")), s);
    assert_ptr_equal(klx_object_table_find(t, klx_sv(""), KLX_SV("aks-1")), node);
    assert_string_equal(klx_object_table_key(node), "aks-1");
    klx_object_table_save(t, &c, s);
    klx_object_table_save(t, &c, s);
    s->n = 8;
    klx_object_table_save(t, &c, s);
    klx_object_table_save(t, &c, node);
    klx_object_table_forget(t, &c, s);
    assert_null(klx_object_table_find(t, KLX_SV("shop"), KLX_SV("web")));
    assert_string_equal(klx_buf_str(&b.written), "prod/gitops/shop/web=7\nprod/gitops/shop/web=8\n"
                                                 "prod/gitops/aks-1=7\nprod/gitops/shop/web=\n");
    klx_object_table_free(t);
    box_release(&b);
}

static void what_was_written_is_restored(void **state) {
    (void)state;
    struct box b;
    box_init(&b);
    struct klx_news_call c = { .cluster = "prod", .detector = "gitops", .out = &b.out };
    struct klx_object_table *t = klx_object_table_new(&kind);
    char longest[400];
    memset(longest, 'x', sizeof(longest));
    assert_int_equal(klx_object_table_restore(t, KLX_SV("shop/web"), KLX_SV("3")), 0);
    assert_int_equal(klx_object_table_restore(t, KLX_SV("shop/web"), KLX_SV("5")), 0);
    assert_int_equal(klx_object_table_restore(t, KLX_SV("aks-1"), KLX_SV("6")), 0);
    assert_int_equal(klx_object_table_restore(t, KLX_SV("shop/api"), KLX_SV("x")), -EBADMSG);
    assert_int_equal(klx_object_table_restore(t, KLX_SV("shop/"), KLX_SV("1")), -EBADMSG);
    assert_int_equal(klx_object_table_restore(t, klx_sv(""), KLX_SV("1")), -EBADMSG);
    assert_int_equal(klx_object_table_restore(t, klx_sv_n(longest, sizeof(longest)), KLX_SV("1")),
                     -EBADMSG);
    assert_null(klx_object_table_find(t, KLX_SV("shop"), KLX_SV("api")));
    struct state *s = klx_object_table_find(t, KLX_SV("shop"), KLX_SV("web"));
    assert_int_equal(s->n, 5);
    assert_string_equal(s->name, "shop|web");
    klx_object_table_save(t, &c, s); /* as it was written last */
    assert_int_equal(b.written.len, 0);
    klx_object_table_free(t);
    box_release(&b);
}

static void all_are_visited_while_they_are_forgotten(void **state) {
    (void)state;
    struct box b;
    box_init(&b);
    struct klx_news_call c = { .cluster = "prod", .detector = "gitops", .out = &b.out };
    struct klx_object_table *t = klx_object_table_new(&kind);
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n%d", i);
        ((struct state *)klx_object_table_add(t, KLX_SV("shop"), klx_sv(name)))->n = i;
    }
    int64_t sum = 0;
    for (struct state *s = klx_object_table_first(t), *next = NULL; s != NULL; s = next) {
        next = klx_object_table_next(s);
        sum += s->n;
        klx_object_table_forget(t, &c, s);
    }
    assert_int_equal(sum, 4950);
    assert_null(klx_object_table_first(t));
    klx_object_table_free(t);
    klx_object_table_free(NULL);
    box_release(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_is_written_when_it_changed),
        cmocka_unit_test(what_was_written_is_restored),
        cmocka_unit_test(all_are_visited_while_they_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
