#include "lib/io/transaction.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/backoff.h"
#include "lib/base/mem.h"
#include "lib/io/kafka.h"
#include "lib/io/kafka_login.h"

#define TIMEOUT_MS 15000
#define SLICE_MS 500 /* blocking calls are resumable: they are cut so that a stop is seen */
#define SLOW_MS 2000 /* what takes longer is told */
#define SETTLE_US 2000
#define TROUBLE_EVERY_US 5000000
#define QUEUE_RECORDS "200000"

enum outcome { OUT_DONE, OUT_STOPPED, OUT_RETRY, OUT_FATAL };

enum state { STATE_NEW, STATE_INIT, STATE_IDLE, STATE_BUSY, STATE_DEAD };

struct klx_txn {
    struct klx_loop *loop;
    struct klx_txn_callbacks cb;
    rd_kafka_t *rk;
    struct klx_kafka_login_client *login;
    char **topics;
    size_t topics_n;
    enum state state;
    struct klx_timer *retry;
    struct klx_timer *stop_timer;
    struct klx_wakeup *trouble; /* the worker has something to say */
    struct klx_backoff backoff;
    int64_t trouble_said_us;
    int64_t began_us;
    bool initialized;
    const struct klx_record *records;
    size_t n;
    bool working; /* a job is on the pool: rk and the fields below are its */
    enum outcome outcome;
    int64_t ended_us; /* of the last job */
    char words[KLX_KAFKA_WORDS];
    char cause[KLX_KAFKA_WORDS]; /* why the brokers cannot be had, when they said it */
    atomic_bool stopping;
    atomic_uint delivered;
    void (*on_stopped)(void *arg, bool clean);
    void *stop_arg;
};

static void start_job(struct klx_txn *t);

/* Runs on the worker, inside librdkafka's flush. The first report says that the broker knows the transaction. */
static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *arg) {
    (void)rk;
    struct klx_txn *t = arg;
    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        atomic_fetch_add(&t->delivered, 1);
    } else if (t->words[0] == '\0') {
        klx_kafka_words(t->rk, m->err, rd_kafka_err2str(m->err), t->words, sizeof(t->words));
    }
}

/* What concerns the connections: credentials, certificates. Runs on the worker as well. */
static void on_client_error(rd_kafka_t *rk, int err, const char *reason, void *opaque) {
    struct klx_txn *t = opaque;
    rd_kafka_resp_err_t sorted = klx_kafka_sort((rd_kafka_resp_err_t)err, reason, !t->initialized);
    if (sorted == RD_KAFKA_RESP_ERR__AUTHENTICATION || sorted == RD_KAFKA_RESP_ERR__SSL) {
        klx_kafka_words(rk, sorted, reason, t->cause, sizeof(t->cause));
    }
}

/* Who does not answer may have said why to the connection. */
static void explain(struct klx_txn *t, rd_kafka_resp_err_t err, const char *detail) {
    rd_kafka_poll(t->rk, 0);
    if (t->cause[0] != '\0' && klx_kafka_passes(err)) {
        memcpy(t->words, t->cause, sizeof(t->words));
    } else {
        klx_kafka_words(t->rk, err, detail, t->words, sizeof(t->words));
    }
}

static enum outcome judge(struct klx_txn *t, rd_kafka_error_t *error, bool *ret_abort) {
    if (t->words[0] == '\0' || rd_kafka_error_is_fatal(error)) {
        explain(t, rd_kafka_error_code(error), rd_kafka_error_string(error));
    }
    *ret_abort = rd_kafka_error_txn_requires_abort(error) != 0;
    bool fatal = rd_kafka_error_is_fatal(error) != 0 ||
                 (!*ret_abort && rd_kafka_error_is_retriable(error) == 0);
    rd_kafka_error_destroy(error);
    return fatal ? OUT_FATAL : OUT_RETRY;
}

/* Repeats a blocking call in slices until it is done, the process stops, or it fails for good. */
static enum outcome repeat(struct klx_txn *t, rd_kafka_error_t *(*call)(rd_kafka_t *rk, int ms),
                           bool *ret_abort) {
    for (int64_t spent_ms = SLICE_MS;; spent_ms += SLICE_MS) {
        rd_kafka_error_t *error = call(t->rk, SLICE_MS);
        if (error == NULL) {
            return OUT_DONE;
        }
        enum outcome o = judge(t, error, ret_abort);
        if (o == OUT_FATAL || *ret_abort) {
            return o;
        }
        if (atomic_load(&t->stopping)) {
            return OUT_STOPPED;
        }
        if (spent_ms >= SLOW_MS) {
            klx_wakeup_send(t->trouble);
        }
    }
}

