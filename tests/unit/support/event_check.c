#include "tests/unit/support/event_check.h"

#include <stdio.h>

#include "lib/base/cleanup.h"
#include "lib/base/time.h"
#include "schema/data.h"
#include "tests/unit/support/support.h"

#define PLACE_BYTES 256

/* Where in the data, and of what kind. */
struct place {
    const struct klx_kind_spec *kind;
    char path[PLACE_BYTES];
};

static struct place inside(const struct place *p, struct klx_sv name) {
    struct place inner = { .kind = p->kind };
    snprintf(inner.path, sizeof(inner.path), "%.200s%s%.*s", p->path, p->path[0] != '\0' ? "." : "",
             KLX_SV_FMT(name));
    return inner;
}

static bool is_int(const struct klx_json *v) {
    return klx_json_int(v, "", 1) == klx_json_int(v, "", 2);
}

static bool is_bool(const struct klx_json *v) {
    return klx_json_bool(v, "", true) == klx_json_bool(v, "", false);
}

static bool is_time(const struct klx_json *v) {
    int64_t us = 0;
    return klx_json_is_string(v) && klx_time_parse(klx_json_str(v, ""), &us) == 0;
}

static bool is_word_of(const struct klx_json *v, const char *words) {
    struct klx_sv rest = klx_sv(words);
    while (rest.n > 0) {
        if (klx_sv_eq(klx_sv_cut(&rest, ' '), klx_json_str(v, ""))) {
            return klx_json_is_string(v);
        }
    }
    return false;
}

static bool is_number(const struct klx_json *v) {
    return klx_json_double(v, "", 1) == klx_json_double(v, "", 2);
}

static bool all_are(const struct klx_json *list, bool (*is)(const struct klx_json *)) {
    const struct klx_json *v = klx_json_first(list);
    while (v != NULL && is(v)) {
        v = klx_json_next(v);
    }
    return v == NULL;
}

static bool is_of_type(const struct klx_json *v, const struct klx_data_member *m) {
    switch (m->type) {
    case KLX_DATA_TEXT:
        return klx_json_is_string(v);
    case KLX_DATA_WORD:
        return is_word_of(v, m->words);
    case KLX_DATA_TIME:
        return is_time(v);
    case KLX_DATA_TIME_OR_NULL:
        return is_time(v) || klx_json_is_null(v);
    case KLX_DATA_INT:
        return is_int(v);
    case KLX_DATA_NUMBER:
        return is_number(v);
    case KLX_DATA_BOOL:
        return is_bool(v);
    case KLX_DATA_OBJECT:
        return klx_json_is_object(v);
    case KLX_DATA_LIST:
        return klx_json_is_array(v) && all_are(v, klx_json_is_object);
    case KLX_DATA_TEXT_LIST:
        return klx_json_is_array(v) && all_are(v, klx_json_is_string);
    case KLX_DATA_INT_LIST:
        return klx_json_is_array(v) && all_are(v, is_int);
    case KLX_DATA_TEXTS:
        return klx_json_is_object(v) && all_are(v, klx_json_is_string);
    default:
        return true;
    }
}

static void check_members(const struct place *p, const struct klx_json *object,
                          const struct klx_data_use *uses, size_t n);

static void check_inner(const struct place *p, const struct klx_json *value,
                        const struct klx_data_member *m) {
    struct klx_data_use uses[KLX_DATA_USES_MAX];
    if (m->inner == NULL) {
        return;
    }
    size_t n = klx_data_inner(m, uses);
    if (m->type == KLX_DATA_OBJECT) {
        check_members(p, value, uses, n);
    }
    for (const struct klx_json *v = m->type == KLX_DATA_LIST ? klx_json_first(value) : NULL;
         v != NULL; v = klx_json_next(v)) {
        check_members(p, v, uses, n);
    }
}

static void check_described(const struct place *p, const struct klx_json *member,
                            const struct klx_data_use *uses, size_t n) {
    size_t i = 0;
    while (i < n && !klx_sv_eq(klx_json_key(member), uses[i].name)) {
        i++;
    }
    struct place at = inside(p, klx_json_key(member));
    if (i == n) {
        fail_msg("%s writes the member %s, which is not described: add it to the kind's members in "
                 "schema/data.def, or to its table in schema/members.def",
                 p->kind->type, at.path);
    }
    if (!is_of_type(member, uses[i].member)) {
        fail_msg("%s writes a %s that is not of the type in schema/members.def", p->kind->type,
                 at.path);
    }
    check_inner(&at, member, uses[i].member);
}

static void check_members(const struct place *p, const struct klx_json *object,
                          const struct klx_data_use *uses, size_t n) {
    for (const struct klx_json *m = klx_json_first(object); m != NULL; m = klx_json_next(m)) {
        check_described(p, m, uses, n);
    }
    for (size_t i = 0; i < n; i++) {
        if (uses[i].required && klx_json_member(object, uses[i].name) == NULL) {
            fail_msg("%s does not write %s, which is always there by schema/data.def and "
                     "schema/members.def: with a '?' it is not always there",
                     p->kind->type, inside(p, uses[i].name).path);
        }
    }
}

void test_check_event(const struct klx_event *e) {
    const struct klx_kind_spec *kind = &klx_kind_specs[e->kind];
    const struct klx_data_spec *spec = &klx_data_specs[e->kind];
    struct klx_data_use uses[KLX_DATA_USES_MAX];
    struct klx_arena arena KLX_CLEANUP(klx_arena_release);
    struct klx_error err = { 0 };
    const struct klx_json *data = NULL;
    klx_arena_init(&arena, 4096, 16 << 20);
    if (spec->version == 0) {
        fail_msg("%s has no description: add KLX_DATA(…) to schema/data.def", kind->type);
    }
    if ((spec->phases & 1u << e->phase) == 0) {
        fail_msg("%s is written with the phase \"%s\", which is none of its phases in "
                 "schema/data.def",
                 kind->type, klx_phase_name(e->phase));
    }
    if (klx_json_parse(&arena, e->data, NULL, &data, &err) != 0) {
        fail_msg("the data of %s: %s", kind->type, err.text);
    }
    size_t n = klx_data_members(e->kind, uses);
    if (n == SIZE_MAX) {
        fail_msg("%s has the member %.*s in schema/data.def, which is in no table of "
                 "schema/members.def",
                 kind->type, KLX_SV_FMT(uses[0].name));
    }
    const struct place top = { .kind = kind };
    check_members(&top, data, uses, n);
}
