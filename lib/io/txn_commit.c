/*
 * The way with transactions.
 */
#include <stdio.h>
#include <time.h>

#include "lib/io/txn_job.h"

#define SETTLE_US 2000
#define FIRST_REPORT_MS 100
#define FIRST_REPORT_TRIES 20

/* Runs on the worker, inside librdkafka's flush. The first report says that the broker knows the transaction. */
static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque) {
    (void)rk;
    struct klx_txn_job *j = klx_txn_hearing_owner(opaque);
    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        j->delivered++;
    } else {
        klx_txn_job_refused(j, m);
    }
}

static void configure(struct klx_txn_job *j, rd_kafka_conf_t *conf) {
    char timeout[32];
    snprintf(timeout, sizeof(timeout), "%lld", (long long)j->timeout_ms);
    klx_kafka_set(conf, "transactional.id", j->id);
    klx_kafka_set(conf, "transaction.timeout.ms", timeout);
    klx_kafka_set(conf, "linger.ms", "1");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    klx_txn_hearing_attach(j->hearing, conf);
}

/* A call that takes its time is no error; that there is nobody to answer it, and why, is heard. */
static void say_slow(struct klx_txn_job *j, rd_kafka_error_t *error) {
    char refused[256], detail[KLX_KAFKA_WORDS];
    if (klx_txn_hearing_refused(j->hearing, refused, sizeof(refused))) {
        snprintf(detail, sizeof(detail),
                 "no coordinator for transactions yet (%s). When this stays: have the brokers "
                 "enough replicas for their transaction.state.log.replication.factor and min.isr?",
                 refused);
        klx_txn_job_say_first(j, RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, detail);
    } else {
        klx_txn_job_say_first(j, rd_kafka_error_code(error), rd_kafka_error_string(error));
    }
}

static enum klx_txn_outcome judge(struct klx_txn_job *j, rd_kafka_error_t *error, bool *ret_abort) {
    bool spent = rd_kafka_error_is_fatal(error) != 0;
    *ret_abort = !spent && rd_kafka_error_txn_requires_abort(error) != 0;
    enum klx_txn_outcome o = spent || (!*ret_abort && rd_kafka_error_is_retriable(error) == 0)
                                 ? KLX_TXN_FATAL
                                 : KLX_TXN_RETRY;
    if (o == KLX_TXN_FATAL && !klx_txn_job_is_spent(j)) {
        klx_txn_job_say(j, rd_kafka_error_code(error), rd_kafka_error_string(error));
    } else if (o == KLX_TXN_RETRY) {
        say_slow(j, error);
    }
    rd_kafka_error_destroy(error);
    return o;
}

/* Repeats a blocking call in slices until it is done, the process stops, or it fails for good. */
static enum klx_txn_outcome
repeat(struct klx_txn_job *j, rd_kafka_error_t *(*call)(rd_kafka_t *rk, int ms), bool *ret_abort) {
    for (;;) {
        rd_kafka_error_t *error = call(j->rk, KLX_TXN_SLICE_MS);
        if (error == NULL) {
            return KLX_TXN_DONE;
        }
        enum klx_txn_outcome o = judge(j, error, ret_abort);
        if (o == KLX_TXN_FATAL || *ret_abort) {
            return o;
        }
        klx_txn_job_look(j);
        if (klx_txn_job_pause(j)) {
            return KLX_TXN_STOPPED;
        }
    }
}

/* `refused`: librdkafka has said so itself. */
static bool has_none(struct klx_txn_job *j, bool refused) {
    char brokers[KLX_KAFKA_BROKERS], why[300], words[KLX_KAFKA_WORDS];
    if (refused || !klx_txn_hearing_none(j->hearing, why, sizeof(why))) {
        return refused;
    }
    klx_kafka_bootstrap_of(j->rk, brokers, sizeof(brokers));
    snprintf(words, sizeof(words), "Kafka at %s has no transactions: %s", brokers, why);
    klx_txn_job_say_text(j, words);
    return true;
}

