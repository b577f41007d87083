#include "lib/io/producer.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/io/feed.h"
#include "lib/io/kafka.h"
#include "lib/io/kafka_login.h"

#define SERVE_EVERY_MS 500
#define END_MS 1000 /* for the answers to what was purged */

struct klx_producer {
    struct klx_loop *loop;
    struct klx_kafka_config *kafka;
    rd_kafka_t *rk;
    struct klx_kafka_login_client *login;
    struct klx_feed *feed;                                     /* answers and errors */
    size_t pending;                                            /* sent without an answer */
    enum { CLIENT_GOOD, CLIENT_BROKEN, CLIENT_PURGED } client; /* renewed when all is answered */
    const char *warm[KLX_PRODUCER_WARM_MAX];
    rd_kafka_topic_t *handles[KLX_PRODUCER_WARM_MAX]; /* of this client */
    size_t warm_n;
    struct klx_timer *deadline;
    void (*on_stopped)(void *arg, size_t left);
    void *stop_arg;
    bool stopping;
    bool in_callback, freed;
};

/* One record on its way: librdkafka gives it back with the answer. */
struct sent {
    klx_produced_fn done; /* or `placed`, or neither */
    klx_placed_fn placed;
    void *arg;
};

static void words_of(struct klx_producer *p, const char *topic, size_t bytes,
                     rd_kafka_resp_err_t err, char *out, size_t n) {
    const char *brokers = klx_kafka_config_bootstrap(p->kafka);
    switch (err) {
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
        snprintf(out, n, "%zu records wait for Kafka at %s already", p->pending, brokers);
        return;
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
        snprintf(out, n, "Kafka at %s did not take a record for %s within message.timeout.ms",
                 brokers, topic);
        return;
    case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
    case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
        snprintf(out, n, "the Kafka client had to begin anew; the record for %s may be missing",
                 topic);
        return;
    default:
        klx_kafka_record_words(p->rk, err, topic, bytes, out, n);
    }
}

static void answer(struct klx_producer *p, const struct sent *s, const rd_kafka_message_t *m) {
    char words[KLX_KAFKA_WORDS] = "";
    bool good = m->err == RD_KAFKA_RESP_ERR_NO_ERROR;
    int status = good ? 0 : klx_kafka_errno(m->err);
    if (!good) {
        words_of(p, rd_kafka_topic_name(m->rkt), m->len, m->err, words, sizeof(words));
    }
    if (s->done != NULL) {
        s->done(s->arg, status, good ? NULL : words);
    } else if (s->placed != NULL) {
        s->placed(s->arg, status, good ? NULL : words, good ? m->partition : -1,
                  good ? m->offset : -1);
    }
}

/* Runs inside rd_kafka_poll: on the loop, or on the worker that ends the client, when nobody wants to know any more. */
static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque) {
    (void)rk;
    struct klx_producer *p = opaque;
    struct sent *s = m->_private;
    if (!p->freed) {
        p->pending--;
        answer(p, s, m);
    }
    free(s);
}

/* Errors that are not fatal pass, or the records that they concern say so. */
static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque) {
    (void)rk;
    (void)reason;
    struct klx_producer *p = opaque;
    if (err == RD_KAFKA_RESP_ERR__FATAL && !p->freed && p->client == CLIENT_GOOD) {
        p->client = CLIENT_BROKEN;
    }
}

static bool take(void *arg);

/* Making the handle asks for the leaders. */
static void warm_up(struct klx_producer *p) {
    for (size_t i = 0; i < p->warm_n; i++) {
        if (p->handles[i] == NULL) {
            p->handles[i] = rd_kafka_topic_new(p->rk, p->warm[i], NULL);
        }
    }
}

/* Before their client ends. */
static void drop_handles(struct klx_producer *p) {
    for (size_t i = 0; i < p->warm_n; i++) {
        if (p->handles[i] != NULL) {
            rd_kafka_topic_destroy(p->handles[i]);
            p->handles[i] = NULL;
        }
    }
}

void klx_producer_warm(struct klx_producer *p, const char *topic) {
    if (p->warm_n < KLX_PRODUCER_WARM_MAX) {
        p->warm[p->warm_n++] = topic;
        warm_up(p);
    }
}

static int open_client(struct klx_producer *p, struct klx_error *e) {
    rd_kafka_conf_t *conf = klx_kafka_conf(p->kafka);
    klx_kafka_set(conf, "enable.idempotence", "true");
    /* A key is on the partition where Java's clients look for it. */
    klx_kafka_set(conf, "partitioner", "murmur2_random");
    klx_kafka_set_default(conf, p->kafka, "queue.buffering.max.kbytes", "16384");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_opaque(conf, p);
    int rc = klx_kafka_new(RD_KAFKA_PRODUCER, conf, &p->rk, e);
    if (rc == 0) {
        p->client = CLIENT_GOOD;
        p->login = klx_kafka_login_join(p->kafka, p->loop, p->rk);
        p->feed = klx_feed_new(p->loop, rd_kafka_queue_get_main(p->rk), SERVE_EVERY_MS, take, p);
    }
    return rc;
}

