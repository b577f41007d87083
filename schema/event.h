/*
 * An event, and the record that carries it: CloudEvents 1.0, Kafka protocol binding, binary mode
 * (github.com/cloudevents/spec, cloudevents/bindings/kafka-protocol-binding.md). Decoding also takes structured mode.
 *
 * Attributes are headers ce_<name>; `content-type: application/json`; the value is the data. klaxon's extensions:
 *   cluster      the name of the cluster in the configuration
 *   severity     info | warning | critical
 *   incident     id shared by all events of one episode          (absent: not part of one)
 *   phase        open | update | resolved                         (with incident)
 *   incidentseq  1, 2, 3 … within the incident: an older update never overwrites a newer one
 *   resync       "true": seen in a relist, not live
 *   replayid     set by replay
 * dataschema is "urn:klaxon:<kind>:<version>": the version of the data's schema (schema/data.h).
 *
 * The id is deterministic: the same change seen twice has the same id. `time` is when it happened in the cluster; the record's timestamp
 * is the same instant in ms, but never later than `now` + 1 min and never before 1970, because a broker refuses a future one.
 *
 * Data, for every kind (schema/data.h has what else): an object with at least
 *   summary   one sentence for a person
 *   object    {kind, name, namespace?, apiVersion?, uid?, resourceVersion?} what it is about
 *   reason    a CamelCase word
 *   labels    {…} the object's labels that the source keeps (may be empty)
 * and, as part of an incident,
 *   incident  {severity: the worst so far, this event included; opened: its first instant, …}
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/record.h"
#include "lib/base/sv.h"
#include "schema/topics.h"

enum klx_severity { KLX_SEVERITY_INFO, KLX_SEVERITY_WARNING, KLX_SEVERITY_CRITICAL };
enum klx_phase { KLX_PHASE_NONE, KLX_PHASE_OPEN, KLX_PHASE_UPDATE, KLX_PHASE_RESOLVED };

enum klx_kind {
#define KLX_KIND(NAME, ...) KLX_KIND_##NAME,
#include "schema/kinds.def"
#undef KLX_KIND
    KLX_KINDS_N,
    KLX_KIND_UNKNOWN =
        KLX_KINDS_N, /* a type of another version or producer: carried, not understood */
};

struct klx_kind_spec {
    const char *type;
    enum klx_topic topic;
    enum klx_severity severity;
    const char *title;
    const char *advice; /* what to do, one or two sentences */
};

extern const struct klx_kind_spec klx_kind_specs[KLX_KINDS_N];

/* A type as people write it, "node.ready": without "io.klaxon.". Of another producer's type all of it. */
struct klx_sv klx_event_short_type(struct klx_sv type);
const char *klx_severity_name(enum klx_severity s);
const char *klx_phase_name(enum klx_phase p); /* "" for NONE */
int klx_severity_parse(struct klx_sv name, enum klx_severity *ret) KLX_MUST_CHECK;

/* Views borrow from the caller's memory (encode) or the arena and the record (decode). */
struct klx_event {
    enum klx_kind kind;
    struct klx_sv type;        /* decode: as it came; encode: empty means the kind's */
    struct klx_sv data_schema; /* the same for "urn:klaxon:node.ready:1" (schema/data.h) */
    struct klx_sv id;
    struct klx_sv source;  /* "/clusters/prod-weu/nodes" */
    struct klx_sv subject; /* "Node/aks-1", "kube-system/Pod/ama-metrics-0" */
    struct klx_sv cluster;
    enum klx_severity severity;
    struct klx_sv incident;
    enum klx_phase phase;
    uint32_t incident_seq;
    bool resync;
    struct klx_sv replay_id;
    int64_t time_us;
    struct klx_sv key;
    struct klx_sv data; /* JSON text */
};

/* Everything of *e is copied into the arena. -ENOMEM: the arena is full. */
int klx_event_encode(struct klx_arena *a, const struct klx_topic_names *topics,
                     const struct klx_event *e, int64_t now_us,
                     struct klx_record *ret) KLX_MUST_CHECK;
/* -EBADMSG with what is not a CloudEvent about it (missing attribute, wrong specversion, bad time, data that is not JSON text …).
   The data is not parsed. */
int klx_event_decode(struct klx_arena *a, const struct klx_record *r, struct klx_event *ret,
                     struct klx_error *e) KLX_MUST_CHECK;

/* The id of a change: digest of (cluster, type, parts…); 32 hex digits in the arena. */
struct klx_sv klx_event_id(struct klx_arena *a, struct klx_sv cluster, enum klx_kind kind,
                           const struct klx_sv *parts, size_t n);
/* The id of an incident: digest of (cluster, "incident", parts…). */
struct klx_sv klx_incident_id(struct klx_arena *a, struct klx_sv cluster,
                              const struct klx_sv *parts, size_t n);
