/*
 * Inside lib/io only: the blocking half of klx_txn, which runs on klx_work, and its two ways to write a batch.
 *
 * While a job runs, everything but `stopping`, `trouble` and the words (which have a lock) is the worker's.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "lib/base/clock.h"
#include "lib/io/kafka.h"
#include "lib/io/loop.h"
#include "lib/io/transaction.h"
#include "lib/io/txn_hearing.h"

#define KLX_TXN_SLICE_MS 500 /* blocking calls are cut so that a stop is seen */

enum klx_txn_outcome {
    KLX_TXN_DONE,
    KLX_TXN_STOPPED,
    KLX_TXN_RETRY, /* nothing of it holds: the same again, after a pause */
    KLX_TXN_RENEW, /* the client is spent, and nothing of the batch is committed: the same with a new client */
    KLX_TXN_FATAL, /* the client is spent */
    KLX_TXN_NONE,  /* the brokers have no transactions */
};

struct klx_txn_job {
    rd_kafka_t *rk;
    struct klx_txn_hearing *hearing; /* lives as long as rk; NULL without transactions */
    char *id;
    char *state_topic;
    char **topics;
    int32_t *partitions; /* of each topic; 0: not known yet */
    size_t topics_n;
    int64_t timeout_ms; /* of a transaction */
    const struct klx_record *records;
    size_t n;
    bool *written; /* without transactions: which of the records are acknowledged */
    size_t written_room;
    size_t delivered;    /* in this transaction */
    int64_t batch_bytes; /* of a request's records of one partition */
    bool too_large;      /* a broker refused a request for its size: the words say so, and stay */
    int64_t asked_us;    /* when it was last looked why a job is slow */
    int64_t ended_us;    /* of the last job */
    int64_t slow_us;     /* when this job is worth a word */
    bool connected;      /* it has been able to speak with brokers */
    char cause
        [KLX_KAFKA_WORDS]; /* why they do not answer, when the connection was told: a login, a certificate */
    atomic_bool stopping;
    struct klx_wakeup *trouble; /* the worker has something to say */
    pthread_mutex_t lock;       /* of the words */
    char words[KLX_KAFKA_WORDS];
};

struct klx_txn_way {
    void (*configure)(struct klx_txn_job *j, rd_kafka_conf_t *conf);
    enum klx_txn_outcome (*begin)(struct klx_txn_job *j);
    enum klx_txn_outcome (*write)(struct klx_txn_job *j);
};

extern const struct klx_txn_way klx_txn_commit_way; /* transactions */
extern const struct klx_txn_way klx_txn_ack_way;    /* acknowledgements */

void klx_txn_job_init(struct klx_txn_job *j, const struct klx_txn_options *o);
void klx_txn_job_release(struct klx_txn_job *j);
void klx_txn_job_take(struct klx_txn_job *j, const struct klx_record *records, size_t n);
/* At the beginning of a job: nothing is said yet. */
void klx_txn_job_begin(struct klx_txn_job *j);
/* Words replace those that are there, or are only taken when there are none. */
void klx_txn_job_say(struct klx_txn_job *j, rd_kafka_resp_err_t err, const char *detail);
void klx_txn_job_say_first(struct klx_txn_job *j, rd_kafka_resp_err_t err, const char *detail);
void klx_txn_job_say_text(struct klx_txn_job *j, const char *text);
/* Of the record that failed; only when there are none. */
void klx_txn_job_say_record(struct klx_txn_job *j, rd_kafka_resp_err_t err, const char *topic,
                            size_t bytes);
/* A copy; "" when there are none. From any thread. */
void klx_txn_job_words(struct klx_txn_job *j, char *out, size_t n);
/* What every delivery report that is no success says; RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE is kept in mind. */
void klx_txn_job_refused(struct klx_txn_job *j, const rd_kafka_message_t *m);
/* After a failure that leaves nothing behind. A broker's limit is one for a whole request, and librdkafka does not split one: smaller
   requests are tried with a new client. */
enum klx_txn_outcome klx_txn_job_retry(struct klx_txn_job *j);
/* Looks why a job is slow, at most every few seconds: brokers that do not answer, a topic that is gone. */
void klx_txn_job_look(struct klx_txn_job *j);
/* Serves the client's errors; tells when the job has become slow. True when the job should end. */
bool klx_txn_job_pause(struct klx_txn_job *j);
/* The client had a fatal error: it is said, and it is over. */
bool klx_txn_job_is_spent(struct klx_txn_job *j);
/* The topics' metadata, so that no record waits for it. */
enum klx_txn_outcome klx_txn_job_ask_for_topics(struct klx_txn_job *j);
/* Queues record i, whose value is borrowed. */
enum klx_txn_outcome klx_txn_job_produce(struct klx_txn_job *j, size_t i);
/* For the client's configuration. */
void klx_txn_job_on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque);
