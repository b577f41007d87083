#include "sinks/core/parking/parked.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/json.h"
#include "lib/base/time.h"

#define HEADERS_MAX 64 /* that our own reading takes */
#define OURS_MAX 28
#define JSON_BYTES_MAX (256u << 10)
#define PREFIX KLX_SV("klaxon-")

static const char *const reasons[] = { "news", "reminder", "escalation", "digest" };

struct headers {
    struct klx_arena *arena;
    struct klx_record_header *all;
    size_t n;
    bool failed;
};

static void add(struct headers *h, const char *name, struct klx_sv value) {
    struct klx_sv copy = klx_arena_dup(h->arena, value);
    h->failed = h->failed || copy.p == NULL;
    h->all[h->n++] = (struct klx_record_header){ klx_sv(name), copy };
}

static void add_opt(struct headers *h, const char *name, struct klx_sv value) {
    if (value.n > 0) {
        add(h, name, value);
    }
}

static void add_int(struct headers *h, const char *name, int64_t value) {
    char text[24];
    int n = snprintf(text, sizeof(text), "%lld", (long long)value);
    add(h, name, klx_sv_n(text, (size_t)n));
}

static void add_time(struct headers *h, const char *name, int64_t us) {
    char text[KLX_TIME_TEXT_BYTES];
    if (us != KLX_TIME_NONE) {
        add(h, name, klx_sv_n(text, klx_time_format(us, KLX_TIME_MICROS, text)));
    }
}

static void add_json(struct headers *h, const char *name, const struct klx_buf *json) {
    h->failed = h->failed || klx_buf_check(json) != 0;
    add(h, name, klx_buf_sv(json));
}

static void add_digest(struct headers *h, const struct klx_digest *d) {
    struct klx_buf json KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&json, JSON_BYTES_MAX);
    klx_jw_init(&w, &json);
    klx_jw_begin_object(&w);
    klx_jw_member_int(&w, "events", (int64_t)d->events);
    klx_jw_member_int(&w, "incidents", (int64_t)d->incidents);
    klx_jw_member_time(&w, "since", d->since_us);
    klx_jw_member_time(&w, "until", d->until_us);
    klx_jw_key(&w, "lines");
    klx_jw_begin_array(&w);
    for (size_t i = 0; i < d->lines_n; i++) {
        klx_jw_begin_object(&w);
        klx_jw_member_sv(&w, "text", d->lines[i].text);
        klx_jw_member_str(&w, "severity", klx_severity_name(d->lines[i].severity));
        klx_jw_member_int(&w, "events", (int64_t)d->lines[i].events);
        klx_jw_end_object(&w);
    }
    klx_jw_end_array(&w);
    klx_jw_end_object(&w);
    add_json(h, "klaxon-digest", &json);
}

static void add_recipients(struct headers *h, const struct klx_parked *p) {
    struct klx_buf json KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&json, JSON_BYTES_MAX);
    klx_jw_init(&w, &json);
    klx_jw_begin_array(&w);
    for (size_t i = 0; i < p->recipients_n; i++) {
        klx_jw_sv(&w, p->recipients[i]);
    }
    klx_jw_end_array(&w);
    add_json(h, "klaxon-recipients", &json);
}

static void add_attempts(struct headers *h, const struct klx_parked *p) {
    add_int(h, "klaxon-attempts", p->attempts);
    add_int(h, "klaxon-ambiguous", p->ambiguous);
    add_time(h, "klaxon-first-attempt", p->first_us);
    add_time(h, "klaxon-last-attempt", p->last_us);
    add(h, "klaxon-verdict", klx_sv(klx_verdict_name(p->last.class)));
    add_opt(h, "klaxon-code", klx_sv(p->last.reason));
    add_opt(h, "klaxon-answer", klx_sv(p->last.answer));
}

static void add_notice(struct headers *h, const struct klx_parked *p) {
    add(h, "klaxon-reason", klx_sv(reasons[p->reason]));
    add(h, "klaxon-severity", klx_sv(klx_severity_name(p->severity)));
    if (p->repeat > 0) {
        add_int(h, "klaxon-repeat", p->repeat);
    }
    if (p->digest != NULL) {
        add_digest(h, p->digest);
    }
}

