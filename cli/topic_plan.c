#include "cli/topic_plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#define CLEANUP "cleanup.policy"
#define RETENTION "retention.ms"
#define TIMESTAMP "message.timestamp.type"
#define CREATE_TIME "CreateTime"

void klx_topic_plan_init(struct klx_topic_plan plan[static KLX_TOPICS_N],
                         const struct klx_settings *s) {
    for (size_t i = 0; i < KLX_TOPICS_N; i++) {
        const struct klx_topic_spec *spec = &klx_topic_specs[i];
        /* A compacted topic is read whole and in order: the configuration has no say in its partitions. */
        bool configured = s->partitions > 0 && spec->partitions > 1;
        plan[i] = (struct klx_topic_plan){
            .topic = (enum klx_topic)i,
            .name = s->topics.name[i],
            .partitions = configured ? (int32_t)s->partitions : spec->partitions,
            .replication = (int16_t)s->replication,
            .retention_ms = s->retention_ms[i],
        };
        snprintf(plan[i].retention, sizeof(plan[i].retention), "%" PRId64, plan[i].retention_ms);
    }
}

struct klx_admin_topic klx_topic_plan_wanted(const struct klx_topic_plan *p) {
    return (struct klx_admin_topic){
        .name = p->name,
        .partitions = p->partitions,
        .replication = p->replication,
        .settings = { { CLEANUP, klx_topic_specs[p->topic].cleanup_policy },
                      { RETENTION, p->retention },
                      { TIMESTAMP, CREATE_TIME } },
        .settings_n = 3,
    };
}

void klx_topic_plan_found(struct klx_topic_plan *p, const struct klx_admin_topic *found) {
    const struct {
        const char *name;
        char *at;
    } kept[] = { { CLEANUP, p->found_cleanup },
                 { RETENTION, p->found_retention },
                 { TIMESTAMP, p->found_timestamp } };
    p->exists = found->exists;
    p->found_partitions = found->partitions;
    p->found_replication = found->replication;
    for (size_t i = 0; i < found->settings_n; i++) {
        const struct klx_admin_setting *setting = &found->settings[i];
        for (size_t k = 0; k < KLX_COUNT(kept); k++) {
            if (found->exists && setting->value != NULL &&
                strcmp(setting->name, kept[k].name) == 0) {
                snprintf(kept[k].at, KLX_TOPIC_SETTING_BYTES, "%s", setting->value);
            }
        }
    }
}

static void differs(struct klx_topic_difference *ret, size_t *n, const char *setting,
                    const char *found, const char *expected) {
    if (found[0] != '\0' && strcmp(found, expected) != 0) {
        struct klx_topic_difference *d = &ret[(*n)++];
        d->setting = setting;
        snprintf(d->found, sizeof(d->found), "%s", found);
        snprintf(d->expected, sizeof(d->expected), "%s", expected);
    }
}

size_t klx_topic_plan_differences(const struct klx_topic_plan *p,
                                  struct klx_topic_difference ret[KLX_TOPIC_DIFFERENCES_MAX]) {
    size_t n = 0;
    char found[16], expected[16];
    snprintf(found, sizeof(found), "%d", (int)p->found_partitions);
    snprintf(expected, sizeof(expected), "%d", (int)p->partitions);
    differs(ret, &n, "partitions", found, expected);
    if (p->replication > 0) {
        snprintf(found, sizeof(found), "%d", (int)p->found_replication);
        snprintf(expected, sizeof(expected), "%d", (int)p->replication);
        differs(ret, &n, "replication", found, expected);
    }
    differs(ret, &n, CLEANUP, p->found_cleanup, klx_topic_specs[p->topic].cleanup_policy);
    differs(ret, &n, RETENTION, p->found_retention, p->retention);
    differs(ret, &n, TIMESTAMP, p->found_timestamp, CREATE_TIME);
    return n;
}

void klx_topic_plan_drift(const struct klx_topic_plan *p, struct klx_buf *out) {
    struct klx_topic_difference differences[KLX_TOPIC_DIFFERENCES_MAX];
    size_t n = klx_topic_plan_differences(p, differences);
    for (size_t i = 0; i < n; i++) {
        const struct klx_topic_difference *d = &differences[i];
        klx_buf_printf(out, "%s%s is %s, expected %s", i > 0 ? "; " : "", d->setting, d->found,
                       d->expected);
    }
}

void klx_topic_plan_words(const struct klx_topic_plan *p, struct klx_buf *out) {
    struct klx_admin_topic wanted = klx_topic_plan_wanted(p);
    klx_buf_printf(out, "partitions %d, ", (int)p->partitions);
    if (p->replication > 0) {
        klx_buf_printf(out, "replication %d", (int)p->replication);
    } else {
        klx_buf_add_str(out, "replication of the broker");
    }
    for (size_t i = 0; i < wanted.settings_n; i++) {
        klx_buf_printf(out, ", %s=%s", wanted.settings[i].name, wanted.settings[i].value);
    }
}

void klx_topic_retention_words(int64_t ms, struct klx_buf *out) {
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = { { "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 } };
    if (ms < 0) {
        klx_buf_add_str(out, "forever");
        return;
    }
    for (size_t i = 0; i < KLX_COUNT(units); i++) {
        if (ms > 0 && ms % units[i].ms == 0) {
            klx_buf_printf(out, "%" PRId64 "%s", ms / units[i].ms, units[i].name);
            return;
        }
    }
    klx_buf_printf(out, "%" PRId64 "ms", ms);
}
