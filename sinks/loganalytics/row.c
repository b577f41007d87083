#include "sinks/loganalytics/row.h"

#include <inttypes.h>
#include <stdio.h>

#include "lib/base/cleanup.h"
#include "lib/base/hash.h"
#include "lib/base/json.h"

#define CUT_MARK "\xE2\x80\xA6"       /* … */
#define SCRATCH_BYTES_MAX (32u << 20) /* what one member of the data may need as text */
#define LEFT_OUT "klaxonLeftOut"
#define LEFT_OUT_NAMED_MAX 16   /* members that are named; the rest is counted */
#define LEFT_OUT_BYTES_MAX 4096 /* what naming them needs at most */
#define LEFT_OUT_NAME_BYTES_MAX 30

enum column {
#define KLX_COLUMN(name, type, about) COLUMN_##name,
#include "sinks/loganalytics/columns.def"
#undef KLX_COLUMN
    COLUMNS_N,
};

const struct klx_loganalytics_column klx_loganalytics_columns[] = {
#define KLX_COLUMN(name, type, about) { #name, #type, about },
#include "sinks/loganalytics/columns.def"
#undef KLX_COLUMN
    { NULL, NULL, NULL },
};

/* One row that is being written. */
struct row {
    struct klx_jw w;
    const struct klx_notice *notice;
    bool adjusted[COLUMNS_N];
};

static const char *name_of(enum column c) {
    return klx_loganalytics_columns[c].name;
}

/* Bytes that are no text become U+FFFD before they are counted. */
static void add_cut(struct row *r, enum column c, struct klx_sv value, size_t bytes_max) {
    struct klx_buf clean KLX_CLEANUP(klx_buf_release);
    struct klx_sv enough = klx_sv_utf8_prefix(value, bytes_max + 1);
    klx_buf_init(&clean, 4 * bytes_max);
    if (value.n == 0) {
        return;
    }
    klx_utf8_sanitize(&clean, enough);
    if (clean.len > bytes_max || enough.n < value.n) {
        klx_buf_truncate(&clean,
                         klx_sv_utf8_prefix(klx_buf_sv(&clean), bytes_max - strlen(CUT_MARK)).n);
        klx_buf_add_str(&clean, CUT_MARK);
        r->adjusted[c] = true;
    }
    klx_jw_member_sv(&r->w, name_of(c), klx_buf_sv(&clean));
}

static void add_name(struct row *r, enum column c, struct klx_sv value) {
    add_cut(r, c, value, KLX_LOGANALYTICS_NAME_BYTES_MAX);
}

static void add_text(struct row *r, enum column c, struct klx_sv value) {
    add_cut(r, c, value, KLX_LOGANALYTICS_FIELD_BYTES_MAX);
}

/* An int of Azure has 32 bits; what is larger is the largest. */
static void add_int(struct row *r, enum column c, int64_t value) {
    if (value < 0) {
        return;
    }
    r->adjusted[c] = r->adjusted[c] || value > INT32_MAX;
    klx_jw_member_int(&r->w, name_of(c), value < INT32_MAX ? value : INT32_MAX);
}

static void add_times(struct row *r, int64_t event_us, int64_t now_us) {
    bool kept = event_us != KLX_TIME_NONE && event_us > now_us - KLX_LOGANALYTICS_OLD_US &&
                event_us < now_us + KLX_LOGANALYTICS_AHEAD_US;
    r->adjusted[COLUMN_TimeGenerated] = !kept;
    klx_jw_member_time(&r->w, name_of(COLUMN_TimeGenerated), kept ? event_us : now_us);
    if (event_us != KLX_TIME_NONE) {
        klx_jw_member_time(&r->w, name_of(COLUMN_EventTime), event_us);
    }
}

/* Not the channel's: the same event through two channels into one table is one record. */
static void add_record_id(struct row *r) {
    const struct klx_notice *n = r->notice;
    const struct klx_event *e = n->event;
    char id[KLX_HASH_TEXT_BYTES], reason[32] = "", digest[96] = "";
    if (n->reason != KLX_NOTICE_NEWS) {
        snprintf(reason, sizeof(reason), "%d", (int)n->reason);
    }
    if (n->digest != NULL) {
        snprintf(digest, sizeof(digest), "%" PRId64 " %" PRId64 " %zu", n->digest->since_us,
                 n->digest->until_us, n->digest->events);
    }
    const struct klx_sv parts[] = { e->source, e->id, e->replay_id, klx_sv(reason),
                                    klx_sv(digest) };
    klx_hash_parts(parts, KLX_COUNT(parts), id);
    klx_jw_member_str(&r->w, name_of(COLUMN_RecordId), id);
}