int klx_parked_encode_notice(struct klx_arena *a, const struct klx_parked *p,
                             struct klx_record_header ret[static KLX_PARKED_NOTICE_HEADERS],
                             size_t *ret_n) {
    struct headers h = { .arena = a, .all = ret };
    add_notice(&h, p);
    *ret_n = h.n;
    return h.failed ? -ENOMEM : 0;
}

static void add_ours(struct headers *h, const struct klx_parked *p) {
    add(h, "klaxon-channel", p->channel);
    add(h, "klaxon-sink", p->sink);
    add(h, "klaxon-team", p->team);
    add(h, "klaxon-subscription", p->subscription);
    add_notice(h, p);
    if (p->some_recipients) {
        add_recipients(h, p);
    }
    add_time(h, "klaxon-parked-since", p->parked_us);
    add_time(h, "klaxon-not-before", p->not_before_us);
    if (p->attempts > 0) {
        add_attempts(h, p);
    }
    add(h, "klaxon-original-topic", klx_sv(p->original.topic));
    add_int(h, "klaxon-original-partition", p->original.partition);
    add_int(h, "klaxon-original-offset", p->original.offset);
    add_int(h, "klaxon-original-timestamp", p->original.timestamp_ms);
    add_opt(h, "klaxon-original-key", p->original.key);
}

static bool is_ours(const struct klx_record_header *h) {
    return klx_sv_starts(h->name, PREFIX);
}

static bool is_of_event(const struct klx_record_header *h) {
    return klx_sv_starts(h->name, KLX_SV("ce_")) || klx_sv_eq(h->name, KLX_SV("content-type"));
}

static void add_theirs(struct headers *h, const struct klx_record *r, bool of_event) {
    for (size_t i = 0; i < r->headers_n && h->n < HEADERS_MAX - OURS_MAX; i++) {
        if (!is_ours(&r->headers[i]) && is_of_event(&r->headers[i]) == of_event) {
            h->all[h->n++] = r->headers[i];
        }
    }
}

int klx_parked_encode(struct klx_arena *a, const char *retry_topic, const struct klx_parked *p,
                      struct klx_record *ret) {
    struct headers h = { .arena = a,
                         .all =
                             klx_arena_alloc(a, HEADERS_MAX * sizeof(struct klx_record_header)) };
    if (h.all == NULL) {
        return -ENOMEM;
    }
    add_theirs(&h, &p->original, true);
    add_theirs(&h, &p->original, false);
    add_ours(&h, p);
    if (h.failed) {
        return -ENOMEM;
    }
    *ret = (struct klx_record){ .topic = retry_topic,
                                .partition = -1,
                                .timestamp_ms = p->parked_us / KLX_US_PER_MS,
                                .key = p->channel,
                                .value = p->original.value,
                                .headers = h.all,
                                .headers_n = h.n };
    return 0;
}

/* NULL: it has none of that name. */
static const struct klx_sv *find(const struct klx_record *r, const char *name) {
    for (size_t i = r->headers_n; i > 0; i--) {
        if (klx_sv_eq(r->headers[i - 1].name, klx_sv(name))) {
            return &r->headers[i - 1].value;
        }
    }
    return NULL;
}

static struct klx_sv text_of(const struct klx_record *r, const char *name) {
    const struct klx_sv *value = find(r, name);
    return value != NULL ? *value : klx_sv("");
}

static int64_t int_of(const struct klx_record *r, const char *name) {
    int64_t value = 0;
    return klx_sv_int(text_of(r, name), &value) == 0 ? value : 0;
}

static unsigned count_of(const struct klx_record *r, const char *name) {
    int64_t value = int_of(r, name);
    return value < 0 ? 0 : value > INT32_MAX ? INT32_MAX : (unsigned)value;
}

static int64_t time_of(const struct klx_record *r, const char *name) {
    int64_t us = 0;
    return klx_time_parse(text_of(r, name), &us) == 0 ? us : KLX_TIME_NONE;
}

void klx_parked_whose(const struct klx_record *r, struct klx_sv *ret_sink,
                      struct klx_sv *ret_channel) {
    *ret_sink = text_of(r, "klaxon-sink");
    *ret_channel = text_of(r, "klaxon-channel");
}

static enum klx_notice_reason reason_of(struct klx_sv name) {
    for (size_t i = 0; i < KLX_COUNT(reasons); i++) {
        if (klx_sv_eq(name, klx_sv(reasons[i]))) {
            return (enum klx_notice_reason)i;
        }
    }
    return KLX_NOTICE_NEWS;
}

