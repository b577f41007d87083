#include "sinks/core/receipt.h"

#include <errno.h>
#include <string.h>

#include "lib/base/base64.h"
#include "lib/base/cleanup.h"
#include "lib/base/time.h"
#include "sinks/core/parking/parked.h"

#define DATA_BYTES_MAX (900u << 10) /* below a broker's usual limit of 1 MB a record */
#define KEY_BYTES_MAX 4096
#define HEADERS_BYTES_MAX (64u << 10)

static const struct klx_json_limits value_limits = { .bytes_max = KLX_ORIGINAL_BYTES_MAX,
                                                     .depth_max = KLX_MESSAGE_DEPTH_MAX };

static const char *reason_of(const struct klx_outcome *o) {
    return o->gave_up ? "gave_up" : klx_verdict_name(o->verdict->class);
}

/* The members that every event has, and that filters know. */
static void write_head(struct klx_jw *w, struct klx_sv summary, const char *kind, const char *name,
                       const char *reason) {
    klx_jw_member_sv(w, "summary", summary);
    klx_jw_key(w, "object");
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "kind", kind);
    klx_jw_member_str(w, "name", name);
    klx_jw_end_object(w);
    klx_jw_member_str(w, "reason", reason);
    klx_jw_key(w, "labels");
    klx_jw_begin_object(w);
    klx_jw_end_object(w);
}

struct klx_sv klx_subscription_place(struct klx_arena *a,
                                     const struct klx_subscription_settings *s) {
    const char *slash = strrchr(s->file, '/');
    return klx_arena_printf(a, "%s:%u", slash != NULL ? slash + 1 : s->file, s->line);
}

/* Of a message that is no news: what it is, and of a digest which, so that the events that it holds are found. */
static void write_notice(struct klx_jw *w, const struct klx_delivery *d, const char *channel) {
    static const char *const names[] = { "", "reminder", "escalation", "digest" };
    char id[KLX_HASH_TEXT_BYTES];
    if (d == NULL || d->reason == KLX_NOTICE_NEWS) {
        return;
    }
    klx_jw_member_str(w, "notice", names[d->reason]);
    if (d->digest != NULL) {
        klx_delivery_id(d, klx_sv(channel), id);
        klx_jw_member_str(w, "digest", id);
        klx_jw_member_int(w, "digested", (int64_t)d->digest->events);
    }
}

static void write_outcome(struct klx_jw *w, struct klx_arena *a, const struct klx_receipt_env *env,
                          const struct klx_outcome *o) {
    const struct klx_event *e = &o->message->event;
    klx_jw_member_str(w, "verdict", klx_verdict_name(o->verdict->class));
    klx_jw_member_sv_opt(w, "code", klx_sv(o->verdict->reason));
    klx_jw_member_sv_opt(w, "answer", klx_sv(o->verdict->answer));
    klx_jw_member_str(w, "channel", o->channel);
    klx_jw_member_str(w, "sink", env->sink);
    klx_jw_member_sv(w, "team", o->subscription->team);
    klx_jw_member_sv(w, "subscription", klx_subscription_place(a, o->subscription));
    klx_jw_member_sv_opt(w, "recipient", o->recipient);
    klx_jw_member_sv(w, "event", e->id);
    klx_jw_member_sv(w, "eventType", e->type);
    klx_jw_member_time(w, "eventTime", e->time_us);
    klx_jw_member_sv_opt(w, "incident", e->incident);
    write_notice(w, o->delivery, o->channel);
    klx_jw_member_int(w, "attempts", o->attempts);
    if (o->ambiguous > 0) {
        klx_jw_member_int(w, "ambiguous", o->ambiguous);
    }
    klx_jw_member_time(w, "firstAttempt", o->first_us);
    klx_jw_member_time(w, "lastAttempt", o->last_us);
}

static struct klx_sv title_of(const struct klx_event *e) {
    return e->kind < KLX_KINDS_N ? klx_sv(klx_kind_specs[e->kind].title) : e->type;
}

/* "ops-mail (a@example.com)": a channel with recipients has an outcome for each. */
static struct klx_sv whom(struct klx_arena *a, const struct klx_outcome *o) {
    return o->recipient.n == 0
               ? klx_sv(o->channel)
               : klx_arena_printf(a, "%s (%.*s)", o->channel, KLX_SV_FMT(o->recipient));
}

