/* What channels were told of incidents. */
#include "tests/unit/support/support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "sinks/core/noise/incidents.h"

#define T0 INT64_C(1773216000000000)

static struct klx_incident *get(struct klx_incidents *t, const char *channel, const char *id) {
    return klx_incidents_get(t, klx_sv(channel), klx_sv(id));
}

static struct klx_incident *find(struct klx_incidents *t, const char *channel, const char *id) {
    return klx_incidents_find(t, klx_sv(channel), klx_sv(id));
}

/* As the other replica reads it. */
static struct klx_incident *send(const struct klx_incident *from, struct klx_incidents *to) {
    struct klx_buf key KLX_CLEANUP(klx_buf_release), value KLX_CLEANUP(klx_buf_release);
    struct klx_error e = { .text = "" };
    int rc = 0;
    klx_buf_init(&key, 1024);
    klx_buf_init(&value, 1 << 20);
    klx_incident_key(from, &key);
    klx_incident_encode(from, &value);
    struct klx_incident *i = klx_incidents_put(to, klx_buf_sv(&key), klx_buf_sv(&value), &rc, &e);
    assert_int_equal(rc, 0);
    return i;
}

static void fill(struct klx_incidents *t, struct klx_incident *i) {
    static const char event[] = "{\"id\":\"x\",\"data\":{\"a\":[1,null,\"ä\"]}}";
    i->topic = KLX_TOPIC_SCALING;
    i->partition = 3;
    i->number = 7;
    i->told = 5;
    i->was_told = true;
    i->hushed = false;
    i->severity = KLX_SEVERITY_CRITICAL;
    i->opened_us = T0;
    i->told_us = T0 + 5;
    i->waits = KLX_WAITS_FOR_HOURS;
    i->reminders = 2;
    klx_incident_set_team(i, KLX_SV("operations"));
    klx_incident_set_handle(i, KLX_SV("177.5|\"x\""));
    klx_incidents_set_event(t, i, klx_strdup(event), strlen(event));
    klx_incidents_changed(t, i, T0 + 9);
}

static void what_is_written_is_read(void **state) {
    (void)state;
    struct klx_incidents *a = klx_incidents_new(), *b = klx_incidents_new();
    struct klx_incident *i = get(a, "ops-slack", "i/1"), *j = NULL;
    assert_true(i->hushed && !i->was_told && i->told_us == KLX_TIME_NONE);
    fill(a, i);
    j = send(i, b);
    assert_non_null(j);
    assert_ptr_equal(find(b, "ops-slack", "i/1"), j);
    assert_int_equal(j->rev, 1);
    assert_int_equal(j->topic, KLX_TOPIC_SCALING);
    assert_int_equal(j->partition, 3);
    assert_int_equal(j->number, 7);
    assert_int_equal(j->told, 5);
    assert_true(j->was_told && !j->hushed && !j->resolved && !j->own);
    assert_int_equal(j->severity, KLX_SEVERITY_CRITICAL);
    assert_true(j->opened_us == T0 && j->told_us == T0 + 5 && j->changed_us == T0 + 9);
    assert_int_equal(j->waits, KLX_WAITS_FOR_HOURS);
    assert_int_equal(j->reminders, 2);
    assert_string_equal(j->team, "operations");
    assert_string_equal(j->handle, "177.5|\"x\"");
    assert_string_equal(j->event, i->event);
    assert_null(find(b, "ops-mail", "i/1"));
    klx_incidents_free(a);
    klx_incidents_free(b);
}

static void an_echo_changes_nothing(void **state) {
    (void)state;
    struct klx_incidents *a = klx_incidents_new(), *b = klx_incidents_new();
    struct klx_incident *i = get(a, "c", "i"), *j = NULL;
    fill(a, i);
    j = send(i, b); /* rev 1 */
    i->told = 6;
    klx_incidents_changed(a, i, T0 + 10); /* rev 2 */
    assert_null(send(j, a));              /* of before */
    assert_null(send(i, a));              /* its own */
    assert_int_equal(i->told, 6);
    assert_non_null(send(i, b)); /* another follows */
    assert_int_equal(j->told, 6);
    j->told = 7; /* and owns it now */
    klx_incidents_changed(b, j, T0 + 11);
    assert_non_null(send(j, a));
    assert_int_equal(i->told, 7);
    assert_false(i->own);
    klx_incidents_free(a);
    klx_incidents_free(b);
}