static size_t count_children(const struct klx_json *node) {
    size_t n = 0;
    for (const struct klx_json *c = klx_json_first(node); c != NULL; c = klx_json_next(c)) {
        n++;
    }
    return n;
}

static int64_t time_in(const struct klx_json *node, const char *path) {
    int64_t us = 0;
    return klx_time_parse(klx_json_str(node, path), &us) == 0 ? us : KLX_TIME_NONE;
}

static bool decode_digest(struct klx_arena *a, struct klx_sv text, const struct klx_digest **ret) {
    const struct klx_json *json = NULL;
    struct klx_digest *d = klx_arena_alloc(a, sizeof(*d));
    if (d == NULL || klx_json_parse(a, text, NULL, &json, NULL) != 0) {
        return false;
    }
    const struct klx_json *lines = klx_json_get(json, "lines");
    size_t n = count_children(lines);
    struct klx_digest_line *all = klx_arena_alloc(a, (n + 1) * sizeof(*all));
    if (all == NULL) {
        return false;
    }
    *d = (struct klx_digest){ .events = (size_t)klx_json_int(json, "events", 0),
                              .incidents = (size_t)klx_json_int(json, "incidents", 0),
                              .since_us = time_in(json, "since"),
                              .until_us = time_in(json, "until"),
                              .lines = all,
                              .lines_n = n };
    for (const struct klx_json *c = klx_json_first(lines); c != NULL; c = klx_json_next(c)) {
        *all = (struct klx_digest_line){ .text = klx_json_str(c, "text"),
                                         .events = (size_t)klx_json_int(c, "events", 0) };
        if (klx_severity_parse(klx_json_str(c, "severity"), &all->severity) != 0) {
            all->severity = KLX_SEVERITY_INFO;
        }
        all++;
    }
    *ret = d;
    return d->since_us != KLX_TIME_NONE && d->until_us != KLX_TIME_NONE;
}

static bool decode_recipients(struct klx_arena *a, struct klx_sv text, struct klx_parked *p) {
    const struct klx_json *json = NULL;
    if (klx_json_parse(a, text, NULL, &json, NULL) != 0 || !klx_json_is_array(json)) {
        return false;
    }
    size_t n = count_children(json);
    struct klx_sv *all = klx_arena_alloc(a, (n + 1) * sizeof(*all));
    if (all == NULL) {
        return false;
    }
    p->some_recipients = true;
    p->recipients = all;
    p->recipients_n = n;
    for (const struct klx_json *c = klx_json_first(json); c != NULL; c = klx_json_next(c)) {
        *all++ = klx_json_str(c, "");
    }
    return true;
}

static void decode_attempts(const struct klx_record *r, struct klx_parked *p) {
    struct klx_sv class = text_of(r, "klaxon-verdict"), code = text_of(r, "klaxon-code");
    p->attempts = count_of(r, "klaxon-attempts");
    p->ambiguous = count_of(r, "klaxon-ambiguous");
    p->first_us = time_of(r, "klaxon-first-attempt");
    p->last_us = time_of(r, "klaxon-last-attempt");
    klx_verdict_set(&p->last, KLX_VERDICT_RETRY_BACKOFF, "", text_of(r, "klaxon-answer"));
    for (int c = 0; c < KLX_VERDICTS_N; c++) {
        if (klx_sv_eq(class, klx_sv(klx_verdict_name((enum klx_verdict_class)c)))) {
            p->last.class = (enum klx_verdict_class)c;
        }
    }
    snprintf(p->last.reason, sizeof(p->last.reason), "%.*s", KLX_SV_FMT(code));
}

/* The record as it was read, without what was added. */
static bool decode_original(struct klx_arena *a, const struct klx_record *r, struct klx_parked *p) {
    struct klx_record_header *all = klx_arena_alloc(a, (r->headers_n + 1) * sizeof(*all));
    struct klx_sv topic = klx_arena_dup(a, text_of(r, "klaxon-original-topic"));
    if (all == NULL || topic.p == NULL) {
        return false;
    }
    p->original = (struct klx_record){
        .topic = topic.p,
        .partition = (int32_t)count_of(r, "klaxon-original-partition"),
        .offset = int_of(r, "klaxon-original-offset"),
        .timestamp_ms = int_of(r, "klaxon-original-timestamp"),
        .key = text_of(r, "klaxon-original-key"),
        .value = r->value,
        .headers = all,
    };
    for (size_t i = 0; i < r->headers_n; i++) {
        if (!is_ours(&r->headers[i])) {
            all[p->original.headers_n++] = r->headers[i];
        }
    }
    return true;
}

