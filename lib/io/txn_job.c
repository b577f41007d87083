#include "lib/io/txn_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"

#define TIMEOUT_MS 15000
#define SLOW_US 2000000 /* what takes longer is told */
#define METADATA_MS 2000
#define LOOK_MS 1000
#define LOOK_EVERY_US 5000000
#define BATCH_BYTES_MAX 1000000
#define BATCH_BYTES_MIN 32000

void klx_txn_job_init(struct klx_txn_job *j, const struct klx_txn_options *o) {
    j->id = klx_strdup(o->transactional_id);
    j->state_topic = klx_strdup(o->state_topic != NULL ? o->state_topic : "");
    j->timeout_ms = o->transaction_timeout_ms > 0 ? o->transaction_timeout_ms : TIMEOUT_MS;
    j->topics = klx_alloc_n(char *, o->topics_n);
    j->partitions = klx_alloc_n(int32_t, o->topics_n);
    for (size_t i = 0; i < o->topics_n; i++) {
        j->topics[j->topics_n++] = klx_strdup(o->topics[i]);
    }
    j->batch_bytes = BATCH_BYTES_MAX;
    pthread_mutex_init(&j->lock, NULL);
}

void klx_txn_job_release(struct klx_txn_job *j) {
    for (size_t i = 0; i < j->topics_n; i++) {
        free(j->topics[i]);
    }
    free(j->topics);
    free(j->partitions);
    free(j->id);
    free(j->state_topic);
    free(j->written);
    pthread_mutex_destroy(&j->lock);
}

void klx_txn_job_take(struct klx_txn_job *j, const struct klx_record *records, size_t n) {
    if (n > j->written_room) {
        j->written = klx_grow_array(j->written, j->written_room, n, sizeof(*j->written));
        j->written_room = n;
    }
    if (n > 0) {
        memset(j->written, 0, n * sizeof(*j->written));
    }
    j->records = records;
    j->n = n;
    j->delivered = 0;
}

void klx_txn_job_say_text(struct klx_txn_job *j, const char *text) {
    pthread_mutex_lock(&j->lock);
    snprintf(j->words, sizeof(j->words), "%s", text);
    pthread_mutex_unlock(&j->lock);
}

void klx_txn_job_begin(struct klx_txn_job *j) {
    struct klx_clock *clock = klx_clock_real();
    j->slow_us = clock->mono_us(clock) + SLOW_US;
    j->cause[0] = '\0';
    klx_txn_job_say_text(j, "");
}

void klx_txn_job_words(struct klx_txn_job *j, char *out, size_t n) {
    pthread_mutex_lock(&j->lock);
    snprintf(out, n, "%s", j->words);
    pthread_mutex_unlock(&j->lock);
}

/* What a transactional id can be refused for; everything else is klx_kafka_words'. */
static void words_of(const struct klx_txn_job *j, rd_kafka_resp_err_t err, const char *detail,
                     char *out, size_t n) {
    char brokers[KLX_KAFKA_BROKERS], words[KLX_KAFKA_WORDS];
    klx_kafka_bootstrap_of(j->rk, brokers, sizeof(brokers));
    switch (err) {
    case RD_KAFKA_RESP_ERR__FENCED:
    case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
    case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
        snprintf(
            out, n,
            "Kafka at %s takes nothing more from this producer: another one has taken over the "
            "transactional id %s, or a transaction was open for more than %lld s and Kafka "
            "ended it. Let one collector run for a cluster",
            brokers, j->id, (long long)(j->timeout_ms / 1000));
        return;
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
        snprintf(out, n,
                 "Kafka at %s does not let this user write with the transactional id %s: allow it "
                 "Write and Describe on it (kafka-acls --transactional-id)",
                 brokers, j->id);
        return;
    case RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT:
        snprintf(out, n,
                 "Kafka at %s allows no transaction of %lld ms: raise the brokers' "
                 "transaction.max.timeout.ms",
                 brokers, (long long)j->timeout_ms);
        return;
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
        klx_kafka_record_words(j->rk, err, "", 0, out, n);
        return;
    case RD_KAFKA_RESP_ERR_INVALID_TXN_STATE:
        klx_kafka_words(j->rk, err, detail, words, sizeof(words));
        snprintf(out, n, "%.400s (the transaction of %s is not what this client takes it for)",
                 words, j->id);
        return;
    default:
        klx_kafka_words(j->rk, err, detail, out, n);
    }
}

static void take_words(struct klx_txn_job *j, const char *words, bool over) {
    pthread_mutex_lock(&j->lock);
    if (over || j->words[0] == '\0') {
        snprintf(j->words, sizeof(j->words), "%s", words);
    }
    pthread_mutex_unlock(&j->lock);
}

static void say(struct klx_txn_job *j, rd_kafka_resp_err_t err, const char *detail, bool over) {
    char words[KLX_KAFKA_WORDS];
    words_of(j, err, detail, words, sizeof(words));
    take_words(j, klx_kafka_passes(err) && j->cause[0] != '\0' ? j->cause : words, over);
}

void klx_txn_job_say(struct klx_txn_job *j, rd_kafka_resp_err_t err, const char *detail) {
    say(j, err, detail, true);
}

void klx_txn_job_say_first(struct klx_txn_job *j, rd_kafka_resp_err_t err, const char *detail) {
    say(j, err, detail, false);
}

