/*
 * klx_reader: given topics from a start to their end, or for ever, without a group. What blocks (metadata, offsets by time, closing)
 * runs on klx_work; records are handed out on the loop.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/base/backoff.h"
#include "lib/base/mem.h"
#include "lib/io/consumer.h"
#include "lib/io/kafka.h"

#define LOOKUP_MS 5000
#define SERVE_EVERY_MS 500 /* an edge of the eventfd may be lost: the queue is looked at anyway */
#define RECORDS_PER_TURN 500
#define TROUBLE_EVERY_US 5000000
#define HEADERS_MAX 32

struct klx_reader {
    struct klx_loop *loop;
    struct klx_reader_callbacks cb;
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    int event_fd;
    struct klx_fd *fd;
    struct klx_timer *timer; /* serving, or the next try of the look-up */
    struct klx_backoff backoff;
    char **topics;
    size_t topics_n;
    enum klx_reader_start start;
    int64_t start_ms;
    bool until_end;
    int64_t trouble_said_us;

    bool working; /* the look-up is on the pool */
    bool freed;
    rd_kafka_topic_partition_list_t *partitions;
    rd_kafka_resp_err_t outcome;
    char words[KLX_KAFKA_WORDS];

    bool assigned;
    bool *at_end; /* of each partition of the list */
    int ends_left;
    bool draining; /* more is waiting: a turn is deferred */
    bool in_callback;
};

static int find_partition(const struct klx_reader *r, const char *topic, int32_t partition) {
    for (int i = 0; i < r->partitions->cnt; i++) {
        if (r->partitions->elems[i].partition == partition &&
            klx_sv_eq(klx_sv(r->partitions->elems[i].topic), klx_sv(topic))) {
            return i;
        }
    }
    return -1;
}

static rd_kafka_resp_err_t add_topic(struct klx_reader *r, const char *name) {
    const struct rd_kafka_metadata *md = NULL;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(r->rk, name, NULL);
    rd_kafka_resp_err_t err = rd_kafka_metadata(r->rk, 0, topic, &md, LOOKUP_MS);
    rd_kafka_topic_destroy(topic);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        klx_kafka_words(r->rk, err, NULL, r->words, sizeof(r->words));
        return err;
    }
    err = md->topic_cnt == 1 ? md->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        klx_kafka_words(r->rk, err, name, r->words, sizeof(r->words));
    }
    for (int p = 0; err == RD_KAFKA_RESP_ERR_NO_ERROR && p < md->topics[0].partition_cnt; p++) {
        rd_kafka_topic_partition_list_add(r->partitions, name, md->topics[0].partitions[p].id)
            ->offset = r->start == KLX_READER_END    ? RD_KAFKA_OFFSET_END
                       : r->start == KLX_READER_TIME ? r->start_ms
                                                     : RD_KAFKA_OFFSET_BEGINNING;
    }
    rd_kafka_metadata_destroy(md);
    return err;
}

static void look_up(void *arg) {
    struct klx_reader *r = arg;
    r->partitions = rd_kafka_topic_partition_list_new(16);
    r->outcome = RD_KAFKA_RESP_ERR_NO_ERROR;
    for (size_t i = 0; i < r->topics_n && r->outcome == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        r->outcome = add_topic(r, r->topics[i]);
    }
    if (r->outcome == RD_KAFKA_RESP_ERR_NO_ERROR && r->start == KLX_READER_TIME) {
        r->outcome = rd_kafka_offsets_for_times(r->rk, r->partitions, LOOKUP_MS);
        for (int i = 0; i < r->partitions->cnt && r->outcome == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
            r->outcome = r->partitions->elems[i].err;
        }
        if (r->outcome != RD_KAFKA_RESP_ERR_NO_ERROR) {
            klx_kafka_words(r->rk, r->outcome, NULL, r->words, sizeof(r->words));
        }
    }
}