static enum klx_txn_outcome begin(struct klx_txn_job *j) {
    enum klx_txn_outcome o = klx_txn_job_ask_for_topics(j);
    while (o == KLX_TXN_DONE) {
        rd_kafka_error_t *error = rd_kafka_init_transactions(j->rk, KLX_TXN_SLICE_MS);
        if (error == NULL) {
            return KLX_TXN_DONE;
        }
        rd_kafka_resp_err_t code = rd_kafka_error_code(error);
        bool refused = code == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE ||
                       code == RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION;
        bool abort_wanted = false;
        o = judge(j, error, &abort_wanted);
        if (has_none(j, refused)) {
            return KLX_TXN_NONE;
        }
        if (o == KLX_TXN_RETRY) {
            o = klx_txn_job_pause(j) ? KLX_TXN_STOPPED : KLX_TXN_DONE;
        }
    }
    return o;
}

/* Kafka has ended the transaction, or never began it, for example because it was away for longer than its timeout. To librdkafka that
   is fatal. But as long as a record is not acknowledged it does not ask for the commit, so nothing is committed, and a new client may
   begin anew: it has not been fenced. Of the records nothing may be in librdkafka's hands any more. */
static bool is_over(struct klx_txn_job *j) {
    char detail[KLX_KAFKA_WORDS];
    rd_kafka_poll(j->rk, 0); /* the error itself is in the queue, too */
    return rd_kafka_fatal_error(j->rk, detail, sizeof(detail)) ==
               RD_KAFKA_RESP_ERR_INVALID_TXN_STATE &&
           j->delivered < j->n && rd_kafka_outq_len(j->rk) == 0;
}

/* An abort that overtakes the first produce request is fatal for librdkafka (its issue 4849): one record must have arrived. */
static enum klx_txn_outcome abort_transaction(struct klx_txn_job *j) {
    bool again = false;
    rd_kafka_purge(j->rk, RD_KAFKA_PURGE_F_QUEUE);
    for (int i = 0; i < FIRST_REPORT_TRIES && j->delivered == 0 && rd_kafka_outq_len(j->rk) > 0;
         i++) {
        rd_kafka_poll(j->rk, FIRST_REPORT_MS);
    }
    enum klx_txn_outcome o = repeat(j, rd_kafka_abort_transaction, &again);
    return o == KLX_TXN_DONE ? klx_txn_job_retry(j) : o;
}

static rd_kafka_error_t *begin_slice(rd_kafka_t *rk, int ms) {
    (void)ms;
    return rd_kafka_begin_transaction(rk);
}

/* For a moment after a commit the coordinator is still writing its markers. Who adds partitions in that moment is sent away, and
   librdkafka comes again only after 20 ms. */
static void let_coordinator_settle(const struct klx_txn_job *j) {
    struct klx_clock *clock = klx_clock_real();
    int64_t left_us = j->ended_us + SETTLE_US - clock->mono_us(clock);
    if (left_us > 0) {
        const struct timespec wait = { .tv_nsec = left_us * 1000 };
        nanosleep(&wait, NULL);
    }
}

static enum klx_txn_outcome produce_all(struct klx_txn_job *j) {
    enum klx_txn_outcome o = KLX_TXN_DONE;
    for (size_t i = 0; i < j->n && o == KLX_TXN_DONE; i++) {
        o = klx_txn_job_produce(j, i);
    }
    return o;
}

static enum klx_txn_outcome write_batch(struct klx_txn_job *j) {
    bool abort_wanted = false;
    let_coordinator_settle(j);
    j->delivered = 0;
    if (klx_txn_job_is_spent(j)) {
        return KLX_TXN_FATAL; /* to begin would wait for ever (librdkafka's issue 4420) */
    }
    enum klx_txn_outcome o = repeat(j, begin_slice, &abort_wanted);
    if (o != KLX_TXN_DONE) {
        return o;
    }
    o = produce_all(j);
    if (o == KLX_TXN_DONE) {
        o = repeat(j, rd_kafka_commit_transaction, &abort_wanted);
    } else {
        abort_wanted = true;
    }
    if (abort_wanted && o == KLX_TXN_RETRY) {
        char cause[KLX_KAFKA_WORDS];
        klx_txn_job_words(j, cause, sizeof(cause));
        o = abort_transaction(j);
        if (o == KLX_TXN_FATAL && is_over(j)) {
            klx_txn_job_say_text(j, cause);
            o = KLX_TXN_RENEW;
        }
    }
    return o;
}

const struct klx_txn_way klx_txn_commit_way = { configure, begin, write_batch };
