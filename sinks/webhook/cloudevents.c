#include "sinks/webhook/cloudevents.h"

#include "lib/base/cleanup.h"
#include "lib/base/time.h"

/* Where an attribute goes. */
struct writer {
    struct klx_buf *out; /* binary: the headers */
    struct klx_jw *w;    /* structured: the object; NULL: binary */
};

/* "Header values: percent-encode what is not printable ASCII, and space, double quote and percent" (section 3.1.3.2). */
static void add_header(struct klx_buf *out, const char *name, struct klx_sv value) {
    klx_buf_printf(out, "ce-%s: ", name);
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if (c > ' ' && c < 0x7f && c != '"' && c != '%') {
            klx_buf_add_char(out, (char)c);
        } else {
            klx_buf_printf(out, "%%%02X", c);
        }
    }
    klx_buf_add_char(out, '\n');
}

static void attribute(const struct writer *c, const char *name, struct klx_sv value) {
    struct klx_buf valid KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&valid, 3 * value.n + 1);
    if (value.n == 0) {
        return;
    }
    klx_utf8_sanitize(&valid, value);
    if (c->w != NULL) {
        klx_jw_member_sv(c->w, name, klx_buf_sv(&valid));
    } else {
        add_header(c->out, name, klx_buf_sv(&valid));
    }
}

static void number(const struct writer *c, const char *name, int64_t value) {
    if (c->w != NULL) {
        klx_jw_member_int(c->w, name, value);
    } else {
        klx_buf_printf(c->out, "ce-%s: %lld\n", name, (long long)value);
    }
}

static void instant(const struct writer *c, int64_t us) {
    char text[KLX_TIME_TEXT_BYTES];
    size_t n = klx_time_format(us, KLX_TIME_MICROS, text);
    attribute(c, "time", klx_sv_n(text, n));
}

static void write_digest_attributes(const struct writer *c, const struct klx_notice *n) {
    struct klx_buf id KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&id, 4096);
    klx_buf_printf(&id, "digest-%.*s-%.*s-%lld", KLX_SV_FMT(n->channel), KLX_SV_FMT(n->event->id),
                   (long long)(n->digest->since_us / KLX_US_PER_S));
    attribute(c, "specversion", KLX_SV("1.0"));
    attribute(c, "id", klx_buf_sv(&id));
    attribute(c, "source", n->event->source);
    attribute(c, "type", KLX_SV("io.klaxon.digest"));
    instant(c, n->digest->until_us);
    attribute(c, "severity", klx_sv(klx_severity_name(n->event->severity)));
}

static const char *notice_word(enum klx_notice_reason reason) {
    return reason == KLX_NOTICE_REMINDER     ? "reminder"
           : reason == KLX_NOTICE_ESCALATION ? "escalation"
                                             : "";
}

static void write_event_attributes(const struct writer *c, const struct klx_notice *n) {
    const struct klx_event *e = n->event;
    attribute(c, "specversion", KLX_SV("1.0"));
    attribute(c, "id", e->id);
    attribute(c, "source", e->source);
    attribute(c, "type", e->type);
    attribute(c, "subject", e->subject);
    instant(c, e->time_us);
    attribute(c, "dataschema", e->data_schema);
    attribute(c, "cluster", e->cluster);
    attribute(c, "severity", klx_sv(klx_severity_name(e->severity)));
    attribute(c, "incident", e->incident);
    attribute(c, "phase", klx_sv(klx_phase_name(e->phase)));
    if (e->incident.n > 0) {
        number(c, "incidentseq", e->incident_seq);
    }
    attribute(c, "resync", klx_sv(e->resync ? "true" : ""));
    attribute(c, "replayid", e->replay_id);
    attribute(c, "notice", klx_sv(notice_word(n->reason)));
}

static void write_attributes(const struct writer *c, const struct klx_notice *n) {
    if (n->digest != NULL) {
        write_digest_attributes(c, n);
    } else {
        write_event_attributes(c, n);
    }
}

static void write_digest(struct klx_jw *w, const struct klx_digest *d) {
    klx_jw_begin_object(w);
    klx_jw_member_int(w, "events", (int64_t)d->events);
    klx_jw_member_int(w, "incidents", (int64_t)d->incidents);
    klx_jw_member_time(w, "since", d->since_us);
    klx_jw_member_time(w, "until", d->until_us);
    klx_jw_key(w, "lines");
    klx_jw_begin_array(w);
    for (size_t i = 0; i < d->lines_n; i++) {
        klx_jw_begin_object(w);
        klx_jw_member_sv(w, "text", d->lines[i].text);
        klx_jw_member_str(w, "severity", klx_severity_name(d->lines[i].severity));
        klx_jw_member_int(w, "events", (int64_t)d->lines[i].events);
        klx_jw_end_object(w);
    }
    klx_jw_end_array(w);
    klx_jw_end_object(w);
}

static void write_data(struct klx_jw *w, const struct klx_notice *n) {
    if (n->digest != NULL) {
        write_digest(w, n->digest);
    } else {
        klx_jw_node(w, n->data);
    }
}

void klx_cloudevents_binary(const struct klx_notice *notice, struct klx_buf *out) {
    struct klx_jw w;
    write_attributes(&(struct writer){ .out = out }, notice);
    klx_buf_add_str(out, "content-type: application/json\n\n");
    klx_jw_init(&w, out);
    write_data(&w, notice);
}

void klx_cloudevents_structured(const struct klx_notice *notice, struct klx_buf *out) {
    struct klx_jw w;
    klx_buf_add_str(out, "content-type: application/cloudevents+json; charset=utf-8\n\n");
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    write_attributes(&(struct writer){ .w = &w }, notice);
    klx_jw_member_str(&w, "datacontenttype", "application/json");
    klx_jw_key(&w, "data");
    write_data(&w, notice);
    klx_jw_end_object(&w);
}