/* "urn:klaxon:node.ready:1" → 1 */
static int64_t version_of(struct klx_sv schema) {
    int64_t version = -1;
    size_t at = schema.n;
    while (at > 0 && schema.p[at - 1] != ':') {
        at--;
    }
    struct klx_sv last = klx_sv_n(schema.p != NULL ? schema.p + at : NULL, schema.n - at);
    return at > 0 && klx_sv_int(last, &version) == 0 ? version : -1;
}

static const char *topic_of(enum klx_kind kind) {
    return kind < KLX_KINDS_N ? klx_topic_specs[klx_kind_specs[kind].topic].short_name : "";
}

static void add_event(struct row *r) {
    const struct klx_event *e = r->notice->event;
    const struct klx_json *data = r->notice->data;
    add_name(r, COLUMN_EventId, e->id);
    add_name(r, COLUMN_Topic, klx_sv(topic_of(e->kind)));
    add_name(r, COLUMN_Cluster, e->cluster);
    add_name(r, COLUMN_Source, e->source);
    add_name(r, COLUMN_EventType, e->type);
    add_name(r, COLUMN_Reason, klx_json_str(data, "reason"));
    add_name(r, COLUMN_Severity, klx_sv(klx_severity_name(e->severity)));
    add_name(r, COLUMN_ObjectKind, klx_json_str(data, "object.kind"));
    add_name(r, COLUMN_ObjectNamespace, klx_json_str(data, "object.namespace"));
    add_name(r, COLUMN_ObjectName, klx_json_str(data, "object.name"));
    add_text(r, COLUMN_Message, klx_json_str(data, "summary"));
    add_name(r, COLUMN_Incident, e->incident);
    add_name(r, COLUMN_Phase, klx_sv(klx_phase_name(e->phase)));
    add_int(r, COLUMN_IncidentSeq, e->incident.n > 0 ? (int64_t)e->incident_seq : -1);
    add_int(r, COLUMN_Count, klx_json_int(data, "count", -1));
    if (e->resync) {
        klx_jw_member_bool(&r->w, name_of(COLUMN_Resync), true);
    }
    add_name(r, COLUMN_ReplayId, e->replay_id);
}

/* A digest is of many events: what only one of them has would count it twice. */
static void add_digest(struct row *r) {
    const struct klx_digest *d = r->notice->digest;
    char message[160];
    int n = snprintf(message, sizeof(message),
                     "%zu events of %zu incidents were told together, because the channel's limit "
                     "was reached",
                     d->events, d->incidents);
    add_name(r, COLUMN_Severity, klx_sv(klx_severity_name(r->notice->event->severity)));
    add_text(r, COLUMN_Message, klx_sv_n(message, (size_t)n));
}

static void add_notice(struct row *r) {
    static const char *const reasons[] = { [KLX_NOTICE_NEWS] = "news",
                                           [KLX_NOTICE_REMINDER] = "reminder",
                                           [KLX_NOTICE_ESCALATION] = "escalation",
                                           [KLX_NOTICE_DIGEST] = "digest" };
    add_name(r, COLUMN_Notice, klx_sv(reasons[r->notice->reason]));
    add_name(r, COLUMN_Team, r->notice->team);
}

/* The payload that does not fit: whole members while they do, and the names of the others. */
struct trimmed {
    struct klx_jw w;
    struct klx_buf members, left_out;
    struct klx_jw names;
    size_t named, more;
};

static void leave_out(struct trimmed *t, struct klx_sv key, size_t bytes) {
    if (t->named == LEFT_OUT_NAMED_MAX) {
        t->more++;
        return;
    }
    t->named++;
    klx_jw_key_sv(&t->names, klx_sv_utf8_prefix(key, LEFT_OUT_NAME_BYTES_MAX));
    klx_jw_int(&t->names, (int64_t)bytes);
}

static void add_member(struct trimmed *t, const struct klx_json *member) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release), key KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&text, SCRATCH_BYTES_MAX);
    klx_buf_init(&key, SCRATCH_BYTES_MAX);
    klx_jw_init(&w, &text);
    klx_jw_node(&w, member);
    klx_jw_init(&w, &key);
    klx_jw_sv(&w, klx_json_key(member));
    size_t bytes = key.len + 1 + text.len + 1;
    size_t left = KLX_LOGANALYTICS_FIELD_BYTES_MAX - LEFT_OUT_BYTES_MAX - t->members.len;
    if (text.failed || key.failed || bytes > left) {
        leave_out(t, klx_json_key(member), text.len);
        return;
    }
    klx_jw_key_sv(&t->w, klx_json_key(member));
    klx_jw_raw(&t->w, klx_buf_sv(&text));
}

