#include "history/format.h"

#include <string.h>

#include "lib/base/base64.h"
#include "lib/base/cleanup.h"
#include "lib/base/json_text.h"
#include "lib/base/time.h"

enum column {
#define KLX_COLUMN(name, kind, about) COLUMN_##name,
#include "history/columns.def"
#undef KLX_COLUMN
    COLUMNS_N,
};

enum kind { KIND_TIME, KIND_TEXT, KIND_INT, KIND_JSON };

static const struct {
    const char *name;
    enum kind kind;
} columns[] = {
#define KLX_COLUMN(name, kind, about) { #name, KIND_##kind },
#include "history/columns.def"
#undef KLX_COLUMN
};

/* What a row holds: empty texts, KLX_TIME_NONE and INT64_MIN stand for what is not known. */
union value {
    struct klx_sv text;
    int64_t number;
};

static struct klx_sv header(const struct klx_record *r, struct klx_sv name) {
    for (size_t i = r->headers_n; i-- > 0;) {
        if (klx_sv_eq(r->headers[i].name, name)) {
            return r->headers[i].value;
        }
    }
    return klx_sv_n(NULL, 0);
}

int64_t klx_history_recorded_us(const struct klx_record *r) {
    int64_t us = 0;
    return klx_time_parse(header(r, KLX_SV("ce_recordedtime")), &us) == 0 ? us : KLX_TIME_NONE;
}

static int64_t record_us(const struct klx_record *r) {
    int64_t us = 0;
    return __builtin_mul_overflow(r->timestamp_ms, KLX_US_PER_MS, &us) ? KLX_TIME_NONE : us;
}

static void member_time(struct klx_jw *w, const char *name, int64_t us,
                        enum klx_time_digits digits) {
    char text[KLX_TIME_TEXT_BYTES];
    klx_jw_member_sv(w, name, klx_sv_n(text, klx_time_format(us, digits, text)));
}

/* The data is JSON, on one line, or the bytes that it is instead. */
static void add_data(struct klx_jw *w, struct klx_sv data) {
    struct klx_buf *out = w->out;
    size_t before = out->len;
    klx_jw_key(w, "data");
    if (klx_json_compact(out, data) == 0) {
        w->need_comma = true;
        return;
    }
    klx_buf_truncate(out, before);
    klx_buf_add_str(out, ",\"data_base64\":\"");
    klx_base64_add(out, data);
    klx_buf_add_char(out, '"');
    w->need_comma = true;
}

static bool comes_again(const struct klx_record *r, size_t i) {
    for (size_t j = i + 1; j < r->headers_n; j++) {
        if (klx_sv_eq(r->headers[i].name, r->headers[j].name)) {
            return true;
        }
    }
    return false;
}

/* Written by us: another producer's header or member of the name would be there a second time. */
static bool is_ours(struct klx_sv name) {
    static const char *const ours[] = { "time",        "datacontenttype", "data",
                                        "data_base64", "kafkatopic",      "kafkapartition",
                                        "kafkaoffset", "kafkatime" };
    for (size_t i = 0; i < KLX_COUNT(ours); i++) {
        if (klx_sv_eq(name, klx_sv(ours[i]))) {
            return true;
        }
    }
    return false;
}

/* Of binary mode: the headers, in their order. Of structured mode: the members of the envelope. */
static bool add_headers(struct klx_jw *w, const struct klx_record *r) {
    struct klx_sv prefix = KLX_SV("ce_");
    bool any = false;
    for (size_t i = 0; i < r->headers_n; i++) {
        struct klx_sv name = r->headers[i].name;
        if (!klx_sv_starts(name, prefix) || comes_again(r, i)) {
            continue;
        }
        any = true;
        name = klx_sv_n(name.p + prefix.n, name.n - prefix.n);
        if (!is_ours(name) && !klx_sv_eq(name, KLX_SV("datacontenttype"))) {
            klx_jw_key_sv(w, name);
            klx_jw_sv(w, r->headers[i].value);
        }
    }
    return any;
}

static void add_envelope(struct klx_jw *w, const struct klx_record *r) {
    struct klx_arena a;
    const struct klx_json *envelope = NULL;
    klx_arena_init(&a, 65536, KLX_HISTORY_LINE_BYTES_MAX);
    if (klx_json_parse(&a, r->value, NULL, &envelope, NULL) == 0) {
        for (const struct klx_json *m = klx_json_first(envelope); m != NULL; m = klx_json_next(m)) {
            struct klx_sv name = klx_json_key(m);
            if (!is_ours(name) && !klx_json_is_null(m)) {
                klx_jw_key_sv(w, name);
                klx_jw_node(w, m);
            }
        }
    }
    klx_arena_release(&a);
}

