#include "collector/detectors/generic/object_news.h"

#include "collector/detectors/generic/object_values.h"
#include "collector/detectors/news.h"
#include "lib/base/cleanup.h"
#include "lib/base/utf8.h"

#define DATA_BYTES_MAX (256 * 1024)
#define CHANGES_IN_SUMMARY 2
#define VALUE_IN_SUMMARY_BYTES_MAX 80
#define UID_SHOWN_BYTES_MAX 128

static struct klx_sv title(const struct klx_object_news *m) {
    const struct klx_object_kept *k = m->about;
    return KLX_CONCAT(m->arena, k->kind, KLX_SV(" "), k->namespace,
                      k->namespace.n > 0 ? KLX_SV("/") : KLX_SV(""), k->name);
}

/* As JSON; the beginning of one that was cut. */
static struct klx_sv words_of(struct klx_arena *a, const struct klx_json *value) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release), line KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&text, KLX_OBJECT_VALUES_BYTES_MAX);
    klx_buf_init(&line, VALUE_IN_SUMMARY_BYTES_MAX + 1);
    klx_jw_init(&w, &text);
    klx_jw_node(&w, klx_object_value_is_cut(value) ? klx_json_get(value, "truncated") : value);
    klx_utf8_line(&line, klx_buf_sv(&text), VALUE_IN_SUMMARY_BYTES_MAX);
    return klx_arena_dup(a, klx_buf_sv(&line));
}

static struct klx_sv change_words(struct klx_arena *a, const struct klx_object_change *c) {
    struct klx_sv was = words_of(a, c->was), is = words_of(a, c->is);
    if (klx_json_is_null(c->was)) {
        return KLX_CONCAT(a, c->field, KLX_SV(" is "), is);
    }
    if (klx_json_is_null(c->is)) {
        return KLX_CONCAT(a, c->field, KLX_SV(" is gone, was "), was);
    }
    return KLX_CONCAT(a, c->field, KLX_SV(" is "), is, KLX_SV(", was "), was);
}

static struct klx_sv summary(const struct klx_object_news *m) {
    struct klx_sv what = title(m);
    if (m->kind != KLX_KIND_OBJECT_CHANGED) {
        return KLX_CONCAT(m->arena, what,
                          m->kind == KLX_KIND_OBJECT_APPEARED ? KLX_SV(" is there")
                                                              : KLX_SV(" is gone"));
    }
    for (size_t i = 0; i < m->changes_n && i < CHANGES_IN_SUMMARY; i++) {
        what = KLX_CONCAT(m->arena, what, i == 0 ? KLX_SV(": ") : KLX_SV("; "),
                          change_words(m->arena, &m->changes[i]));
    }
    return m->changes_n <= CHANGES_IN_SUMMARY
               ? what
               : klx_arena_printf(m->arena, "%.*s; and %zu more", KLX_SV_FMT(what),
                                  m->changes_n - CHANGES_IN_SUMMARY);
}

static void write_object(struct klx_jw *w, const struct klx_object_news *m) {
    const struct klx_object_kept *k = m->about;
    klx_jw_key(w, "object");
    klx_jw_begin_object(w);
    klx_jw_member_sv(w, "kind", k->kind);
    klx_jw_member_sv(w, "name", k->name);
    klx_jw_member_sv_opt(w, "namespace", k->namespace);
    klx_jw_member_sv(w, "apiVersion", k->api_version);
    klx_jw_member_sv_opt(w, "uid", k->uid);
    if (m->o != NULL) {
        klx_jw_member_sv(w, "resourceVersion",
                         klx_news_cut(m->o->resource_version, UID_SHOWN_BYTES_MAX));
    }
    klx_jw_end_object(w);
}

