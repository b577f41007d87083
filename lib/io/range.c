#include "lib/io/range.h"

#include <stdlib.h>

#include "lib/base/backoff.h"
#include "lib/base/mem.h"
#include "lib/io/feed.h"
#include "lib/io/kafka.h"
#include "lib/io/kafka_login.h"
#include "lib/io/trouble.h"

#define LOOKUP_MS 5000
#define SERVE_EVERY_MS 500
#define OLDEST (-2) /* of ListOffsets */
#define NEWEST (-1)

struct klx_range {
    struct klx_loop *loop;
    struct klx_range_callbacks cb;
    rd_kafka_t *rk;
    rd_kafka_t
        *open_rk; /* asks where partitions end with what is not committed; gone when it is known */
    struct klx_kafka_login_client *login, *open_login;
    struct klx_feed *feed;
    struct klx_timer *timer; /* the next try of what runs on the pool */
    struct klx_backoff backoff;
    struct klx_trouble trouble;
    char **topics;
    size_t topics_n;
    int64_t from_ms;
    bool bare, resumed;

    struct klx_range_partition *partitions;
    size_t n, left;                    /* left: not done */
    struct rd_kafka_topic_s **handles; /* of each partition: what its messages point to */
    size_t last;                       /* the partition of the last message */

    bool looked_up, paused;
    bool working; /* look_up or look_again is on the pool */
    bool freed, in_callback;
    rd_kafka_resp_err_t outcome;
    char words[KLX_KAFKA_WORDS];
};

static void fail(struct klx_range *r, rd_kafka_resp_err_t err, const char *topic) {
    r->outcome = err;
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR && topic != NULL) {
        klx_kafka_topic_words(r->rk, err, topic, r->words, sizeof(r->words));
    } else if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        klx_kafka_words(r->rk, err, NULL, r->words, sizeof(r->words));
    }
}

static void add_partition(struct klx_range *r, const char *topic, int32_t partition) {
    r->partitions = klx_grow_array(r->partitions, r->n, r->n + 1, sizeof(*r->partitions));
    r->partitions[r->n++] = (struct klx_range_partition){ .topic = topic, .partition = partition };
}

static int compare(const void *a, const void *b) {
    const struct klx_range_partition *x = a, *y = b;
    return x->partition < y->partition ? -1 : x->partition > y->partition;
}

/* Also refreshes who leads them, which a look-up that was refused needs. */
static void find_partitions(struct klx_range *r, const char *name) {
    const struct rd_kafka_metadata *md = NULL;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(r->rk, name, NULL);
    rd_kafka_resp_err_t err = rd_kafka_metadata(r->rk, 0, topic, &md, LOOKUP_MS);
    rd_kafka_topic_destroy(topic);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fail(r, err, NULL);
        return;
    }
    err = md->topic_cnt == 1 ? md->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    size_t before = r->n;
    for (int p = 0;
         err == RD_KAFKA_RESP_ERR_NO_ERROR && !r->resumed && p < md->topics[0].partition_cnt; p++) {
        add_partition(r, name, md->topics[0].partitions[p].id);
    }
    if (r->n > before) {
        qsort(r->partitions + before, r->n - before, sizeof(*r->partitions), compare);
    }
    rd_kafka_metadata_destroy(md);
    fail(r, err, name);
}

/* ListOffsets of all partitions: `at` is a timestamp in ms, OLDEST or NEWEST; the answers go to the member at `offset`. NEWEST without a record
   answers -1, a timestamp that no record reaches too. */
static void list_offsets(struct klx_range *r, rd_kafka_t *rk, int64_t at, size_t offset) {
    if (r->outcome != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return;
    }
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)r->n);
    for (size_t i = 0; i < r->n; i++) {
        rd_kafka_topic_partition_list_add(list, r->partitions[i].topic, r->partitions[i].partition)
            ->offset = at;
    }
    fail(r, rd_kafka_offsets_for_times(rk, list, LOOKUP_MS), NULL);
    for (size_t i = 0; i < r->n && r->outcome == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        struct klx_range_partition *p = &r->partitions[i];
        const rd_kafka_topic_partition_t *found =
            rd_kafka_topic_partition_list_find(list, p->topic, p->partition);
        fail(r, found->err, p->topic);
        *(int64_t *)(void *)((char *)p + offset) = found->offset;
    }
    rd_kafka_topic_partition_list_destroy(list);
}

