#include "schema/event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/hash.h"
#include "lib/base/time.h"
#include "schema/data.h"

#define HEADERS_MAX 15
#define AHEAD_US_MAX (60 * KLX_US_PER_S)
#define ID_PARTS_MAX 8

struct header_list {
    struct klx_arena *arena;
    struct klx_record_header items[HEADERS_MAX];
    size_t n;
    bool full;
};

/* A value that lives as long as the program. */
static void add_constant(struct header_list *l, struct klx_sv name, struct klx_sv value) {
    if (value.n > 0) {
        l->items[l->n++] = (struct klx_record_header){ name, value };
    }
}

static void add(struct header_list *l, struct klx_sv name, struct klx_sv value) {
    if (value.n == 0) {
        return;
    }
    struct klx_sv copy = klx_arena_dup(l->arena, value);
    l->full = l->full || copy.p == NULL;
    add_constant(l, name, copy);
}

static void add_incident(struct header_list *l, const struct klx_event *e) {
    if (e->incident.n == 0) {
        return;
    }
    add(l, KLX_SV("ce_incident"), e->incident);
    add_constant(l, KLX_SV("ce_phase"), klx_sv(klx_phase_name(e->phase)));
    if (e->incident_seq > 0) {
        char seq[16];
        int n = snprintf(seq, sizeof(seq), "%u", e->incident_seq);
        add(l, KLX_SV("ce_incidentseq"), klx_sv_n(seq, (size_t)n));
    }
}

static void add_data_schema(struct header_list *l, const struct klx_event *e) {
    char urn[KLX_DATA_URN_BYTES];
    size_t n = klx_data_urn(e->kind, urn);
    add(l, KLX_SV("ce_dataschema"), e->data_schema.n > 0 ? e->data_schema : klx_sv_n(urn, n));
}

static void add_attributes(struct header_list *l, const struct klx_event *e) {
    char time[KLX_TIME_TEXT_BYTES];
    size_t time_n = klx_time_format(e->time_us, KLX_TIME_MICROS, time);
    add_constant(l, KLX_SV("ce_specversion"), KLX_SV("1.0"));
    add(l, KLX_SV("ce_id"), e->id);
    add(l, KLX_SV("ce_source"), e->source);
    if (e->type.n > 0) {
        add(l, KLX_SV("ce_type"), e->type);
    } else {
        add_constant(l, KLX_SV("ce_type"), klx_sv(klx_kind_specs[e->kind].type));
    }
    add_data_schema(l, e);
    add(l, KLX_SV("ce_subject"), e->subject);
    add(l, KLX_SV("ce_time"), klx_sv_n(time, time_n));
    add_constant(l, KLX_SV("content-type"), KLX_SV("application/json"));
    add(l, KLX_SV("ce_cluster"), e->cluster);
    add_constant(l, KLX_SV("ce_severity"), klx_sv(klx_severity_name(e->severity)));
    add_incident(l, e);
    add_constant(l, KLX_SV("ce_resync"), e->resync ? KLX_SV("true") : KLX_SV(""));
    add(l, KLX_SV("ce_replayid"), e->replay_id);
}

/* A broker refuses a record from the future, and a clock somewhere is always wrong. */
static int64_t record_timestamp_ms(int64_t time_us, int64_t now_us) {
    int64_t us = time_us > now_us + AHEAD_US_MAX ? now_us + AHEAD_US_MAX : time_us;
    return us < 0 ? 0 : us / KLX_US_PER_MS;
}

int klx_event_encode(struct klx_arena *a, const struct klx_topic_names *topics,
                     const struct klx_event *e, int64_t now_us, struct klx_record *ret) {
    struct header_list l = { .arena = a };
    struct klx_event event = *e;
    if (event.time_us == KLX_TIME_NONE) {
        event.time_us = now_us;
    }
    add_attributes(&l, &event);
    struct klx_sv key = klx_arena_dup(a, event.key);
    struct klx_sv value = klx_arena_dup(a, event.data);
    struct klx_record_header *headers = klx_arena_alloc(a, l.n * sizeof(*headers));
    if (l.full || key.p == NULL || value.p == NULL || headers == NULL) {
        return -ENOMEM;
    }
    memcpy(headers, l.items, l.n * sizeof(*headers));
    *ret = (struct klx_record){
        .topic = topics->name[klx_kind_specs[event.kind].topic],
        .partition = -1,
        .timestamp_ms = record_timestamp_ms(event.time_us, now_us),
        .key = key,
        .value = value,
        .headers = headers,
        .headers_n = l.n,
    };
    return 0;
}

