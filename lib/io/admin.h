/*
 * Topics: look and create. These calls BLOCK up to timeout_ms: for the command line, or for klx_work.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/io/kafka_config.h"

struct klx_admin;

struct klx_admin_setting {
    const char *name;  /* "cleanup.policy" */
    const char *value; /* "compact" */
};

struct klx_admin_topic {
    const char *name;
    bool exists;
    int32_t partitions;
    int16_t replication; /* -1: the broker's default */
    struct klx_admin_setting settings
        [8]; /* describe: in, the names wanted; out, the values (owned by klx_admin until its next call) */
    size_t settings_n;
};

/* -EHOSTUNREACH with the brokers' names and why: none can be reached, which is known at once when all refuse, or none answers in time.
   -EACCES: the credentials are not accepted, or there is no token. */
int klx_admin_new(const struct klx_kafka_config *kafka, int64_t timeout_ms, struct klx_admin **ret,
                  struct klx_error *e) KLX_MUST_CHECK;
void klx_admin_free(struct klx_admin *a);
/* Fills exists, partitions, replication and the values of the settings: NULL where the broker does not know one, or keeps them all to
   itself. */
int klx_admin_describe(struct klx_admin *a, struct klx_admin_topic *topics, size_t n,
                       struct klx_error *e) KLX_MUST_CHECK;
/* -EEXIST, -EACCES, -EOPNOTSUPP (a broker that refuses creation), … with the broker's words. */
int klx_admin_create(struct klx_admin *a, const struct klx_admin_topic *topic,
                     struct klx_error *e) KLX_MUST_CHECK;
