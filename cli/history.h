/*
 * Which part of history a command means: the options that `klaxon export` and `klaxon replay` share, and what they come to.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cli/filter.h"
#include "lib/base/config.h"
#include "lib/base/error.h"
#include "lib/base/hash.h"
#include "lib/base/options.h"
#include "lib/base/span.h"
#include "schema/topics.h"
#include "sinks/core/subject.h"

struct klx_history_options {
    const char *since, *until, *at, *tz, *time_field, *margin, *match, *grep;
    struct klx_option_strings topics, clusters, severities, nodes;
    bool utc, heartbeats;
};

/* Rows of a command's table whose options have a member `history` of this type. */
#define KLX_HISTORY_OPTION_ROWS(type) KLX_HISTORY_TIME_ROWS(type), KLX_HISTORY_WHICH_ROWS(type)
#define KLX_HISTORY_AT(type, member) .offset = offsetof(type, history.member)
#define KLX_HISTORY_TIME_ROWS(type)                                                                \
    { "since",     0,                                                                              \
      KLX_OPT_STR, KLX_HISTORY_AT(type, since),                                                    \
      "TIME",      "from this time on (default: the oldest there is)",                             \
      NULL },                                                                                      \
        { "until",     0,                                                                          \
          KLX_OPT_STR, KLX_HISTORY_AT(type, until),                                                \
          "TIME",      "before this time (default: now)",                                          \
          NULL },                                                                                  \
        { "at", 0, KLX_OPT_STR, KLX_HISTORY_AT(type, at), "RANGE", "both: TIME:TIME", NULL },      \
        { "tz",                                                                                    \
          0,                                                                                       \
          KLX_OPT_STR,                                                                             \
          KLX_HISTORY_AT(type, tz),                                                                \
          "ZONE",                                                                                  \
          "of dates without one, as Europe/Berlin; local: this machine's (default: UTC)",          \
          NULL },                                                                                  \
        { "utc", 0, KLX_OPT_FLAG, KLX_HISTORY_AT(type, utc), NULL, "the same as --tz UTC", NULL }, \
        { "time-field",                                                                            \
          0,                                                                                       \
          KLX_OPT_CHOICE,                                                                          \
          KLX_HISTORY_AT(type, time_field),                                                        \
          NULL,                                                                                    \
          "which time is meant: when it happened, was recorded, or what Kafka's record says",      \
          "event|recorded|ingest" },                                                               \
    {                                                                                              \
        "margin", 0, KLX_OPT_STR, KLX_HISTORY_AT(type, margin), "DURATION",                        \
            "how much earlier than its event a record may be dated (default: 1h)", NULL            \
    }
#define KLX_HISTORY_WHICH_ROWS(type)                                                               \
    { "topic",      't',                                                                           \
      KLX_OPT_STRS, KLX_HISTORY_AT(type, topics),                                                  \
      "NAME",       "short or full name, repeatable (default: all topics of events)",              \
      NULL },                                                                                      \
        { "match",     'm',                                                                        \
          KLX_OPT_STR, KLX_HISTORY_AT(type, match),                                                \
          "YAML",      "as of a subscription: '{event: \"node.*\", labels: {agentpool: system}}'", \
          NULL },                                                                                  \
        { "cluster",    0,                                                                         \
          KLX_OPT_STRS, KLX_HISTORY_AT(type, clusters),                                            \
          "PATTERN",    "such as \"prod-*\"; repeatable",                                          \
          NULL },                                                                                  \
        { "severity",   's',                                                                       \
          KLX_OPT_STRS, KLX_HISTORY_AT(type, severities),                                          \
          "NAME",       "info, warning or critical; repeatable",                                   \
          NULL },                                                                                  \
        { "node",       0,                                                                         \
          KLX_OPT_STRS, KLX_HISTORY_AT(type, nodes),                                               \
          "PATTERN",    "only events about such nodes; repeatable",                                \
          NULL },                                                                                  \
        { "grep",      0,                                                                          \
          KLX_OPT_STR, KLX_HISTORY_AT(type, grep),                                                 \
          "TEXT",      "only events with this text in their summary",                              \
          NULL },                                                                                  \
    {                                                                                              \
        "heartbeats", 0, KLX_OPT_FLAG, KLX_HISTORY_AT(type, heartbeats), NULL,                     \
            "the heartbeats of the clusters too", NULL                                             \
    }

enum klx_time_field { KLX_TIME_FIELD_EVENT, KLX_TIME_FIELD_RECORDED, KLX_TIME_FIELD_INGEST };

struct klx_history_plan {
    const char *topics[KLX_TOPICS_N]; /* full names, of the klx_topic_names, by name */
    size_t topics_n;
    struct klx_span span; /* until is given, or now */
    enum klx_time_field field;
    int64_t from_ms; /* where reading begins, INT64_MIN: at the oldest record */
    struct klx_filter filter;
    struct klx_config *match_text;
    struct klx_subscription_settings match;
    bool selects; /* something about the events is asked for, so that what is none is not meant */
    bool needs_data; /* to tell which are meant */
};

/* -EINVAL with the option that is wrong. */
int klx_history_plan_init(struct klx_history_plan *p, const struct klx_history_options *o,
                          const struct klx_topic_names *names, int64_t now_us,
                          struct klx_error *e) KLX_MUST_CHECK;
void klx_history_plan_release(struct klx_history_plan *p);
/* The time that counts; e NULL: the record is no event. */
int64_t klx_history_time(const struct klx_history_plan *p, const struct klx_record *r,
                         const struct klx_event *e);
bool klx_history_in_span(const struct klx_history_plan *p, int64_t time_us);
bool klx_history_wants(const struct klx_history_plan *p, const struct klx_event *e,
                       const struct klx_json *data);
/* Of everything that decides what is meant, and of `what` (the form, the goal): to tell whether a broken-off command is the same. */
void klx_history_digest(const struct klx_history_plan *p, const struct klx_history_options *o,
                        const char *what, char out[static KLX_HASH_TEXT_BYTES]);
/* "2026-03-10T23:00:00.000Z to 2026-03-11T23:00:00.000Z (UTC)" */
void klx_history_span_words(const struct klx_span *s, struct klx_buf *out);
