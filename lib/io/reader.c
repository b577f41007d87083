/*
 * klx_reader: given topics from a start to their end, or for ever, without a group. What blocks (metadata, offsets by time, closing)
 * runs on klx_work; records are handed out on the loop.
 */
#include <assert.h>
#include <stdlib.h>

#include "lib/base/backoff.h"
#include "lib/base/mem.h"
#include "lib/io/consumer.h"
#include "lib/io/feed.h"
#include "lib/io/kafka.h"
#include "lib/io/kafka_login.h"
#include "lib/io/trouble.h"

#define LOOKUP_MS 5000
#define SERVE_EVERY_MS 500

struct klx_reader {
    struct klx_loop *loop;
    struct klx_reader_callbacks cb;
    rd_kafka_t *rk;
    struct klx_kafka_login_client *login;
    struct klx_feed *feed;   /* errors, and records once the look-up is done */
    struct klx_timer *timer; /* the next try of the look-up */
    struct klx_backoff backoff;
    char **topics;
    size_t topics_n;
    enum klx_reader_start start;
    int64_t start_ms;
    bool until_end;
    struct klx_trouble trouble;

    bool working; /* the look-up is on the pool */
    bool freed;
    rd_kafka_topic_partition_list_t *partitions;
    rd_kafka_resp_err_t outcome;
    const char *concerned; /* the topic that the outcome is about, or NULL */
    char words[KLX_KAFKA_WORDS];

    bool *at_end;  /* of each partition of the list */
    int64_t *next; /* likewise: the offset that is read next, -1: not known yet */
    int ends_left;
    bool in_callback;

    void (*on_synced)(void *arg); /* NULL: nobody asks */
    void *synced_arg;
    bool ends_known;
    int64_t *ends; /* of each partition: where it ended when somebody asked */
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
        r->concerned = name;
        klx_kafka_topic_words(r->rk, err, name, r->words, sizeof(r->words));
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
    r->concerned = NULL;
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

/* The ends of the topics. One partition after the other: those who ask have few. */
static void look_up_ends(void *arg) {
    struct klx_reader *r = arg;
    r->outcome = RD_KAFKA_RESP_ERR_NO_ERROR;
    r->concerned = NULL;
    for (int i = 0; i < r->partitions->cnt && r->outcome == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        const rd_kafka_topic_partition_t *p = &r->partitions->elems[i];
        int64_t begin = 0;
        r->outcome = rd_kafka_query_watermark_offsets(r->rk, p->topic, p->partition, &begin,
                                                      &r->ends[i], LOOKUP_MS);
        if (r->outcome != RD_KAFKA_RESP_ERR_NO_ERROR) {
            r->concerned = p->topic;
            klx_kafka_topic_words(r->rk, r->outcome, p->topic, r->words, sizeof(r->words));
        }
    }
}

static bool is_synced(const struct klx_reader *r) {
    bool synced = r->on_synced != NULL && r->ends_known;
    for (int i = 0; synced && i < r->partitions->cnt; i++) {
        synced = r->next[i] >= r->ends[i];
    }
    return synced;
}

/* Last: it may free r. */
static void check_synced(struct klx_reader *r) {
    if (is_synced(r)) {
        void (*fn)(void *arg) = r->on_synced;
        r->on_synced = NULL;
        fn(r->synced_arg);
    }
}

static void say_trouble(void *arg, const char *what) {
    struct klx_reader *r = arg;
    if (!r->freed) {
        r->cb.on_trouble(r->cb.arg, what);
    }
}

/* Last: whoever hears of it may free r. `topic` may be NULL. */
static void tell(struct klx_reader *r, rd_kafka_resp_err_t err, const char *topic,
                 const char *words) {
    if (topic != NULL && klx_kafka_denies(err) && r->cb.on_denied != NULL) {
        r->cb.on_denied(r->cb.arg, topic, words);
    }
    klx_trouble_add(&r->trouble, words);
}

static void hand_out(struct klx_reader *r, const rd_kafka_message_t *m) {
    struct klx_record_header headers[KLX_KAFKA_HEADERS_MAX];
    struct klx_record record = klx_kafka_record(m, headers, KLX_KAFKA_HEADERS_MAX);
    int i = find_partition(r, record.topic, record.partition);
    if (i >= 0) {
        r->next[i] = record.offset + 1;
    }
    r->cb.on_record(r->cb.arg, &record);
    if (!r->freed) {
        check_synced(r);
    }
}

static void on_partition_end(struct klx_reader *r, const rd_kafka_message_t *m) {
    int i = find_partition(r, rd_kafka_topic_name(m->rkt), m->partition);
    if (i < 0) {
        return;
    }
    r->next[i] = m->offset; /* past what is no record: the end of a transaction */
    if (r->until_end && !r->at_end[i]) {
        r->at_end[i] = true;
        r->ends_left--;
        if (r->ends_left == 0) {
            r->until_end = false;
            r->cb.on_end(r->cb.arg);
        }
    }
    if (!r->freed) {
        check_synced(r);
    }
}

static void on_message(struct klx_reader *r, const rd_kafka_message_t *m) {
    char words[KLX_KAFKA_WORDS];
    if (klx_kafka_passes(m->err)) {
        return;
    }
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
        klx_kafka_message_words(r->rk, m, words, sizeof(words));
        tell(r, m->err, m->rkt != NULL ? rd_kafka_topic_name(m->rkt) : NULL, words);
    }
}

