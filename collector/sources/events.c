/*
 * Core Events of all namespaces: both recorder shapes become one (facts: the normaliser), and each occurrence is published.
 */
#include "collector/sources/source.h"

#include <errno.h>

#include "collector/redact.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/time.h"

/* An Event's message may be 64 KB by the API's contract, and nobody checks that, or how long a reason is; a record holds what a person
   reads (KLX_REDACT_BYTES_MAX of the message), and names in `truncated` what it cut. */
#define TEXT_BYTES_MAX 512
#define DATA_BYTES_MAX (256 * 1024) /* an escape takes up to six bytes for one */
#define DATA_BYTES_USUAL 2000       /* asked for at once, not in ever larger pieces */

static struct klx_sv first_of(struct klx_sv a, struct klx_sv b) {
    return a.n > 0 ? a : b;
}

static int64_t time_of(const struct klx_json *object) {
    static const char *const paths[] = { "series.lastObservedTime", "lastTimestamp", "eventTime",
                                         "firstTimestamp", "metadata.creationTimestamp" };
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        int64_t us = 0;
        if (klx_time_parse(klx_json_str(object, paths[i]), &us) == 0) {
            return us;
        }
    }
    return KLX_TIME_NONE;
}

static int observe(const struct klx_json *object, struct klx_observation *ret) {
    if (ret->change == KLX_CHANGE_DELETED) {
        return -ENOENT; /* The TTL ran out: garbage collection, up to a thousand at once. */
    }
    const struct klx_json *metadata = klx_json_get(object, "metadata");
    const struct klx_json *about = klx_json_get(object, "involvedObject");
    ret->name = klx_json_str(metadata, "name");
    ret->namespace = klx_json_str(metadata, "namespace");
    ret->uid = klx_json_str(metadata, "uid");
    ret->resource_version = klx_json_str(metadata, "resourceVersion");
    ret->labels = NULL;
    ret->event = (struct klx_observed_event){
        .reason = klx_json_str(object, "reason"),
        .message = klx_json_str(object, "message"),
        .type = klx_json_str(object, "type"),
        .component = first_of(klx_json_str(object, "source.component"),
                              klx_json_str(object, "reportingComponent")),
        .about_kind = klx_json_str(about, "kind"),
        .about_name = klx_json_str(about, "name"),
        .about_namespace = klx_json_str(about, "namespace"),
        .time_us = time_of(object),
        .count = klx_json_int(object, "series.count", klx_json_int(object, "count", 1)),
    };
    if (ret->uid.n == 0 || ret->resource_version.n == 0) {
        return -EBADMSG;
    }
    return 0;
}

/* What is published of an Event, none of it too long. */
struct shown {
    struct klx_sv message, reason, type, component, action;
    struct klx_sv kind, name, namespace, api_version, uid, field_path;
    const char *cut[16]; /* the members that were longer */
    size_t cut_n;
};

static struct klx_sv show(struct shown *s, const char *member, struct klx_sv text,
                          size_t bytes_max) {
    struct klx_sv prefix = klx_sv_utf8_prefix(text, bytes_max);
    if (prefix.n < text.n && s->cut_n < KLX_COUNT(s->cut)) {
        s->cut[s->cut_n++] = member;
    }
    return prefix;
}

static void show_all(struct shown *s, const struct klx_observation *o,
                     const struct klx_json *object, struct klx_arena *a) {
    const struct klx_observed_event *v = &o->event;
    const struct klx_json *about = klx_json_get(object, "involvedObject");
    const struct {
        struct klx_sv *to;
        const char *member;
        struct klx_sv text;
    } texts[] = {
        { &s->kind, "object.kind", v->about_kind },
        { &s->name, "object.name", v->about_name },
        { &s->namespace, "object.namespace", v->about_namespace },
        { &s->api_version, "object.apiVersion", klx_json_str(about, "apiVersion") },
        { &s->uid, "object.uid", klx_json_str(about, "uid") },
        { &s->field_path, "object.fieldPath", klx_json_str(about, "fieldPath") },
        { &s->reason, "reason", v->reason },
        { &s->type, "type", v->type },
        { &s->action, "action", klx_json_str(object, "action") },
        { &s->component, "component", v->component },
    };
    s->message = klx_redact_lines(a, show(s, "summary", v->message, KLX_REDACT_BYTES_MAX));
    for (size_t i = 0; i < KLX_COUNT(texts); i++) {
        *texts[i].to = show(s, texts[i].member, texts[i].text, TEXT_BYTES_MAX);
    }
}