static void trouble(struct klx_reader *r, const char *what) {
    int64_t now_us = klx_loop_now_us(r->loop);
    if (now_us - r->trouble_said_us >= TROUBLE_EVERY_US) {
        r->trouble_said_us = now_us;
        r->cb.on_trouble(r->cb.arg, what);
    }
}

static void hand_out(struct klx_reader *r, const rd_kafka_message_t *m) {
    struct klx_record_header headers[HEADERS_MAX];
    struct klx_record record = {
        .topic = rd_kafka_topic_name(m->rkt),
        .partition = m->partition,
        .offset = m->offset,
        .timestamp_ms = rd_kafka_message_timestamp(m, NULL),
        .key = klx_sv_n(m->key, m->key_len),
        .value = klx_sv_n(m->payload, m->len),
        .headers = headers,
    };
    rd_kafka_headers_t *list = NULL;
    if (rd_kafka_message_headers(m, &list) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        const char *name = NULL;
        const void *value = NULL;
        size_t bytes = 0;
        while (record.headers_n < HEADERS_MAX &&
               rd_kafka_header_get_all(list, record.headers_n, &name, &value, &bytes) ==
                   RD_KAFKA_RESP_ERR_NO_ERROR) {
            headers[record.headers_n++] =
                (struct klx_record_header){ klx_sv(name), klx_sv_n(value, bytes) };
        }
    }
    r->cb.on_record(r->cb.arg, &record);
}

static void on_partition_end(struct klx_reader *r, const rd_kafka_message_t *m) {
    int i = find_partition(r, rd_kafka_topic_name(m->rkt), m->partition);
    if (!r->until_end || i < 0 || r->at_end[i]) {
        return;
    }
    r->at_end[i] = true;
    r->ends_left--;
    if (r->ends_left == 0) {
        r->until_end = false;
        r->cb.on_end(r->cb.arg);
    }
}

static void on_message(struct klx_reader *r, const rd_kafka_message_t *m) {
    char words[KLX_KAFKA_WORDS];
    switch (m->err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        hand_out(r, m);
        return;
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        on_partition_end(r, m);
        return;
    case RD_KAFKA_RESP_ERR__FATAL:
        r->cb.on_fatal(r->cb.arg, rd_kafka_message_errstr(m));
        return;
    default:
        klx_kafka_words(r->rk, m->err,
                        m->rkt != NULL ? rd_kafka_topic_name(m->rkt) : rd_kafka_message_errstr(m),
                        words, sizeof(words));
        trouble(r, words);
    }
}

static void serve(struct klx_reader *r);

static void serve_more(void *arg) {
    struct klx_reader *r = arg;
    r->draining = false;
    if (r->freed) {
        free(r);
        return;
    }
    serve(r);
}

static void serve(struct klx_reader *r) {
    for (int i = 0; i < RECORDS_PER_TURN; i++) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(r->rk, 0);
        if (m == NULL) {
            return;
        }
        r->in_callback = true;
        on_message(r, m);
        r->in_callback = false;
        rd_kafka_message_destroy(m);
        if (r->freed) {
            klx_reader_free(r); /* it was put off while a message of it was in hand */
            return;
        }
    }
    if (!r->draining) {
        r->draining = true;
        klx_loop_defer(r->loop, serve_more, r);
    }
}

static void on_fd(void *arg, int events) {
    struct klx_reader *r = arg;
    uint64_t count = 0;
    (void)events;
    (void)!read(r->event_fd, &count, sizeof(count));
    serve(r);
}

static void begin_serving(struct klx_reader *r) {
    uint64_t one = 1;
    rd_kafka_assign(r->rk, r->partitions);
    r->assigned = true;
    r->ends_left = r->partitions->cnt;
    r->at_end = klx_alloc_n(bool, (size_t)r->partitions->cnt);
    r->queue = rd_kafka_queue_get_consumer(r->rk);
    r->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    rd_kafka_queue_io_event_enable(r->queue, r->event_fd, &one, sizeof(one));
    r->fd = klx_fd_new(r->loop, r->event_fd, on_fd, r);
    klx_fd_set(r->fd, KLX_FD_READ);
    klx_timer_repeat(r->timer, SERVE_EVERY_MS);
}