static void say_record(struct klx_txn_job *j, rd_kafka_resp_err_t err, const char *topic,
                       size_t bytes, bool over) {
    char words[KLX_KAFKA_WORDS];
    klx_kafka_record_words(j->rk, err, topic, bytes, words, sizeof(words));
    take_words(j, klx_kafka_passes(err) && j->cause[0] != '\0' ? j->cause : words, over);
}

void klx_txn_job_say_record(struct klx_txn_job *j, rd_kafka_resp_err_t err, const char *topic,
                            size_t bytes) {
    say_record(j, err, topic, bytes, false);
}

void klx_txn_job_refused(struct klx_txn_job *j, const rd_kafka_message_t *m) {
    if (m->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE || m->err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT) {
        return; /* a consequence of what another one said */
    }
    bool found = !j->too_large && m->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    j->too_large = j->too_large || found;
    say_record(j, m->err, rd_kafka_topic_name(m->rkt), m->len, found);
}

enum klx_txn_outcome klx_txn_job_retry(struct klx_txn_job *j) {
    bool smaller = j->too_large && j->batch_bytes > BATCH_BYTES_MIN && j->n > 1;
    j->too_large = false;
    if (!smaller || rd_kafka_outq_len(j->rk) > 0) {
        return KLX_TXN_RETRY;
    }
    j->batch_bytes = j->batch_bytes / 2 > BATCH_BYTES_MIN ? j->batch_bytes / 2 : BATCH_BYTES_MIN;
    return KLX_TXN_RENEW;
}

bool klx_txn_job_pause(struct klx_txn_job *j) {
    struct klx_clock *clock = klx_clock_real();
    rd_kafka_poll(j->rk, 0);
    if (clock->mono_us(clock) > j->slow_us) {
        klx_wakeup_send(j->trouble);
    }
    return atomic_load(&j->stopping);
}

bool klx_txn_job_is_spent(struct klx_txn_job *j) {
    char detail[KLX_KAFKA_WORDS];
    rd_kafka_resp_err_t err = rd_kafka_fatal_error(j->rk, detail, sizeof(detail));
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        klx_txn_job_say(j, err, detail);
    }
    return err != RD_KAFKA_RESP_ERR_NO_ERROR;
}

static enum klx_txn_outcome ask_for_topics(struct klx_txn_job *j, int wait_ms) {
    for (size_t i = 0; i < j->topics_n; i++) {
        rd_kafka_topic_t *topic = rd_kafka_topic_new(j->rk, j->topics[i], NULL);
        const struct rd_kafka_metadata *md = NULL;
        rd_kafka_resp_err_t err = rd_kafka_metadata(j->rk, 0, topic, &md, wait_ms);
        if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            err = md->topic_cnt == 1 ? md->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
            j->partitions[i] = md->topic_cnt == 1 ? md->topics[0].partition_cnt : 0;
            rd_kafka_metadata_destroy(md);
        }
        rd_kafka_topic_destroy(topic);
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            rd_kafka_poll(j->rk, 0); /* the client may know better why: credentials, certificates */
            klx_txn_job_say_record(j, err, j->topics[i], 0);
            return KLX_TXN_RETRY;
        }
    }
    return KLX_TXN_DONE;
}

enum klx_txn_outcome klx_txn_job_ask_for_topics(struct klx_txn_job *j) {
    return ask_for_topics(j, METADATA_MS);
}

void klx_txn_job_look(struct klx_txn_job *j) {
    char brokers[KLX_KAFKA_BROKERS], words[KLX_KAFKA_WORDS];
    struct klx_clock *clock = klx_clock_real();
    int64_t now_us = clock->mono_us(clock);
    if (j->too_large || now_us < j->slow_us || now_us < j->asked_us + LOOK_EVERY_US ||
        atomic_load(&j->stopping)) {
        return;
    }
    j->asked_us = now_us;
    klx_txn_job_say_text(j, "");
    if (ask_for_topics(j, LOOK_MS) == KLX_TXN_DONE) {
        klx_kafka_bootstrap_of(j->rk, brokers, sizeof(brokers));
        snprintf(words, sizeof(words),
                 "Kafka at %s answers, but has not taken the batch yet: %zu of %zu records are "
                 "acknowledged. Are enough replicas in sync, and is there room on the disks?",
                 brokers, j->delivered, j->n);
        klx_txn_job_say_text(j, words);
    }
}

enum klx_txn_outcome klx_txn_job_produce(struct klx_txn_job *j, size_t i) {
    const struct klx_record *r = &j->records[i];
    rd_kafka_resp_err_t err = klx_kafka_produce(j->rk, r, 0, (void *)(uintptr_t)i);
    if (err == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION && r->partition >= 0) {
        j->written[i] =
            true; /* a heartbeat for a partition that is gone: it must not hold up the rest for ever */
        j->delivered++;
        return KLX_TXN_DONE;
    }
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return KLX_TXN_DONE;
    }
    klx_txn_job_say_record(j, err, r->topic, r->value.n);
    return KLX_TXN_RETRY;
}

/* Errors of the client as a whole. Fatal ones are said by the call that they end. */
void klx_txn_job_on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque) {
    struct klx_txn_job *j = opaque;
    rd_kafka_resp_err_t code = klx_kafka_sort((rd_kafka_resp_err_t)err, reason, !j->connected);
    if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR__SSL) {
        klx_kafka_words(rk, code, reason, j->cause, sizeof(j->cause));
        klx_txn_job_say_text(j, j->cause);
    } else if (code != RD_KAFKA_RESP_ERR__FATAL && !klx_kafka_passes(code) &&
               code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        klx_txn_job_say_first(j, code, reason);
    }
}
