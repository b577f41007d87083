/* How far a list has come: no object is repeated, none is left out, whatever breaks it off. */
#include "tests/unit/support/support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/kube/list_place.h"
#include "lib/base/arena.h"
#include "lib/base/cleanup.h"

static bool news(const struct klx_list_place *p, const char *key, const char *rv) {
    return klx_list_place_is_news(p, key, klx_sv(rv));
}

static void what_is_not_newer_than_the_filter_is_no_news(void **state) {
    (void)state;
    struct klx_list_place p = { .origin = KLX_ORIGIN_RESYNC };
    assert_true(news(&p, "a", "1"));
    klx_rv_set(&p.filter, KLX_SV("100"));
    assert_false(news(&p, "a", "99"));
    assert_false(news(&p, "a", "100"));
    assert_true(news(&p, "a", "101"));
}

/* What was selected before and has not changed is the same at a first list; what has changed is told. */
static void another_selection_hands_up_what_may_never_have_been_seen(void **state) {
    (void)state;
    struct klx_list_place p = { .origin = KLX_ORIGIN_RESYNC, .widened = true };
    klx_rv_set(&p.filter, KLX_SV("100"));
    klx_list_place_begin(&p, KLX_SV("200"));
    assert_true(news(&p, "a", "99"));
    assert_int_equal(klx_list_place_origin(&p, KLX_SV("100")), KLX_ORIGIN_BASELINE);
    assert_int_equal(klx_list_place_origin(&p, KLX_SV("101")), KLX_ORIGIN_RESYNC);
    klx_list_place_advance(&p, "m", KLX_SV("200"));
    assert_false(news(&p, "a", "99")); /* a pass that was broken off has brought it */
    assert_true(news(&p, "n", "99"));
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    struct klx_list_place read;
    klx_buf_init(&text, 8192);
    klx_list_place_write(&p, &text);
    assert_int_equal(klx_list_place_read(&read, klx_buf_sv(&text)), 0);
    assert_true(read.widened);
    p.widened = false;
    assert_int_equal(klx_list_place_origin(&p, KLX_SV("99")), KLX_ORIGIN_RESYNC);
}

static void a_second_pass_repeats_nothing_and_leaves_out_nothing(void **state) {
    (void)state;
    struct klx_list_place p = { .origin = KLX_ORIGIN_BASELINE };
    klx_list_place_begin(&p, KLX_SV("100"));
    klx_list_place_advance(&p, "default/m", KLX_SV("100"));
    klx_list_place_begin(&p, KLX_SV("200"));
    assert_false(news(&p, "default/a", "90"));
    assert_false(news(&p, "default/m", "100"));
    assert_true(news(&p, "default/m", "101")); /* changed since the first pass */
    assert_true(news(&p, "default/n", "90"));  /* it had not come so far */
    assert_true(news(&p, "kube-system/a", "90"));
    klx_list_place_advance(&p, "default/c", KLX_SV("200"));
    klx_list_place_begin(&p, KLX_SV("300"));
    assert_false(news(&p, "default/b", "150")); /* came in the second pass */
    assert_true(news(&p, "default/d", "150"));  /* the second had not come so far */
    assert_false(news(&p, "default/d", "100"));
    assert_true(news(&p, "default/b", "250"));
    klx_list_place_advance(&p, "kube-system/z", KLX_SV("300"));
    assert_int_equal(p.steps_n, 1);
    assert_false(news(&p, "default/b", "250"));
}

static void versions_that_go_backwards_make_the_place_worthless(void **state) {
    (void)state;
    struct klx_list_place p = { .origin = KLX_ORIGIN_RESYNC };
    klx_rv_set(&p.filter, KLX_SV("100"));
    klx_list_place_advance(&p, "m", KLX_SV("200"));
    klx_list_place_begin(&p, KLX_SV("150"));
    assert_int_equal(p.steps_n, 0);
    assert_string_equal(p.filter.text, "100");
    klx_list_place_begin(&p, KLX_SV("50"));
    assert_true(news(&p, "a", "20"));
}