static enum klx_kind kind_of(struct klx_sv type) {
    for (size_t i = 0; i < KLX_KINDS_N; i++) {
        if (klx_sv_eq(type, klx_sv(klx_kind_specs[i].type))) {
            return (enum klx_kind)i;
        }
    }
    return KLX_KIND_UNKNOWN;
}

/* One attribute by its CloudEvents name. Unknown extensions are carried by others: here they are passed over. */
static int set_attribute(struct klx_event *e, struct klx_sv name, struct klx_sv value,
                         bool *has_version, struct klx_error *err) {
    const struct {
        struct klx_sv name;
        struct klx_sv *at;
    } texts[] = {
        { KLX_SV("id"), &e->id },
        { KLX_SV("source"), &e->source },
        { KLX_SV("type"), &e->type },
        { KLX_SV("dataschema"), &e->data_schema },
        { KLX_SV("subject"), &e->subject },
        { KLX_SV("cluster"), &e->cluster },
        { KLX_SV("incident"), &e->incident },
        { KLX_SV("replayid"), &e->replay_id },
    };
    for (size_t i = 0; i < KLX_COUNT(texts); i++) {
        if (klx_sv_eq(name, texts[i].name)) {
            *texts[i].at = value;
            return 0;
        }
    }
    if (klx_sv_eq(name, KLX_SV("specversion"))) {
        *has_version = klx_sv_eq(value, KLX_SV("1.0"));
        return *has_version ? 0
                            : klx_fail(err, -EBADMSG, "CloudEvents specversion \"%.*s\" is not 1.0",
                                       KLX_SV_FMT(value));
    }
    if (klx_sv_eq(name, KLX_SV("time")) && klx_time_parse(value, &e->time_us) != 0) {
        return klx_fail(err, -EBADMSG, "the attribute time is not RFC 3339: \"%.*s\"",
                        KLX_SV_FMT(value));
    }
    if (klx_sv_eq(name, KLX_SV("severity")) && klx_severity_parse(value, &e->severity) != 0) {
        return klx_fail(err, -EBADMSG, "severity \"%.*s\" is none of info, warning, critical",
                        KLX_SV_FMT(value));
    }
    if (klx_sv_eq(name, KLX_SV("phase"))) {
        for (int p = KLX_PHASE_OPEN; p <= KLX_PHASE_RESOLVED; p++) {
            e->phase = klx_sv_eq(value, klx_sv(klx_phase_name((enum klx_phase)p)))
                           ? (enum klx_phase)p
                           : e->phase;
        }
    }
    if (klx_sv_eq(name, KLX_SV("incidentseq"))) {
        int64_t seq = 0;
        if (klx_sv_int(value, &seq) != 0 || seq < 1 || seq > UINT32_MAX) {
            return klx_fail(err, -EBADMSG, "incidentseq \"%.*s\" is not a number from 1 on",
                            KLX_SV_FMT(value));
        }
        e->incident_seq = (uint32_t)seq;
    }
    if (klx_sv_eq(name, KLX_SV("resync"))) {
        e->resync = klx_sv_eq(value, KLX_SV("true"));
    }
    return 0;
}

static int decode_binary(const struct klx_record *r, struct klx_event *e, bool *has_version,
                         struct klx_error *err) {
    for (size_t i = 0; i < r->headers_n; i++) {
        struct klx_sv name = r->headers[i].name;
        if (klx_sv_starts(name, KLX_SV("ce_"))) {
            name = klx_sv_n(name.p + 3, name.n - 3);
            int rc = set_attribute(e, name, r->headers[i].value, has_version, err);
            if (rc != 0) {
                return rc;
            }
        }
    }
    e->data = r->value;
    return 0;
}

