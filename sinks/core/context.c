#include "sinks/core/context.h"

#include "lib/base/cleanup.h"
#include "lib/base/time.h"
#include "lib/base/utf8.h"

#define CONTEXT_BYTES_MAX (8u << 20)
#define INCIDENT_SHORT_BYTES 8

struct writer {
    struct klx_jw w;
    const struct klx_notice *notice;
    const struct klx_event *event;
    const struct klx_zone *zone;
};

/* One line without control characters, of any length. */
static void add_line(struct klx_jw *w, struct klx_sv text) {
    struct klx_buf b KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&b, 3 * text.n + 1);
    klx_utf8_line(&b, text, 3 * text.n);
    klx_jw_sv(w, klx_buf_sv(&b));
}

static void member_line(struct klx_jw *w, const char *key, struct klx_sv text) {
    klx_jw_key(w, key);
    add_line(w, text);
}

static void add_clean(struct klx_jw *w, const struct klx_json *node) {
    bool object = klx_json_is_object(node);
    if (klx_json_is_string(node)) {
        add_line(w, klx_json_str(node, ""));
    } else if (!object && !klx_json_is_array(node)) {
        klx_jw_node(w, node);
    } else {
        object ? klx_jw_begin_object(w) : klx_jw_begin_array(w);
        for (const struct klx_json *m = klx_json_first(node); m != NULL; m = klx_json_next(m)) {
            if (object) {
                klx_jw_key_sv(w, klx_json_key(m));
            }
            add_clean(w, m);
        }
        object ? klx_jw_end_object(w) : klx_jw_end_array(w);
    }
}

/* An instant in both clocks: `key` and `key`_local. */
static void member_time(struct writer *c, const char *key, const char *key_local, int64_t us) {
    char text[KLX_TIME_TEXT_BYTES];
    if (us == KLX_TIME_NONE) {
        return;
    }
    klx_time_format(us, KLX_TIME_SECONDS, text);
    klx_jw_member_str(&c->w, key, text);
    klx_zone_format(c->zone, us, text);
    klx_jw_member_str(&c->w, key_local, text);
}

/* "2026-03-11" and "09:02:18" apart, for who wants them otherwise. */
static void member_clock(struct klx_jw *w, const char *key_date, const char *key_clock,
                         const struct klx_zone *zone, int64_t us) {
    char text[KLX_TIME_TEXT_BYTES];
    struct klx_sv rest = klx_sv_n(text, klx_zone_format(zone, us, text));
    klx_jw_member_sv(w, key_date, klx_sv_cut(&rest, ' '));
    klx_jw_member_sv(w, key_clock, klx_sv_cut(&rest, ' '));
}

static void member_duration(struct klx_jw *w, int64_t us) {
    char words[KLX_TIME_TEXT_BYTES];
    us = us > 0 ? us : 0;
    klx_duration_words(us / KLX_US_PER_MS, words);
    klx_jw_member_str(w, "duration", words);
    klx_jw_member_int(w, "seconds", us / KLX_US_PER_S);
}

static const char *why_name(enum klx_notice_reason why) {
    static const char *const names[] = { [KLX_NOTICE_NEWS] = "news",
                                         [KLX_NOTICE_REMINDER] = "reminder",
                                         [KLX_NOTICE_ESCALATION] = "escalation",
                                         [KLX_NOTICE_DIGEST] = "digest" };
    return names[why];
}

static void begin_item(struct klx_jw *w, bool last) {
    klx_jw_begin_object(w);
    klx_jw_member_bool(w, "last", last);
}

static void write_card(struct klx_jw *w, const struct klx_card *card) {
    klx_jw_member_sv(w, "title", card->title);
    klx_jw_member_sv(w, "subject", card->subject);
    klx_jw_member_sv(w, "state", card->state);
    klx_jw_member_str(w, "word", klx_card_word(card));
    klx_jw_member_sv(w, "summary", card->summary);
    klx_jw_member_sv(w, "advice", card->advice);
    klx_jw_member_sv(w, "code", card->code);
    klx_jw_member_sv(w, "footer", card->footer);
    klx_jw_member_sv(w, "link", card->link);
    klx_jw_member_sv(w, "link_title", card->link_title);
    klx_jw_member_bool(w, "has_facts", card->facts_n > 0);
    klx_jw_key(w, "facts");
    klx_jw_begin_array(w);
    for (size_t i = 0; i < card->facts_n; i++) {
        begin_item(w, i + 1 == card->facts_n);
        klx_jw_member_sv(w, "name", card->facts[i].name);
        klx_jw_member_sv(w, "value", card->facts[i].value);
        klx_jw_end_object(w);
    }
    klx_jw_end_array(w);
}

