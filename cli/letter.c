#include "cli/letter.h"

#include <errno.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/time.h"
#include "schema/event.h"

static const struct klx_json_limits limits = { .bytes_max = 8u << 20, .depth_max = 64 };

static const char *const states[] = { "open", "redriven", "discarded" };

const char *klx_letter_state_name(enum klx_letter_state s) {
    return states[s];
}

void klx_letter_mark_key(struct klx_sv id, struct klx_buf *out) {
    klx_buf_add_str(out, KLX_LETTER_KEY_PREFIX);
    klx_buf_add_sv(out, id);
}

void klx_letter_mark_encode(const struct klx_letter_mark *m, struct klx_buf *out) {
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "state", states[m->state]);
    klx_jw_member_time(&w, "at", m->at_us);
    klx_jw_member_sv(&w, "by", m->by);
    klx_jw_member_sv_opt(&w, "reason", m->reason);
    klx_jw_key(&w, "letter");
    klx_jw_begin_object(&w);
    klx_jw_member_int(&w, "partition", m->letter.partition);
    klx_jw_member_int(&w, "offset", m->letter.offset);
    klx_jw_end_object(&w);
    klx_jw_end_object(&w);
}

int klx_letter_mark_decode(struct klx_arena *a, struct klx_sv value, struct klx_letter_mark *ret) {
    const struct klx_json *json = NULL;
    struct klx_letter_mark m = { .state = KLX_LETTER_REDRIVEN };
    if (klx_json_parse(a, value, &limits, &json, NULL) != 0) {
        return -EBADMSG;
    }
    struct klx_sv state = klx_json_str(json, "state");
    int64_t partition = klx_json_int(json, "letter.partition", -1);
    m.letter.offset = klx_json_int(json, "letter.offset", -1);
    if (klx_sv_eq(state, klx_sv(states[KLX_LETTER_DISCARDED]))) {
        m.state = KLX_LETTER_DISCARDED;
    } else if (!klx_sv_eq(state, klx_sv(states[KLX_LETTER_REDRIVEN]))) {
        return -EBADMSG;
    }
    if (partition < 0 || partition > INT32_MAX || m.letter.offset < 0 ||
        klx_time_parse(klx_json_str(json, "at"), &m.at_us) != 0) {
        return -EBADMSG;
    }
    m.letter.partition = (int32_t)partition;
    m.by = klx_json_str(json, "by");
    m.reason = klx_json_str(json, "reason");
    *ret = m;
    return 0;
}

int klx_letter_data(struct klx_arena *a, const struct klx_record *record,
                    const struct klx_json **ret, struct klx_error *e) {
    struct klx_event event;
    const struct klx_json *json = NULL;
    int rc = klx_event_decode(a, record, &event, e);
    if (rc != 0) {
        return -EBADMSG;
    }
    if (event.kind != KLX_KIND_DEAD_LETTER) {
        return klx_fail(e, -EBADMSG, "it is no dead letter");
    }
    if (klx_json_parse(a, event.data, &limits, &json, e) != 0) {
        return -EBADMSG;
    }
    *ret = json;
    return 0;
}

static struct klx_sv header_of(const struct klx_record *r, const char *name) {
    for (size_t i = r->headers_n; i > 0; i--) {
        if (klx_sv_eq(r->headers[i - 1].name, klx_sv(name))) {
            return r->headers[i - 1].value;
        }
    }
    return klx_sv("");
}

/* JSON as it was understood, or a text that is whole. */
static int restore_value(struct klx_arena *a, const struct klx_json *original, struct klx_sv *ret,
                         struct klx_error *e) {
    const struct klx_json *value = klx_json_get(original, "value");
    struct klx_sv text = klx_json_str(original, "valueText");
    int64_t bytes = klx_json_int(original, "valueBytes", -1);
    if (value != NULL && !klx_json_is_null(value)) {
        struct klx_buf json KLX_CLEANUP(klx_buf_release);
        struct klx_jw w;
        klx_buf_init(&json, limits.bytes_max);
        klx_jw_init(&w, &json);
        klx_jw_node(&w, value);
        *ret = klx_buf_check(&json) == 0 ? klx_arena_dup(a, klx_buf_sv(&json)) : klx_sv(NULL);
    } else if (text.p != NULL && (int64_t)text.n == bytes) {
        *ret = text;
    } else {
        return klx_fail(e, -EBADMSG, "the dead letter does not hold the whole event (%lld bytes)",
                        (long long)bytes);
    }
    return ret->p != NULL ? 0 : klx_fail(e, -EBADMSG, "it is larger than klaxon carries");
}