static struct klx_sv receipt_summary(struct klx_arena *a, const struct klx_outcome *o) {
    struct klx_sv title = title_of(&o->message->event), to = whom(a, o);
    if (klx_outcome_is_lost(o)) {
        return klx_arena_printf(a, "%.*s: %s %.*s", KLX_SV_FMT(title),
                                o->gave_up ? "given up for" : "refused by", KLX_SV_FMT(to));
    }
    return klx_arena_printf(a, "%.*s: %s %.*s%s", KLX_SV_FMT(title),
                            o->verdict->class == KLX_VERDICT_ACCEPTED ? "accepted by"
                                                                      : "delivered to",
                            KLX_SV_FMT(to), o->ambiguous > 0 ? ", perhaps more than once" : "");
}

static struct klx_sv deadletter_summary(struct klx_arena *a, const struct klx_outcome *o) {
    const struct klx_verdict *v = o->verdict;
    struct klx_sv to = whom(a, o);
    return klx_arena_printf(a,
                            o->gave_up ? "an event for %.*s was given up: %s (%s)"
                                       : "%.*s refused an event for good: %s (%s)",
                            KLX_SV_FMT(to), klx_verdict_name(v->class), v->reason);
}

static bool has_nul(struct klx_sv s) {
    return klx_sv_find(s, '\0') < s.n;
}

static bool is_text(struct klx_sv s) {
    struct klx_buf clean KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&clean, 3 * s.n + 1);
    klx_utf8_sanitize(&clean, s);
    return !has_nul(s) && klx_sv_eq(klx_buf_sv(&clean), s);
}

/* As JSON when it is, so that it can be looked at and sent again; else as text or base64, cut. */
static void write_value(struct klx_jw *w, struct klx_arena *a, struct klx_sv value, bool whole) {
    const struct klx_json *json = NULL;
    klx_jw_member_int(w, "valueBytes", (int64_t)value.n);
    if (value.p == NULL) {
        klx_jw_key(w, "value");
        klx_jw_null(w);
        return;
    }
    if (whole && klx_json_parse(a, value, &value_limits, &json, NULL) == 0) {
        klx_jw_key(w, "value");
        klx_jw_node(w, json);
        return;
    }
    struct klx_sv cut = klx_sv_utf8_prefix(value, KLX_ORIGINAL_CUT_BYTES);
    if (is_text(cut)) {
        klx_jw_member_sv(w, "valueText", cut);
        return;
    }
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&text, 2 * KLX_ORIGINAL_CUT_BYTES);
    klx_base64_add(&text, cut);
    klx_jw_member_sv(w, "valueBase64", klx_buf_sv(&text));
}

/* Of headers with the same name the last one counts, as in decoding. */
static bool is_last_of_its_name(const struct klx_record *r, size_t i) {
    for (size_t j = i + 1; j < r->headers_n; j++) {
        if (klx_sv_eq(r->headers[j].name, r->headers[i].name)) {
            return false;
        }
    }
    return true;
}

static void write_headers(struct klx_jw *w, const struct klx_record *r) {
    size_t bytes = 0;
    klx_jw_key(w, "headers");
    klx_jw_begin_object(w);
    for (size_t i = 0; i < r->headers_n; i++) {
        bytes += r->headers[i].name.n + r->headers[i].value.n;
        if (bytes <= HEADERS_BYTES_MAX && is_last_of_its_name(r, i)) {
            klx_jw_key_sv(w, r->headers[i].name);
            klx_jw_sv(w, r->headers[i].value);
        }
    }
    klx_jw_end_object(w);
}

static void write_original(struct klx_jw *w, struct klx_arena *a, const struct klx_record *r,
                           bool whole) {
    klx_jw_key(w, "original");
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "topic", r->topic);
    klx_jw_member_int(w, "partition", r->partition);
    klx_jw_member_int(w, "offset", r->offset);
    klx_jw_member_int(w, "timestamp", r->timestamp_ms);
    klx_jw_member_sv(w, "key", klx_sv_utf8_prefix(r->key, KEY_BYTES_MAX));
    write_headers(w, r);
    write_value(w, a, r->value, whole);
    klx_jw_end_object(w);
}

/* The event around the data; the id's parts are the caller's. */
static int encode(struct klx_arena *a, const struct klx_receipt_env *env, enum klx_kind kind,
                  struct klx_event *e, const struct klx_buf *data, struct klx_record *ret) {
    if (klx_buf_check(data) != 0) {
        return -ENOMEM;
    }
    e->kind = kind;
    e->source = klx_arena_printf(a, "/sinks/%s", env->sink);
    e->time_us = env->now_us;
    e->data = klx_buf_sv(data);
    return klx_event_encode(a, env->topics, e, env->now_us, ret);
}

