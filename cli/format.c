#include "cli/format.h"

#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/time.h"

#define CLUSTER_WIDTH 12
#define SUBJECT_WIDTH 32
#define DATE_BYTES 10

int64_t klx_format_time(const struct klx_shown *s) {
    int64_t us = 0;
    if (s->event != NULL) {
        return s->event->time_us;
    }
    return __builtin_mul_overflow(s->record->timestamp_ms, KLX_US_PER_MS, &us) ? 0 : us;
}

static void add_time(struct klx_buf *out, int64_t us, int64_t now_us) {
    char text[KLX_TIME_TEXT_BYTES], today[KLX_TIME_TEXT_BYTES];
    klx_time_format(us, KLX_TIME_SECONDS, text);
    klx_time_format(now_us, KLX_TIME_SECONDS, today);
    if (memcmp(text, today, DATE_BYTES) != 0) {
        klx_buf_add(out, text, DATE_BYTES);
        klx_buf_add_char(out, ' ');
    }
    klx_buf_add(out, text + DATE_BYTES + 1, strlen("07:52:18"));
}

/* Widths count bytes: the names of clusters and objects are ASCII. */
static void add_column(const struct klx_terminal *t, struct klx_buf *out, struct klx_sv text,
                       size_t width) {
    size_t start = out->len;
    klx_terminal_text(t, out, text.n > 0 ? text : KLX_SV("-"));
    while (out->len - start < width && !out->failed) {
        klx_buf_add_char(out, ' ');
    }
    klx_buf_add_str(out, "  ");
}

/* What has no namespace is "-/Node/x" in an event that is about it and "Node/x" in one of a detector. */
static struct klx_sv object_of(const struct klx_event *e) {
    struct klx_sv none = KLX_SV("-/"), subject = e->subject;
    return klx_sv_starts(subject, none) ? klx_sv_n(subject.p + none.n, subject.n - none.n)
                                        : subject;
}

void klx_format_line(const struct klx_terminal *t, const struct klx_shown *s, int64_t now_us,
                     struct klx_buf *out) {
    const struct klx_event *e = s->event;
    add_time(out, klx_format_time(s), now_us);
    if (e == NULL) {
        klx_buf_printf(out, " ? %s/%d@%lld cannot be read: ", s->record->topic,
                       (int)s->record->partition, (long long)s->record->offset);
        klx_terminal_text(t, out, klx_sv(s->problem));
        klx_buf_add_char(out, '\n');
        return;
    }
    klx_buf_printf(out, " %s%s%s ", klx_terminal_color(t, e->severity),
                   klx_terminal_glyph(t, e->severity), klx_terminal_plain(t));
    add_column(t, out, e->cluster, CLUSTER_WIDTH);
    add_column(t, out, object_of(e), SUBJECT_WIDTH);
    struct klx_sv summary = klx_json_str(s->data, "summary");
    klx_buf_add_str(out, klx_terminal_color(t, e->severity));
    klx_terminal_text(t, out, summary.n > 0 ? summary : e->type);
    klx_buf_add_str(out, klx_terminal_plain(t));
    klx_buf_add_char(out, '\n');
}

static void write_event(struct klx_jw *w, const struct klx_event *e, const struct klx_json *data) {
    klx_jw_member_sv(w, "type", e->type);
    klx_jw_member_sv_null(w, "source", e->source);
    klx_jw_member_sv_null(w, "cluster", e->cluster);
    klx_jw_member_str(w, "severity", klx_severity_name(e->severity));
    klx_jw_member_sv_null(w, "incident", e->incident);
    klx_jw_member_sv_null(w, "phase", klx_sv(klx_phase_name(e->phase)));
    klx_jw_key(w, "seq");
    if (e->incident_seq > 0) {
        klx_jw_int(w, e->incident_seq);
    } else {
        klx_jw_null(w);
    }
    klx_jw_member_bool(w, "resync", e->resync);
    klx_jw_member_sv_null(w, "subject", e->subject);
    klx_jw_member_sv(w, "id", e->id);
    klx_jw_key(w, "data");
    if (data != NULL) {
        klx_jw_node(w, data);
    } else {
        klx_jw_null(w);
    }
}

void klx_format_json(const struct klx_shown *s, struct klx_buf *out) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&text, KLX_FORMAT_LINE_BYTES_MAX);
    klx_jw_init(&w, &text);
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "topic", s->record->topic);
    klx_jw_member_int(&w, "partition", s->record->partition);
    klx_jw_member_int(&w, "offset", s->record->offset);
    klx_jw_member_time(&w, "time", klx_format_time(s));
    if (s->event != NULL) {
        write_event(&w, s->event, s->data);
    } else {
        klx_jw_member_str(&w, "error", s->problem);
    }
    klx_jw_end_object(&w);
    klx_terminal_json(out, klx_buf_sv(&text));
    klx_buf_add_char(out, '\n');
    out->failed = out->failed || text.failed;
}
