/* What a prefix makes of the topics, and of everything else that two installations on one Kafka must not share. */
#include "tests/unit/support/support.h"

#include "schema/topics.h"

static struct klx_sv installation(struct klx_topic_names *t, const char *prefix) {
    struct klx_error e = { 0 };
    if (klx_topic_names_init(t, klx_sv(prefix), &e) != 0) {
        fail_msg("%s", e.text);
    }
    return klx_topic_installation(t);
}

static void each_prefix_is_an_installation(void **state) {
    (void)state;
    struct klx_topic_names t;
    assert_true(klx_sv_eq(installation(&t, "klaxon."), KLX_SV("")));
    assert_true(klx_sv_eq(installation(&t, ""), KLX_SV("")));
    assert_true(klx_sv_eq(installation(&t, "staging."), KLX_SV("staging")));
    assert_true(klx_sv_eq(installation(&t, "klaxon-"), KLX_SV("klaxon-")));
    assert_true(klx_sv_eq(installation(&t, "a.b."), KLX_SV("a.b")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_prefix_is_an_installation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