static void on_looked_up(void *arg) {
    struct klx_reader *r = arg;
    r->working = false;
    if (r->freed) {
        klx_reader_free(r);
        return;
    }
    if (r->outcome == RD_KAFKA_RESP_ERR_NO_ERROR) {
        begin_serving(r);
        return;
    }
    rd_kafka_topic_partition_list_destroy(r->partitions);
    r->partitions = NULL;
    trouble(r, r->words);
    klx_timer_start(r->timer, klx_backoff_next(&r->backoff, klx_clock_real()));
}

static void on_timer(void *arg) {
    struct klx_reader *r = arg;
    if (r->assigned) {
        serve(r);
    } else {
        r->working = true;
        klx_work(r->loop, look_up, on_looked_up, r);
    }
}

int klx_reader_new(struct klx_loop *l, const struct klx_reader_options *o,
                   const struct klx_reader_callbacks *cb, struct klx_reader **ret,
                   struct klx_error *e) {
    struct klx_reader *r = klx_alloc(struct klx_reader);
    rd_kafka_conf_t *conf = klx_kafka_conf(o->kafka);
    klx_kafka_set(conf, "group.id", "klaxon-reader"); /* needed by the API; nothing is committed */
    klx_kafka_set(conf, "enable.auto.commit", "false");
    klx_kafka_set(conf, "enable.partition.eof", "true");
    klx_kafka_set(conf, "isolation.level", "read_committed");
    klx_kafka_set(conf, "queued.max.messages.kbytes", "16384");
    klx_kafka_set(conf, "fetch.wait.max.ms", "100");
    int rc = klx_kafka_new(RD_KAFKA_CONSUMER, conf, &r->rk, e);
    if (rc != 0) {
        free(r);
        return rc;
    }
    rd_kafka_poll_set_consumer(r->rk);
    r->loop = l;
    r->cb = *cb;
    r->start = o->start;
    r->start_ms = o->start_ms;
    r->until_end = o->until_end;
    r->event_fd = -1;
    r->trouble_said_us = -TROUBLE_EVERY_US;
    r->topics = klx_alloc_n(char *, o->topics_n);
    for (size_t i = 0; i < o->topics_n; i++) {
        r->topics[r->topics_n++] = klx_strdup(o->topics[i]);
    }
    klx_backoff_init(&r->backoff, 50, 200, 5000);
    r->timer = klx_timer_new(l, on_timer, r);
    klx_timer_start(r->timer, 0);
    *ret = r;
    return 0;
}

static void destroy_client(void *arg) {
    rd_kafka_destroy_flags(arg, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

static void nothing_more(void *arg) {
    (void)arg;
}

void klx_reader_free(struct klx_reader *r) {
    if (r == NULL) {
        return;
    }
    r->freed = true;
    if (r->working || r->in_callback) {
        return; /* comes again when the work, or the message in hand, is done */
    }
    klx_timer_free(r->timer);
    klx_fd_free(r->fd);
    if (r->queue != NULL) {
        rd_kafka_queue_io_event_enable(r->queue, -1, NULL, 0);
        rd_kafka_queue_destroy(r->queue);
        close(r->event_fd);
    }
    if (r->partitions != NULL) {
        rd_kafka_topic_partition_list_destroy(r->partitions);
    }
    for (size_t i = 0; i < r->topics_n; i++) {
        free(r->topics[i]);
    }
    free(r->topics);
    free(r->at_end);
    klx_work(r->loop, destroy_client, nothing_more, r->rk);
    if (!r->draining) {
        free(r);
    }
}