/* The end first: a record that is there when the begin is looked for is not missed by that. */
static void look_up(void *arg) {
    struct klx_range *r = arg;
    r->outcome = RD_KAFKA_RESP_ERR_NO_ERROR;
    r->n = r->resumed ? r->n : 0;
    for (size_t i = 0; i < r->topics_n && r->outcome == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        find_partitions(r, r->topics[i]);
    }
    if (!r->resumed) {
        list_offsets(r, r->rk, NEWEST, offsetof(struct klx_range_partition, end));
        list_offsets(r, r->open_rk, NEWEST, offsetof(struct klx_range_partition, high));
        list_offsets(r, r->rk, r->from_ms == INT64_MIN ? OLDEST : r->from_ms,
                     offsetof(struct klx_range_partition, begin));
    }
    list_offsets(r, r->rk, OLDEST, offsetof(struct klx_range_partition, first));
}

static void look_again(void *arg) {
    struct klx_range *r = arg;
    r->outcome = RD_KAFKA_RESP_ERR_NO_ERROR;
    list_offsets(r, r->rk, OLDEST, offsetof(struct klx_range_partition, first));
}

static void end_partition(struct klx_range *r, struct klx_range_partition *p) {
    p->next = p->next > p->end ? p->next : p->end;
    p->done = true;
    r->left--;
}

/* From where each stands; what librdkafka has read ahead is dropped. */
static void assign(struct klx_range *r) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)r->n);
    for (size_t i = 0; i < r->n; i++) {
        const struct klx_range_partition *p = &r->partitions[i];
        if (!p->done) {
            rd_kafka_topic_partition_list_add(list, p->topic, p->partition)->offset = p->next;
        }
    }
    rd_kafka_assign(r->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
}

/* What was to be read next is not there any more. */
static void skip_deleted(struct klx_range_partition *p) {
    int64_t to = p->first < p->end ? p->first : p->end;
    if (!p->done && p->next < to) {
        p->gone += to - p->next;
        p->next = to;
    }
}

static void begin_reading(struct klx_range *r) {
    r->left = r->n;
    for (size_t i = 0; i < r->n; i++) {
        struct klx_range_partition *p = &r->partitions[i];
        if (!r->resumed) {
            p->begin = p->begin < 0 ? p->end : p->begin;
            p->next = p->begin;
        }
        skip_deleted(p);
        if (p->next >= p->end) {
            end_partition(r, p);
        }
    }
    r->handles = klx_alloc_n(struct rd_kafka_topic_s *, r->n);
    r->looked_up = true;
}

static void say_trouble(void *arg, const char *what) {
    struct klx_range *r = arg;
    if (!r->freed) {
        r->cb.on_trouble(r->cb.arg, what);
    }
}

static struct klx_range_partition *partition_of(struct klx_range *r, const rd_kafka_message_t *m) {
    for (size_t i = 0; i < r->n; i++) {
        size_t at = (r->last + i) % r->n;
        struct klx_range_partition *p = &r->partitions[at];
        if (p->partition == m->partition &&
            (r->handles[at] == m->rkt ||
             klx_sv_eq(klx_sv(p->topic), klx_sv(rd_kafka_topic_name(m->rkt))))) {
            r->handles[at] = m->rkt;
            r->last = at;
            return p;
        }
    }
    return NULL;
}

/* Last: on_end may free r. */
static void check_end(struct klx_range *r) {
    if (r->left == 0) {
        r->left = SIZE_MAX;
        r->cb.on_end(r->cb.arg);
    }
}

/* Nothing of it is wanted any more: whatever is fetched is in the way of the others. */
static void finish(struct klx_range *r, struct klx_range_partition *p) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, p->topic, p->partition);
    rd_kafka_pause_partitions(r->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    end_partition(r, p);
}

static void hand_out(struct klx_range *r, const rd_kafka_message_t *m) {
    struct klx_record_header headers[KLX_KAFKA_HEADERS_MAX];
    struct klx_range_partition *p = partition_of(r, m);
    if (p == NULL || p->done) {
        return;
    }
    if (m->offset < p->end) {
        struct klx_record record =
            klx_kafka_record(m, headers, r->bare ? 0 : KLX_KAFKA_HEADERS_MAX);
        p->next = m->offset + 1;
        r->cb.on_record(r->cb.arg, &record, (size_t)(p - r->partitions));
    }
    if (!r->freed && m->offset + 1 >= p->end) {
        finish(r, p);
        check_end(r);
    }
}

