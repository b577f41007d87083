/* Where watches begin when another selection is configured than the state knows. */
#include "tests/unit/support/support.h"

#include <stdio.h>

#include "collector/watch_places.h"
#include "lib/base/time.h"

#define CHECKPOINT(rv) "{\"resourceVersion\":\"" rv "\",\"at\":\"2026-03-11T07:52:18.000Z\"}"

static struct klx_source_settings hpa, events;
static struct klx_sv names[] = { { "a", 1 }, { "b", 1 } };
static struct klx_watch_places places;

static int set_up(void **state) {
    (void)state;
    hpa = (struct klx_source_settings){ .ops = &klx_source_hpa };
    events = (struct klx_source_settings){ .ops = &klx_source_events };
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    klx_watch_places_release(&places);
    return 0;
}

static void restore(const char *key, const char *value) {
    klx_watch_places_restore(&places, &hpa, klx_sv(key), klx_sv(value));
    klx_watch_places_restore(&places, &events, klx_sv(key), klx_sv(value));
}

static struct klx_watch_place begin(const struct klx_source_settings *s, const char *namespace) {
    struct klx_watch_place at;
    klx_watch_places_begin(&places, s, klx_sv(namespace), &at);
    return at;
}

static bool is_retired(const struct klx_source_settings *s, const char *key) {
    struct klx_watch_place w = { .list_under_way = true };
    snprintf(w.key, sizeof(w.key), "%s", key);
    return klx_watch_places_is_retired(&w, s);
}

static void nothing_before_is_a_first_list(void **state) {
    (void)state;
    restore("events", CHECKPOINT("5"));
    restore("hpa/default/web", CHECKPOINT("5")); /* of a detector, whatever it is called */
    restore("hpa", "rubbish");
    assert_false(klx_watch_places_restore(&places, &hpa, KLX_SV("hpa/default/web"), KLX_SV("{}")));
    assert_true(klx_watch_places_restore(&places, &hpa, KLX_SV("hpa@a/list"), KLX_SV("")));
    struct klx_watch_place at = begin(&hpa, "");
    assert_string_equal(at.rv.text, "");
    assert_false(at.list_under_way || at.is_new);
    assert_int_equal(at.at_us, KLX_TIME_NONE);
}

static void the_same_selection_goes_on(void **state) {
    (void)state;
    restore("hpa", CHECKPOINT("5"));
    restore("hpa", CHECKPOINT("9"));
    restore("hpa/list", "{\"origin\":\"resync\",\"filter\":\"9\",\"steps\":[]}");
    struct klx_watch_place at = begin(&hpa, "");
    assert_string_equal(at.rv.text, "9");
    assert_true(at.list_under_way && !at.is_new && at.at_us != KLX_TIME_NONE);
    restore("hpa/list", "");
    at = begin(&hpa, "");
    assert_false(at.list_under_way);
    assert_false(is_retired(&hpa, "hpa"));
}

/* All of it was seen: nothing is listed. */
static void a_namespace_goes_on_where_the_cluster_was(void **state) {
    (void)state;
    restore("hpa", CHECKPOINT("9"));
    hpa.namespaces = (struct klx_config_strings){ names, 2 };
    struct klx_watch_place at = begin(&hpa, "b");
    assert_string_equal(at.key, "hpa@b");
    assert_string_equal(at.rv.text, "9");
    assert_true(at.is_new && !at.list_under_way);
    assert_true(is_retired(&hpa, "hpa"));
    assert_false(is_retired(&hpa, "hpa@a"));
    assert_true(is_retired(&hpa, "hpa@c"));
    assert_false(is_retired(&hpa, "events"));
}

static void other_selectors_are_a_list_that_tells_what_changed(void **state) {
    (void)state;
    restore("hpa", CHECKPOINT("9"));
    restore("events", CHECKPOINT("7"));
    hpa.label_selector = events.label_selector = (char[]){ "a=b" };
    struct klx_watch_place at = begin(&hpa, "");
    assert_true(at.is_new && at.list_under_way && at.list.widened);
    assert_int_equal(at.list.origin, KLX_ORIGIN_RESYNC);
    assert_string_equal(at.list.filter.text, "9");
    at = begin(&events, ""); /* what was there before is history */
    assert_true(at.is_new && at.list_under_way && !at.list.widened);
    assert_string_equal(at.list.filter.text, "7");
    assert_true(is_retired(&hpa, "hpa"));
}

/* The wider one has not seen everything that each of the narrower ones has. */
static void the_whole_cluster_begins_at_the_least_of_its_namespaces(void **state) {
    (void)state;
    restore("events@a", CHECKPOINT("100"));
    restore("events@b", CHECKPOINT("99"));
    struct klx_watch_place at = begin(&events, "");
    assert_true(at.is_new && at.list_under_way);
    assert_string_equal(at.list.filter.text, "99");
    events.namespaces = (struct klx_config_strings){ names, 1 };
    at = begin(&events, "a");
    assert_string_equal(at.rv.text, "100");
    assert_false(at.is_new);
    at = begin(&events, "c"); /* nobody has looked there */
    assert_string_equal(at.rv.text, "");
    assert_false(at.list_under_way);
}

static void a_source_covers_what_it_selects(void **state) {
    (void)state;
    struct klx_source_settings nodes = { .ops = &klx_source_nodes };
    assert_true(klx_source_covers(&nodes, KLX_SV("aks-1")));
    assert_true(klx_source_covers(&hpa, KLX_SV("c/web")));
    hpa.namespaces = (struct klx_config_strings){ names, 2 };
    assert_true(klx_source_covers(&hpa, KLX_SV("b/web")));
    assert_false(klx_source_covers(&hpa, KLX_SV("c/web")));
    events.exclude_namespaces = (struct klx_config_strings){ names, 2 };
    assert_false(klx_source_covers(&events, KLX_SV("b/web")));
    assert_true(klx_source_covers(&events, KLX_SV("c/web")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_before_is_a_first_list, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_same_selection_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_namespace_goes_on_where_the_cluster_was, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(other_selectors_are_a_list_that_tells_what_changed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_whole_cluster_begins_at_the_least_of_its_namespaces,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_source_covers_what_it_selects, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
