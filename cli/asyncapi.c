#include "cli/asyncapi.h"

#include <stdio.h>

#include "cli/asyncapi_own.h"
#include "cli/event_schema.h"
#include "cli/schema.h"
#include "klx_version.h"
#include "lib/base/cleanup.h"

#define TABLES_MAX 64
#define REF_BYTES 160
#define ABOUT_BYTES 256

static const char *const about_topics[KLX_TOPICS_N] = {
    [KLX_TOPIC_KUBERNETES] =
        "Events of the clusters, as they come, changes of what is followed, gaps.",
    [KLX_TOPIC_NODES] = "Nodes: readiness, auto-repair, upgrades.",
    [KLX_TOPIC_SCALING] = "HorizontalPodAutoscalers, OOM kills and restarts.",
    [KLX_TOPIC_GITOPS] = "Applications of Argo CD and Rollouts of Argo Rollouts.",
    [KLX_TOPIC_METRICS] = "Samples of metrics.",
    [KLX_TOPIC_STATE] = ("klaxon's own memory: where each watch stands and what each detector "
                         "remembers. Not for others."),
    [KLX_TOPIC_CONTROL] = "klaxon's own: what operators told the sinks, and what sinks tell each "
                          "other. Not for others.",
    [KLX_TOPIC_DELIVERIES] = "Receipts: what became of each event on each channel.",
    [KLX_TOPIC_RETRY] = "klaxon's own: deliveries that wait to be tried again. Not for others.",
    [KLX_TOPIC_DLQ] = "Dead letters: what a channel refused for good.",
};

static void write_ref(struct klx_jw *w, const char *where, const char *name) {
    char ref[REF_BYTES];
    snprintf(ref, sizeof(ref), "#/%s/%s", where, name);
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "$ref", ref);
    klx_jw_end_object(w);
}

static void begin(struct klx_jw *w, const char *key) {
    klx_jw_key(w, key);
    klx_jw_begin_object(w);
}

static void write_info(struct klx_jw *w) {
    begin(w, "info");
    klx_jw_member_str(w, "title", "klaxon");
    klx_jw_member_str(w, "version", KLX_VERSION);
    klx_jw_member_str(w, "description",
                      "Events of Kubernetes clusters, as CloudEvents 1.0 in the binary mode of the "
                      "Kafka protocol binding: attributes "
                      "are headers, the value is the data. Readers pass over members and values "
                      "that they do not know; what else "
                      "changes in the data of an event moves the version in its ce_dataschema.");
    klx_jw_end_object(w);
}

static void write_topic_binding(struct klx_jw *w, enum klx_topic topic, const char *name) {
    const struct klx_topic_spec *spec = &klx_topic_specs[topic];
    begin(w, "bindings");
    begin(w, "kafka");
    klx_jw_member_str(w, "topic", name);
    klx_jw_member_int(w, "partitions", spec->partitions);
    begin(w, "topicConfiguration");
    klx_jw_key(w, "cleanup.policy");
    klx_jw_begin_array(w);
    klx_jw_str(w, spec->cleanup_policy);
    klx_jw_end_array(w);
    klx_jw_member_int(w, "retention.ms", spec->retention_ms);
    klx_jw_end_object(w);
    klx_jw_member_str(w, "bindingVersion", "0.5.0");
    klx_jw_end_object(w);
    klx_jw_end_object(w);
}

/* Heartbeats come on all topics that sources write to. */
static bool is_on(enum klx_kind kind, enum klx_topic topic) {
    bool everywhere = kind == KLX_KIND_HEARTBEAT && topic <= KLX_TOPIC_METRICS;
    return everywhere || klx_kind_specs[kind].topic == topic;
}

static bool has_messages(enum klx_topic topic) {
    size_t k = 0, own = 0;
    while (k < KLX_KINDS_N && !is_on((enum klx_kind)k, topic)) {
        k++;
    }
    while (own < klx_own_messages_n && klx_own_messages[own].topic != topic) {
        own++;
    }
    return k < KLX_KINDS_N || own < klx_own_messages_n;
}