/* A client with a fatal error sends nothing any more. What it holds is answered, then another one takes its place. */
static void renew(struct klx_producer *p) {
    if (p->client == CLIENT_BROKEN) {
        p->client = CLIENT_PURGED;
        rd_kafka_purge(p->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
                                  RD_KAFKA_PURGE_F_NON_BLOCKING);
    }
    rd_kafka_t *old_rk = p->rk;
    struct klx_feed *old_feed = p->feed;
    struct klx_kafka_login_client *old_login = p->login;
    if (!p->stopping && p->pending == 0) {
        drop_handles(p);
    }
    if (!p->stopping && p->pending == 0 && open_client(p, NULL) == 0) {
        warm_up(p);
        klx_kafka_login_leave(old_login);
        klx_feed_free(old_feed);
        klx_kafka_end(p->loop, old_rk);
    }
}

static void stopped(struct klx_producer *p) {
    void (*fn)(void *arg, size_t left) = p->on_stopped;
    p->on_stopped = NULL;
    klx_timer_stop(p->deadline);
    fn(p->stop_arg, p->pending);
}

static bool take(void *arg) {
    struct klx_producer *p = arg;
    p->in_callback = true;
    bool some = rd_kafka_poll(p->rk, 0) > 0;
    if (!p->freed && p->on_stopped != NULL && p->pending == 0) {
        stopped(p);
    }
    p->in_callback = false;
    if (p->freed) {
        klx_producer_free(p);
        return false;
    }
    if (p->client != CLIENT_GOOD) {
        renew(p);
    }
    return some;
}

static void on_deadline(void *arg) {
    stopped(arg);
}

int klx_producer_new(struct klx_loop *l, const struct klx_kafka_config *kafka,
                     struct klx_producer **ret, struct klx_error *e) {
    struct klx_producer *p = klx_alloc(struct klx_producer);
    p->loop = l;
    p->kafka = klx_kafka_config_dup(kafka);
    int rc = open_client(p, e);
    if (rc != 0) {
        klx_kafka_config_free(p->kafka);
        free(p);
        return rc;
    }
    p->deadline = klx_timer_new(l, on_deadline, p);
    *ret = p;
    return 0;
}

static rd_kafka_resp_err_t produce(struct klx_producer *p, const struct klx_record *r,
                                   const struct sent *answer_to) {
    struct sent *s = klx_alloc(struct sent);
    *s = *answer_to;
    rd_kafka_resp_err_t err = klx_kafka_produce(p->rk, r, RD_KAFKA_MSG_F_COPY, s);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        free(s);
    }
    return err;
}

static int send_record(struct klx_producer *p, const struct klx_record *r,
                       const struct sent *answer_to, struct klx_error *e) {
    char words[KLX_KAFKA_WORDS];
    if (p->stopping) {
        return klx_fail(e, -ESHUTDOWN, "the producer is ending");
    }
    rd_kafka_resp_err_t err =
        p->client == CLIENT_GOOD ? produce(p, r, answer_to) : RD_KAFKA_RESP_ERR__FATAL;
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        p->pending++;
        return 0;
    }
    if (err == RD_KAFKA_RESP_ERR__FATAL) {
        return klx_fail(e, -EAGAIN, "the Kafka client is being renewed after a fatal error");
    }
    words_of(p, r->topic, r->value.n, err, words, sizeof(words));
    return klx_fail(e, klx_kafka_errno(err), "%s", words);
}

int klx_producer_send(struct klx_producer *p, const struct klx_record *r, klx_produced_fn done,
                      void *arg, struct klx_error *e) {
    return send_record(p, r, &(struct sent){ .done = done, .arg = arg }, e);
}

int klx_producer_place(struct klx_producer *p, const struct klx_record *r, klx_placed_fn placed,
                       void *arg, struct klx_error *e) {
    return send_record(p, r, &(struct sent){ .placed = placed, .arg = arg }, e);
}

size_t klx_producer_pending(const struct klx_producer *p) {
    return p->pending;
}

void klx_producer_stop(struct klx_producer *p, int64_t wait_ms,
                       void (*on_stopped)(void *arg, size_t left), void *arg) {
    p->stopping = true;
    p->on_stopped = on_stopped;
    p->stop_arg = arg;
    klx_timer_start(p->deadline, wait_ms);
    klx_feed_wake(p->feed);
}

static void end_client(void *arg) {
    struct klx_producer *p = arg;
    rd_kafka_purge(p->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(p->rk, END_MS);
    rd_kafka_destroy(p->rk);
}

static void on_ended(void *arg) {
    struct klx_producer *p = arg;
    klx_kafka_config_free(p->kafka);
    free(p);
}

void klx_producer_free(struct klx_producer *p) {
    if (p == NULL) {
        return;
    }
    p->freed = true;
    klx_kafka_login_leave(p->login);
    p->login = NULL;
    if (p->in_callback) {
        return;
    }
    klx_timer_free(p->deadline);
    klx_feed_free(p->feed);
    drop_handles(p);
    klx_work(p->loop, end_client, on_ended, p);
}
