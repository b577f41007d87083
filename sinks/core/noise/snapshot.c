#include "sinks/core/noise/snapshot.h"

#include <stdio.h>

#include "lib/base/cleanup.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"

#define BYTES_MAX (64u << 10)
#define ATTRIBUTES_MAX 32
#define CUT_TEXT_BYTES 1000

static void write_attributes(struct klx_jw *w, const struct klx_event *e) {
    klx_jw_key(w, "attributes");
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "specversion", "1.0");
    klx_jw_member_sv(w, "id", e->id);
    klx_jw_member_sv(w, "source", e->source);
    klx_jw_member_sv(w, "type", e->type);
    klx_jw_member_sv_opt(w, "dataschema", e->data_schema);
    klx_jw_member_sv_opt(w, "subject", e->subject);
    klx_jw_member_time(w, "time", e->time_us);
    klx_jw_member_sv_opt(w, "cluster", e->cluster);
    klx_jw_member_str(w, "severity", klx_severity_name(e->severity));
    klx_jw_member_sv_opt(w, "incident", e->incident);
    klx_jw_member_sv_opt(w, "phase", klx_sv(klx_phase_name(e->phase)));
    if (e->incident_seq > 0) {
        char number[16];
        snprintf(number, sizeof(number), "%u", (unsigned)e->incident_seq);
        klx_jw_member_str(w, "incidentseq", number);
    }
    if (e->resync) {
        klx_jw_member_str(w, "resync", "true");
    }
    klx_jw_end_object(w);
}

static void write_member(struct klx_jw *w, const struct klx_json *data, const char *name) {
    const struct klx_json *node = klx_json_get(data, name);
    if (node != NULL) {
        klx_jw_key(w, name);
        klx_jw_node(w, node);
    }
}

static void write_data(struct klx_jw *w, const struct klx_message *m, bool whole) {
    klx_jw_key(w, "data");
    if (whole) {
        klx_jw_node(w, m->data);
        return;
    }
    klx_jw_begin_object(w);
    klx_jw_member_sv(w, "summary",
                     klx_sv_utf8_prefix(klx_json_str(m->data, "summary"), CUT_TEXT_BYTES));
    write_member(w, m->data, "object");
    write_member(w, m->data, "reason");
    write_member(w, m->data, "labels");
    write_member(w, m->data, "incident");
    klx_jw_end_object(w);
}

static void write_all(struct klx_buf *out, const struct klx_message *m, bool whole) {
    struct klx_jw w;
    klx_buf_reset(out);
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_int(&w, "partition", m->record.partition);
    klx_jw_member_int(&w, "offset", m->record.offset);
    klx_jw_member_int(&w, "timestamp", m->record.timestamp_ms);
    klx_jw_member_sv(&w, "key", m->record.key);
    write_attributes(&w, &m->event);
    write_data(&w, m, whole);
    klx_jw_end_object(&w);
}

char *klx_snapshot_make(const struct klx_message *m, size_t *ret_bytes) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&text, BYTES_MAX);
    bool whole = m->event.data.n <= KLX_SNAPSHOT_DATA_BYTES_MAX;
    write_all(&text, m, whole);
    if (text.failed && whole) {
        write_all(&text, m, false);
    }
    if (klx_buf_check(&text) != 0) {
        return NULL;
    }
    *ret_bytes = text.len;
    return klx_sv_dup(klx_buf_sv(&text));
}

/* ce_<name>: <value> */
static bool add_headers(struct klx_arena *a, const struct klx_json *attributes,
                        struct klx_record *r) {
    struct klx_record_header *headers = klx_arena_alloc(a, (ATTRIBUTES_MAX + 1) * sizeof(*headers));
    const struct klx_json *m = klx_json_first(attributes);
    size_t n = 0;
    if (headers == NULL || m == NULL) {
        return false;
    }
    headers[n++] = (struct klx_record_header){ KLX_SV("content-type"), KLX_SV("application/json") };
    for (; m != NULL && n <= ATTRIBUTES_MAX; m = klx_json_next(m), n++) {
        headers[n].name = KLX_CONCAT(a, KLX_SV("ce_"), klx_json_key(m));
        headers[n].value = klx_json_str(m, "");
        if (headers[n].name.p == NULL) {
            return false;
        }
    }
    r->headers = headers;
    r->headers_n = n;
    return m == NULL;
}

static struct klx_sv text_of(struct klx_arena *a, const struct klx_json *node) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&text, BYTES_MAX);
    klx_jw_init(&w, &text);
    klx_jw_node(&w, node);
    return klx_buf_check(&text) == 0 ? klx_arena_dup(a, klx_buf_sv(&text)) : klx_sv(NULL);
}

int klx_snapshot_read(struct klx_arena *a, struct klx_sv text, const char *topic,
                      struct klx_record *ret, struct klx_error *e) {
    const struct klx_json *j = NULL;
    int rc = klx_json_parse(a, text, NULL, &j, e);
    if (rc != 0) {
        return klx_fail_in(e, -EBADMSG, "the event of an incident's state");
    }
    struct klx_record r = { .topic = topic,
                            .partition = (int32_t)klx_json_int(j, "partition", -1),
                            .offset = klx_json_int(j, "offset", -1),
                            .timestamp_ms = klx_json_int(j, "timestamp", 0),
                            .key = klx_json_str(j, "key"),
                            .value = text_of(a, klx_json_get(j, "data")) };
    if (!klx_json_is_object(klx_json_get(j, "data")) || r.value.p == NULL ||
        !add_headers(a, klx_json_get(j, "attributes"), &r)) {
        return klx_fail(e, -EBADMSG, "the event of an incident's state is not whole");
    }
    *ret = r;
    return 0;
}