static int restore_headers(struct klx_arena *a, const struct klx_json *original,
                           struct klx_record *ret, struct klx_error *e) {
    const struct klx_json *headers = klx_json_get(original, "headers");
    size_t n = 0;
    for (const struct klx_json *h = klx_json_first(headers); h != NULL; h = klx_json_next(h)) {
        n++;
    }
    struct klx_record_header *all = klx_arena_alloc(a, (n + 1) * sizeof(*all));
    if (all == NULL) {
        return klx_fail(e, -EBADMSG, "it is larger than klaxon carries");
    }
    ret->headers = all;
    ret->headers_n = n;
    for (const struct klx_json *h = klx_json_first(headers); h != NULL; h = klx_json_next(h)) {
        *all++ = (struct klx_record_header){ klx_json_key(h), klx_json_str(h, "") };
    }
    return 0;
}

/* The event's record, and what of it counts for the channel. */
static int restore_original(struct klx_arena *a, const struct klx_json *data,
                            struct klx_event *ret_event, struct klx_record *ret,
                            struct klx_error *e) {
    const struct klx_json *original = klx_json_get(data, "original");
    struct klx_sv topic = klx_arena_dup(a, klx_json_str(original, "topic"));
    struct klx_record r = {
        .topic = topic.p,
        .partition = (int32_t)klx_json_int(original, "partition", 0),
        .offset = klx_json_int(original, "offset", 0),
        .timestamp_ms = klx_json_int(original, "timestamp", 0),
        .key = klx_json_str(original, "key"),
    };
    if (topic.n == 0 || klx_sv_eq(klx_json_str(data, "reason"), KLX_SV("not_cloudevent"))) {
        return klx_fail(e, -EBADMSG,
                        "it is about a record that is no event, so nobody is to be told");
    }
    int rc = restore_value(a, original, &r.value, e);
    rc = rc == 0 ? restore_headers(a, original, &r, e) : rc;
    rc = rc == 0 ? klx_event_decode(a, &r, ret_event, e) : rc;
    if (rc == 0) {
        *ret = r;
    }
    return rc == 0 ? 0 : -EBADMSG;
}

/* Letters have headers for it; those of before can still be told, but for a digest. */
static int restore_notice(struct klx_arena *a, const struct klx_record *record,
                          const struct klx_json *data, struct klx_parked *p, struct klx_error *e) {
    struct klx_sv notice = klx_json_str(data, "notice");
    if (header_of(record, "klaxon-severity").n > 0) {
        return klx_parked_decode_notice(a, record, p, e);
    }
    if (klx_sv_eq(notice, KLX_SV("digest"))) {
        return klx_fail(e, -EBADMSG, "the dead letter does not hold what the digest told");
    }
    if (klx_sv_eq(notice, KLX_SV("reminder"))) {
        p->reason = KLX_NOTICE_REMINDER;
    } else if (klx_sv_eq(notice, KLX_SV("escalation"))) {
        p->reason = KLX_NOTICE_ESCALATION;
    }
    return 0;
}

static void restore_recipient(struct klx_arena *a, struct klx_sv name, struct klx_parked *p) {
    struct klx_sv *one = klx_arena_alloc(a, sizeof(*one));
    if (name.n > 0 && one != NULL) {
        *one = name;
        p->some_recipients = true;
        p->recipients = one;
        p->recipients_n = 1;
    }
}

int klx_letter_parked(struct klx_arena *a, const struct klx_record *record, int64_t now_us,
                      struct klx_parked *ret, struct klx_error *e) {
    const struct klx_json *data = NULL;
    struct klx_event event;
    struct klx_record original;
    int rc = klx_letter_data(a, record, &data, e);
    rc = rc == 0 ? restore_original(a, data, &event, &original, e) : rc;
    if (rc != 0) {
        return rc;
    }
    struct klx_parked p = {
        .channel = klx_json_str(data, "channel"),
        .sink = klx_json_str(data, "sink"),
        .team = klx_json_str(data, "team"),
        .subscription = klx_json_str(data, "subscription"),
        .severity = event.severity,
        .parked_us = now_us,
        .not_before_us = KLX_TIME_NONE,
        .first_us = KLX_TIME_NONE,
        .last_us = KLX_TIME_NONE,
        .original = original,
    };
    rc = restore_notice(a, record, data, &p, e);
    if (rc == 0 && (p.channel.n == 0 || p.sink.n == 0)) {
        rc = klx_fail(e, -EBADMSG, "it does not say for which channel it was");
    }
    restore_recipient(a, klx_json_str(data, "recipient"), &p);
    if (rc == 0) {
        *ret = p;
    }
    return rc;
}
