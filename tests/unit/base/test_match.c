#include "tests/unit/support/support.h"

#include <errno.h>
#include <string.h>

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_globs_and_expressions),
        cmocka_unit_test(a_bad_pattern_says_where),
        cmocka_unit_test(an_explosive_pattern_does_not_match_and_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
