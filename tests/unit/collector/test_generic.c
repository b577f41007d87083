/*
 * The detector generic, by transcripts (tests/unit/support/object_lines.h) in tests/golden/generic, over deployment.json; and what its events
 * hold.
 */
#include "tests/unit/support/support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/detectors/generic/object_values.h"
#include "lib/base/cleanup.h"
#include "tests/unit/support/object_lines.h"

static const char *const paths[] = { "spec.replicas", "status.availableReplicas",
                                     "status.conditions[type=Available].status",
                                     "spec.template.spec.containers[*].image",
                                     "metadata.annotations[\"example.com/owner\"]" };

static void no_mistake(void *arg, const char *text) {
    (void)arg;
    fail_msg("%s", text);
}

/* Of deployments, with these fields as YAML. */
static struct klx_generic *generic(const char *fields) {
    struct klx_config *c = NULL;
    struct klx_buf yaml KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&yaml, 65536);
    klx_buf_printf(&yaml, "fields: [%s]", fields);
    struct klx_error e = { 0 };
    if (klx_config_parse(klx_buf_sv(&yaml), "f", &c, &e) != 0) {
        fail_msg("%s", e.text);
    }
    static const struct klx_config_field table[] = {
        { .key = "fields",
          .kind = KLX_CFG_STR_LIST,
          .offset = offsetof(struct klx_generic_settings, fields) },
        { .key = NULL },
    };
    struct klx_generic_settings s = { 0 };
    klx_config_bind_all(klx_config_root(c), table, &s, no_mistake, NULL);
    s.group = (char[]){ "apps" };
    s.version = (char[]){ "v1" };
    s.resource = (char[]){ "deployments" };
    struct klx_generic *g = klx_generic_new(klx_config_root(c), &s, no_mistake, NULL);
    klx_config_unbind(table, &s);
    klx_config_free(c);
    return g;
}

static struct klx_generic *usual(void) {
    struct klx_buf fields KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&fields, 4096);
    for (size_t i = 0; i < KLX_COUNT(paths); i++) {
        klx_buf_printf(&fields, "%s'%s'", i > 0 ? ", " : "", paths[i]);
    }
    return generic(klx_buf_str(&fields));
}

static void run(const char *name, bool restarting) {
    struct klx_generic *g = usual();
    struct object_lines l = { .objects = { .base = "golden/generic/deployment.json" },
                              .source = &klx_source_generic,
                              .generic = g,
                              .kind = "Deployment" };
    char file[200];
    snprintf(file, sizeof(file), "generic/%s.txt", name);
    transcript_run(&klx_detector_generic, file, restarting, object_lines_run, &l);
    fake_apps_release(&l.objects);
    klx_generic_free(g);
}

static struct klx_sv values(struct klx_arena *a, const char *fields, const char *object) {
    struct klx_generic *g = generic(fields);
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    const struct klx_json *node = NULL;
    struct klx_error e = { 0 };
    klx_buf_init(&out, KLX_OBJECT_VALUES_BYTES_MAX);
    if (klx_json_parse(a, klx_sv(object), &(struct klx_json_limits){ 16u << 20, 64 }, &node, &e) !=
        0) {
        fail_msg("%s", e.text);
    }
    klx_object_values_write(a, g, node, &out);
    assert_false(out.failed);
    klx_generic_free(g);
    return klx_arena_dup(a, klx_buf_sv(&out));
}

static void secrets_stay(void **state) {
    (void)state;
    struct klx_arena a KLX_CLEANUP(klx_arena_release);
    klx_arena_init(&a, 65536, 8 << 20);
    assert_sv(values(&a, "spec.env, spec.db, data.password, data.note, 'data[*]'",
                     "{\"spec\":{\"env\":[{\"name\":\"API_TOKEN\",\"value\":\"hunter2\"},"
                     "{\"name\":\"MODE\",\"value\":\"fast\"}],"
                     "\"db\":{\"dbPassword\":1234,\"secretName\":\"db\",\"user\":\"me\","
                     "\"managedFields\":[1],\"token\":{\"value\":\"hunter2\"}}},"
                     "\"data\":{\"password\":\"hunter2\",\"note\":\"password: hunter2 stays\"}}"),
              "{\"spec.env\":[{\"name\":\"API_TOKEN\",\"value\":\"***\"},"
              "{\"name\":\"MODE\",\"value\":\"fast\"}],"
              "\"spec.db\":{\"dbPassword\":\"***\",\"secretName\":\"db\",\"user\":\"me\","
              "\"token\":\"***\"},\"data.password\":\"***\","
              "\"data.note\":\"password: *** stays\","
              "\"data[*]\":[\"***\",\"password: *** stays\"]}");
}

