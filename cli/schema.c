#include "cli/schema.h"

#include <stdio.h>

#include "collector/settings.h"
#include "lib/base/cleanup.h"
#include "lib/base/json.h"
#include "lib/io/kafka_config.h"
#include "sinks/core/noise/hours.h"
#include "sinks/core/noise/settings_noise.h"
#include "sinks/core/settings.h"
#include "sinks/core/wording.h"
#include "sinks/webhook/rules.h"

#define DURATION "{\"type\":\"string\",\"pattern\":\"^([0-9]+(ms|[smhdwy]))+$\"}"

static const struct klx_sink_ops *const sinks[] = {
#define KLX_SINK(name) &klx_sink_##name,
#include "sinks/core/list.def"
#undef KLX_SINK
};

static const struct klx_source_ops *const sources[] = {
#define KLX_SOURCE(name) &klx_source_##name,
#include "collector/sources/list.def"
#undef KLX_SOURCE
};

/* What stands in a property, when the table's kind does not say it: it calls itself for what lies below. */
typedef void (*property_fn)(struct klx_jw *w, const char *key);

static void write_map(struct klx_jw *w, const struct klx_config_field *fields, property_fn inner);

static void write_ref(struct klx_jw *w, const char *name) {
    char ref[64];
    snprintf(ref, sizeof(ref), "#/definitions/%s", name);
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "$ref", ref);
    klx_jw_end_object(w);
}

static void begin_map(struct klx_jw *w) {
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "type", "object");
}

static void any_map_of(struct klx_jw *w, const char *definition) {
    begin_map(w);
    klx_jw_key(w, "additionalProperties");
    write_ref(w, definition);
    klx_jw_end_object(w);
}

static void list_of(struct klx_jw *w, const char *definition) {
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "type", "array");
    klx_jw_key(w, "items");
    write_ref(w, definition);
    klx_jw_end_object(w);
}

static void write_number(struct klx_jw *w, const struct klx_config_field *f) {
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "type", "integer");
    if (f->min != 0 || f->max != 0) {
        klx_jw_member_int(w, "minimum", f->min);
        klx_jw_member_int(w, "maximum", f->max);
    }
    klx_jw_end_object(w);
}

static void write_type(struct klx_jw *w, const struct klx_config_field *f, property_fn inner) {
    static const char *const types[] = {
        [KLX_CFG_STR] = "{\"type\":\"string\"}",
        [KLX_CFG_FILE] = "{\"type\":\"string\"}",
        [KLX_CFG_BOOL] = "{\"type\":\"boolean\"}",
        [KLX_CFG_DURATION] = DURATION,
        [KLX_CFG_BYTES] = "{\"type\":[\"string\",\"integer\"]}",
    };
    switch (f->kind) {
    case KLX_CFG_INT:
        write_number(w, f);
        return;
    case KLX_CFG_SECRET:
        write_ref(w, "secret");
        return;
    case KLX_CFG_STR_LIST: /* a status is a number for an editor, and "5xx" beside it a text */
        write_ref(w, f == &klx_webhook_rule_fields[0] ? "statuses" : "texts");
        return;
    case KLX_CFG_NODE:
        inner(w, f->key);
        return;
    default:
        klx_jw_raw(w, klx_sv(types[f->kind]));
    }
}

static void write_default(struct klx_jw *w, const struct klx_config_field *f) {
    if (f->kind == KLX_CFG_INT || f->kind == KLX_CFG_BOOL) {
        klx_jw_raw(w, klx_sv(f->otherwise));
    } else {
        klx_jw_str(w, f->otherwise);
    }
}

/* In draft-07 nothing may stand beside a $ref, so help and default are around it. */
static void write_property(struct klx_jw *w, const struct klx_config_field *f, property_fn inner) {
    klx_jw_begin_object(w);
    klx_jw_member_sv_opt(w, "description", klx_sv(f->help));
    if (f->otherwise != NULL) {
        klx_jw_key(w, "default");
        write_default(w, f);
    }
    klx_jw_key(w, "allOf");
    klx_jw_begin_array(w);
    write_type(w, f, inner);
    klx_jw_end_array(w);
    klx_jw_end_object(w);
}

