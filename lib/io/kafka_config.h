/*
 * The properties a Kafka client is made with: librdkafka's own names, from the `kafka:` map of the configuration.
 */
#pragma once

#include "lib/base/error.h"
#include "lib/base/sv.h"

struct klx_kafka_config;

struct klx_kafka_config *klx_kafka_config_new(void);
void klx_kafka_config_free(struct klx_kafka_config *c);
struct klx_kafka_config *klx_kafka_config_dup(const struct klx_kafka_config *c);
/* -EINVAL: librdkafka does not know the name or refuses the value (its words, without the value of a secret). Later settings win.
   Refused as well: what klaxon decides itself (transactional.id, enable.auto.commit, group.id, callbacks …), with the reason. */
int klx_kafka_config_set(struct klx_kafka_config *c, struct klx_sv name, struct klx_sv value,
                         struct klx_error *e) KLX_MUST_CHECK;
/* "host:9092,…", "" when not set. */
const char *klx_kafka_config_bootstrap(const struct klx_kafka_config *c);
