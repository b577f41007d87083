/*
 * Brokers that live in the test's own process: librdkafka's mock cluster. It keeps records and groups' offsets, and fails on demand; it
 * has no transactions to hide, no retention and no look-up by time.
 */
#pragma once

#include <stddef.h>

#include "lib/io/kafka_config.h"

struct mock_kafka;

enum mock_kafka_request {
    MOCK_PRODUCE = 0,
    MOCK_LIST_OFFSETS = 2,
    MOCK_OFFSET_FETCH = 9,
    MOCK_FIND_COORDINATOR = 10,
    MOCK_HEARTBEAT = 12,
    MOCK_INIT_PRODUCER_ID = 22,
    MOCK_END_TXN = 26,
};

struct mock_kafka *mock_kafka_new(void);
void mock_kafka_free(struct mock_kafka *m);
void mock_kafka_topic(struct mock_kafka *m, const char *name, int partitions);
/* A topic that nobody made is made when a client asks for it; this one says that it does not exist. */
void mock_kafka_hide_topic(struct mock_kafka *m, const char *name);
/* The next `n` requests of the kind fail with Kafka's error `code`. */
void mock_kafka_fail(struct mock_kafka *m, enum mock_kafka_request request, int code, size_t n);
/* The brokers do not list this request among those they take. */
void mock_kafka_without(struct mock_kafka *m, enum mock_kafka_request request);
void mock_kafka_down(struct mock_kafka *m);
void mock_kafka_up(struct mock_kafka *m);
/* Properties of a client of it, plus pairs of name and value up to a NULL. The caller frees. */
struct klx_kafka_config *mock_kafka_config(struct mock_kafka *m, ...) __attribute__((sentinel));