static enum outcome ask_for_topics(struct klx_txn *t) {
    for (size_t i = 0; i < t->topics_n; i++) {
        rd_kafka_topic_t *topic = rd_kafka_topic_new(t->rk, t->topics[i], NULL);
        const struct rd_kafka_metadata *md = NULL;
        rd_kafka_resp_err_t err = rd_kafka_metadata(t->rk, 0, topic, &md, 2000);
        if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            err = md->topic_cnt == 1 ? md->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
            rd_kafka_metadata_destroy(md);
        }
        rd_kafka_topic_destroy(topic);
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            explain(t, err, t->topics[i]);
            return OUT_RETRY;
        }
    }
    return OUT_DONE;
}

static enum outcome initialize(struct klx_txn *t) {
    enum outcome o = ask_for_topics(t);
    bool abort_wanted = false;
    return o == OUT_DONE ? repeat(t, rd_kafka_init_transactions, &abort_wanted) : o;
}

/* An abort that overtakes the first produce request is fatal for librdkafka (its issue 4849): one record must have arrived. */
static enum outcome abort_transaction(struct klx_txn *t) {
    bool again = false;
    rd_kafka_purge(t->rk, RD_KAFKA_PURGE_F_QUEUE);
    for (int i = 0; i < 20 && atomic_load(&t->delivered) == 0 && rd_kafka_outq_len(t->rk) > 0;
         i++) {
        rd_kafka_poll(t->rk, 100);
    }
    enum outcome o = repeat(t, rd_kafka_abort_transaction, &again);
    return o == OUT_DONE || (o == OUT_RETRY && again) ? OUT_RETRY : o;
}

static rd_kafka_error_t *begin_slice(rd_kafka_t *rk, int ms) {
    (void)ms;
    return rd_kafka_begin_transaction(rk);
}

static enum outcome produce_all(struct klx_txn *t) {
    for (size_t i = 0; i < t->n; i++) {
        /* The value is borrowed: it lives in the batch until the commit is certain. */
        rd_kafka_resp_err_t err = klx_kafka_produce(t->rk, &t->records[i], 0, NULL);
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            const char *topic = t->records[i].topic;
            bool missing = err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
                           err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
            klx_kafka_words(t->rk, err, missing ? topic : rd_kafka_err2str(err), t->words,
                            sizeof(t->words));
            return OUT_RETRY;
        }
    }
    return OUT_DONE;
}

/* For a moment after a commit the coordinator is still writing its markers. Who adds partitions in that moment is sent away, and
   librdkafka comes again only after 20 ms. */
static void let_coordinator_settle(const struct klx_txn *t) {
    struct klx_clock *clock = klx_clock_real();
    int64_t left_us = t->ended_us + SETTLE_US - clock->mono_us(clock);
    if (left_us > 0) {
        const struct timespec wait = { .tv_nsec = left_us * 1000 };
        nanosleep(&wait, NULL);
    }
}

static enum outcome write_batch(struct klx_txn *t) {
    bool abort_wanted = false;
    let_coordinator_settle(t);
    atomic_store(&t->delivered, 0);
    enum outcome o = repeat(t, begin_slice, &abort_wanted);
    if (o != OUT_DONE) {
        return o;
    }
    o = produce_all(t);
    if (o == OUT_DONE) {
        o = repeat(t, rd_kafka_commit_transaction, &abort_wanted);
    } else {
        abort_wanted = true;
    }
    return abort_wanted && o == OUT_RETRY ? abort_transaction(t) : o;
}

static void run_job(void *arg) {
    struct klx_txn *t = arg;
    t->words[0] = t->cause[0] = '\0';
    t->outcome = t->initialized ? write_batch(t) : initialize(t);
    t->ended_us = klx_clock_real()->mono_us(klx_clock_real());
}

static void say_trouble(void *arg) {
    struct klx_txn *t = arg;
    int64_t now_us = klx_loop_now_us(t->loop);
    if (t->state != STATE_DEAD && t->on_stopped == NULL &&
        now_us - t->trouble_said_us >= TROUBLE_EVERY_US) {
        t->trouble_said_us = now_us;
        t->cb.on_trouble(t->cb.arg, t->words[0] != '\0' ? t->words : "Kafka does not answer");
    }
}

static void stopped(struct klx_txn *t, bool clean) {
    void (*fn)(void *arg, bool clean) = t->on_stopped;
    t->on_stopped = NULL;
    t->state = STATE_DEAD;
    klx_timer_stop(t->stop_timer);
    klx_timer_stop(t->retry);
    fn(t->stop_arg, clean);
}

