/*
 * Inside lib/io only: librdkafka, and what its users here share.
 */
#pragma once

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/base/error.h"
#include "lib/base/record.h"
#include "lib/io/kafka_config.h"
#include "lib/io/loop.h"

#define KLX_KAFKA_WORDS 512

/* A new rd_kafka_conf_t with the user's properties; the caller sets the rest. */
rd_kafka_conf_t *klx_kafka_conf(const struct klx_kafka_config *c);
/* Sets one of our own properties; a mistake here is a programmer's. */
void klx_kafka_set(rd_kafka_conf_t *conf, const char *name, const char *value);
/* As klx_kafka_set, unless the user set it. */
void klx_kafka_set_default(rd_kafka_conf_t *conf, const struct klx_kafka_config *c,
                           const char *name, const char *value);
struct klx_kafka_login;
/* Of `oauth`, for lib/io/kafka_login.c; NULL: none. */
struct klx_kafka_login *klx_kafka_config_login(const struct klx_kafka_config *c);
/* What the user set, or NULL. */
const char *klx_kafka_config_get(const struct klx_kafka_config *c, const char *name);
/* Takes conf, whether it succeeds or not. -EINVAL with librdkafka's words. */
int klx_kafka_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, rd_kafka_t **ret,
                  struct klx_error *e) KLX_MUST_CHECK;
/* Destroys a client from which nothing is held any more, on klx_work. A commit that no coordinator answers holds that for
   session.timeout.ms, so after 0.3 s it goes on without anybody waiting for it; the process may end before. */
void klx_kafka_end(struct klx_loop *l, rd_kafka_t *rk);
/* The same; after(arg) runs on a thread of its own when the client is gone, and frees what its callbacks may use until then. */
void klx_kafka_end_with(struct klx_loop *l, rd_kafka_t *rk, void (*after)(void *arg), void *arg);
#define KLX_KAFKA_BROKERS 128
/* "host:9092,…" */
void klx_kafka_bootstrap_of(rd_kafka_t *rk, char *out, size_t n);
/* Our words for an error that concerns the brokers: what, where, what to do. */
void klx_kafka_words(rd_kafka_t *rk, rd_kafka_resp_err_t err, const char *detail, char *out,
                     size_t n);
/* "sasl_ssl://127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)": the part
   between. */
void klx_kafka_reason(const char *text, char *out, size_t n);
/* klx_kafka_config_doubt of a mechanism. */
const char *klx_kafka_scram_trouble(const char *mechanism);
/* As klx_kafka_words, for an error that concerns a topic. */
void klx_kafka_topic_words(rd_kafka_t *rk, rd_kafka_resp_err_t err, const char *topic, char *out,
                           size_t n);
/* Of what a consumer is handed in the place of a record. */
void klx_kafka_message_words(rd_kafka_t *rk, const rd_kafka_message_t *m, char *out, size_t n);
/* As klx_kafka_topic_words, for one record of `bytes` that was refused. */
void klx_kafka_record_words(rd_kafka_t *rk, rd_kafka_resp_err_t err, const char *topic,
                            size_t bytes, char *out, size_t n);
/* librdkafka says "transport" of some failures of TLS: the error, or __SSL when `reason` is about that; for a client that has never been
   connected, also of a broker that ends the connection at once. */
rd_kafka_resp_err_t klx_kafka_sort(rd_kafka_resp_err_t err, const char *reason, bool never_had);
/* One broker of several went away, or closed an idle connection: librdkafka goes on, and that all are down is an error of its own. */
bool klx_kafka_passes(rd_kafka_resp_err_t err);
/* The topic does not exist, or this client may not use it: asked again in vain until somebody acts. Everything else about a topic, such as
   a leader that moves, passes. */
bool klx_kafka_denies(rd_kafka_resp_err_t err);
/* The negative errno of an error that concerns one record, topic or request. */
int klx_kafka_errno(rd_kafka_resp_err_t err);
/* Queues one record; `flags` as RD_KAFKA_MSG_F_*. Returns librdkafka's error. */
rd_kafka_resp_err_t klx_kafka_produce(rd_kafka_t *rk, const struct klx_record *r, int flags,
                                      void *opaque);

#define KLX_KAFKA_HEADERS_MAX 64

/* A view of a message that was read, for as long as the message lives. Of more than `max` headers only those of a CloudEvent (ce_* and
   content-type) are kept, wherever they stand, and of those the first `max`. */
struct klx_record klx_kafka_record(const rd_kafka_message_t *m, struct klx_record_header *headers,
                                   size_t max);