/* The last offsets may be those of no record: the ends of transactions, what was aborted, what compaction has taken. */
static void on_partition_end(struct klx_range *r, const rd_kafka_message_t *m) {
    struct klx_range_partition *p = partition_of(r, m);
    if (p != NULL && !p->done && m->offset >= p->end) {
        finish(r, p);
        check_end(r);
    }
}

static void on_message(struct klx_range *r, const rd_kafka_message_t *m) {
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
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
        klx_timer_start(r->timer, 0);
        return;
    case RD_KAFKA_RESP_ERR__FATAL:
        r->cb.on_fatal(r->cb.arg, rd_kafka_message_errstr(m));
        return;
    default:
        klx_kafka_message_words(r->rk, m, words, sizeof(words));
        klx_trouble_add(&r->trouble, words);
    }
}

/* What concerns no partition: connections, credentials. Runs inside rd_kafka_consumer_poll. */
static void on_client_error(rd_kafka_t *rk, int err, const char *reason, void *opaque) {
    struct klx_range *r = opaque;
    char words[KLX_KAFKA_WORDS];
    rd_kafka_resp_err_t sorted = klx_kafka_sort((rd_kafka_resp_err_t)err, reason, !r->looked_up);
    if (!klx_kafka_passes(sorted)) {
        klx_kafka_words(rk, sorted, reason, words, sizeof(words));
        klx_trouble_add(&r->trouble, words);
    }
}

static bool take(void *arg) {
    struct klx_range *r = arg;
    if (r->paused) {
        return false;
    }
    r->in_callback = true;
    rd_kafka_message_t *m = rd_kafka_consumer_poll(r->rk, 0);
    if (m != NULL && !r->freed && r->looked_up) {
        on_message(r, m);
    }
    r->in_callback = false;
    if (m != NULL) {
        rd_kafka_message_destroy(m);
    }
    if (r->freed) {
        klx_range_free(r); /* it was put off while librdkafka, or a message of it, was in hand */
        return false;
    }
    return m != NULL;
}

static void drop_open_client(struct klx_range *r) {
    if (r->open_rk != NULL) {
        klx_kafka_login_leave(r->open_login);
        klx_kafka_end(r->loop, r->open_rk);
    }
    r->open_login = NULL;
    r->open_rk = NULL;
}

/* True: there is nothing to do with what was found. The trouble is told last: whoever hears of it may free r. */
static bool is_over(struct klx_range *r) {
    r->working = false;
    if (r->freed) {
        klx_range_free(r);
        return true;
    }
    if (r->outcome != RD_KAFKA_RESP_ERR_NO_ERROR) {
        klx_timer_start(r->timer, klx_backoff_next(&r->backoff, klx_clock_real()));
        klx_trouble_add(&r->trouble, r->words);
        return true;
    }
    klx_backoff_reset(&r->backoff);
    return false;
}

static void on_looked_up(void *arg) {
    struct klx_range *r = arg;
    if (is_over(r)) {
        return;
    }
    drop_open_client(r);
    begin_reading(r);
    assign(r);
    r->in_callback = true;
    r->cb.on_ready(r->cb.arg);
    if (!r->freed) {
        check_end(r);
    }
    r->in_callback = false;
    if (r->freed) {
        klx_range_free(r);
    } else {
        klx_feed_wake(r->feed);
    }
}

static void on_looked_again(void *arg) {
    struct klx_range *r = arg;
    if (is_over(r)) {
        return;
    }
    for (size_t i = 0; i < r->n; i++) {
        struct klx_range_partition *p = &r->partitions[i];
        skip_deleted(p);
        if (!p->done && p->next >= p->end) {
            end_partition(r, p);
        }
    }
    assign(r);
    check_end(r);
}

static void on_timer(void *arg) {
    struct klx_range *r = arg;
    if (!r->working) {
        r->working = true;
        klx_work(r->loop, r->looked_up ? look_again : look_up,
                 r->looked_up ? on_looked_again : on_looked_up, r);
    }
}