/* The owner of the events holds something back, while the owner of klaxon.retry tells what was parked. */
static void what_another_told_at_the_same_time_is_kept(void **state) {
    (void)state;
    struct klx_incidents *a = klx_incidents_new(), *b = klx_incidents_new();
    struct klx_incident *i = get(a, "c", "i"), *j = NULL;
    i->number = 3;
    klx_incidents_changed(a, i, T0); /* rev 1 */
    j = send(i, b);
    i->number = 4;
    klx_incidents_changed(a, i, T0 + 1); /* rev 2, here */
    j->told = 1;
    j->was_told = true;
    j->hushed = false;
    klx_incident_set_handle(j, KLX_SV("177.5"));
    klx_incidents_changed(b, j, T0 + 2); /* and there */
    assert_null(send(j, a));
    assert_int_equal(i->number, 4);
    assert_int_equal(i->told, 1);
    assert_true(i->was_told && !i->hushed);
    assert_string_equal(i->handle, "177.5");
    assert_true(i->own);
    klx_incidents_free(a);
    klx_incidents_free(b);
}

static void a_tombstone_removes_what_is_not_ours(void **state) {
    (void)state;
    struct klx_incidents *a = klx_incidents_new(), *b = klx_incidents_new();
    struct klx_incident *i = get(a, "c", "i");
    struct klx_error e;
    int rc = 0;
    fill(a, i);
    (void)send(i, b);
    assert_null(klx_incidents_put(a, KLX_SV("sink/c/i"), klx_sv(NULL), &rc, &e));
    assert_null(klx_incidents_put(b, KLX_SV("sink/c/i"), klx_sv(NULL), &rc, &e));
    assert_int_equal(klx_incidents_n(a), 1);
    assert_int_equal(klx_incidents_n(b), 0);
    klx_incidents_free(a);
    klx_incidents_free(b);
}

static void what_is_no_state_is_passed_over(void **state) {
    (void)state;
    struct klx_incidents *t = klx_incidents_new();
    struct klx_error e;
    int rc = 0;
    assert_null(klx_incidents_put(t, KLX_SV("prod/nodes"), KLX_SV("{}"), &rc, &e));
    assert_int_equal(rc, 0);
    assert_null(klx_incidents_put(t, KLX_SV("sink/c"), KLX_SV("{}"), &rc, &e));
    assert_int_equal(rc, 0);
    assert_null(klx_incidents_put(t, KLX_SV("sink/c/i"), KLX_SV("nonsense"), &rc, &e));
    assert_int_equal(rc, -EBADMSG);
    assert_int_equal(klx_incidents_n(t), 0);
    /* Of another version: what is not there reads as nothing. */
    assert_non_null(klx_incidents_put(
        t, KLX_SV("sink/c/i"), KLX_SV("{\"rev\":-1,\"told\":-5,\"event\":7,\"new\":{}}"), &rc, &e));
    assert_int_equal(find(t, "c", "i")->told, 0);
    assert_null(find(t, "c", "i")->event);
    klx_incidents_free(t);
}

static void the_oldest_are_forgotten(void **state) {
    (void)state;
    struct klx_incidents *t = klx_incidents_new();
    char id[32];
    for (int n = 0; n < KLX_INCIDENTS_MAX; n++) {
        snprintf(id, sizeof(id), "%d", n);
        (void)get(t, "c", id);
    }
    klx_incidents_changed(t, find(t, "c", "0"), T0); /* younger than all others */
    (void)get(t, "c", "more");
    assert_int_equal(klx_incidents_n(t), KLX_INCIDENTS_MAX);
    assert_non_null(find(t, "c", "0"));
    assert_null(find(t, "c", "1"));
    assert_int_equal(klx_incidents_forgotten(t), 1);
    size_t bytes = KLX_INCIDENTS_BYTES_MAX / 2;
    for (int n = 2; n < 5; n++) {
        snprintf(id, sizeof(id), "%d", n);
        struct klx_incident *i = find(t, "c", id);
        klx_incidents_set_event(t, i, klx_new_bytes(8), bytes); /* as if it were that large */
        klx_incidents_changed(t, i, T0);
    }
    assert_null(find(t, "c", "5")); /* all that is older than the first large one has to go */
    assert_null(find(t, "c", "2"));
    assert_non_null(find(t, "c", "3"));
    assert_non_null(find(t, "c", "4"));
    klx_incidents_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(an_echo_changes_nothing),
        cmocka_unit_test(what_another_told_at_the_same_time_is_kept),
        cmocka_unit_test(a_tombstone_removes_what_is_not_ours),
        cmocka_unit_test(what_is_no_state_is_passed_over),
        cmocka_unit_test(the_oldest_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