static int decode_structured(struct klx_arena *a, const struct klx_record *r, struct klx_event *e,
                             bool *has_version, struct klx_error *err) {
    const struct klx_json *envelope = NULL;
    if (klx_json_parse(a, r->value, NULL, &envelope, err) != 0) {
        return klx_fail_in(err, -EBADMSG, "structured CloudEvent");
    }
    for (const struct klx_json *m = klx_json_first(envelope); m != NULL; m = klx_json_next(m)) {
        int rc = 0;
        if (klx_sv_eq(klx_json_key(m), KLX_SV("data"))) {
            struct klx_buf text KLX_CLEANUP(klx_buf_release);
            klx_buf_init(&text, klx_json_limits_default.bytes_max);
            struct klx_jw w;
            klx_jw_init(&w, &text);
            klx_jw_node(&w, m);
            e->data = klx_arena_dup(a, klx_buf_sv(&text));
            rc = text.failed || e->data.p == NULL ? klx_fail(err, -EBADMSG, "the data is too large")
                                                  : 0;
        } else if (klx_json_is_string(m)) {
            rc = set_attribute(e, klx_json_key(m), klx_json_str(m, ""), has_version, err);
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static bool is_structured(const struct klx_record *r) {
    const struct klx_sv prefix = KLX_SV("application/cloudevents");
    for (size_t i = 0; i < r->headers_n; i++) {
        struct klx_sv value = r->headers[i].value;
        if (klx_sv_eq_nocase(r->headers[i].name, KLX_SV("content-type")) && value.n >= prefix.n) {
            return klx_sv_eq_nocase(klx_sv_n(value.p, prefix.n), prefix);
        }
    }
    return false;
}

/* A foreign producer may write any number. */
static int64_t time_of_record(int64_t timestamp_ms) {
    int64_t us = 0;
    return __builtin_mul_overflow(timestamp_ms, KLX_US_PER_MS, &us) ? 0 : us;
}

int klx_event_decode(struct klx_arena *a, const struct klx_record *r, struct klx_event *ret,
                     struct klx_error *err) {
    struct klx_event e = { .kind = KLX_KIND_UNKNOWN,
                           .time_us = time_of_record(r->timestamp_ms),
                           .key = r->key };
    bool has_version = false;
    int rc = is_structured(r) ? decode_structured(a, r, &e, &has_version, err)
                              : decode_binary(r, &e, &has_version, err);
    if (rc != 0) {
        return rc;
    }
    const char *missing = !has_version      ? "specversion"
                          : e.id.n == 0     ? "id"
                          : e.source.n == 0 ? "source"
                          : e.type.n == 0   ? "type"
                                            : NULL;
    if (missing != NULL) {
        return klx_fail(err, -EBADMSG, "not a CloudEvent: the attribute %s is missing", missing);
    }
    if (e.data.n == 0) {
        return klx_fail(err, -EBADMSG, "the event %.*s has no data", KLX_SV_FMT(e.id));
    }
    e.kind = kind_of(e.type);
    *ret = e;
    return 0;
}

static struct klx_sv digest(struct klx_arena *a, struct klx_sv cluster, struct klx_sv what,
                            const struct klx_sv *parts, size_t n) {
    struct klx_sv all[ID_PARTS_MAX + 2] = { cluster, what };
    size_t count = n < ID_PARTS_MAX ? n : ID_PARTS_MAX;
    for (size_t i = 0; i < count; i++) {
        all[i + 2] = parts[i];
    }
    char text[KLX_HASH_TEXT_BYTES];
    klx_hash_parts(all, count + 2, text);
    return klx_arena_dup(a, klx_sv(text));
}

struct klx_sv klx_event_id(struct klx_arena *a, struct klx_sv cluster, enum klx_kind kind,
                           const struct klx_sv *parts, size_t n) {
    return digest(a, cluster, klx_sv(klx_kind_specs[kind].type), parts, n);
}

struct klx_sv klx_incident_id(struct klx_arena *a, struct klx_sv cluster,
                              const struct klx_sv *parts, size_t n) {
    return digest(a, cluster, KLX_SV("incident"), parts, n);
}
