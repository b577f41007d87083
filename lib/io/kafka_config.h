/*
 * The properties a Kafka client is made with: librdkafka's own names, from the `kafka:` map of the configuration.
 */
#pragma once

#include "lib/base/config.h"
#include "lib/base/error.h"
#include "lib/base/sv.h"

struct klx_kafka_config;

/* The keys of `oauth`. */
extern const struct klx_config_field *const klx_kafka_oauth_fields;

struct klx_kafka_config *klx_kafka_config_new(void);
void klx_kafka_config_free(struct klx_kafka_config *c);
struct klx_kafka_config *klx_kafka_config_dup(const struct klx_kafka_config *c);
/* -EINVAL: librdkafka does not know the name or refuses the value (its words, without the value of a secret). Later settings win.
   Refused as well: what klaxon decides itself (transactional.id, enable.auto.commit, group.id, callbacks …), with the reason. */
int klx_kafka_config_set(struct klx_kafka_config *c, struct klx_sv name, struct klx_sv value,
                         struct klx_error *e) KLX_MUST_CHECK;
/* Sets each member of the `kafka:` map: a value, or {file: /path} or {env: NAME} that holds it, read once; and `oauth`, a map of
   KLX_OAUTH_FIELDS (lib/io/oauth.h), for sasl.mechanism OAUTHBEARER. Those that are refused are reported with their place; the result is
   their number. */
size_t klx_kafka_config_bind(struct klx_kafka_config *c, const struct klx_config_node *map,
                             klx_config_report_fn report, void *arg);
/* The same where the secrets are not: such a property is left out, and no mistake. */
size_t klx_kafka_config_bind_anywhere(struct klx_kafka_config *c, const struct klx_config_node *map,
                                      klx_config_report_fn report, void *arg);
/* What only shows when a client is made of all the properties: a CA file that is not there, a mechanism without its user … Connects to
   nothing. -EINVAL with librdkafka's words. */
int klx_kafka_config_check(const struct klx_kafka_config *c, struct klx_error *e) KLX_MUST_CHECK;
/* With its first client librdkafka starts Cyrus SASL, which loads every plugin of the system, a database with them: half a megabyte that
   only Kerberos needs. Without Kerberos they are left out. Before the first client and thread, for a process that starts no others: they
   would inherit SASL_PATH. */
void klx_kafka_config_spare_plugins(const struct klx_kafka_config *c);
/* Why SCRAM may not work with this machine's librdkafka, or NULL. (its issue 4895: it repeats its nonce; brokers before 4.0 tolerate that) */
const char *klx_kafka_config_doubt(const struct klx_kafka_config *c);
/* "host:9092,…", "" when not set. */
const char *klx_kafka_config_bootstrap(const struct klx_kafka_config *c);