static void on_job_done(void *arg) {
    struct klx_txn *t = arg;
    bool stopping = t->on_stopped != NULL; /* what a callback below asks for, stop_idle answers */
    t->working = false;
    if (t->state == STATE_DEAD) {
        return; /* stopped without waiting: the process is on its way out */
    }
    if (t->outcome == OUT_DONE) {
        bool first = !t->initialized;
        t->initialized = true;
        t->state = STATE_IDLE;
        klx_backoff_reset(&t->backoff);
        if (!stopping && first) {
            t->cb.on_ready(t->cb.arg);
        } else if (!stopping) {
            t->cb.on_committed(t->cb.arg, klx_loop_now_us(t->loop) - t->began_us);
        }
    } else if (t->outcome == OUT_FATAL) {
        t->state = STATE_DEAD;
        if (!stopping) {
            t->cb.on_fatal(t->cb.arg, t->words);
        }
    } else if (!stopping) {
        say_trouble(t);
        klx_timer_start(t->retry, klx_backoff_next(&t->backoff, klx_clock_real()));
    }
    if (stopping) {
        stopped(t, t->outcome != OUT_RETRY);
    }
}

static void start_job(struct klx_txn *t) {
    t->working = true;
    klx_work(t->loop, run_job, on_job_done, t);
}

static void on_retry(void *arg) {
    start_job(arg);
}

static void on_stop_deadline(void *arg) {
    stopped(arg, false);
}

int klx_txn_new(struct klx_loop *l, const struct klx_txn_options *o,
                const struct klx_txn_callbacks *cb, struct klx_txn **ret, struct klx_error *e) {
    char timeout[32];
    struct klx_txn *t = klx_alloc(struct klx_txn);
    snprintf(timeout, sizeof(timeout), "%lld",
             (long long)(o->transaction_timeout_ms > 0 ? o->transaction_timeout_ms : TIMEOUT_MS));
    rd_kafka_conf_t *conf = klx_kafka_conf(o->kafka);
    klx_kafka_set(conf, "transactional.id", o->transactional_id);
    klx_kafka_set(conf, "transaction.timeout.ms", timeout);
    klx_kafka_set(conf, "queue.buffering.max.messages", QUEUE_RECORDS);
    klx_kafka_set(conf, "linger.ms", "1");
    klx_kafka_set(
        conf, "partitioner",
        "murmur2_random"); /* a key is on the partition where Java's clients look for it */
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_error_cb(conf, on_client_error);
    rd_kafka_conf_set_opaque(conf, t);
    int rc = klx_kafka_new(RD_KAFKA_PRODUCER, conf, &t->rk, e);
    if (rc != 0) {
        free(t);
        return rc;
    }
    t->login = klx_kafka_login_join(o->kafka, l, t->rk);
    t->loop = l;
    t->cb = *cb;
    t->trouble_said_us = -TROUBLE_EVERY_US;
    t->topics = klx_alloc_n(char *, o->topics_n);
    for (size_t i = 0; i < o->topics_n; i++) {
        t->topics[t->topics_n++] = klx_strdup(o->topics[i]);
    }
    t->retry = klx_timer_new(l, on_retry, t);
    t->stop_timer = klx_timer_new(l, on_stop_deadline, t);
    t->trouble = klx_wakeup_new(l, say_trouble, t);
    klx_backoff_init(&t->backoff, 50, 200, 5000);
    *ret = t;
    return 0;
}

void klx_txn_start(struct klx_txn *t) {
    t->state = STATE_INIT;
    start_job(t);
}

bool klx_txn_idle(const struct klx_txn *t) {
    return t->state == STATE_IDLE;
}

void klx_txn_commit(struct klx_txn *t, const struct klx_record *records, size_t n) {
    t->state = STATE_BUSY;
    t->records = records;
    t->n = n;
    t->began_us = klx_loop_now_us(t->loop);
    start_job(t);
}

static void stop_idle(void *arg) {
    struct klx_txn *t = arg;
    if (t->on_stopped != NULL && !t->working) {
        stopped(t, t->state == STATE_IDLE || t->state == STATE_NEW || t->state == STATE_DEAD);
    }
}

void klx_txn_stop(struct klx_txn *t, int64_t wait_ms, void (*on_stopped)(void *arg, bool clean),
                  void *arg) {
    t->on_stopped = on_stopped;
    t->stop_arg = arg;
    atomic_store(&t->stopping, true);
    if (t->working) {
        klx_timer_start(t->stop_timer, wait_ms);
    } else {
        klx_loop_defer(t->loop, stop_idle, t);
    }
}

void klx_txn_free(struct klx_txn *t) {
    if (t == NULL) {
        return;
    }
    klx_kafka_login_leave(t->login);
    klx_timer_free(t->retry);
    klx_timer_free(t->stop_timer);
    klx_wakeup_free(t->trouble);
    for (size_t i = 0; i < t->topics_n; i++) {
        free(t->topics[i]);
    }
    free(t->topics);
    if (t->working) {
        return; /* the worker still holds it: the process is on its way out, and the next start aborts what is open */
    }
    rd_kafka_purge(t->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_destroy_flags(t->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    free(t);
}
