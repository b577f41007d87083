/*
 * A transactional producer: batches of records, each in one Kafka transaction, one at a time, in order.
 *
 *        start            ready               commit(batch)
 *   NEW ───────▶ INIT ──────────────▶ IDLE ◀──────────────▶ BUSY
 *                 │ retries for ever         committed        │ aborted: the same batch again
 *                 └──────────────▶ FATAL ◀────────────────────┘
 *
 * Blocking calls of librdkafka run on klx_work. An aborted or timed-out transaction is tried again with the same records until it is
 * committed; callbacks say so meanwhile. FATAL (fenced by a successor, or librdkafka's fatal errors) ends the producer: nothing of the
 * batch is visible or it is committed whole; the owner ends the process and the next start finds out which from `klaxon.state`.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/error.h"
#include "lib/base/record.h"
#include "lib/io/kafka_config.h"
#include "lib/io/loop.h"

struct klx_txn;

struct klx_txn_callbacks {
    /* Predecessors are fenced, their open transactions ended; klaxon.state may be read now. Once. */
    void (*on_ready)(void *arg);
    /* The batch is committed; its memory is the caller's again. took_us: from commit() to the broker's answer. */
    void (*on_committed)(void *arg, int64_t took_us);
    /* Something failed and will be tried again ("Kafka at localhost:9092 does not answer: …"). At most every 5 s. */
    void (*on_trouble)(void *arg, const char *what);
    void (*on_fatal)(void *arg, const char *why);
    void *arg;
};

struct klx_txn_options {
    const struct klx_kafka_config *kafka;
    const char *transactional_id;
    const char *const
        *topics; /* asked for at the start, so that the first record does not wait for metadata */
    size_t topics_n;
    int64_t
        transaction_timeout_ms; /* 0: 15 s. A killed producer blocks read_committed readers at most this long */
};

int klx_txn_new(struct klx_loop *l, const struct klx_txn_options *o,
                const struct klx_txn_callbacks *cb, struct klx_txn **ret,
                struct klx_error *e) KLX_MUST_CHECK;
void klx_txn_start(struct klx_txn *t);
bool klx_txn_idle(const struct klx_txn *t);
/* Only when idle. The records and all they point to are borrowed until on_committed (or the end of t). */
void klx_txn_commit(struct klx_txn *t, const struct klx_record *records, size_t n);
/* Lets a commit under way end (at most wait_ms, else it is left to the next start to abort), then calls on_stopped. No other callback
   comes after. t is freed by klx_txn_free from or after on_stopped. */
void klx_txn_stop(struct klx_txn *t, int64_t wait_ms, void (*on_stopped)(void *arg, bool clean),
                  void *arg);
void klx_txn_free(struct klx_txn *t);
