/*
 * The topics as the configuration wants them, and as they were found.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/io/admin.h"
#include "schema/settings.h"

#define KLX_TOPIC_SETTING_BYTES 48

struct klx_topic_plan {
    enum klx_topic topic;
    const char *name; /* of the settings */
    int32_t partitions;
    int16_t replication;                     /* -1: the broker's default */
    int64_t retention_ms;                    /* -1: for ever */
    char retention[KLX_TOPIC_SETTING_BYTES]; /* as a setting */

    bool exists; /* and then: */
    int32_t found_partitions;
    int16_t found_replication;
    /* "" when the broker did not say */
    char found_cleanup[KLX_TOPIC_SETTING_BYTES];
    char found_retention[KLX_TOPIC_SETTING_BYTES];
    char found_timestamp[KLX_TOPIC_SETTING_BYTES];
};

void klx_topic_plan_init(struct klx_topic_plan plan[static KLX_TOPICS_N],
                         const struct klx_settings *s);
/* For klx_admin_create; borrows from the plan. For klx_admin_describe the same: the settings' names are those to ask for. */
struct klx_admin_topic klx_topic_plan_wanted(const struct klx_topic_plan *p);
void klx_topic_plan_found(struct klx_topic_plan *p, const struct klx_admin_topic *found);
#define KLX_TOPIC_DIFFERENCES_MAX 5

struct klx_topic_difference {
    const char *setting; /* "partitions", "replication", "cleanup.policy" … */
    char found[KLX_TOPIC_SETTING_BYTES], expected[KLX_TOPIC_SETTING_BYTES];
};

/* How a topic that exists differs from what the configuration wants. What the broker does not say does not differ. */
size_t klx_topic_plan_differences(const struct klx_topic_plan *p,
                                  struct klx_topic_difference ret[KLX_TOPIC_DIFFERENCES_MAX]);
/* Appends the same as "partitions is 1, expected 4; …"; nothing when the topic is as it should be. */
void klx_topic_plan_drift(const struct klx_topic_plan *p, struct klx_buf *out);
/* Appends "partitions 4, replication 3, cleanup.policy=delete, …": what must be created. */
void klx_topic_plan_words(const struct klx_topic_plan *p, struct klx_buf *out);
/* Appends "7d", "90m", "forever". */
void klx_topic_retention_words(int64_t ms, struct klx_buf *out);
