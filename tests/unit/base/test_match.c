#include "tests/unit/support/support.h"

#include <errno.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/match.h"

static bool matches(const char *list, const char *text) {
    struct klx_sv patterns[8];
    size_t n = 0;
    struct klx_sv rest = klx_sv(list);
    while (rest.n > 0) {
        patterns[n++] = klx_sv_cut(&rest, ' ');
    }
    struct klx_match *m = NULL;
    struct klx_error e = { 0 };
    if (klx_match_new(patterns, n, &m, &e) != 0) {
        fail_msg("%s", e.text);
    }
    bool yes = klx_match_test(m, klx_sv(text));
    klx_match_free(m);
    return yes;
}

static void lists_globs_and_expressions(void **state) {
    (void)state;
    assert_true(matches("kube-system", "kube-system"));
    assert_false(matches("kube-system", "kube-systems"));
    assert_true(matches("prod-*", "prod-weu"));
    assert_false(matches("prod-*", "test-prod-weu"));
    assert_true(matches("*-w?u a", "prod-weu"));
    assert_true(matches("a*b*c*", "aXXbYYcZZ"));
    assert_false(matches("a*b*c", "aXXbYYcZZ"));
    assert_true(matches("!kube-* !test", "prod"));
    assert_false(matches("!kube-* !test", "kube-system"));
    assert_true(matches("prod-* !prod-secret", "prod-weu"));
    assert_false(matches("prod-* !prod-secret", "prod-secret"));
    assert_true(matches("~^aks-(a|b)[0-9]+$", "aks-b12"));
    assert_false(matches("~^aks-(a|b)[0-9]+$", "xaks-b12"));
    assert_true(matches("*", ""));
    assert_true(klx_match_test(NULL, KLX_SV("anything")));
}

static void a_bad_pattern_says_where(void **state) {
    (void)state;
    struct klx_match *m = NULL;
    struct klx_error e = { 0 };
    struct klx_sv bad = KLX_SV("~aks-(a");
    assert_int_equal(klx_match_new(&bad, 1, &m, &e), -EINVAL);
    assert_non_null(strstr(e.text, "~aks-(a"));
    assert_non_null(strstr(e.text, "missing closing parenthesis"));
    struct klx_sv empty = KLX_SV("!");
    assert_int_equal(klx_match_new(&empty, 1, &m, &e), -EINVAL);
}

static void an_explosive_pattern_does_not_match_and_is_counted(void **state) {
    (void)state;
    struct klx_match *m = NULL;
    struct klx_sv evil = KLX_SV("~^(a+)+$");
    assert_int_equal(klx_match_new(&evil, 1, &m, NULL), 0);
    assert_false(klx_match_test(m, KLX_SV("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab")));
    assert_int_equal(klx_match_limit_hits(m), 1);
    klx_match_free(m);
}

static void the_exact_texts_are_told(void **state) {
    (void)state;
    static const struct {
        struct klx_sv patterns[3];
        size_t n, literals;
    } cases[] = {
        { { KLX_SV("a") }, 1, 1 },
        { { KLX_SV("a"), KLX_SV("!b*"), KLX_SV("c") }, 3, 2 },
        { { KLX_SV("a"), KLX_SV("b*") }, 2, 0 },
        { { KLX_SV("a?") }, 1, 0 },
        { { KLX_SV("~a") }, 1, 0 },
        { { KLX_SV("!a") }, 1, 0 },                          /* everything else */
        { { KLX_SV("a"), KLX_SV("b"), KLX_SV("c") }, 3, 0 }, /* too many */
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_match *m = NULL;
        struct klx_sv found[2];
        assert_int_equal(klx_match_new(cases[i].patterns, cases[i].n, &m, NULL), 0);
        assert_int_equal(klx_match_literals(m, found, 2), cases[i].literals);
        if (cases[i].literals > 0) {
            assert_true(klx_match_test(m, found[0]));
            assert_true(klx_match_test(m, found[cases[i].literals - 1]));
        }
        klx_match_free(m);
    }
    struct klx_sv none[1];
    assert_int_equal(klx_match_literals(NULL, none, 1), 0);
}

static uint64_t hash_of(const char *a, const char *b) {
    const struct klx_sv patterns[] = { klx_sv(a), klx_sv(b) };
    struct klx_match *m = NULL;
    assert_int_equal(klx_match_new(patterns, b != NULL ? 2 : 1, &m, NULL), 0);
    uint64_t hash = klx_match_hash(m, 7);
    klx_match_free(m);
    return hash;
}

static void the_hash_is_of_the_patterns_as_written(void **state) {
    (void)state;
    assert_true(hash_of("a*", "b") == hash_of("a*", "b"));
    assert_true(hash_of("a*", "b") != hash_of("b", "a*"));
    assert_true(hash_of("a", NULL) != hash_of("!a", NULL));
    assert_true(hash_of("a", NULL) != klx_match_hash(NULL, 7));
    assert_true(klx_match_hash(NULL, 7) != klx_match_hash(NULL, 8));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_globs_and_expressions),
        cmocka_unit_test(a_bad_pattern_says_where),
        cmocka_unit_test(an_explosive_pattern_does_not_match_and_is_counted),
        cmocka_unit_test(the_exact_texts_are_told),
        cmocka_unit_test(the_hash_is_of_the_patterns_as_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
