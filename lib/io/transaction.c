#include "lib/io/transaction.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/backoff.h"
#include "lib/base/mem.h"
#include "lib/io/kafka_login.h"
#include "lib/io/txn_job.h"

#define TROUBLE_EVERY_US 5000000
#define QUEUE_RECORDS "200000"

enum state { STATE_NEW, STATE_INIT, STATE_IDLE, STATE_BUSY, STATE_DEAD };

struct klx_txn {
    struct klx_loop *loop;
    struct klx_kafka_config *kafka;
    struct klx_txn_callbacks cb;
    enum klx_txn_mode mode;
    const struct klx_txn_way *way;
    struct klx_txn_job job;
    struct klx_kafka_login_client *login;
    enum state state;
    struct klx_timer *retry;
    struct klx_timer *stop_timer;
    struct klx_backoff backoff;
    int64_t trouble_said_us;
    int64_t began_us;
    bool initialized;
    int32_t *partitions; /* of each of the job's topics: a copy for the loop */
    bool working;        /* on the pool: the job and `outcome` are the worker's */
    enum klx_txn_outcome outcome;
    void (*on_stopped)(void *arg, bool clean);
    void *stop_arg;
};

static void run_job(void *arg) {
    struct klx_txn *t = arg;
    klx_txn_job_begin(&t->job);
    t->outcome = t->initialized ? t->way->write(&t->job) : t->way->begin(&t->job);
    t->job.ended_us = klx_clock_real()->mono_us(klx_clock_real());
}

static void on_job_done(void *arg);