static int encode_outcome(struct klx_arena *a, const struct klx_receipt_env *env,
                          enum klx_kind kind, const struct klx_outcome *o,
                          const struct klx_buf *data, struct klx_record *ret) {
    const struct klx_event *about = &o->message->event;
    char sent[KLX_HASH_TEXT_BYTES] = "";
    bool news = o->delivery == NULL || o->delivery->reason == KLX_NOTICE_NEWS;
    if (!news) {
        klx_delivery_id(o->delivery, klx_sv(o->channel), sent);
    }
    const struct klx_sv parts[] = { about->source,      about->id,    about->replay_id,
                                    klx_sv(o->channel), o->recipient, klx_sv(reason_of(o)),
                                    klx_sv(sent) };
    struct klx_event e = {
        .id = klx_event_id(a, about->cluster, kind, parts, KLX_COUNT(parts) - news),
        .subject = klx_arena_printf(a, "Channel/%s", o->channel),
        .cluster = about->cluster,
        .severity = klx_outcome_is_lost(o) ? KLX_SEVERITY_WARNING : KLX_SEVERITY_INFO,
        .key = klx_sv(o->channel),
    };
    return encode(a, env, kind, &e, data, ret);
}

int klx_receipt_encode(struct klx_arena *a, const struct klx_receipt_env *env,
                       const struct klx_outcome *o, struct klx_record *ret) {
    struct klx_buf data KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&data, DATA_BYTES_MAX);
    klx_jw_init(&w, &data);
    klx_jw_begin_object(&w);
    write_head(&w, receipt_summary(a, o), "Channel", o->channel, reason_of(o));
    write_outcome(&w, a, env, o);
    klx_jw_member_str(&w, "topic", o->message->record.topic);
    klx_jw_member_int(&w, "partition", o->message->record.partition);
    klx_jw_member_int(&w, "offset", o->message->record.offset);
    klx_jw_end_object(&w);
    return encode_outcome(a, env, KLX_KIND_DELIVERY, o, &data, ret);
}

static const struct {
    const char *name, *words;
} suppressions[] = {
#define KLX_SUPPRESSION_ITEM(NAME, name, words) { name, words },
    KLX_SUPPRESSIONS(KLX_SUPPRESSION_ITEM)
#undef KLX_SUPPRESSION_ITEM
};

const char *klx_suppression_name(enum klx_suppression why) {
    return suppressions[why].name;
}

static void write_suppressed(struct klx_jw *w, struct klx_arena *a,
                             const struct klx_receipt_env *env, const struct klx_suppressed *s) {
    const struct klx_event *e = &s->message->event;
    const char *reason = suppressions[s->why].name;
    struct klx_sv title = title_of(e);
    struct klx_sv summary = klx_arena_printf(a, "%.*s: %s %s", KLX_SV_FMT(title),
                                             suppressions[s->why].words, s->channel);
    bool digested = s->why == KLX_SUPPRESSION_DIGESTED;
    write_head(w, summary, "Channel", s->channel, reason);
    klx_jw_member_str(w, "verdict", "suppressed");
    klx_jw_member_sv_opt(w, "answer", digested ? klx_sv("") : s->detail);
    klx_jw_member_str(w, "channel", s->channel);
    klx_jw_member_str(w, "sink", env->sink);
    klx_jw_member_sv(w, "team", s->subscription->team);
    klx_jw_member_sv(w, "subscription", klx_subscription_place(a, s->subscription));
    klx_jw_member_sv(w, "event", e->id);
    klx_jw_member_sv(w, "eventType", e->type);
    klx_jw_member_time(w, "eventTime", e->time_us);
    klx_jw_member_sv_opt(w, "incident", e->incident);
    klx_jw_member_sv_opt(w, "digest", digested ? s->detail : klx_sv(""));
    klx_jw_member_int(w, "attempts", 0);
    klx_jw_member_time(w, "firstAttempt", KLX_TIME_NONE);
    klx_jw_member_time(w, "lastAttempt", KLX_TIME_NONE);
    klx_jw_member_str(w, "topic", s->message->record.topic);
    klx_jw_member_int(w, "partition", s->message->record.partition);
    klx_jw_member_int(w, "offset", s->message->record.offset);
}