static void write_map(struct klx_jw *w, const struct klx_config_field *fields, property_fn inner) {
    begin_map(w);
    klx_jw_member_bool(w, "additionalProperties", false);
    klx_jw_key(w, "properties");
    klx_jw_begin_object(w);
    for (const struct klx_config_field *f = fields; f->key != NULL; f++) {
        klx_jw_key(w, f->key);
        write_property(w, f, inner);
    }
    klx_jw_end_object(w);
    bool any = false;
    for (const struct klx_config_field *f = fields; f->key != NULL; f++) {
        if (f->required && fields != klx_settings_fields) {
            if (!any) {
                klx_jw_key(w, "required");
                klx_jw_begin_array(w);
            }
            klx_jw_str(w, f->key);
            any = true;
        }
    }
    if (any) {
        klx_jw_end_array(w);
    }
    klx_jw_end_object(w);
}

static void in_topics(struct klx_jw *w, const char *key) {
    (void)key; /* retention is the only one */
    begin_map(w);
    klx_jw_member_bool(w, "additionalProperties", false);
    klx_jw_key(w, "properties");
    klx_jw_begin_object(w);
    for (size_t i = 0; i < KLX_TOPICS_N; i++) {
        if (klx_topic_specs[i].retention_ms > 0) {
            klx_jw_key(w, klx_topic_specs[i].short_name);
            klx_jw_raw(w, KLX_SV(DURATION));
        }
    }
    klx_jw_end_object(w);
    klx_jw_end_object(w);
}

static void write_items(struct klx_jw *w, const struct klx_config_field *fields) {
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "type", "array");
    klx_jw_member_int(w, "minItems", 1);
    klx_jw_member_int(w, "maxItems", KLX_GENERIC_ITEMS_MAX);
    klx_jw_key(w, "items");
    write_map(w, fields, NULL);
    klx_jw_end_object(w);
}

static void in_source(struct klx_jw *w, const char *key) {
    (void)key; /* endpoints are the only ones */
    list_of(w, "endpoint");
}

static void write_sources(struct klx_jw *w) {
    begin_map(w);
    klx_jw_member_bool(w, "additionalProperties", false);
    klx_jw_member_int(w, "minProperties", 1);
    klx_jw_key(w, "properties");
    klx_jw_begin_object(w);
    for (size_t i = 0; i < KLX_COUNT(sources); i++) {
        klx_jw_key(w, sources[i]->name);
        klx_jw_begin_object(w);
        klx_jw_key(w, "anyOf");
        klx_jw_begin_array(w);
        if (sources[i]->items) {
            write_items(w, klx_source_fields(sources[i]));
        } else {
            klx_jw_raw(w, KLX_SV("{\"type\":\"null\"}"));
            write_map(w, klx_source_fields(sources[i]), in_source);
        }
        klx_jw_end_array(w);
        klx_jw_end_object(w);
    }
    klx_jw_end_object(w);
    klx_jw_end_object(w);
}

static void write_detectors(struct klx_jw *w) {
    static const struct klx_config_field none[] = { { .key = NULL } };
    begin_map(w);
    klx_jw_member_bool(w, "additionalProperties", false);
    klx_jw_key(w, "properties");
    klx_jw_begin_object(w);
    for (size_t i = 0; i < KLX_DETECTORS_N; i++) {
        const struct klx_detector_ops *ops = klx_detectors[i];
        klx_jw_key(w, ops->name);
        write_map(w, ops->settings != NULL ? ops->settings : none, NULL);
    }
    klx_jw_end_object(w);
    klx_jw_end_object(w);
}

static void write_canary(struct klx_jw *w) {
    klx_jw_begin_object(w);
    klx_jw_key(w, "anyOf");
    klx_jw_begin_array(w);
    klx_jw_raw(w, KLX_SV("{\"type\":\"boolean\"}"));
    write_map(w, klx_canary_fields, NULL);
    klx_jw_end_array(w);
    klx_jw_end_object(w);
}

static void in_cluster(struct klx_jw *w, const char *key) {
    if (klx_sv_eq(klx_sv(key), KLX_SV("canary"))) {
        write_canary(w);
        return;
    }
    if (klx_sv_eq(klx_sv(key), KLX_SV("sources"))) {
        write_sources(w);
    } else if (klx_sv_eq(klx_sv(key), KLX_SV("azure"))) {
        write_map(w, klx_azure_fields, NULL);
    } else if (klx_sv_eq(klx_sv(key), KLX_SV("lease"))) {
        write_map(w, klx_lease_fields, NULL);
    } else {
        write_detectors(w);
    }
}

static void write_label(struct klx_jw *w) {
    klx_jw_begin_object(w);
    klx_jw_key(w, "anyOf");
    klx_jw_begin_array(w);
    write_ref(w, "texts");
    write_map(w, klx_label_fields, NULL);
    klx_jw_end_array(w);
    klx_jw_end_object(w);
}