static int open_client(struct klx_range *r, const struct klx_range_options *o, bool committed,
                       rd_kafka_t **ret, struct klx_error *e) {
    rd_kafka_conf_t *conf = klx_kafka_conf(o->kafka);
    klx_kafka_set(conf, "group.id", "klaxon-range"); /* needed by the API; nothing is committed */
    klx_kafka_set(conf, "enable.auto.commit", "false");
    klx_kafka_set(conf, "enable.partition.eof", "true");
    klx_kafka_set(conf, "isolation.level", committed ? "read_committed" : "read_uncommitted");
    klx_kafka_set(conf, "queued.max.messages.kbytes", "16384");
    klx_kafka_set(conf, "fetch.wait.max.ms", "100");
    klx_kafka_set(conf, "auto.offset.reset", "error"); /* never passes over anything in silence */
    if (committed) {
        rd_kafka_conf_set_error_cb(conf, on_client_error);
        rd_kafka_conf_set_opaque(conf, r);
    }
    return klx_kafka_new(RD_KAFKA_CONSUMER, conf, ret, e);
}

static void take_options(struct klx_range *r, const struct klx_range_options *o) {
    r->from_ms = o->from_ms;
    r->bare = o->bare;
    r->topics = klx_alloc_n(char *, o->topics_n);
    for (size_t i = 0; i < o->topics_n; i++) {
        r->topics[r->topics_n++] = klx_strdup(o->topics[i]);
    }
    r->resumed = o->resume != NULL;
    for (size_t i = 0; i < o->resume_n; i++) {
        for (size_t t = 0; t < r->topics_n; t++) {
            if (klx_sv_eq(klx_sv(r->topics[t]), klx_sv(o->resume[i].topic))) {
                add_partition(r, r->topics[t], o->resume[i].partition);
                struct klx_range_partition *p = &r->partitions[r->n - 1];
                const char *topic = p->topic;
                *p = o->resume[i];
                p->topic = topic;
                p->done = false;
            }
        }
    }
}

int klx_range_new(struct klx_loop *l, const struct klx_range_options *o,
                  const struct klx_range_callbacks *cb, struct klx_range **ret,
                  struct klx_error *e) {
    struct klx_range *r = klx_alloc(struct klx_range);
    int rc = open_client(r, o, true, &r->rk, e);
    if (rc == 0) {
        rc = open_client(r, o, false, &r->open_rk, e);
    }
    if (rc != 0) {
        if (r->rk != NULL) {
            rd_kafka_destroy(r->rk);
        }
        free(r);
        return rc;
    }
    rd_kafka_poll_set_consumer(r->rk);
    r->login = klx_kafka_login_join(o->kafka, l, r->rk);
    r->open_login = klx_kafka_login_join(o->kafka, l, r->open_rk);
    r->loop = l;
    r->cb = *cb;
    take_options(r, o);
    klx_backoff_init(&r->backoff, 50, 200, 5000);
    klx_trouble_init(&r->trouble, l, say_trouble, r);
    r->feed = klx_feed_new(l, rd_kafka_queue_get_consumer(r->rk), SERVE_EVERY_MS, take, r);
    r->timer = klx_timer_new(l, on_timer, r);
    klx_timer_start(r->timer, 0);
    *ret = r;
    return 0;
}

size_t klx_range_partitions(const struct klx_range *r, const struct klx_range_partition **ret) {
    *ret = r->partitions;
    return r->n;
}

void klx_range_pause(struct klx_range *r) {
    r->paused = true;
}

void klx_range_go_on(struct klx_range *r) {
    if (r->paused) {
        r->paused = false;
        klx_feed_wake(r->feed);
    }
}

void klx_range_free(struct klx_range *r) {
    if (r == NULL) {
        return;
    }
    r->freed = true;
    klx_kafka_login_leave(r->login); /* what waits here for a token waits in vain */
    r->login = NULL;
    if (r->working || r->in_callback) {
        return; /* comes again when the work, or the message in hand, is done */
    }
    drop_open_client(r);
    klx_timer_free(r->timer);
    klx_trouble_release(&r->trouble);
    klx_feed_free(r->feed);
    for (size_t i = 0; i < r->topics_n; i++) {
        free(r->topics[i]);
    }
    free(r->topics);
    free(r->partitions);
    free((void *)r->handles);
    klx_kafka_end(r->loop, r->rk);
    free(r);
}