static void add_place(struct klx_jw *w, const struct klx_record *r) {
    char offset[24];
    struct klx_buf digits;
    klx_buf_init(&digits, sizeof(offset));
    klx_buf_add_int(&digits, r->offset);
    if (r->key.p != NULL && header(r, KLX_SV("ce_partitionkey")).p == NULL) {
        klx_jw_member_sv(w, "partitionkey", r->key);
    }
    klx_jw_member_str(w, "kafkatopic", r->topic);
    klx_jw_member_int(w, "kafkapartition", r->partition);
    klx_jw_member_sv(w, "kafkaoffset", klx_buf_sv(&digits)); /* an Integer has 32 bits there */
    klx_buf_release(&digits);
    member_time(w, "kafkatime", record_us(r), KLX_TIME_MILLIS);
}

static void write_cloudevent(const struct klx_history_event *h, struct klx_buf *out) {
    const struct klx_record *r = h->record;
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    bool binary = add_headers(&w, r);
    if (!binary) {
        add_envelope(&w, r);
    }
    member_time(&w, "time", h->event->time_us, KLX_TIME_MICROS);
    if (binary) {
        struct klx_sv type = header(r, KLX_SV("content-type"));
        klx_jw_member_sv(&w, "datacontenttype", type.n > 0 ? type : KLX_SV("application/json"));
    }
    add_place(&w, r);
    add_data(&w, h->event->data);
    klx_jw_end_object(&w);
    klx_buf_add_char(out, '\n');
}

static struct klx_sv first_of(struct klx_sv a, struct klx_sv b) {
    return a.n > 0 ? a : b;
}

static struct klx_sv label(const struct klx_json *data, struct klx_sv name) {
    return klx_json_str(klx_json_member(klx_json_get(data, "labels"), name), "");
}

static struct klx_sv node_of(const struct klx_json *data) {
    bool is_node = klx_sv_eq(klx_json_str(data, "object.kind"), KLX_SV("Node"));
    return is_node ? klx_json_str(data, "object.name")
                   : first_of(klx_json_str(data, "node"), klx_json_str(data, "container.node"));
}

static struct klx_sv app_of(const struct klx_json *data) {
    if (klx_sv_eq(klx_json_str(data, "object.kind"), KLX_SV("Application"))) {
        return klx_json_str(data, "object.name");
    }
    return first_of(label(data, KLX_SV("app.kubernetes.io/name")), label(data, KLX_SV("app")));
}

static void set_object(union value v[COLUMNS_N], const struct klx_json *data) {
    v[COLUMN_namespace].text = klx_json_str(data, "object.namespace");
    v[COLUMN_kind].text = klx_json_str(data, "object.kind");
    v[COLUMN_name].text = klx_json_str(data, "object.name");
    v[COLUMN_node].text = node_of(data);
    v[COLUMN_pool].text = first_of(label(data, KLX_SV("kubernetes.azure.com/agentpool")),
                                   label(data, KLX_SV("agentpool")));
    v[COLUMN_app].text = app_of(data);
    v[COLUMN_team].text = klx_json_str(data, "team");
    v[COLUMN_reason].text = klx_json_str(data, "reason");
    v[COLUMN_message].text = klx_json_str(data, "summary");
}

static void set_values(union value v[COLUMNS_N], const struct klx_history_event *h) {
    const struct klx_event *e = h->event;
    const struct klx_record *r = h->record;
    v[COLUMN_time].number = e->time_us;
    v[COLUMN_recorded_time].number = klx_history_recorded_us(r);
    v[COLUMN_id].text = e->id;
    v[COLUMN_type].text = e->type;
    v[COLUMN_source].text = e->source;
    v[COLUMN_subject].text = e->subject;
    v[COLUMN_cluster].text = e->cluster;
    set_object(v, h->data);
    v[COLUMN_severity].text = klx_sv(klx_severity_name(e->severity));
    v[COLUMN_severity_number].number = 9 + 4 * (int64_t)e->severity;
    v[COLUMN_correlation_id].text = first_of(header(r, KLX_SV("ce_correlationid")), e->incident);
    v[COLUMN_causation_id].text = header(r, KLX_SV("ce_causationid"));
    v[COLUMN_topic].text = klx_sv(r->topic);
    v[COLUMN_partition].number = r->partition;
    v[COLUMN_offset].number = r->offset;
    v[COLUMN_schema].text = e->data_schema;
    v[COLUMN_replay_id].text = e->replay_id;
    v[COLUMN_phase].text = klx_sv(klx_phase_name(e->phase));
    v[COLUMN_incident_seq].number = e->incident_seq > 0 ? (int64_t)e->incident_seq : INT64_MIN;
    v[COLUMN_data].text = e->data;
}