static void in_match(struct klx_jw *w, const char *key) {
    if (klx_sv_eq(klx_sv(key), KLX_SV("labels"))) {
        any_map_of(w, "label");
    } else {
        write_ref(w, "texts");
    }
}

static void write_quiet(struct klx_jw *w) {
    klx_jw_begin_object(w);
    klx_jw_key(w, "anyOf");
    klx_jw_begin_array(w);
    write_map(w, klx_quiet_fields, NULL);
    list_of(w, "quiet");
    klx_jw_end_array(w);
    klx_jw_end_object(w);
}

static void in_message(struct klx_jw *w, const char *key) {
    if (klx_sv_eq(klx_sv(key), KLX_SV("event"))) {
        write_ref(w, "texts");
    } else {
        list_of(w, "fact");
    }
}

static void write_message(struct klx_jw *w) {
    klx_jw_begin_object(w);
    klx_jw_key(w, "anyOf");
    klx_jw_begin_array(w);
    write_ref(w, "message");
    list_of(w, "message");
    klx_jw_end_array(w);
    klx_jw_end_object(w);
}

static void define_messages(struct klx_jw *w) {
    klx_jw_key(w, "fact");
    klx_jw_begin_object(w);
    klx_jw_key(w, "anyOf");
    klx_jw_begin_array(w);
    klx_jw_raw(w, KLX_SV("{\"const\":\"defaults\"}"));
    write_map(w, klx_wording_fact_fields, NULL);
    klx_jw_end_array(w);
    klx_jw_end_object(w);
    klx_jw_key(w, "message");
    write_map(w, klx_wording_fields, in_message);
}

static void in_escalate(struct klx_jw *w, const char *key) {
    (void)key; /* the channels */
    write_ref(w, "texts");
}

static void in_subscription(struct klx_jw *w, const char *key) {
    if (klx_sv_eq(klx_sv(key), KLX_SV("match"))) {
        write_map(w, klx_match_fields, in_match);
    } else if (klx_sv_eq(klx_sv(key), KLX_SV("severity"))) {
        write_map(w, klx_subscription_severity_fields, NULL);
    } else if (klx_sv_eq(klx_sv(key), KLX_SV("team"))) {
        klx_jw_raw(w, KLX_SV("{\"type\":\"string\",\"minLength\":1}"));
    } else if (klx_sv_eq(klx_sv(key), KLX_SV("quiet"))) {
        write_quiet(w);
    } else if (klx_sv_eq(klx_sv(key), KLX_SV("message"))) {
        write_message(w);
    } else if (klx_sv_eq(klx_sv(key), KLX_SV("escalate"))) {
        write_map(w, klx_escalate_fields, in_escalate);
    } else {
        write_ref(w, "texts");
    }
}

static void exactly_one_kind(struct klx_jw *w) {
    klx_jw_key(w, "oneOf");
    klx_jw_begin_array(w);
    for (size_t i = 0; i < KLX_COUNT(sinks); i++) {
        klx_jw_begin_object(w);
        klx_jw_key(w, "required");
        klx_jw_begin_array(w);
        klx_jw_str(w, sinks[i]->name);
        klx_jw_end_array(w);
        klx_jw_end_object(w);
    }
    klx_jw_end_array(w);
}

/* Of a channel: all of them are the webhook's. */
static void in_channel(struct klx_jw *w, const char *key) {
    struct klx_sv k = klx_sv(key);
    if (klx_sv_eq(k, KLX_SV("responses"))) {
        klx_jw_begin_object(w);
        klx_jw_member_str(w, "type", "array");
        klx_jw_member_int(w, "maxItems", KLX_WEBHOOK_RULES_MAX);
        klx_jw_key(w, "items");
        write_map(w, klx_webhook_rule_fields, NULL);
        klx_jw_end_object(w);
        return;
    }
    if (klx_sv_eq(k, KLX_SV("secrets"))) {
        any_map_of(w, "secret");
        return;
    }
    begin_map(w);
    klx_jw_key(w, "additionalProperties");
    klx_jw_raw(w, klx_sv_eq(k, KLX_SV("headers"))
                      ? KLX_SV("{\"anyOf\":[{\"type\":[\"string\",\"number\",\"boolean\"]},"
                               "{\"$ref\":\"#/definitions/secret\"}]}")
                      : KLX_SV("{\"type\":\"string\"}"));
    klx_jw_end_object(w);
}