static void write_about(struct klx_jw *w, const struct shown *s) {
    klx_jw_key(w, "object");
    klx_jw_begin_object(w);
    klx_jw_member_sv(w, "kind", s->kind);
    klx_jw_member_sv(w, "name", s->name);
    klx_jw_member_sv_opt(w, "namespace", s->namespace);
    klx_jw_member_sv_opt(w, "apiVersion", s->api_version);
    klx_jw_member_sv_opt(w, "uid", s->uid);
    klx_jw_member_sv_opt(w, "fieldPath", s->field_path);
    klx_jw_end_object(w);
}

static void write_event(struct klx_jw *w, const struct klx_observation *o) {
    klx_jw_key(w, "event");
    klx_jw_begin_object(w);
    klx_jw_member_sv(w, "namespace", klx_sv_utf8_prefix(o->namespace, TEXT_BYTES_MAX));
    klx_jw_member_sv(w, "name", klx_sv_utf8_prefix(o->name, TEXT_BYTES_MAX));
    klx_jw_member_sv(w, "uid", klx_sv_utf8_prefix(o->uid, TEXT_BYTES_MAX));
    klx_jw_member_sv(w, "resourceVersion", klx_sv_utf8_prefix(o->resource_version, TEXT_BYTES_MAX));
    klx_jw_end_object(w);
}

static void write_truncated(struct klx_jw *w, const struct shown *s) {
    klx_jw_key(w, "truncated");
    klx_jw_begin_array(w);
    for (size_t i = 0; i < s->cut_n; i++) {
        klx_jw_str(w, s->cut[i]);
    }
    klx_jw_end_array(w);
}

static void write_data(struct klx_jw *w, const struct klx_observation *o, const struct shown *s) {
    klx_jw_begin_object(w);
    klx_jw_member_sv(w, "summary", s->message);
    write_about(w, s);
    klx_jw_member_sv(w, "reason", s->reason);
    klx_jw_key(w, "labels");
    klx_jw_begin_object(w);
    klx_jw_end_object(w);
    klx_jw_member_sv(w, "type", s->type);
    klx_jw_member_sv_opt(w, "action", s->action);
    klx_jw_member_sv(w, "component", s->component);
    klx_jw_member_int(w, "count", o->event.count);
    write_event(w, o);
    if (s->cut_n > 0) {
        write_truncated(w, s);
    }
    klx_jw_end_object(w);
}

static void publish(const struct klx_observation *o, const struct klx_json *object,
                    struct klx_outbox *out) {
    const struct klx_observed_event *v = &o->event;
    struct shown s = { 0 };
    struct klx_buf data KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&data, DATA_BYTES_MAX);
    klx_buf_reserve(&data, DATA_BYTES_USUAL);
    struct klx_jw w;
    klx_jw_init(&w, &data);
    show_all(&s, o, object, out->arena);
    write_data(&w, o, &s);

    const struct klx_sv id_parts[] = { o->uid, o->resource_version }, slash = KLX_SV("/");
    struct klx_arena *a = out->arena;
    struct klx_sv place = s.namespace.n > 0 ? s.namespace : KLX_SV("-");
    struct klx_sv key = KLX_CONCAT(a, o->cluster, slash, place, slash, s.kind, slash, s.name);
    struct klx_sv subject = key;
    klx_sv_cut(&subject, '/'); /* a cluster's name holds none */
    struct klx_event e = {
        .kind = KLX_KIND_KUBERNETES_EVENT,
        .id = klx_event_id(a, o->cluster, KLX_KIND_KUBERNETES_EVENT, id_parts, 2),
        .source = KLX_CONCAT(a, KLX_SV("/clusters/"), o->cluster, KLX_SV("/events")),
        .subject = subject,
        .key = key,
        .cluster = o->cluster,
        .severity =
            klx_sv_eq(v->type, KLX_SV("Warning")) ? KLX_SEVERITY_WARNING : KLX_SEVERITY_INFO,
        .resync = o->origin != KLX_ORIGIN_LIVE,
        .time_us = v->time_us,
        .data = klx_buf_sv(&data),
    };
    out->event(out, &e);
}

const struct klx_source_ops klx_source_events = {
    .name = "events",
    .path = "/api/v1/events",
    .namespaced_path = "/api/v1/namespaces/%s/events",
    .bookmarks = false, /* Events have no watch cache, and so no bookmarks. */
    .stateful = false,
    .observed = KLX_OBSERVED_EVENT,
    .topic = KLX_TOPIC_KUBERNETES,
    .observe = observe,
    .publish = publish,
};
