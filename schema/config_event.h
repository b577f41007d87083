/*
 * What a process says of its own configuration, as events: that a new one was refused, and that one is used again.
 *
 * They stand on klaxon.kubernetes under the cluster "klaxon". The incident is that of the configuration that goes on being used, so replicas
 * of a process, which refuse the same, tell of one.
 */
#pragma once

#include <stdbool.h>

#include "schema/event.h"

#define KLX_CONFIG_EVENT_CLUSTER "klaxon"
#define KLX_CONFIG_EVENT_MISTAKES_MAX 20
#define KLX_CONFIG_EVENT_BYTES_MAX (64u << 10)

struct klx_config_event {
    bool accepted;         /* else refused */
    struct klx_sv process; /* "klaxon-sink-slack", also of which installation */
    const char *file;      /* the main one */
    const char *hash;      /* of the configuration that is in use (accepted: that was in use) */
    uint32_t seq;          /* within the incident: 1 is the first refusal */
    const struct klx_sv *mistakes;
    size_t mistakes_n; /* at most so many of them */
    size_t mistakes_total;
    int64_t opened_us; /* the first refusal */
    int64_t now_us;
};

/* Everything of *ret is in the arena. -ENOMEM: it is full. */
int klx_config_event_encode(struct klx_arena *a, const struct klx_topic_names *topics,
                            const struct klx_config_event *c,
                            struct klx_record *ret) KLX_MUST_CHECK;