/* A model: objects that change at random while passes over them are broken off at random. Each version that a pass sees counts once. */
static void random_passes_hand_up_each_version_once(void **state) {
    (void)state;
    enum { OBJECTS = 40, ROUNDS = 300 };
    static unsigned version[OBJECTS], handed_up[OBJECTS];
    srandom(7);
    for (int round = 0; round < ROUNDS; round++) {
        struct klx_list_place p = { .origin = KLX_ORIGIN_BASELINE };
        unsigned now = 100;
        for (int i = 0; i < OBJECTS; i++) {
            version[i] = now++;
            handed_up[i] = 0;
        }
        bool whole = false;
        for (int pass = 0; !whole; pass++) {
            int stop = pass < KLX_LIST_STEPS_MAX ? (int)(random() % (OBJECTS / 5)) * 5 : OBJECTS;
            char text[24], rv[24], key[24];
            snprintf(rv, sizeof(rv), "%u", now);
            klx_list_place_begin(&p, klx_sv(rv));
            for (int i = 0; i < stop; i++) {
                snprintf(key, sizeof(key), "default/%02d", i);
                snprintf(text, sizeof(text), "%u", version[i]);
                if (klx_list_place_is_news(&p, key, klx_sv(text))) {
                    assert_true(handed_up[i] < version[i]); /* not this one again */
                    handed_up[i] = version[i];
                }
                assert_int_equal(handed_up[i], version[i]); /* nothing is left out */
                if (i % 5 == 4) {
                    klx_list_place_advance(&p, key, klx_sv(rv));
                }
            }
            whole = stop == OBJECTS;
            for (int change = 0; change < 5 && !whole; change++) {
                version[random() % OBJECTS] = ++now;
            }
            now++;
        }
    }
}

static void it_is_written_and_read(void **state) {
    (void)state;
    struct klx_list_place p = { .origin = KLX_ORIGIN_RESYNC }, q;
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&text, 8192);
    klx_rv_set(&p.filter, KLX_SV("340282366920938463463374607431768211455"));
    klx_list_place_advance(&p, "default/z", KLX_SV("8"));
    klx_list_place_advance(&p, "default/a", KLX_SV("9"));
    klx_list_place_write(&p, &text);
    assert_string_equal(
        klx_buf_str(&text),
        "{\"origin\":\"resync\",\"filter\":\"340282366920938463463374607431768211455\","
        "\"steps\":[{\"key\":\"default/a\",\"resourceVersion\":\"9\"},"
        "{\"key\":\"default/z\",\"resourceVersion\":\"8\"}]}");
    memset(&q, 0xff, sizeof(q));
    assert_int_equal(klx_list_place_read(&q, klx_buf_sv(&text)), 0);
    assert_int_equal(q.origin, KLX_ORIGIN_RESYNC);
    assert_string_equal(q.filter.text, p.filter.text);
    assert_int_equal(q.steps_n, 2);
    assert_string_equal(q.steps[1].key, "default/z");
    assert_int_equal(klx_list_place_read(&q, KLX_SV("[]")), -EBADMSG);
    assert_int_equal(klx_list_place_read(&q, KLX_SV("{\"steps\":[{\"key\":\"\"}]}")), -EBADMSG);
}

static void a_key_is_namespace_and_name(void **state) {
    (void)state;
    struct klx_arena arena KLX_CLEANUP(klx_arena_release);
    char key[KLX_LIST_KEY_BYTES], text[2 * KLX_LIST_KEY_BYTES];
    const struct klx_json *o = NULL;
    klx_arena_init(&arena, 4096, 65536);
    assert_int_equal(klx_json_parse(&arena,
                                    KLX_SV("{\"metadata\":{\"namespace\":\"a\",\"name\":\"b\"}}"),
                                    NULL, &o, NULL),
                     0);
    klx_list_key(o, key);
    assert_string_equal(key, "a/b");
    snprintf(text, sizeof(text), "{\"metadata\":{\"name\":\"%0400d\"}}", 0);
    assert_int_equal(klx_json_parse(&arena, klx_sv(text), NULL, &o, NULL), 0);
    klx_list_key(o, key);
    assert_string_equal(key, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_newer_than_the_filter_is_no_news),
        cmocka_unit_test(another_selection_hands_up_what_may_never_have_been_seen),
        cmocka_unit_test(a_second_pass_repeats_nothing_and_leaves_out_nothing),
        cmocka_unit_test(versions_that_go_backwards_make_the_place_worthless),
        cmocka_unit_test(random_passes_hand_up_each_version_once),
        cmocka_unit_test(it_is_written_and_read),
        cmocka_unit_test(a_key_is_namespace_and_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
