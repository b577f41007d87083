/*
 * The producer of batches: batches of records, one at a time, in order, each tried until Kafka has it whole.
 *
 *        start            ready               commit(batch)
 *   NEW ───────▶ INIT ──────────────▶ IDLE ◀──────────────▶ BUSY
 *                 │ retries for ever         committed        │ failed: the same batch again
 *                 └──────────────▶ FATAL ◀────────────────────┘
 *
 * There are two ways to write a batch; who uses this does not care which.
 *
 *   with transactions (txn_commit.c)   Readers with read_committed see the batch whole and once, or not at all. The start fences
 *                                      predecessors and ends their open transactions.
 *   without (txn_ack.c)                All records but those of `state_topic` are written, once each; when all of them are acknowledged,
 *                                      those of `state_topic` follow, in one piece up to 1 MB. A crash between leaves records whose state
 *                                      is not written: the batch under way may be written again by the next start. Nobody is fenced.
 *
 * KLX_TXN_AUTO begins with transactions and goes on without when the brokers say that they have none (txn_hearing.h); brokers that
 * are down, or whose coordinator is not there yet, are waited for.
 *
 * Blocking calls of librdkafka run on klx_work. A failed batch is tried again with the same records until it is written; callbacks say so
 * meanwhile. FATAL (fenced by a successor, a transaction that was open too long, librdkafka's fatal errors) ends the producer: whether
 * the last batch is committed is not known, so the owner ends this run, and the next one finds out from `klaxon.state`.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/error.h"
#include "lib/base/record.h"
#include "lib/io/kafka_config.h"
#include "lib/io/loop.h"

struct klx_txn;

enum klx_txn_mode { KLX_TXN_AUTO, KLX_TXN_ON, KLX_TXN_OFF };

struct klx_txn_callbacks {
    /* klaxon.state may be read now: with transactions, predecessors are fenced and their open transactions ended. Once. */
    void (*on_ready)(void *arg);
    /* The batch is written; its memory is the caller's again. took_us: from commit() to the broker's answer. */
    void (*on_committed)(void *arg, int64_t took_us);
    /* Something failed and will be tried again ("Kafka at localhost:9092 does not answer: …"). At most every 5 s. */
    void (*on_trouble)(void *arg, const char *what);
    void (*on_fatal)(void *arg, const char *why);
    /* KLX_TXN_AUTO: the brokers have no transactions, it goes on without. Before on_ready, at most once. */
    void (*on_without)(void *arg, const char *why);
    void *arg;
};

struct klx_txn_options {
    const struct klx_kafka_config *kafka;
    const char *transactional_id;
    /* Asked for at the start, so that the first record does not wait for metadata. */
    const char *const *topics;
    size_t topics_n;
    const char *state_topic; /* without transactions: written last */
    enum klx_txn_mode mode;
    /* 0: 15 s. A killed producer blocks read_committed readers at most this long. */
    int64_t transaction_timeout_ms;
};

int klx_txn_new(struct klx_loop *l, const struct klx_txn_options *o,
                const struct klx_txn_callbacks *cb, struct klx_txn **ret,
                struct klx_error *e) KLX_MUST_CHECK;
void klx_txn_start(struct klx_txn *t);
/* Of one of the options' topics, as last heard of; 0: not known. */
int32_t klx_txn_partitions(const struct klx_txn *t, const char *topic);
bool klx_txn_idle(const struct klx_txn *t);
/* Only when idle. The records and all they point to are borrowed until on_committed (or the end of t). */
void klx_txn_commit(struct klx_txn *t, const struct klx_record *records, size_t n);
/* Lets a commit under way end (at most wait_ms, else it is left to the next start to abort), then calls on_stopped. No other callback
   comes after. t is freed by klx_txn_free from or after on_stopped. */
void klx_txn_stop(struct klx_txn *t, int64_t wait_ms, void (*on_stopped)(void *arg, bool clean),
                  void *arg);
/* The client ends on klx_work. After a stop that was not clean a worker may hold t still: then it lives until the process ends. */
void klx_txn_free(struct klx_txn *t);
