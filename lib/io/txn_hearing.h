/*
 * Inside lib/io only: what librdkafka learns of the brokers' transactions and tells only its log.
 *
 * Brokers without transactions are no error for librdkafka: it asks for a coordinator every half second, for ever. Two things say that there
 * will be none:
 *   - the list of requests that a broker takes has no EndTxn (Event Hubs Standard of 2022: AddPartitionsToTxn, EndTxn … UNSUPPORTED);
 *   - FindCoordinator is refused with an error that no Kafka has for it (Event Hubs Standard of 2025: "coordinator with type code 1 which
 *     is not supported … only supported in Premium or Dedicated sku").
 * A Kafka whose coordinator is not available yet, loads, or lacks the replicas for its topic lists EndTxn and answers with one of
 * Kafka's own errors, and brokers that are down answer nothing: neither is ever taken for brokers without transactions. Should a later
 * librdkafka use other words, nothing is heard, and AUTO waits as ON does.
 *
 * Sources: Azure/azure-event-hubs-for-kafka issue 209, camunda-community-hub/zeebe-kafka-exporter issue 390; librdkafka 2.0.2
 * rd_kafka_handle_ApiVersion, rd_kafka_txn_handle_FindCoordinator.
 */
#pragma once

#include <stdbool.h>

#include "lib/base/clock.h"
#include "lib/io/kafka.h"

struct klx_txn_hearing;

/* `owner` is what the client's callbacks want (klx_txn_hearing_owner). */
struct klx_txn_hearing *klx_txn_hearing_new(void *owner);
/* After the client has ended. */
void klx_txn_hearing_free(void *h);
/* Makes h the opaque of the client, and listens to its log. */
void klx_txn_hearing_attach(struct klx_txn_hearing *h, rd_kafka_conf_t *conf);
void *klx_txn_hearing_owner(void *opaque);
/* One line of the log, from any thread. */
void klx_txn_hearing_line(struct klx_txn_hearing *h, const char *line);
/* The brokers have no transactions; `why` says how that is known. From any thread. */
bool klx_txn_hearing_none(struct klx_txn_hearing *h, char *why, size_t n);
/* Why there is no coordinator ("COORDINATOR_NOT_AVAILABLE: …"); false when there is one, or nothing was answered. */
bool klx_txn_hearing_refused(struct klx_txn_hearing *h, char *why, size_t n);