int klx_suppressed_encode(struct klx_arena *a, const struct klx_receipt_env *env,
                          const struct klx_suppressed *s, struct klx_record *ret) {
    struct klx_buf data KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&data, DATA_BYTES_MAX);
    klx_jw_init(&w, &data);
    klx_jw_begin_object(&w);
    write_suppressed(&w, a, env, s);
    klx_jw_end_object(&w);
    const struct klx_event *about = &s->message->event;
    const struct klx_sv parts[] = { about->source,    about->id,
                                    about->replay_id, klx_sv(s->channel),
                                    klx_sv(""),       klx_sv(suppressions[s->why].name) };
    struct klx_event e = {
        .id = klx_event_id(a, about->cluster, KLX_KIND_DELIVERY, parts, KLX_COUNT(parts)),
        .subject = klx_arena_printf(a, "Channel/%s", s->channel),
        .cluster = about->cluster,
        .severity = KLX_SEVERITY_INFO,
        .key = klx_sv(s->channel),
    };
    return encode(a, env, KLX_KIND_DELIVERY, &e, &data, ret);
}

/* What Kafka Connect's dead letters carry, for the tools that read them. */
struct connect {
    const struct klx_record *record;
    const char *stage;  /* Connect's name of the step that failed */
    const char *reason; /* in the place of an exception's class */
    struct klx_sv message;
};

static int add_headers(struct klx_arena *a, const struct klx_record_header *added, size_t n,
                       struct klx_record *r) {
    struct klx_record_header *all = klx_arena_alloc(a, (r->headers_n + n) * sizeof(*all));
    if (all == NULL) {
        return -ENOMEM;
    }
    memcpy(all, r->headers, r->headers_n * sizeof(*all));
    memcpy(all + r->headers_n, added, n * sizeof(*all));
    r->headers = all;
    r->headers_n += n;
    return 0;
}

/* For filters that do not look into the value; named as on klaxon.retry (sinks/core/parking/parked.h). */
static int add_our_headers(struct klx_arena *a, const struct klx_receipt_env *env,
                           const struct klx_outcome *o, struct klx_record *r) {
    const struct klx_record *of = &o->message->record;
    const struct klx_record_header added[] = {
        { KLX_SV("klaxon-channel"), klx_arena_dup(a, klx_sv(o->channel)) },
        { KLX_SV("klaxon-sink"), klx_sv(env->sink) },
        { KLX_SV("klaxon-team"), klx_arena_dup(a, o->subscription->team) },
        { KLX_SV("klaxon-verdict"), klx_sv(klx_verdict_name(o->verdict->class)) },
        { KLX_SV("klaxon-code"), klx_arena_dup(a, klx_sv(o->verdict->reason)) },
        { KLX_SV("klaxon-attempts"), klx_arena_printf(a, "%u", o->attempts) },
        { KLX_SV("klaxon-original-topic"), klx_arena_dup(a, klx_sv(of->topic)) },
        { KLX_SV("klaxon-original-partition"), klx_arena_printf(a, "%d", of->partition) },
        { KLX_SV("klaxon-original-offset"), klx_arena_printf(a, "%lld", (long long)of->offset) },
        { KLX_SV("klaxon-original-timestamp"),
          klx_arena_printf(a, "%lld", (long long)of->timestamp_ms) },
        { KLX_SV("klaxon-original-key"),
          klx_arena_dup(a, klx_sv_utf8_prefix(of->key, KEY_BYTES_MAX)) },
    };
    return add_headers(a, added, KLX_COUNT(added), r);
}

/* What was to be told, so that whoever redrives it tells the same. */
static int add_notice_headers(struct klx_arena *a, const struct klx_outcome *o,
                              struct klx_record *r) {
    const struct klx_delivery *d = o->delivery;
    struct klx_record_header added[KLX_PARKED_NOTICE_HEADERS];
    size_t n = 0;
    struct klx_parked p = { .reason = KLX_NOTICE_NEWS, .severity = o->message->event.severity };
    if (d != NULL) {
        p.reason = d->reason;
        p.severity = d->severity;
        p.repeat = d->repeat;
        p.digest = d->digest;
    }
    int rc = klx_parked_encode_notice(a, &p, added, &n);
    return rc == 0 ? add_headers(a, added, n, r) : rc;
}