/* What concerns no partition: connections, credentials. Runs inside rd_kafka_consumer_poll. */
static void on_client_error(rd_kafka_t *rk, int err, const char *reason, void *opaque) {
    struct klx_reader *r = opaque;
    char words[KLX_KAFKA_WORDS];
    rd_kafka_resp_err_t sorted =
        klx_kafka_sort((rd_kafka_resp_err_t)err, reason, r->at_end == NULL);
    if (!klx_kafka_passes(sorted)) {
        klx_kafka_words(rk, sorted, reason, words, sizeof(words));
        klx_trouble_add(&r->trouble, words);
    }
}

static bool take(void *arg) {
    struct klx_reader *r = arg;
    r->in_callback = true;
    rd_kafka_message_t *m = rd_kafka_consumer_poll(r->rk, 0);
    if (m != NULL && !r->freed) {
        on_message(r, m);
    }
    r->in_callback = false;
    if (m != NULL) {
        rd_kafka_message_destroy(m);
    }
    if (r->freed) {
        klx_reader_free(r); /* it was put off while librdkafka, or a message of it, was in hand */
        return false;
    }
    return m != NULL;
}

static void begin_serving(struct klx_reader *r) {
    rd_kafka_assign(r->rk, r->partitions);
    r->ends_left = r->partitions->cnt;
    r->at_end = klx_alloc_n(bool, (size_t)r->partitions->cnt);
    r->next = klx_alloc_n(int64_t, (size_t)r->partitions->cnt);
    r->ends = klx_alloc_n(int64_t, (size_t)r->partitions->cnt);
    for (int i = 0; i < r->partitions->cnt; i++) {
        r->next[i] = -1;
    }
}

/* Words stand in r. */
static void try_again(struct klx_reader *r) {
    klx_timer_start(r->timer, klx_backoff_next(&r->backoff, klx_clock_real()));
    tell(r, r->outcome, r->concerned, r->words);
}

static void on_looked_up(void *arg) {
    struct klx_reader *r = arg;
    r->working = false;
    if (r->freed) {
        klx_reader_free(r);
        return;
    }
    if (r->outcome != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_topic_partition_list_destroy(r->partitions);
        r->partitions = NULL;
        try_again(r);
        return;
    }
    klx_backoff_reset(&r->backoff);
    begin_serving(r);
    if (r->on_synced != NULL) {
        klx_timer_start(r->timer, 0);
    }
}

static void on_ends_looked_up(void *arg) {
    struct klx_reader *r = arg;
    r->working = false;
    if (r->freed) {
        klx_reader_free(r);
    } else if (r->outcome != RD_KAFKA_RESP_ERR_NO_ERROR) {
        try_again(r);
    } else {
        klx_backoff_reset(&r->backoff);
        r->ends_known = true;
        check_synced(r);
    }
}

static void on_timer(void *arg) {
    struct klx_reader *r = arg;
    r->working = true;
    if (r->partitions == NULL) {
        klx_work(r->loop, look_up, on_looked_up, r);
    } else {
        klx_work(r->loop, look_up_ends, on_ends_looked_up, r);
    }
}

void klx_reader_sync(struct klx_reader *r, void (*on_synced)(void *arg), void *arg) {
    assert(r->on_synced == NULL);
    r->on_synced = on_synced;
    r->synced_arg = arg;
    r->ends_known = false;
    if (r->partitions != NULL && !r->working) {
        klx_timer_start(r->timer, 0);
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
    klx_kafka_set(conf, "isolation.level", o->uncommitted ? "read_uncommitted" : "read_committed");
    klx_kafka_set(conf, "queued.max.messages.kbytes", "16384");
    klx_kafka_set(conf, "fetch.wait.max.ms", "100");
    rd_kafka_conf_set_error_cb(conf, on_client_error);
    rd_kafka_conf_set_opaque(conf, r);
    int rc = klx_kafka_new(RD_KAFKA_CONSUMER, conf, &r->rk, e);
    if (rc != 0) {
        free(r);
        return rc;
    }
    rd_kafka_poll_set_consumer(r->rk);
    r->login = klx_kafka_login_join(o->kafka, l, r->rk);
    r->loop = l;
    r->cb = *cb;
    r->start = o->start;
    r->start_ms = o->start_ms;
    r->until_end = o->until_end;
    r->topics = klx_alloc_n(char *, o->topics_n);
    for (size_t i = 0; i < o->topics_n; i++) {
        r->topics[r->topics_n++] = klx_strdup(o->topics[i]);
    }
    klx_backoff_init(&r->backoff, 50, 200, 5000);
    klx_trouble_init(&r->trouble, l, say_trouble, r);
    r->feed = klx_feed_new(l, rd_kafka_queue_get_consumer(r->rk), SERVE_EVERY_MS, take, r);
    r->timer = klx_timer_new(l, on_timer, r);
    klx_timer_start(r->timer, 0);
    *ret = r;
    return 0;
}

void klx_reader_free(struct klx_reader *r) {
    if (r == NULL) {
        return;
    }
    r->freed = true;
    klx_kafka_login_leave(r->login); /* what waits here for a token waits in vain */
    r->login = NULL;
    if (r->working || r->in_callback) {
        return; /* comes again when the work, or the message in hand, is done */
    }
    klx_timer_free(r->timer);
    klx_trouble_release(&r->trouble);
    klx_feed_free(r->feed);
    if (r->partitions != NULL) {
        rd_kafka_topic_partition_list_destroy(r->partitions);
    }
    for (size_t i = 0; i < r->topics_n; i++) {
        free(r->topics[i]);
    }
    free(r->topics);
    free(r->at_end);
    free(r->next);
    free(r->ends);
    klx_kafka_end(r->loop, r->rk);
    free(r);
}
