/*
 * The topics: names, keys and settings (schema/topics.def), with the prefix of the configuration ("klaxon." unless set).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/base/sv.h"

enum klx_topic {
#define KLX_TOPIC(NAME, ...) KLX_TOPIC_##NAME,
#include "schema/topics.def"
#undef KLX_TOPIC
    KLX_TOPICS_N,
};

struct klx_topic_spec {
    const char *short_name; /* "nodes" */
    const char *cleanup_policy;
    int64_t retention_ms; /* -1: for ever */
    int32_t partitions;
    const char *key;
};

extern const struct klx_topic_spec klx_topic_specs[KLX_TOPICS_N];

/* The full names, made once per process. */
struct klx_topic_names {
    char name[KLX_TOPICS_N][128];
};

/* -EINVAL when the prefix makes an illegal or overlong name (Kafka: [a-zA-Z0-9._-], at most 249 bytes; here 100). */
int klx_topic_names_init(struct klx_topic_names *t, struct klx_sv prefix,
                         struct klx_error *e) KLX_MUST_CHECK;
/* What tells this installation from others on the same Kafka: the prefix without the dot at its end; empty for "klaxon.". Borrowed. */
struct klx_sv klx_topic_installation(const struct klx_topic_names *t);
/* From a short or full name; -ENOENT with "did you mean". */
int klx_topic_find(const struct klx_topic_names *t, struct klx_sv name, enum klx_topic *ret,
                   struct klx_error *e) KLX_MUST_CHECK;