static char *object_with_text(size_t n, char last) {
    static const char before[] = "{\"spec\":{\"text\":\"", after[] = "\"}}";
    char *text = malloc(n + 64), *at = text + sizeof(before) - 1;
    memcpy(text, before, sizeof(before));
    memset(at, 'x', n);
    at[n - 1] = last;
    memcpy(at + n, after, sizeof(after));
    return text;
}

static void what_is_too_long_is_cut_and_still_compared(void **state) {
    (void)state;
    struct klx_arena a KLX_CLEANUP(klx_arena_release);
    klx_arena_init(&a, 65536, 64 << 20);
    char *one = object_with_text(2000000, 'a'), *other = object_with_text(2000000, 'b');
    struct klx_sv cut = values(&a, "spec.text", one);
    assert_true(cut.n < 600);
    assert_true(klx_sv_starts(cut, KLX_SV("{\"spec.text\":{\"truncated\":\"xxxx")));
    assert_true(klx_sv_find_sv(cut, KLX_SV("\"bytes\":2000002,")) < cut.n);
    assert_true(klx_sv_eq(cut, values(&a, "spec.text", one)));
    assert_false(klx_sv_eq(cut, values(&a, "spec.text", other)));
    free(one);
    free(other);
}

static void ten_thousand_labels_are_cut(void **state) {
    (void)state;
    struct klx_arena a KLX_CLEANUP(klx_arena_release);
    struct klx_buf object KLX_CLEANUP(klx_buf_release);
    klx_arena_init(&a, 65536, 64 << 20);
    klx_buf_init(&object, 4 << 20);
    klx_buf_add_str(&object, "{\"metadata\":{\"labels\":{");
    for (int i = 0; i < 10000; i++) {
        klx_buf_printf(&object, "%s\"example.com/label-%d\":\"\\u0001\\\"%d\"", i > 0 ? "," : "", i,
                       i);
    }
    klx_buf_add_str(&object, "}}}");
    struct klx_sv cut = values(&a, "metadata.labels, 'metadata.labels[*]'", klx_buf_str(&object));
    assert_true(cut.n < 2 * KLX_OBJECT_VALUE_BYTES_MAX + 600);
    assert_true(klx_sv_find_sv(cut, KLX_SV("\"digest\"")) < cut.n);
}

/* What goes out of a detector that is fed by hand. */
struct outlet {
    struct klx_outbox out;
    struct klx_arena arena;
    size_t events, states;
    char key[200], value[2000]; /* the last state */
};

static void count_event(struct klx_outbox *o, const struct klx_event *e) {
    (void)e;
    ((struct outlet *)o)->events++;
}

static void keep_state(struct klx_outbox *o, struct klx_sv key, struct klx_sv value) {
    struct outlet *l = (struct outlet *)o;
    l->states++;
    snprintf(l->key, sizeof(l->key), "%.*s", KLX_SV_FMT(key));
    snprintf(l->value, sizeof(l->value), "%.*s", KLX_SV_FMT(value));
}

static void begin(struct outlet *l) {
    *l = (struct outlet){ .out = { .event = count_event, .state = keep_state } };
    klx_arena_init(&l->arena, 65536, 16 << 20);
    l->out.arena = &l->arena;
}