/* A map with one property for each kind of sink. */
static void write_kinds(struct klx_jw *w, bool channel) {
    begin_map(w);
    klx_jw_member_bool(w, "additionalProperties", false);
    if (channel) {
        exactly_one_kind(w);
    }
    klx_jw_key(w, "properties");
    klx_jw_begin_object(w);
    for (size_t i = 0; i < KLX_COUNT(sinks); i++) {
        klx_jw_key(w, sinks[i]->name);
        write_map(w, channel ? sinks[i]->fields : klx_sink_process_fields, in_channel);
    }
    if (channel) {
        klx_jw_key(w, "throttle");
        write_map(w, klx_throttle_fields, NULL);
        klx_jw_key(w, "message");
        write_message(w);
    }
    klx_jw_end_object(w);
    klx_jw_end_object(w);
}

/* librdkafka's properties, and one key of ours. */
static void write_kafka(struct klx_jw *w) {
    begin_map(w);
    klx_jw_key(w, "properties");
    klx_jw_begin_object(w);
    klx_jw_key(w, "oauth");
    write_map(w, klx_kafka_oauth_fields, NULL);
    klx_jw_end_object(w);
    klx_jw_key(w, "additionalProperties");
    write_ref(w, "kafkaProperty");
    klx_jw_end_object(w);
}

static void in_links_cluster(struct klx_jw *w, const char *key) {
    (void)key; /* azure is the only one */
    write_map(w, klx_links_azure_fields, NULL);
}

static void in_links(struct klx_jw *w, const char *key) {
    (void)key; /* clusters are the only ones */
    begin_map(w);
    klx_jw_key(w, "additionalProperties");
    write_map(w, klx_links_cluster_fields, in_links_cluster);
    klx_jw_end_object(w);
}

static void in_file(struct klx_jw *w, const char *key) {
    struct klx_sv k = klx_sv(key);
    if (klx_sv_eq(k, KLX_SV("kafka"))) {
        write_kafka(w);
    } else if (klx_sv_eq(k, KLX_SV("topics"))) {
        write_map(w, klx_settings_topics_fields, in_topics);
    } else if (klx_sv_eq(k, KLX_SV("collector"))) {
        write_map(w, klx_collector_fields, NULL);
    } else if (klx_sv_eq(k, KLX_SV("clusters"))) {
        list_of(w, "cluster");
    } else if (klx_sv_eq(k, KLX_SV("sinks"))) {
        write_kinds(w, false);
    } else if (klx_sv_eq(k, KLX_SV("channels"))) {
        any_map_of(w, "channel");
    } else if (klx_sv_eq(k, KLX_SV("subscriptions"))) {
        list_of(w, "teamsSubscription");
    } else if (klx_sv_eq(k, KLX_SV("links"))) {
        write_map(w, klx_links_fields, in_links);
    } else {
        write_map(w, klx_settings_log_fields, NULL);
    }
}

static void define_values(struct klx_jw *w) {
    klx_jw_key(w, "texts");
    klx_jw_raw(w, KLX_SV("{\"anyOf\":[{\"type\":\"string\"},"
                         "{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":\"string\"}}]}"));
    klx_jw_key(w, "statuses");
    klx_jw_raw(w, KLX_SV("{\"anyOf\":[{\"type\":[\"string\",\"integer\"]},{\"type\":\"array\","
                         "\"minItems\":1,\"items\":{\"type\":[\"string\",\"integer\"]}}]}"));
    klx_jw_key(w, "secret");
    klx_jw_raw(w, KLX_SV("{\"type\":\"object\",\"minProperties\":1,\"maxProperties\":1,"
                         "\"additionalProperties\":false,\"properties\":{"
                         "\"file\":{\"type\":\"string\"},\"env\":{\"type\":\"string\"}}}"));
}

static void define_clusters(struct klx_jw *w) {
    klx_jw_key(w, "kafkaProperty");
    klx_jw_raw(w, KLX_SV("{\"anyOf\":[{\"type\":[\"string\",\"number\",\"boolean\"]},"
                         "{\"$ref\":\"#/definitions/secret\"}]}"));
    klx_jw_key(w, "cluster");
    write_map(w, klx_cluster_fields, in_cluster);
    klx_jw_key(w, "endpoint");
    write_map(w, klx_endpoint_fields, NULL);
}

static void define_channels(struct klx_jw *w) {
    klx_jw_key(w, "channel");
    write_kinds(w, true);
}