static void write_channel(struct klx_jw *w, enum klx_topic topic, const char *name) {
    begin(w, klx_topic_specs[topic].short_name);
    klx_jw_member_str(w, "address", name);
    klx_jw_member_str(w, "title", name);
    char about[ABOUT_BYTES];
    snprintf(about, sizeof(about), "%s Key: %s.", about_topics[topic], klx_topic_specs[topic].key);
    klx_jw_member_str(w, "description", about);
    begin(w, "messages");
    for (size_t k = 0; k < KLX_KINDS_N; k++) {
        if (is_on((enum klx_kind)k, topic)) {
            const char *kind = klx_kind_short_name((enum klx_kind)k);
            klx_jw_key(w, kind);
            write_ref(w, "components/messages", kind);
        }
    }
    for (size_t i = 0; i < klx_own_messages_n; i++) {
        if (klx_own_messages[i].topic == topic) {
            klx_jw_key(w, klx_own_messages[i].name);
            write_ref(w, "components/messages", klx_own_messages[i].name);
        }
    }
    klx_jw_end_object(w);
    write_topic_binding(w, topic, name);
    klx_jw_end_object(w);
}

static void write_operations(struct klx_jw *w) {
    begin(w, "operations");
    for (size_t t = 0; t < KLX_TOPICS_N; t++) {
        if (has_messages((enum klx_topic)t)) {
            char name[64];
            snprintf(name, sizeof(name), "send-%s", klx_topic_specs[t].short_name);
            begin(w, name);
            klx_jw_member_str(w, "action", "send");
            klx_jw_key(w, "channel");
            write_ref(w, "channels", klx_topic_specs[t].short_name);
            klx_jw_end_object(w);
        }
    }
    klx_jw_end_object(w);
}

static void write_const(struct klx_jw *w, const char *header, const char *value) {
    begin(w, header);
    klx_jw_member_str(w, "type", "string");
    klx_jw_member_str(w, "const", value);
    klx_jw_end_object(w);
}

static void write_headers(struct klx_jw *w, enum klx_kind kind) {
    char urn[KLX_DATA_URN_BYTES];
    klx_data_urn(kind, urn);
    begin(w, "headers");
    klx_jw_key(w, "allOf");
    klx_jw_begin_array(w);
    write_ref(w, "components/schemas", "headers");
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "type", "object");
    begin(w, "properties");
    write_const(w, "ce_type", klx_kind_specs[kind].type);
    write_const(w, "ce_dataschema", urn);
    klx_jw_end_object(w);
    klx_jw_end_object(w);
    klx_jw_end_array(w);
    klx_jw_end_object(w);
}

static void write_key(struct klx_jw *w, enum klx_topic topic) {
    begin(w, "bindings");
    begin(w, "kafka");
    begin(w, "key");
    klx_jw_member_str(w, "type", "string");
    klx_jw_member_str(w, "description", klx_topic_specs[topic].key);
    klx_jw_end_object(w);
    klx_jw_member_str(w, "bindingVersion", "0.5.0");
    klx_jw_end_object(w);
    klx_jw_end_object(w);
}

static void write_message(struct klx_jw *w, enum klx_kind kind) {
    const struct klx_kind_spec *spec = &klx_kind_specs[kind];
    begin(w, klx_kind_short_name(kind));
    klx_jw_member_str(w, "name", spec->type);
    klx_jw_member_str(w, "title", spec->title);
    klx_jw_member_str(w, "summary", spec->advice);
    klx_jw_member_str(w, "description", klx_data_specs[kind].about);
    klx_jw_member_str(w, "contentType", "application/json");
    write_headers(w, kind);
    write_key(w, spec->topic);
    begin(w, "payload");
    klx_event_schema_data(w, kind, true);
    klx_jw_end_object(w);
    klx_jw_end_object(w);
}

static void write_own_message(struct klx_jw *w, const struct klx_own_message *m) {
    begin(w, m->name);
    klx_jw_member_str(w, "name", m->name);
    klx_jw_member_str(w, "title", m->title);
    klx_jw_member_str(w, "description", m->about);
    klx_jw_member_str(w, "contentType", "application/json");
    if (m->headers != NULL) {
        klx_jw_key(w, "headers");
        klx_jw_raw(w, klx_sv(m->headers));
    }
    write_key(w, m->topic);
    klx_jw_key(w, "payload");
    klx_jw_raw(w, klx_sv(m->payload));
    klx_jw_end_object(w);
}

static void write_header(struct klx_jw *w, const char *name, const char *about, const char *words) {
    begin(w, name);
    klx_jw_member_str(w, "type", "string");
    klx_jw_member_str(w, "description", about);
    if (words != NULL) {
        klx_jw_key(w, "enum");
        klx_jw_raw(w, klx_sv(words));
    }
    klx_jw_end_object(w);
}