static void write_links(struct klx_jw *w, const struct klx_card *card) {
    klx_jw_member_bool(w, "has_links", card->links_n > 0);
    klx_jw_key(w, "links");
    klx_jw_begin_array(w);
    for (size_t i = 0; i < card->links_n; i++) {
        begin_item(w, i + 1 == card->links_n);
        klx_jw_member_sv(w, "title", card->links[i].title);
        klx_jw_member_sv(w, "url", card->links[i].url);
        klx_jw_end_object(w);
    }
    klx_jw_end_array(w);
}

static void write_is(struct writer *c) {
    klx_jw_key(&c->w, "is");
    klx_jw_begin_object(&c->w);
    klx_jw_member_bool(&c->w, klx_severity_name(c->event->severity), true);
    if (c->event->phase != KLX_PHASE_NONE) {
        klx_jw_member_bool(&c->w, klx_phase_name(c->event->phase), true);
    }
    klx_jw_member_bool(&c->w, why_name(c->notice->reason), true);
    klx_jw_end_object(&c->w);
}

static void write_names(struct writer *c) {
    struct klx_jw *w = &c->w;
    member_line(w, "kind", klx_event_short_type(c->event->type));
    member_line(w, "type", c->event->type);
    member_line(w, "id", c->event->id);
    member_line(w, "cluster", c->event->cluster);
    klx_jw_member_str(w, "severity", klx_severity_name(c->event->severity));
    member_line(w, "team", c->notice->team);
    member_line(w, "channel", c->notice->channel);
    klx_jw_member_str(w, "why", why_name(c->notice->reason));
    write_is(c);
    member_time(c, "time", "time_local", c->event->time_us);
    member_clock(w, "date", "clock", NULL, c->event->time_us);
    member_clock(w, "date_local", "clock_local", c->zone, c->event->time_us);
    klx_jw_member_int(w, "time_unix", c->event->time_us / KLX_US_PER_S);
}

static void write_object(struct writer *c) {
    static const char *const keys[] = { "kind", "name", "namespace" };
    const struct klx_json *object = klx_json_get(c->notice->data, "object");
    klx_jw_key(&c->w, "object");
    klx_jw_begin_object(&c->w);
    for (size_t i = 0; i < KLX_COUNT(keys); i++) {
        member_line(&c->w, keys[i], klx_json_str(object, keys[i]));
    }
    klx_jw_end_object(&c->w);
}

/* Their keys hold dots, so a dotted name does not lead to them. */
static void write_labels(struct writer *c) {
    const struct klx_json *label = klx_json_first(klx_json_get(c->notice->data, "labels"));
    klx_jw_key(&c->w, "labels");
    klx_jw_begin_array(&c->w);
    for (; label != NULL; label = klx_json_next(label)) {
        begin_item(&c->w, klx_json_next(label) == NULL);
        member_line(&c->w, "key", klx_json_key(label));
        member_line(&c->w, "value", klx_json_str(label, ""));
        klx_jw_end_object(&c->w);
    }
    klx_jw_end_array(&c->w);
}

static void write_incident(struct writer *c) {
    const struct klx_json *incident = klx_json_get(c->notice->data, "incident");
    struct klx_sv id = c->event->incident;
    int64_t opened_us = KLX_TIME_NONE;
    if (id.n == 0) {
        return;
    }
    klx_jw_key(&c->w, "incident");
    klx_jw_begin_object(&c->w);
    member_line(&c->w, "id", id);
    member_line(&c->w, "short", klx_sv_utf8_prefix(id, INCIDENT_SHORT_BYTES));
    klx_jw_member_int(&c->w, "number", c->event->incident_seq);
    member_line(&c->w, "severity", klx_json_str(incident, "severity"));
    if (klx_time_parse(klx_json_str(incident, "opened"), &opened_us) == 0) {
        member_time(c, "opened", "opened_local", opened_us);
        member_duration(&c->w, c->event->time_us - opened_us);
    }
    klx_jw_end_object(&c->w);
}