static void add_json_value(struct klx_jw *w, enum kind kind, union value v) {
    char text[KLX_TIME_TEXT_BYTES];
    bool known = kind == KIND_TIME || kind == KIND_INT ? v.number != INT64_MIN : v.text.n > 0;
    if (!known) {
        klx_jw_null(w);
    } else if (kind == KIND_TIME) {
        klx_jw_sv(w, klx_sv_n(text, klx_time_format(v.number, KLX_TIME_MILLIS, text)));
    } else if (kind == KIND_INT) {
        klx_jw_int(w, v.number);
    } else if (kind == KIND_TEXT) {
        klx_jw_sv(w, v.text);
    } else if (klx_json_compact(w->out, v.text) == 0) {
        w->need_comma = true;
    } else {
        klx_jw_sv(w, v.text);
    }
}

static void write_row(const struct klx_history_event *h, struct klx_buf *out) {
    union value v[COLUMNS_N] = { 0 };
    struct klx_jw w;
    set_values(v, h);
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    for (size_t i = 0; i < COLUMNS_N; i++) {
        klx_jw_key(&w, columns[i].name);
        add_json_value(&w, columns[i].kind, v[i]);
    }
    klx_jw_end_object(&w);
    klx_buf_add_char(out, '\n');
}

static bool is_formula(struct klx_sv s) {
    return s.n > 0 && s.p[0] != '\0' && strchr("=+-@\t\r", s.p[0]) != NULL;
}

static void add_field(struct klx_buf *out, struct klx_sv text) {
    bool quoted = is_formula(text);
    for (size_t i = 0; i < text.n && !quoted; i++) {
        quoted = text.p[i] == '"' || text.p[i] == ',' || text.p[i] == '\n' || text.p[i] == '\r';
    }
    if (!quoted) {
        klx_utf8_sanitize(out, text);
        return;
    }
    klx_buf_add_char(out, '"');
    klx_buf_add_str(out, is_formula(text) ? "'" : "");
    while (text.n > 0) {
        size_t n = klx_sv_find(text, '"');
        klx_utf8_sanitize(out, klx_sv_n(text.p, n));
        klx_buf_add_str(out, n < text.n ? "\"\"" : "");
        n += n < text.n;
        text = klx_sv_n(text.p + n, text.n - n);
    }
    klx_buf_add_char(out, '"');
}

static void add_csv_value(struct klx_buf *out, enum kind kind, union value v) {
    char text[KLX_TIME_TEXT_BYTES];
    if (kind == KIND_TIME && v.number != KLX_TIME_NONE) {
        klx_buf_add(out, text, klx_time_format(v.number, KLX_TIME_MILLIS, text));
    } else if (kind == KIND_INT && v.number != INT64_MIN) {
        klx_buf_add_int(out, v.number);
    } else if (kind == KIND_TEXT) {
        add_field(out, v.text);
    } else if (kind == KIND_JSON) {
        struct klx_buf json KLX_CLEANUP(klx_buf_release);
        klx_buf_init(&json, KLX_HISTORY_LINE_BYTES_MAX);
        add_field(out, klx_json_compact(&json, v.text) == 0 ? klx_buf_sv(&json) : v.text);
        out->failed = out->failed || json.failed;
    }
}

static void write_csv(const struct klx_history_event *h, struct klx_buf *out) {
    union value v[COLUMNS_N] = { 0 };
    set_values(v, h);
    for (size_t i = 0; i < COLUMNS_N; i++) {
        klx_buf_add_str(out, i > 0 ? "," : "");
        add_csv_value(out, columns[i].kind, v[i]);
    }
    klx_buf_add_str(out, "\r\n");
}

void klx_history_format_head(enum klx_history_format f, struct klx_buf *out) {
    for (size_t i = 0; f == KLX_HISTORY_CSV && i < COLUMNS_N; i++) {
        klx_buf_printf(out, "%s%s", i > 0 ? "," : "", columns[i].name);
    }
    klx_buf_add_str(out, f == KLX_HISTORY_CSV ? "\r\n" : "");
}

void klx_history_format(enum klx_history_format f, const struct klx_history_event *h,
                        struct klx_buf *out) {
    switch (f) {
    case KLX_HISTORY_NDJSON:
        write_cloudevent(h, out);
        return;
    case KLX_HISTORY_ROWS:
        write_row(h, out);
        return;
    case KLX_HISTORY_CSV:
        write_csv(h, out);
        return;
    case KLX_HISTORY_RAW:
        klx_buf_add_sv(out, h->record->value);
        klx_buf_add_char(out, '\n');
    }
}