static void write_changes(struct klx_jw *w, const struct klx_object_news *m) {
    klx_jw_key(w, "changes");
    klx_jw_begin_array(w);
    for (size_t i = 0; i < m->changes_n; i++) {
        klx_jw_begin_object(w);
        klx_jw_member_sv(w, "field", m->changes[i].field);
        klx_jw_key(w, "old");
        klx_jw_node(w, m->changes[i].was);
        klx_jw_key(w, "new");
        klx_jw_node(w, m->changes[i].is);
        klx_jw_end_object(w);
    }
    klx_jw_end_array(w);
}

/* Names the fields of which only the beginning is there. */
static void write_truncated(struct klx_jw *w, const struct klx_object_news *m,
                            const struct klx_json *values) {
    bool any = false;
    for (const struct klx_json *v = klx_json_first(values); v != NULL; v = klx_json_next(v)) {
        bool cut = klx_object_value_is_cut(v);
        for (size_t i = 0; i < m->changes_n; i++) {
            cut = cut || (klx_sv_eq(m->changes[i].field, klx_json_key(v)) &&
                          klx_object_value_is_cut(m->changes[i].was));
        }
        if (cut && !any) {
            klx_jw_key(w, "truncated");
            klx_jw_begin_array(w);
        }
        if (cut) {
            klx_jw_sv(w, klx_json_key(v));
        }
        any = any || cut;
    }
    if (any) {
        klx_jw_end_array(w);
    }
}

static void write_data(struct klx_jw *w, const struct klx_object_news *m) {
    const struct klx_json *values = NULL;
    if (klx_json_parse(m->arena, m->about->values, NULL, &values, NULL) != 0) {
        values = NULL;
    }
    klx_jw_begin_object(w);
    klx_jw_member_sv(w, "summary", summary(m));
    write_object(w, m);
    klx_jw_member_str(w, "reason",
                      m->kind == KLX_KIND_OBJECT_CHANGED    ? "ObjectChanged"
                      : m->kind == KLX_KIND_OBJECT_APPEARED ? "ObjectAppeared"
                                                            : "ObjectVanished");
    klx_jw_key(w, "labels");
    klx_jw_raw(w, m->about->labels);
    klx_jw_member_sv(w, "watch", m->about->item);
    if (m->changes_n > 0) {
        write_changes(w, m);
    }
    klx_jw_key(w, "values");
    klx_jw_raw(w, m->about->values);
    write_truncated(w, m, values);
    klx_jw_end_object(w);
}

/* An object comes and goes once in its life; a change is a version of it. */
static struct klx_sv id_of(const struct klx_object_news *m) {
    const struct klx_object_kept *k = m->about;
    bool changed = m->kind == KLX_KIND_OBJECT_CHANGED && m->o != NULL;
    const struct klx_sv parts[] = { k->item, k->namespace, k->name, k->uid,
                                    changed ? m->o->resource_version : klx_sv(NULL) };
    return klx_event_id(m->arena, m->cluster, m->kind, parts, KLX_COUNT(parts));
}

void klx_object_tell(const struct klx_object_news *m, struct klx_outbox *out) {
    const struct klx_object_kept *k = m->about;
    struct klx_buf data KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    struct klx_sv slash = KLX_SV("/"), place = k->namespace.n > 0 ? k->namespace : KLX_SV("-");
    klx_buf_init(&data, DATA_BYTES_MAX);
    klx_jw_init(&w, &data);
    write_data(&w, m);
    struct klx_sv subject = KLX_CONCAT(m->arena, place, slash, k->kind, slash, k->name);
    const struct klx_event e = {
        .kind = m->kind,
        .id = id_of(m),
        .source = KLX_CONCAT(m->arena, KLX_SV("/clusters/"), m->cluster,
                             KLX_SV("/" KLX_GENERIC_PREFIX), k->item),
        .subject = subject,
        .key = KLX_CONCAT(m->arena, m->cluster, slash, subject),
        .cluster = m->cluster,
        .severity = klx_kind_specs[m->kind].severity,
        .resync = m->o == NULL || m->o->origin != KLX_ORIGIN_LIVE,
        .time_us = m->now_us,
        .data = klx_buf_sv(&data),
    };
    out->event(out, &e);
}