static void say_trouble(void *arg) {
    struct klx_txn *t = arg;
    char words[KLX_KAFKA_WORDS];
    int64_t now_us = klx_loop_now_us(t->loop);
    if (t->state == STATE_DEAD || t->on_stopped != NULL ||
        now_us - t->trouble_said_us < TROUBLE_EVERY_US) {
        return;
    }
    klx_txn_job_words(&t->job, words, sizeof(words));
    if (words[0] != '\0') {
        t->trouble_said_us = now_us;
        t->cb.on_trouble(t->cb.arg, words);
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

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque) {
    klx_txn_job_on_error(rk, err, reason, klx_txn_hearing_owner(opaque));
}

static int open_client(struct klx_txn *t, const struct klx_txn_way *way, struct klx_error *e) {
    struct klx_txn_job *j = &t->job;
    char bytes[32];
    rd_kafka_conf_t *conf = klx_kafka_conf(t->kafka);
    t->way = way;
    j->hearing = klx_txn_hearing_new(j);
    klx_kafka_set(conf, "queue.buffering.max.messages", QUEUE_RECORDS);
    /* A key is on the partition where Java's clients look for it. */
    klx_kafka_set(conf, "partitioner", "murmur2_random");
    snprintf(bytes, sizeof(bytes), "%lld", (long long)j->batch_bytes);
    if (j->connected) {
        klx_kafka_set(conf, "batch.size", bytes);
    } else {
        klx_kafka_set_default(conf, t->kafka, "batch.size", bytes);
    }
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_opaque(conf, j->hearing);
    way->configure(j, conf);
    int rc = klx_kafka_new(RD_KAFKA_PRODUCER, conf, &j->rk, e);
    if (rc == 0) {
        t->login = klx_kafka_login_join(t->kafka, t->loop, j->rk);
    } else {
        klx_txn_hearing_free(j->hearing);
        j->hearing = NULL;
    }
    return rc;
}

static void start_job(struct klx_txn *t) {
    t->working = true;
    klx_work(t->loop, run_job, on_job_done, t);
}

static void try_again(struct klx_txn *t) {
    klx_timer_start(t->retry, klx_backoff_next(&t->backoff, klx_clock_real()));
    say_trouble(t);
}

static void die(struct klx_txn *t, const char *why) {
    t->state = STATE_DEAD;
    t->cb.on_fatal(t->cb.arg, why);
}

static void reopen(struct klx_txn *t, const struct klx_txn_way *way) {
    struct klx_error e;
    t->initialized = false;
    if (open_client(t, way, &e) == 0) {
        try_again(t);
    } else {
        die(t, e.text);
    }
}

/* The brokers have no transactions. */
static void go_without(struct klx_txn *t, const char *why) {
    char words[KLX_KAFKA_WORDS + 128];
    if (t->mode == KLX_TXN_ON) {
        snprintf(words, sizeof(words), "%s. Without them: `transactions: off` under `collector:`",
                 why);
        die(t, words);
        return;
    }
    klx_txn_job_say_text(&t->job, "");
    t->cb.on_without(t->cb.arg, why);
    reopen(t, &klx_txn_ack_way);
}

/* Nothing of the batch is in librdkafka's hands any more: its memory may go. */
static void on_client_ended(void *arg) {
    struct klx_txn *t = arg;
    char words[KLX_KAFKA_WORDS];
    t->working = false;
    if (t->state == STATE_DEAD) {
        return; /* stopped without waiting: the process is on its way out */
    }
    klx_txn_job_words(&t->job, words, sizeof(words));
    if (t->on_stopped != NULL) {
        stopped(t, true);
    } else if (t->outcome == KLX_TXN_NONE) {
        go_without(t, words);
    } else if (t->outcome == KLX_TXN_RENEW) {
        reopen(t, t->way);
    } else {
        die(t, words);
    }
}

static void run_end(void *arg) {
    struct klx_txn_job *j = &((struct klx_txn *)arg)->job;
    rd_kafka_purge(j->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_destroy_flags(j->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    klx_txn_hearing_free(j->hearing);
    j->rk = NULL;
    j->hearing = NULL;
}

static void end_client(struct klx_txn *t) {
    klx_kafka_login_leave(t->login);
    t->login = NULL;
    t->working = true;
    klx_work(t->loop, run_end, on_client_ended, t);
}

static void on_done(struct klx_txn *t) {
    bool first = !t->initialized;
    t->initialized = true;
    t->trouble_said_us =
        first ? -TROUBLE_EVERY_US : t->trouble_said_us; /* what comes now is news */
    t->job.connected = true;
    for (size_t i = 0; i < t->job.topics_n; i++) {
        t->partitions[i] = t->job.partitions[i];
    }
    if (t->on_stopped != NULL) {
        stopped(t, true);
        return;
    }
    if (first && t->state == STATE_BUSY) {
        start_job(t); /* a new client for the batch that is under way */
        return;
    }
    t->state = STATE_IDLE;
    klx_backoff_reset(&t->backoff);
    if (first) {
        t->cb.on_ready(t->cb.arg);
    } else {
        t->cb.on_committed(t->cb.arg, klx_loop_now_us(t->loop) - t->began_us);
    }
}

static void on_job_done(void *arg) {
    struct klx_txn *t = arg;
    t->working = false;
    if (t->state == STATE_DEAD) {
        return; /* stopped without waiting: the process is on its way out */
    }
    if (t->outcome == KLX_TXN_DONE) {
        on_done(t);
    } else if (t->outcome == KLX_TXN_RETRY && t->on_stopped == NULL) {
        try_again(t);
    } else {
        end_client(t);
    }
}

static void on_retry(void *arg) {
    start_job(arg);
}

static void on_stop_deadline(void *arg) {
    stopped(arg, false);
}

int klx_txn_new(struct klx_loop *l, const struct klx_txn_options *o,
                const struct klx_txn_callbacks *cb, struct klx_txn **ret, struct klx_error *e) {
    struct klx_txn *t = klx_alloc(struct klx_txn);
    t->loop = l;
    t->cb = *cb;
    t->mode = o->mode;
    t->kafka = klx_kafka_config_dup(o->kafka);
    klx_txn_job_init(&t->job, o);
    t->partitions = klx_alloc_n(int32_t, o->topics_n);
    int rc = open_client(t, o->mode == KLX_TXN_OFF ? &klx_txn_ack_way : &klx_txn_commit_way, e);
    if (rc != 0) {
        klx_txn_job_release(&t->job);
        klx_kafka_config_free(t->kafka);
        free(t->partitions);
        free(t);
        return rc;
    }
    t->trouble_said_us = -TROUBLE_EVERY_US;
    t->retry = klx_timer_new(l, on_retry, t);
    t->stop_timer = klx_timer_new(l, on_stop_deadline, t);
    t->job.trouble = klx_wakeup_new(l, say_trouble, t);
    klx_backoff_init(&t->backoff, 50, 200, 5000);
    *ret = t;
    return 0;
}

void klx_txn_start(struct klx_txn *t) {
    t->state = STATE_INIT;
    start_job(t);
}

int32_t klx_txn_partitions(const struct klx_txn *t, const char *topic) {
    for (size_t i = 0; i < t->job.topics_n; i++) {
        if (strcmp(t->job.topics[i], topic) == 0) {
            return t->partitions[i];
        }
    }
    return 0;
}

bool klx_txn_idle(const struct klx_txn *t) {
    return t->state == STATE_IDLE;
}

void klx_txn_commit(struct klx_txn *t, const struct klx_record *records, size_t n) {
    t->state = STATE_BUSY;
    t->began_us = klx_loop_now_us(t->loop);
    klx_txn_job_take(&t->job, records, n);
    start_job(t);
}

static void stop_idle(void *arg) {
    struct klx_txn *t = arg;
    if (t->on_stopped == NULL || t->working) {
        return;
    }
    if (t->state == STATE_INIT || t->state == STATE_BUSY) {
        klx_timer_stop(t->retry); /* it waited for its next try */
        end_client(t);
    } else {
        stopped(t, true);
    }
}

void klx_txn_stop(struct klx_txn *t, int64_t wait_ms, void (*on_stopped)(void *arg, bool clean),
                  void *arg) {
    t->on_stopped = on_stopped;
    t->stop_arg = arg;
    atomic_store(&t->job.stopping, true);
    klx_timer_start(t->stop_timer, wait_ms);
    if (!t->working) {
        klx_loop_defer(t->loop, stop_idle, t);
    }
}

void klx_txn_free(struct klx_txn *t) {
    if (t == NULL) {
        return;
    }
    klx_timer_free(t->retry);
    klx_timer_free(t->stop_timer);
    if (t->working) {
        return; /* the worker still holds it: the process is on its way out, and the next start aborts what is open */
    }
    klx_kafka_login_leave(t->login);
    if (t->job.rk != NULL) {
        klx_kafka_end_with(t->loop, t->job.rk, klx_txn_hearing_free, t->job.hearing);
    }
    klx_wakeup_free(t->job.trouble);
    klx_txn_job_release(&t->job);
    klx_kafka_config_free(t->kafka);
    free(t->partitions);
    free(t);
}