static void add_trimmed(struct row *r, const struct klx_json *data) {
    struct trimmed t = { .named = 0 };
    klx_buf_init(&t.members, KLX_LOGANALYTICS_FIELD_BYTES_MAX);
    klx_buf_init(&t.left_out, LEFT_OUT_BYTES_MAX);
    klx_jw_init(&t.w, &t.members);
    klx_jw_init(&t.names, &t.left_out);
    klx_jw_begin_object(&t.w);
    klx_jw_begin_object(&t.names);
    for (const struct klx_json *m = klx_json_first(data); m != NULL; m = klx_json_next(m)) {
        add_member(&t, m);
    }
    if (t.more > 0) {
        klx_jw_member_int(&t.names, "…", (int64_t)t.more);
    }
    klx_jw_end_object(&t.names);
    klx_jw_key(&t.w, LEFT_OUT);
    klx_jw_raw(&t.w, klx_buf_sv(&t.left_out));
    klx_jw_end_object(&t.w);
    klx_jw_raw(&r->w, klx_buf_sv(&t.members));
    r->w.out->failed = r->w.out->failed || t.members.failed || t.left_out.failed;
    klx_buf_release(&t.members);
    klx_buf_release(&t.left_out);
}

/* What is written so far tells the size; the depth was limited when the data was read. */
static void add_payload(struct row *r, const struct klx_json *data) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&text, KLX_LOGANALYTICS_FIELD_BYTES_MAX);
    klx_jw_init(&w, &text);
    if (!klx_json_is_object(data)) {
        return;
    }
    klx_jw_node(&w, data);
    klx_jw_key(&r->w, name_of(COLUMN_Payload));
    r->adjusted[COLUMN_Payload] = text.failed;
    if (text.failed) {
        add_trimmed(r, data);
    } else {
        klx_jw_raw(&r->w, klx_buf_sv(&text));
    }
}

static void write_lines(struct klx_jw *w, const struct klx_digest *d, size_t lines_n) {
    klx_jw_begin_object(w);
    klx_jw_member_int(w, "events", (int64_t)d->events);
    klx_jw_member_int(w, "incidents", (int64_t)d->incidents);
    klx_jw_member_time(w, "since", d->since_us);
    klx_jw_member_time(w, "until", d->until_us);
    klx_jw_key(w, "lines");
    klx_jw_begin_array(w);
    for (size_t i = 0; i < lines_n; i++) {
        const struct klx_digest_line *line = &d->lines[i];
        klx_jw_begin_object(w);
        klx_jw_member_sv(w, "text", line->text);
        klx_jw_member_str(w, "severity", klx_severity_name(line->severity));
        klx_jw_member_int(w, "events", (int64_t)line->events);
        klx_jw_end_object(w);
    }
    klx_jw_end_array(w);
    klx_jw_member_int(w, "linesLeftOut", (int64_t)(d->lines_n - lines_n));
    klx_jw_end_object(w);
}

/* As many lines as fit, the worst first. */
static void add_digest_payload(struct row *r, const struct klx_digest *d) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&text, KLX_LOGANALYTICS_FIELD_BYTES_MAX);
    size_t lines_n = d->lines_n;
    for (;;) {
        struct klx_jw w;
        klx_buf_reset(&text);
        klx_jw_init(&w, &text);
        write_lines(&w, d, lines_n);
        if (!text.failed || lines_n == 0) {
            break;
        }
        lines_n /= 2;
    }
    r->adjusted[COLUMN_Payload] = lines_n < d->lines_n;
    klx_jw_key(&r->w, name_of(COLUMN_Payload));
    klx_jw_raw(&r->w, klx_buf_sv(&text));
}

static void add_adjusted(struct row *r) {
    struct klx_buf names KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&names, 1024);
    for (int c = 0; c < COLUMNS_N; c++) {
        if (r->adjusted[c]) {
            klx_buf_printf(&names, "%s%s", names.len > 0 ? ", " : "", name_of((enum column)c));
        }
    }
    add_name(r, COLUMN_Adjusted, klx_buf_sv(&names));
}

int klx_loganalytics_row(const struct klx_notice *notice, int64_t now_us, struct klx_buf *out) {
    struct row r = { .notice = notice };
    klx_jw_init(&r.w, out);
    klx_jw_begin_object(&r.w);
    add_times(&r, notice->digest != NULL ? notice->digest->until_us : notice->event->time_us,
              now_us);
    add_record_id(&r);
    if (notice->digest != NULL) {
        add_digest(&r);
    } else {
        add_event(&r);
    }
    add_notice(&r);
    add_int(&r, COLUMN_SchemaVersion,
            notice->digest != NULL ? -1 : version_of(notice->event->data_schema));
    if (notice->digest != NULL) {
        add_digest_payload(&r, notice->digest);
    } else {
        add_payload(&r, notice->data);
    }
    add_adjusted(&r);
    klx_jw_end_object(&r.w);
    return klx_buf_check(out);
}
