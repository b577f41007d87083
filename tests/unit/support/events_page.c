#include "tests/unit/support/events_page.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/cleanup.h"
#include "schema/data.h"
#include "tests/unit/support/sample.h"
#include "tests/unit/support/support.h"

#define ROWS_MAX 128

/* The page in its order: a group has a title, a kind has none. */
static const struct entry {
    const char *title, *about;
    enum klx_kind kind;
} entries[] = {
#define KLX_GROUP(title, about) { title, about, KLX_KIND_UNKNOWN },
#define KLX_DATA(NAME, version, phases, family, members, about) { NULL, NULL, KLX_KIND_##NAME },
#include "schema/data.def"
#undef KLX_GROUP
#undef KLX_DATA
};

static const char *const types[KLX_DATA_TYPES_N] = {
    [KLX_DATA_TEXT] = "text",
    [KLX_DATA_WORD] = "word",
    [KLX_DATA_TIME] = "time",
    [KLX_DATA_TIME_OR_NULL] = "time or null",
    [KLX_DATA_INT] = "number",
    [KLX_DATA_NUMBER] = "number",
    [KLX_DATA_BOOL] = "true or false",
    [KLX_DATA_OBJECT] = "object",
    [KLX_DATA_LIST] = "list of objects",
    [KLX_DATA_TEXT_LIST] = "list of texts",
    [KLX_DATA_INT_LIST] = "list of numbers",
    [KLX_DATA_TEXTS] = "texts by name",
    [KLX_DATA_ANY] = "anything",
};

static const char *incident_of(enum klx_kind kind) {
    unsigned phases = klx_data_specs[kind].phases;
    bool alone = (phases & 1u << KLX_PHASE_NONE) != 0;
    if (phases & 1u << KLX_PHASE_OPEN) {
        return alone ? "opens an incident, or stands alone" : "opens an incident";
    }
    if (phases & 1u << KLX_PHASE_RESOLVED) {
        return alone ? "resolves an incident, or stands alone" : "resolves an incident";
    }
    if (phases & 1u << KLX_PHASE_UPDATE) {
        return alone ? "updates an incident, or stands alone" : "updates an incident";
    }
    return "stands alone";
}