static void define_subscriptions(struct klx_jw *w) {
    klx_jw_key(w, "label");
    write_label(w);
    klx_jw_key(w, "quiet");
    write_map(w, klx_quiet_fields, NULL);
    klx_jw_key(w, "subscription");
    write_map(w, klx_subscription_fields, in_subscription);
    klx_jw_key(w, "teamsSubscription");
    klx_jw_raw(w, KLX_SV("{\"allOf\":[{\"$ref\":\"#/definitions/subscription\"},"
                         "{\"required\":[\"team\"]}]}"));
}

static void new_line(struct klx_buf *out, unsigned depth) {
    klx_buf_add_char(out, '\n');
    for (unsigned i = 0; i < depth; i++) {
        klx_buf_add_str(out, "  ");
    }
}

static bool opens(char c) {
    return c == '{' || c == '[';
}

static bool closes(char c) {
    return c == '}' || c == ']';
}

void klx_schema_indent(struct klx_buf *out, struct klx_sv json) {
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < json.n; i++) {
        char c = json.p[i], next = i + 1 < json.n ? json.p[i + 1] : '\0';
        klx_buf_add_char(out, c);
        in_string = c == '"' ? !in_string : in_string;
        if (in_string && c == '\\') {
            klx_buf_add_char(out, next);
            i++;
        } else if (!in_string && opens(c) && !closes(next)) {
            new_line(out, ++depth);
        } else if (!in_string && c == ',') {
            new_line(out, depth);
        } else if (!in_string && c == ':') {
            klx_buf_add_char(out, ' ');
        }
        if (!in_string && !opens(c) && closes(next)) {
            new_line(out, --depth);
        }
    }
    klx_buf_add_char(out, '\n');
}

static void in_subscriptions_file(struct klx_jw *w, const char *key) {
    if (klx_sv_eq(klx_sv(key), KLX_SV("team"))) {
        in_subscription(w, key);
    } else {
        list_of(w, "subscription");
    }
}

/* Of subscriptions.d/: with `team:` at its head, or each with its own. */
static void write_subscriptions_file(struct klx_jw *w) {
    klx_jw_key(w, "anyOf");
    klx_jw_begin_array(w);
    list_of(w, "teamsSubscription");
    write_map(w, klx_settings_subscriptions_file_fields, in_subscriptions_file);
    klx_jw_end_array(w);
}

static void write_channels_file(struct klx_jw *w) {
    klx_jw_key(w, "anyOf");
    klx_jw_begin_array(w);
    write_map(w, klx_settings_channels_file_fields, in_file);
    any_map_of(w, "channel");
    klx_jw_end_array(w);
}

static void write_main_file(struct klx_jw *w) {
    klx_jw_member_str(w, "type", "object");
    klx_jw_member_bool(w, "additionalProperties", false);
    klx_jw_key(w, "properties");
    klx_jw_begin_object(w);
    for (const struct klx_config_field *f = klx_settings_fields; f->key != NULL; f++) {
        klx_jw_key(w, f->key);
        write_property(w, f, in_file);
    }
    klx_jw_end_object(w);
}

void klx_schema_write(struct klx_buf *out, enum klx_schema_file file) {
    static const struct {
        const char *title;
        void (*write)(struct klx_jw *w);
        void (*define[4])(struct klx_jw *w);
    } files[] = {
        [KLX_SCHEMA_MAIN] = { "klaxon.yaml",
                              write_main_file,
                              { define_clusters, define_channels, define_subscriptions,
                                define_messages } },
        [KLX_SCHEMA_CHANNELS] = { "a file of channels.d/",
                                  write_channels_file,
                                  { define_channels, define_messages } },
        [KLX_SCHEMA_SUBSCRIPTIONS] = { "a file of subscriptions.d/",
                                       write_subscriptions_file,
                                       { define_subscriptions, define_messages } },
    };
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&text, out->max);
    klx_jw_init(&w, &text);
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "$schema", "http://json-schema.org/draft-07/schema#");
    klx_jw_member_str(&w, "title", files[file].title);
    files[file].write(&w);
    klx_jw_key(&w, "definitions");
    klx_jw_begin_object(&w);
    define_values(&w);
    for (size_t i = 0; i < KLX_COUNT(files[0].define) && files[file].define[i] != NULL; i++) {
        files[file].define[i](&w);
    }
    klx_jw_end_object(&w);
    klx_jw_end_object(&w);
    klx_schema_indent(out, klx_buf_sv(&text));
    out->failed = out->failed || text.failed;
}