static void write_headers_schema(struct klx_jw *w) {
    begin(w, "headers");
    klx_jw_member_str(w, "type", "object");
    klx_jw_key(w, "required");
    klx_jw_raw(w, KLX_SV("[\"ce_specversion\",\"ce_id\",\"ce_source\",\"ce_type\",\"ce_subject\","
                         "\"ce_time\",\"content-type\",\"ce_severity\"]"));
    begin(w, "properties");
    write_header(w, "ce_specversion", "of CloudEvents", "[\"1.0\"]");
    write_header(w, "ce_id", "the same change seen twice has the same id", NULL);
    write_header(w, "ce_source", "cluster and source, or sink", NULL);
    write_header(w, "ce_type", "the kind of event", NULL);
    write_header(w, "ce_dataschema", "the kind and the version of its data's schema", NULL);
    write_header(w, "ce_subject", "what it is about", NULL);
    write_header(w, "ce_time", "when it happened in the cluster, RFC 3339", NULL);
    write_header(w, "content-type", "of the value", "[\"application/json\"]");
    write_header(w, "ce_cluster", "the cluster's name in the configuration", NULL);
    write_header(w, "ce_severity", "how bad it is", "[\"info\",\"warning\",\"critical\"]");
    write_header(w, "ce_incident", "the id of the incident that it is part of", NULL);
    write_header(w, "ce_phase", "of the incident", "[\"open\",\"update\",\"resolved\"]");
    write_header(w, "ce_incidentseq", "1, 2, 3 … within the incident", NULL);
    write_header(w, "ce_resync", "seen in a list, not live", "[\"true\"]");
    write_header(w, "ce_replayid", "set by a replay", NULL);
    klx_jw_end_object(w);
    klx_jw_end_object(w);
}

/* The inner tables that were written already. */
struct tables {
    const struct klx_data_member *written[TABLES_MAX];
    size_t n;
};

static void write_tables_of(struct klx_jw *w, struct tables *t, const struct klx_data_use *uses,
                            size_t n);

static void write_table(struct klx_jw *w, struct tables *t, const struct klx_data_member *m) {
    struct klx_data_use uses[KLX_DATA_USES_MAX];
    for (size_t i = 0; i < t->n; i++) {
        if (t->written[i] == m->inner) {
            return;
        }
    }
    if (t->n == TABLES_MAX) {
        w->out->failed = true;
        return;
    }
    t->written[t->n++] = m->inner;
    begin(w, m->inner_name);
    klx_event_schema_inner(w, m, true);
    klx_jw_end_object(w);
    write_tables_of(w, t, uses, klx_data_inner(m, uses));
}

static void write_tables_of(struct klx_jw *w, struct tables *t, const struct klx_data_use *uses,
                            size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (uses[i].member->inner != NULL) {
            write_table(w, t, uses[i].member);
        }
    }
}

static void write_components(struct klx_jw *w) {
    struct tables tables = { .n = 0 };
    begin(w, "components");
    begin(w, "messages");
    for (size_t k = 0; k < KLX_KINDS_N; k++) {
        write_message(w, (enum klx_kind)k);
    }
    for (size_t i = 0; i < klx_own_messages_n; i++) {
        write_own_message(w, &klx_own_messages[i]);
    }
    klx_jw_end_object(w);
    begin(w, "schemas");
    write_headers_schema(w);
    for (size_t k = 0; k < KLX_KINDS_N; k++) {
        struct klx_data_use uses[KLX_DATA_USES_MAX];
        size_t n = klx_data_members((enum klx_kind)k, uses);
        write_tables_of(w, &tables, uses, n == SIZE_MAX ? 0 : n);
    }
    klx_jw_end_object(w);
    klx_jw_end_object(w);
}

void klx_asyncapi_write(struct klx_buf *out, const struct klx_topic_names *topics) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&text, out->max);
    klx_jw_init(&w, &text);
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "asyncapi", "3.0.0");
    write_info(&w);
    klx_jw_member_str(&w, "defaultContentType", "application/json");
    begin(&w, "channels");
    for (size_t t = 0; t < KLX_TOPICS_N; t++) {
        write_channel(&w, (enum klx_topic)t, topics->name[t]);
    }
    klx_jw_end_object(&w);
    write_operations(&w);
    write_components(&w);
    klx_jw_end_object(&w);
    klx_schema_indent(out, klx_buf_sv(&text));
    out->failed = out->failed || text.failed;
}