static int add_connect_headers(struct klx_arena *a, const struct klx_receipt_env *env,
                               const struct connect *c, struct klx_record *r) {
    struct klx_sv sink = klx_arena_printf(a, "klaxon-sink-%s", env->sink);
    struct klx_buf clean KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&clean, 4096);
    klx_utf8_sanitize(&clean, c->message);
    struct klx_sv message = klx_arena_dup(a, klx_buf_sv(&clean));
    if (sink.p == NULL || message.p == NULL) {
        return -ENOMEM;
    }
    const struct klx_record_header added[] = {
        { KLX_SV("__connect.errors.topic"), klx_arena_dup(a, klx_sv(c->record->topic)) },
        { KLX_SV("__connect.errors.partition"), klx_arena_printf(a, "%d", c->record->partition) },
        { KLX_SV("__connect.errors.offset"),
          klx_arena_printf(a, "%lld", (long long)c->record->offset) },
        { KLX_SV("__connect.errors.connector.name"), sink },
        { KLX_SV("__connect.errors.task.id"), KLX_SV("0") },
        { KLX_SV("__connect.errors.stage"), klx_sv(c->stage) },
        { KLX_SV("__connect.errors.class.name"), sink },
        { KLX_SV("__connect.errors.exception.class.name"), klx_sv(c->reason) },
        { KLX_SV("__connect.errors.exception.message"), message },
    };
    return add_headers(a, added, KLX_COUNT(added), r);
}

/* A value of many escapes may not fit in full: then it is cut. */
static void write_letter(struct klx_buf *data, struct klx_arena *a,
                         const struct klx_receipt_env *env, const struct klx_outcome *o) {
    bool whole = o->message->record.value.n <= KLX_ORIGINAL_BYTES_MAX;
    do {
        struct klx_jw w;
        klx_buf_reset(data);
        klx_jw_init(&w, data);
        klx_jw_begin_object(&w);
        write_head(&w, deadletter_summary(a, o), "Channel", o->channel, reason_of(o));
        write_outcome(&w, a, env, o);
        write_original(&w, a, &o->message->record, whole);
        klx_jw_end_object(&w);
        if (!data->failed || !whole) {
            return;
        }
        whole = false;
    } while (true);
}

int klx_deadletter_encode(struct klx_arena *a, const struct klx_receipt_env *env,
                          const struct klx_outcome *o, struct klx_record *ret) {
    struct klx_buf data KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&data, DATA_BYTES_MAX);
    write_letter(&data, a, env, o);
    const struct connect c = { .record = &o->message->record,
                               .stage = "TASK_PUT",
                               .reason = reason_of(o),
                               .message = klx_sv(o->verdict->answer) };
    struct klx_record r;
    int rc = encode_outcome(a, env, KLX_KIND_DEAD_LETTER, o, &data, &r);
    rc = rc == 0 ? add_our_headers(a, env, o, &r) : rc;
    rc = rc == 0 ? add_notice_headers(a, o, &r) : rc;
    rc = rc == 0 ? add_connect_headers(a, env, &c, &r) : rc;
    if (rc == 0) {
        *ret = r;
    }
    return rc;
}

int klx_deadletter_encode_unreadable(struct klx_arena *a, const struct klx_receipt_env *env,
                                     const struct klx_record *r, const char *why,
                                     struct klx_record *ret) {
    struct klx_buf data KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&data, DATA_BYTES_MAX);
    klx_jw_init(&w, &data);
    struct klx_sv place =
        klx_arena_printf(a, "%s/%d@%lld", r->topic, r->partition, (long long)r->offset);
    klx_jw_begin_object(&w);
    write_head(&w, klx_arena_printf(a, "%.*s is no event: %s", KLX_SV_FMT(place), why), "Sink",
               env->sink, "not_cloudevent");
    klx_jw_member_str(&w, "verdict", klx_verdict_name(KLX_VERDICT_REJECT_MESSAGE));
    klx_jw_member_str(&w, "answer", why);
    klx_jw_member_str(&w, "sink", env->sink);
    klx_jw_member_int(&w, "attempts", 0);
    write_original(&w, a, r, false);
    klx_jw_end_object(&w);
    const struct klx_sv parts[] = { place, klx_sv(env->sink) };
    struct klx_event e = {
        .id = klx_event_id(a, klx_sv(NULL), KLX_KIND_DEAD_LETTER, parts, KLX_COUNT(parts)),
        .subject = klx_arena_printf(a, "Sink/%s", env->sink),
        .severity = KLX_SEVERITY_WARNING,
        .key = klx_sv(env->sink),
    };
    const struct connect c = { r, "VALUE_CONVERTER", "not_cloudevent", klx_sv(why) };
    struct klx_record letter;
    int rc = encode(a, env, KLX_KIND_DEAD_LETTER, &e, &data, &letter);
    rc = rc == 0 ? add_connect_headers(a, env, &c, &letter) : rc;
    if (rc == 0) {
        *ret = letter;
    }
    return rc;
}