static void feed(void *d, struct outlet *l, const struct klx_generic *g, const char *object) {
    const struct klx_json *node = NULL;
    klx_arena_reset(&l->arena);
    assert_int_equal(klx_json_parse(&l->arena, klx_sv(object), NULL, &node, NULL), 0);
    struct klx_observation o = { .kind = KLX_OBSERVED_GENERIC,
                                 .change = KLX_CHANGE_MODIFIED,
                                 .origin = KLX_ORIGIN_LIVE,
                                 .object = node,
                                 .generic = g };
    assert_int_equal(klx_source_generic.observe(node, &o), 0);
    klx_detector_generic.observe(d, &o, 1, &l->out);
}

#define OBJECT(name, rest)                                                                         \
    "{\"metadata\":{\"name\":\"" name "\",\"uid\":\"u\",\"resourceVersion\":\"7\"}," rest "}"

/* The configuration changes: what is followed from now on is no change, and what is not any more neither. */
static void other_fields_are_no_change(void **state) {
    (void)state;
    struct outlet l;
    struct klx_generic *before = generic("spec.a, spec.b"), *after = generic("spec.c, spec.a");
    void *d = klx_detector_generic.create(KLX_SV("prod"), NULL);
    begin(&l);
    feed(d, &l, before, OBJECT("x", "\"spec\":{\"a\":1,\"b\":2,\"c\":3}"));
    assert_int_equal(l.events, 1);
    klx_detector_generic.destroy(d);
    d = klx_detector_generic.create(KLX_SV("prod"), NULL);
    struct klx_sv key = klx_sv(l.key);
    klx_sv_cut(&key, '/');
    klx_sv_cut(&key, '/');
    assert_sv(key, "deployments.apps/x");
    assert_int_equal(klx_detector_generic.restore(d, key, klx_sv(l.value)), 0);
    feed(d, &l, after, OBJECT("x", "\"spec\":{\"a\":1,\"b\":9,\"c\":3}"));
    assert_int_equal(l.events, 1);
    assert_int_equal(l.states, 2);
    feed(d, &l, after, OBJECT("x", "\"spec\":{\"a\":1,\"b\":8,\"c\":3}"));
    assert_int_equal(l.events + l.states, 3);
    feed(d, &l, after, OBJECT("x", "\"spec\":{\"a\":1,\"b\":8,\"c\":4}"));
    assert_int_equal(l.events, 2);
    klx_detector_generic.destroy(d);
    klx_generic_free(before);
    klx_generic_free(after);
    klx_arena_release(&l.arena);
}

#define FOLLOWED_MAX 50000 /* as docs/sources.md says */

static void there_is_a_most_of_objects(void **state) {
    (void)state;
    struct outlet l;
    struct klx_generic *g = generic("spec.a");
    void *d = klx_detector_generic.create(KLX_SV("prod"), NULL);
    begin(&l);
    for (int i = 0; i < FOLLOWED_MAX + 10; i++) {
        char object[200];
        snprintf(object, sizeof(object),
                 "{\"metadata\":{\"name\":\"n%d\",\"resourceVersion\":\"7\"}}", i);
        feed(d, &l, g, object);
    }
    assert_int_equal(l.states, FOLLOWED_MAX);
    assert_int_equal(l.events, FOLLOWED_MAX);
    klx_detector_generic.destroy(d);
    klx_generic_free(g);
    klx_arena_release(&l.arena);
}

static void a_broken_state_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "{\"version\":1}", "{\"version\":1,\"kind\":\"A\",\"labels\":{},\"values\":3}"
    };
    transcript_check_bad_states(&klx_detector_generic, "x/ns/name", bad, KLX_COUNT(bad));
    transcript_check_bad_states(&klx_detector_generic, "name", NULL, 0);
}

static const char *const names[] = { "changes", "idle", "relist" };

int main(void) {
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(a_broken_state_is_refused),
        cmocka_unit_test(secrets_stay),
        cmocka_unit_test(what_is_too_long_is_cut_and_still_compared),
        cmocka_unit_test(ten_thousand_labels_are_cut),
        cmocka_unit_test(other_fields_are_no_change),
        cmocka_unit_test(there_is_a_most_of_objects),
    };
    return transcript_main(others, KLX_COUNT(others), names, KLX_COUNT(names), run);
}
