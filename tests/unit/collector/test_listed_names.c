#include "tests/unit/support/support.h"

#include <stdio.h>
#include <string.h>

#include "collector/listed_names.h"

static void what_was_shown_is_there(void **state) {
    (void)state;
    struct klx_listed_names l = { 0 };
    char name[32];
    assert_false(klx_listed_names_has(&l, KLX_SV("aks-1"))); /* of no list */
    klx_listed_names_begin(&l, 42);
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof(name), "pod-%d", i);
        klx_listed_names_add(&l, i % 2 == 0 ? KLX_SV("shop") : KLX_SV(""), klx_sv(name));
    }
    assert_true(klx_listed_names_has(&l, KLX_SV("shop/pod-0")));
    assert_true(klx_listed_names_has(&l, KLX_SV("shop/pod-4998")));
    assert_true(klx_listed_names_has(&l, KLX_SV("pod-4999")));
    assert_false(klx_listed_names_has(&l, KLX_SV("pod-4998")));
    assert_false(klx_listed_names_has(&l, KLX_SV("shop/pod-5000")));
    klx_listed_names_add(&l, KLX_SV("shop"), KLX_SV("pod-5000")); /* after a question */
    assert_true(klx_listed_names_has(&l, KLX_SV("shop/pod-5000")));
    assert_true(l.room * sizeof(*l.hashes) <= 65536);
    klx_listed_names_begin(&l, 43);
    assert_false(klx_listed_names_has(&l, KLX_SV("shop/pod-0")));
    klx_listed_names_forget(&l);
}

static void what_is_no_name_is_not_there(void **state) {
    (void)state;
    struct klx_listed_names l = { 0 };
    char name[600];
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    klx_listed_names_begin(&l, 1);
    klx_listed_names_add(&l, KLX_SV(""), klx_sv(name));
    klx_listed_names_add(&l, KLX_SV(""), KLX_SV(""));
    assert_int_equal(l.n, 0);
    klx_listed_names_forget(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_shown_is_there),
        cmocka_unit_test(what_is_no_name_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