/* As GitHub makes the anchor of a heading. */
static void write_anchor(struct klx_buf *out, const char *title) {
    for (const char *c = title; *c != '\0'; c++) {
        if (*c == ' ' || *c == '-') {
            klx_buf_add_char(out, '-');
        } else if (*c >= 'A' && *c <= 'Z') {
            klx_buf_add_char(out, (char)(*c - 'A' + 'a'));
        } else if ((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9')) {
            klx_buf_add_char(out, *c);
        }
    }
}

static void write_overview(struct klx_buf *out, const struct entry *first, size_t n) {
    klx_buf_add_str(out, "| event | type | severity | incident |\n|---|---|---|---|\n");
    for (size_t i = 0; i < n; i++) {
        const struct klx_kind_spec *spec = &klx_kind_specs[first[i].kind];
        klx_buf_printf(out, "| [%s](#", spec->title);
        write_anchor(out, spec->title);
        klx_buf_printf(out, ") | `%s` | %s | %s |\n", spec->type, klx_severity_name(spec->severity),
                       incident_of(first[i].kind));
    }
}

/* The members of a group, each once, in the order in which they come. */
struct rows {
    const struct klx_data_member *members[ROWS_MAX];
    size_t n;
};

static bool is_new(struct rows *r, const struct klx_data_member *m) {
    for (size_t i = 0; i < r->n; i++) {
        if (r->members[i] == m) {
            return false;
        }
    }
    assert_true(r->n < ROWS_MAX);
    r->members[r->n++] = m;
    return true;
}

/* Of a member of the data itself each kind says whether it is always there; of one inside of an object, the row. */
static void write_row(struct klx_buf *out, const char *path, const struct klx_data_use *use) {
    const struct klx_data_member *m = use->member;
    bool not_always = path[0] != '\0' && !use->required;
    klx_buf_printf(out, "| `%s%.*s` | %s%s | %s", path, KLX_SV_FMT(use->name), types[m->type],
                   not_always ? ", not always" : "", m->about);
    struct klx_sv rest = klx_sv(m->words);
    for (const char *between = ": "; rest.n > 0; between = ", ") {
        struct klx_sv word = klx_sv_cut(&rest, ' ');
        klx_buf_printf(out, "%s`%.*s`", between, KLX_SV_FMT(word));
    }
    klx_buf_add_str(out, " |\n");
}

static void write_inner_rows(struct klx_buf *out, const char *path,
                             const struct klx_data_use *object) {
    struct klx_data_use uses[KLX_DATA_USES_MAX];
    char at[128];
    size_t n = object->member->inner != NULL ? klx_data_inner(object->member, uses) : 0;
    snprintf(at, sizeof(at), "%s%.*s%s.", path, KLX_SV_FMT(object->name),
             object->member->type == KLX_DATA_LIST ? "[]" : "");
    for (size_t i = 0; i < n; i++) {
        write_row(out, at, &uses[i]);
        write_inner_rows(out, at, &uses[i]);
    }
}

static void write_members(struct klx_buf *out, const struct entry *first, size_t n) {
    struct klx_data_use uses[KLX_DATA_USES_MAX], head[KLX_DATA_USES_MAX];
    struct rows rows = { .n = 0 };
    size_t head_n = klx_data_inner(&klx_data_head, head);
    for (size_t i = 0; i < head_n; i++) {
        is_new(&rows, head[i].member);
    }
    klx_buf_add_str(out, "\n| member | is | holds |\n|---|---|---|\n");
    for (size_t i = 0; i < n; i++) {
        size_t uses_n = klx_data_members(first[i].kind, uses);
        for (size_t u = 0; u < uses_n && uses_n != SIZE_MAX; u++) {
            if (is_new(&rows, uses[u].member)) {
                write_row(out, "", &uses[u]);
                write_inner_rows(out, "", &uses[u]);
            }
        }
    }
}

static void write_group(struct klx_buf *out, const struct entry *e) {
    const struct entry *end = entries + KLX_COUNT(entries), *first = e + 1, *last = first;
    while (last < end && last->title == NULL) {
        last++;
    }
    klx_buf_printf(out, "\n## %s\n\n%s\n\n", e->title, e->about);
    write_overview(out, first, (size_t)(last - first));
    write_members(out, first, (size_t)(last - first));
}

static void write_data_line(struct klx_buf *out, enum klx_kind kind) {
    struct klx_data_use uses[KLX_DATA_USES_MAX];
    size_t head_n = klx_data_inner(&klx_data_head, uses);
    size_t n = klx_data_members(kind, uses);
    if (n == SIZE_MAX) {
        fail_msg("%s has the member %.*s in schema/data.def, which is in no table of "
                 "schema/members.def",
                 klx_kind_specs[kind].type, KLX_SV_FMT(uses[0].name));
    }
    for (size_t i = head_n; i < n; i++) {
        klx_buf_printf(out, "%s`%.*s`%s", i == head_n ? "**Data:** " : ", ",
                       KLX_SV_FMT(uses[i].name), uses[i].required ? "" : " (not always)");
    }
    klx_buf_printf(out, "%s([schema](../schema/events/%s.v%u.json))\n\n", n > head_n ? " " : "",
                   test_kind_name(kind), klx_data_specs[kind].version);
}

static void write_kind(struct klx_buf *out, enum klx_kind kind) {
    const struct klx_kind_spec *spec = &klx_kind_specs[kind];
    struct klx_arena arena KLX_CLEANUP(klx_arena_release);
    const struct klx_json *data = NULL;
    struct klx_event e;
    char name[128];
    klx_arena_init(&arena, 65536, 8 << 20);
    test_read_event(&arena, kind, &e, &data);
    snprintf(name, sizeof(name), "../schema/samples/%s.json", test_kind_name(kind));
    char *sample = test_read_file(name);
    klx_buf_printf(out, "\n### %s\n`%s` · `klaxon.%s` · %s · %s\n\n%s\n\n", spec->title, spec->type,
                   klx_topic_specs[spec->topic].short_name, klx_severity_name(spec->severity),
                   incident_of(kind), klx_data_specs[kind].about);
    klx_buf_printf(out, "> %.*s\n\n**What to do:** %s\n\n",
                   KLX_SV_FMT(klx_json_str(data, "summary")), spec->advice);
    write_data_line(out, kind);
    klx_buf_printf(out, "<details><summary>An example</summary>\n\n```json\n%s```\n\n</details>\n",
                   sample);
    free(sample);
}

void test_write_events_page(struct klx_buf *out) {
    for (size_t i = 0; i < KLX_COUNT(entries); i++) {
        if (entries[i].title != NULL) {
            write_group(out, &entries[i]);
        } else {
            write_kind(out, entries[i].kind);
        }
    }
}
