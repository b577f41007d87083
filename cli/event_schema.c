#include "cli/event_schema.h"

#include <stdio.h>

#include "cli/schema.h"
#include "lib/base/cleanup.h"

const char *klx_kind_short_name(enum klx_kind kind) {
    return klx_event_short_type(klx_sv(klx_kind_specs[kind].type)).p;
}

static void write_words(struct klx_jw *w, const char *words) {
    struct klx_sv rest = klx_sv(words);
    klx_jw_key(w, "enum");
    klx_jw_begin_array(w);
    while (rest.n > 0) {
        klx_jw_sv(w, klx_sv_cut(&rest, ' '));
    }
    klx_jw_end_array(w);
}

static void write_object(struct klx_jw *w, const struct klx_data_member *m, bool refs) {
    if (!refs) {
        klx_event_schema_inner(w, m, false);
        return;
    }
    char ref[128];
    snprintf(ref, sizeof(ref), "#/components/schemas/%s", m->inner_name);
    klx_jw_member_str(w, "$ref", ref);
}

/* Beside a $ref nothing may stand in draft-07. */
static void write_object_member(struct klx_jw *w, const struct klx_data_member *m, bool refs) {
    if (refs) {
        klx_jw_key(w, "allOf");
        klx_jw_begin_array(w);
        klx_jw_begin_object(w);
    }
    write_object(w, m, refs);
    if (refs) {
        klx_jw_end_object(w);
        klx_jw_end_array(w);
    }
}

static void write_list(struct klx_jw *w, const struct klx_data_member *m, bool refs) {
    klx_jw_member_str(w, "type", "array");
    klx_jw_key(w, "items");
    klx_jw_begin_object(w);
    write_object(w, m, refs);
    klx_jw_end_object(w);
}

static void write_property(struct klx_jw *w, const struct klx_data_member *m, bool refs) {
    static const char *const simple[KLX_DATA_TYPES_N] = {
        [KLX_DATA_TEXT] = "\"type\":\"string\"",
        [KLX_DATA_WORD] = "\"type\":\"string\"",
        [KLX_DATA_TIME] = "\"type\":\"string\",\"format\":\"date-time\"",
        [KLX_DATA_TIME_OR_NULL] = "\"type\":[\"string\",\"null\"],\"format\":\"date-time\"",
        [KLX_DATA_INT] = "\"type\":\"integer\"",
        [KLX_DATA_NUMBER] = "\"type\":\"number\"",
        [KLX_DATA_BOOL] = "\"type\":\"boolean\"",
        [KLX_DATA_TEXT_LIST] = "\"type\":\"array\",\"items\":{\"type\":\"string\"}",
        [KLX_DATA_INT_LIST] = "\"type\":\"array\",\"items\":{\"type\":\"integer\"}",
        [KLX_DATA_TEXTS] = "\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}",
    };
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "description", m->about);
    if (m->type == KLX_DATA_OBJECT) {
        write_object_member(w, m, refs);
    } else if (m->type == KLX_DATA_LIST) {
        write_list(w, m, refs);
    } else if (simple[m->type] != NULL) {
        klx_jw_raw(w, klx_sv(simple[m->type]));
    }
    if (m->type == KLX_DATA_WORD) {
        write_words(w, m->words);
    }
    klx_jw_end_object(w);
}

static void write_uses(struct klx_jw *w, const struct klx_data_use *uses, size_t n, bool refs) {
    klx_jw_member_str(w, "type", "object");
    klx_jw_key(w, "required");
    klx_jw_begin_array(w);
    for (size_t i = 0; i < n; i++) {
        if (uses[i].required) {
            klx_jw_sv(w, uses[i].name);
        }
    }
    klx_jw_end_array(w);
    klx_jw_key(w, "properties");
    klx_jw_begin_object(w);
    for (size_t i = 0; i < n; i++) {
        klx_jw_key_sv(w, uses[i].name);
        write_property(w, uses[i].member, refs);
    }
    klx_jw_end_object(w);
}

void klx_event_schema_data(struct klx_jw *w, enum klx_kind kind, bool refs) {
    struct klx_data_use uses[KLX_DATA_USES_MAX];
    size_t n = klx_data_members(kind, uses);
    write_uses(w, uses, n == SIZE_MAX ? 0 : n, refs);
}

void klx_event_schema_inner(struct klx_jw *w, const struct klx_data_member *object, bool refs) {
    struct klx_data_use uses[KLX_DATA_USES_MAX];
    size_t n = klx_data_inner(object, uses);
    write_uses(w, uses, n, refs);
}

void klx_event_schema_write(struct klx_buf *out, enum klx_kind kind) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    char urn[KLX_DATA_URN_BYTES];
    klx_data_urn(kind, urn);
    klx_buf_init(&text, out->max);
    klx_jw_init(&w, &text);
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "$schema", "http://json-schema.org/draft-07/schema#");
    klx_jw_member_str(&w, "$id", urn);
    klx_jw_member_str(&w, "title", klx_kind_specs[kind].title);
    klx_jw_member_str(&w, "description", klx_data_specs[kind].about);
    klx_event_schema_data(&w, kind, false);
    klx_jw_end_object(&w);
    klx_schema_indent(out, klx_buf_sv(&text));
    out->failed = out->failed || text.failed;
}