int klx_parked_decode_notice(struct klx_arena *a, const struct klx_record *r, struct klx_parked *p,
                             struct klx_error *e) {
    const struct klx_sv *digest = find(r, "klaxon-digest");
    p->reason = reason_of(text_of(r, "klaxon-reason"));
    p->repeat = count_of(r, "klaxon-repeat");
    if (klx_severity_parse(text_of(r, "klaxon-severity"), &p->severity) != 0) {
        return klx_fail(e, -EBADMSG, "klaxon-severity is no severity");
    }
    if ((digest != NULL && !decode_digest(a, *digest, &p->digest)) ||
        (p->reason == KLX_NOTICE_DIGEST && digest == NULL)) {
        return klx_fail(e, -EBADMSG, "klaxon-digest is no digest");
    }
    return 0;
}

int klx_parked_decode(struct klx_arena *a, const struct klx_record *r, struct klx_parked *ret,
                      struct klx_error *e) {
    struct klx_parked p = { .sink = klx_sv("") };
    klx_parked_whose(r, &p.sink, &p.channel);
    p.team = text_of(r, "klaxon-team");
    p.subscription = text_of(r, "klaxon-subscription");
    p.parked_us = time_of(r, "klaxon-parked-since");
    p.not_before_us = time_of(r, "klaxon-not-before");
    decode_attempts(r, &p);
    const struct klx_sv *left = find(r, "klaxon-recipients");
    if (p.channel.n == 0 || p.sink.n == 0 || find(r, "klaxon-original-topic") == NULL ||
        p.parked_us == KLX_TIME_NONE) {
        return klx_fail(e, -EBADMSG, "it lacks the headers of a parked delivery");
    }
    int rc = klx_parked_decode_notice(a, r, &p, e);
    if (rc != 0) {
        return rc;
    }
    if (left != NULL && !decode_recipients(a, *left, &p)) {
        return klx_fail(e, -EBADMSG, "klaxon-recipients is no list");
    }
    if (!decode_original(a, r, &p)) {
        return klx_fail(e, -EBADMSG, "it is larger than klaxon carries");
    }
    *ret = p;
    return 0;
}

struct klx_sv klx_parked_place(const struct klx_parked *p, unsigned *ret_line) {
    struct klx_sv text = p->subscription;
    int64_t line = 0;
    size_t at = text.n;
    while (at > 0 && text.p[at - 1] != ':') {
        at--;
    }
    bool number = at > 0 && klx_sv_int(klx_sv_n(text.p + at, text.n - at), &line) == 0 &&
                  line >= 0 && line < INT32_MAX;
    *ret_line = number ? (unsigned)line : 0;
    return klx_sv_n(text.p, at > 0 ? at - 1 : text.n);
}

static bool is_at(const struct klx_subscription_settings *s, struct klx_sv file, unsigned line) {
    const char *slash = strrchr(s->file, '/');
    return s->line == line && klx_sv_eq(klx_sv(slash != NULL ? slash + 1 : s->file), file);
}

static size_t index_of(const struct klx_sinks_settings *s, struct klx_sv channel) {
    size_t i = 0;
    while (i < s->channels_n && !klx_sv_eq(klx_sv(s->channels[i].name), channel)) {
        i++;
    }
    return i;
}

const struct klx_subscription_settings *
klx_parked_subscription(const struct klx_parked *p, const struct klx_sinks_settings *s) {
    const struct klx_subscription_settings *first = NULL;
    unsigned line = 0;
    struct klx_sv file = klx_parked_place(p, &line);
    size_t channel = index_of(s, p->channel);
    for (size_t i = 0; i < s->subscriptions_n; i++) {
        const struct klx_subscription_settings *one = &s->subscriptions[i];
        if (!klx_sv_eq(one->team, p->team) || !klx_subscription_names(one, channel)) {
            continue;
        }
        if (is_at(one, file, line)) {
            return one;
        }
        first = first != NULL ? first : one;
    }
    return first;
}