static void write_digest(struct writer *c) {
    const struct klx_digest *d = c->notice->digest;
    if (d == NULL) {
        return;
    }
    klx_jw_key(&c->w, "digest");
    klx_jw_begin_object(&c->w);
    klx_jw_member_int(&c->w, "events", (int64_t)d->events);
    klx_jw_member_int(&c->w, "incidents", (int64_t)d->incidents);
    member_time(c, "since", "since_local", d->since_us);
    member_time(c, "until", "until_local", d->until_us);
    member_duration(&c->w, d->until_us - d->since_us);
    klx_jw_key(&c->w, "lines");
    klx_jw_begin_array(&c->w);
    for (size_t i = 0; i < d->lines_n; i++) {
        begin_item(&c->w, i + 1 == d->lines_n);
        member_line(&c->w, "text", d->lines[i].text);
        klx_jw_member_str(&c->w, "severity", klx_severity_name(d->lines[i].severity));
        klx_jw_member_int(&c->w, "events", (int64_t)d->lines[i].events);
        klx_jw_end_object(&c->w);
    }
    klx_jw_end_array(&c->w);
    klx_jw_end_object(&c->w);
}

static void member_line_opt(struct klx_jw *w, const char *key, struct klx_sv text) {
    if (text.n > 0) {
        member_line(w, key, text);
    }
}

static void write_event(struct writer *c) {
    struct klx_jw *w = &c->w;
    const struct klx_event *e = c->event;
    klx_jw_key(w, "event");
    klx_jw_begin_object(w);
    member_line_opt(w, "id", e->id);
    member_line_opt(w, "source", e->source);
    member_line_opt(w, "type", e->type);
    member_line_opt(w, "subject", e->subject);
    klx_jw_member_time(w, "time", e->time_us);
    member_line_opt(w, "dataschema", e->data_schema);
    member_line_opt(w, "cluster", e->cluster);
    klx_jw_member_str(w, "severity", klx_severity_name(e->severity));
    member_line_opt(w, "incident", e->incident);
    klx_jw_member_sv_opt(w, "phase", klx_sv(klx_phase_name(e->phase)));
    if (e->incident.n > 0) {
        klx_jw_member_int(w, "incidentseq", e->incident_seq);
    }
    klx_jw_member_bool(w, "resync", e->resync);
    member_line_opt(w, "replayid", e->replay_id);
    klx_jw_end_object(w);
}

int klx_context_of_card(struct klx_arena *a, const struct klx_notice *notice,
                        const struct klx_card *card, const struct klx_zone *zone,
                        const struct klx_json **ret) {
    static const struct klx_json_limits limits = { CONTEXT_BYTES_MAX, 64 };
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    struct writer c = { .notice = notice, .event = notice->event, .zone = zone };
    klx_buf_init(&out, CONTEXT_BYTES_MAX);
    klx_jw_init(&c.w, &out);
    klx_jw_begin_object(&c.w);
    write_card(&c.w, card);
    write_links(&c.w, card);
    write_names(&c);
    write_object(&c);
    write_labels(&c);
    write_incident(&c);
    write_digest(&c);
    write_event(&c);
    klx_jw_key(&c.w, "data");
    add_clean(&c.w, notice->data);
    klx_jw_end_object(&c.w);
    int rc = klx_buf_check(&out);
    rc = rc == 0 ? klx_json_parse(a, klx_buf_sv(&out), &limits, ret, NULL) : rc;
    return rc == 0 ? 0 : -ENOMEM;
}

int klx_context_make(struct klx_arena *a, const struct klx_notice *notice,
                     const struct klx_zone *zone, const struct klx_json **ret) {
    struct klx_card card;
    int rc = klx_card_make(a, notice, &card);
    return rc == 0 ? klx_context_of_card(a, notice, &card, zone, ret) : rc;
}
