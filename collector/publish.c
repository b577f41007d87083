#include "collector/publish.h"

#include <stdio.h>
#include <stdlib.h>

#include "collector/kube/resource_version.h"
#include "lib/base/cleanup.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "lib/io/consumer.h"
#include "lib/io/metrics.h"
#include "lib/io/transaction.h"

#define SCRATCH_BYTES_MAX (4u << 20)
/* One chunk holds a batch and the frame that makes it full: pages that are not reached take no memory. */
#define ARENA_CHUNK_BYTES (KLX_BATCH_BYTES_MAX + (256u << 10))
#define ARENA_BYTES_MAX (128u << 20) /* a batch and a page of a list */
#define GATHER_MS 20
#define LAZY_MS 60000
#define LAST_CALL_MS 1000
#define CHECKPOINT_KEY_BYTES 320 /* a cluster of 63, and the key of a watch */

struct batch {
    struct klx_arena arena;
    struct klx_record *records;
    size_t n, room;
};

struct slot {
    const char *source;
    struct klx_rv rv;
    bool dirty;
};

struct klx_publisher {
    struct klx_outbox outbox; /* first: the outbox is the publisher */
    struct klx_loop *loop;
    struct klx_clock *clock;
    struct klx_topic_names topics;
    struct klx_kafka_config *kafka;
    char *cluster;
    struct klx_publisher_callbacks cb;
    enum klx_txn_mode mode;
    struct klx_txn *txn;
    struct klx_reader *reader; /* of klaxon.state, at the start */
    struct klx_timer *lazy;
    struct klx_timer *gather; /* active: what has gathered goes when it fires */
    int64_t committed_us;
    struct klx_timer *last_call; /* stopping: until when a commit is waited for */
    struct klx_arena scratch;
    struct batch batches[2];
    unsigned filling; /* the other one is on its way, when the transaction is busy */
    uint64_t batch;   /* the number of the one that is filled */
    uint64_t committed;
    struct slot slots[KLX_WATCHES_MAX];
    bool wanted; /* something but a bookmark waits */
    bool full;
    bool ready;
    bool stopping;
    bool dead; /* no transaction can be made any more */
    const char
        *missing; /* why the batch misses something: it is never written; NULL: it does not */
    struct klx_timer *give_up; /* active: that is still to be said */
    char trouble[512];         /* what keeps batches from being committed; "": nothing */
    void (*on_stopped)(void *arg, bool clean);
    void *stop_arg;
    struct {
        struct klx_counter *events, *transactions, *pauses;
        struct klx_histogram *commit_seconds;
        struct klx_gauge *queue_records, *transactional, *trouble;
    } metrics;
};

static struct batch *filling(struct klx_publisher *p) {
    return &p->batches[p->filling];
}

static bool is_full(struct klx_publisher *p) {
    const struct batch *b = filling(p);
    return b->n >= KLX_BATCH_RECORDS_MAX || b->arena.used_bytes >= KLX_BATCH_BYTES_MAX;
}

static void check_full(struct klx_publisher *p) {
    bool full = is_full(p);
    if (full != p->full) {
        p->full = full;
        klx_counter_add(p->metrics.pauses, full);
        p->cb.on_full(p->cb.arg, full);
    }
}

/* A paused watch may still hand up the page or frame it has in hand: the list grows past the limit by that much. */
static struct klx_record *next_record(struct klx_publisher *p) {
    struct batch *b = filling(p);
    if (b->n == b->room) {
        size_t room = b->room > 0 ? 2 * b->room : 1024;
        b->records = klx_grow_array(b->records, b->room, room, sizeof(*b->records));
        b->room = room;
    }
    return &b->records[b->n];
}

static void fatal(struct klx_publisher *p, const char *why) {
    if (!p->stopping) {
        p->cb.on_fatal(p->cb.arg, why);
    }
}

/* Whoever puts something into the batch may be in the midst of a frame: it is told later. */
static void miss(struct klx_publisher *p, const char *why) {
    if (p->missing == NULL) {
        p->missing = why;
        klx_timer_start(p->give_up, 0);
    }
}

static void on_give_up(void *arg) {
    struct klx_publisher *p = arg;
    fatal(p, p->missing);
}

/* NULL: there is no room. */
static struct klx_record *add_event(struct klx_publisher *p, const struct klx_event *e) {
    struct klx_record *r = next_record(p);
    if (klx_event_encode(&filling(p)->arena, &p->topics, e, p->clock->wall_us(p->clock), r) != 0) {
        miss(p, "the batch's memory is full: an object is larger than klaxon carries");
        return NULL;
    }
    filling(p)->n++;
    p->wanted = true;
    return r;
}

static void put_event(struct klx_outbox *o, const struct klx_event *e) {
    struct klx_publisher *p = (struct klx_publisher *)o;
    if (add_event(p, e) != NULL) {
        klx_counter_add(p->metrics.events, 1);
    }
}

static void put_state(struct klx_outbox *o, struct klx_sv key, struct klx_sv value) {
    struct klx_publisher *p = (struct klx_publisher *)o;
    struct klx_arena *a = &filling(p)->arena;
    struct klx_record *r = next_record(p);
    *r = (struct klx_record){
        .topic = p->topics.name[KLX_TOPIC_STATE],
        .partition = -1,
        .timestamp_ms = p->clock->wall_us(p->clock) / KLX_US_PER_MS,
        .key = klx_arena_dup(a, key),
        .value = value.n > 0 ? klx_arena_dup(a, value) : klx_sv(NULL),
    };
    if (r->key.p == NULL || (value.n > 0 && r->value.p == NULL)) {
        miss(p, "the batch's memory is full: a state is larger than klaxon carries");
        return;
    }
    filling(p)->n++;
    p->wanted = true;
}

static void put_checkpoints(struct klx_publisher *p) {
    for (size_t i = 0; i < KLX_WATCHES_MAX; i++) {
        struct slot *s = &p->slots[i];
        if (!s->dirty) {
            continue;
        }
        char key[CHECKPOINT_KEY_BYTES], value[200], now[KLX_TIME_TEXT_BYTES];
        klx_time_format(p->clock->wall_us(p->clock), KLX_TIME_MILLIS, now);
        snprintf(key, sizeof(key), "%s/%s", p->cluster, s->source);
        snprintf(value, sizeof(value), "{\"resourceVersion\":\"%s\",\"at\":\"%s\"}", s->rv.text,
                 now);
        put_state(&p->outbox, klx_sv(key), klx_sv(value));
        s->dirty = false;
    }
}

/* Sends what has gathered, when nothing is on its way. */
static void flush(struct klx_publisher *p) {
    if (!p->ready || !p->wanted || !klx_txn_idle(p->txn)) {
        return;
    }
    put_checkpoints(p);
    if (p->missing != NULL) {
        return;
    }
    struct batch *b = filling(p);
    p->wanted = false;
    p->filling = 1 - p->filling;
    p->batch++;
    klx_timer_stop(p->lazy);
    klx_timer_stop(p->gather);
    klx_counter_add(p->metrics.transactions, 1);
    klx_gauge_set(p->metrics.queue_records, (double)b->n);
    klx_txn_commit(p->txn, b->records, b->n);
    check_full(p);
}

static void on_gathered(void *arg) {
    flush(arg);
}

static void flush_soon(struct klx_publisher *p) {
    if (is_full(p)) {
        flush(p);
    } else if (p->wanted && klx_txn_idle(p->txn) && !klx_timer_active(p->gather)) {
        int64_t since_ms = (klx_loop_now_us(p->loop) - p->committed_us) / KLX_US_PER_MS;
        klx_timer_start(p->gather, since_ms < GATHER_MS ? GATHER_MS - since_ms : 0);
    }
}

static void on_lazy(void *arg) {
    struct klx_publisher *p = arg;
    p->wanted = true;
    flush(p);
}

static void on_txn_stopped(void *arg, bool clean) {
    struct klx_publisher *p = arg;
    p->on_stopped(p->stop_arg, clean);
}

static void on_trouble(void *arg, const char *what) {
    struct klx_publisher *p = arg;
    snprintf(p->trouble, sizeof(p->trouble), "%s", what);
    klx_gauge_set(p->metrics.trouble, 1);
    p->cb.on_trouble(p->cb.arg, what);
}

static void end_trouble(struct klx_publisher *p) {
    if (p->trouble[0] != '\0') {
        p->trouble[0] = '\0';
        klx_gauge_set(p->metrics.trouble, 0);
        klx_log_info("Kafka takes batches again", KLX_F_STR("cluster", p->cluster));
    }
}

static void on_committed(void *arg, int64_t took_us) {
    struct klx_publisher *p = arg;
    klx_histogram_observe(p->metrics.commit_seconds, (double)took_us / 1e6);
    struct batch *sent = &p->batches[1 - p->filling];
    klx_arena_reset(&sent->arena);
    sent->n = 0;
    p->committed = p->batch; /* all before the one that is being filled */
    p->committed_us = klx_loop_now_us(p->loop);
    end_trouble(p);
    if (p->stopping) {
        flush(p);
        if (klx_txn_idle(p->txn)) {
            klx_timer_start(p->last_call, 0); /* not from inside the transaction's callback */
        }
        return;
    }
    flush_soon(p);
    check_full(p);
}

static void on_state_record(void *arg, const struct klx_record *r) {
    struct klx_publisher *p = arg;
    struct klx_sv prefix = klx_sv(p->cluster), key = r->key;
    if (klx_sv_starts(key, prefix) && key.n > prefix.n && key.p[prefix.n] == '/') {
        p->cb.on_state(p->cb.arg, klx_sv_n(key.p + prefix.n + 1, key.n - prefix.n - 1), r->value);
    }
}

static void on_state_end(void *arg) {
    struct klx_publisher *p = arg;
    klx_reader_free(p->reader);
    p->reader = NULL;
    p->ready = true;
    end_trouble(p);
    p->cb.on_ready(p->cb.arg);
}

static void on_without(void *arg, const char *why) {
    struct klx_publisher *p = arg;
    klx_gauge_set(p->metrics.transactional, 0);
    klx_log_warn("going on without transactions: after a crash the last batch may come again, with "
                 "the same ids; `transactions: off` under `collector:` says that this is meant",
                 KLX_F_STR("cluster", p->cluster), KLX_F_STR("why", why));
}

static void on_fatal(void *arg, const char *why) {
    struct klx_publisher *p = arg;
    p->dead = true;
    if (p->stopping) {
        klx_timer_start(p->last_call, 0);
    }
    fatal(p, why);
}

/* The predecessor is fenced and its open transaction ended: what is committed now stays the truth. */
static void on_txn_ready(void *arg) {
    struct klx_publisher *p = arg;
    struct klx_error e = { 0 };
    const char *topic = p->topics.name[KLX_TOPIC_STATE];
    const struct klx_reader_options o = { .kafka = p->kafka,
                                          .topics = &topic,
                                          .topics_n = 1,
                                          .start = KLX_READER_BEGINNING,
                                          .until_end = true };
    const struct klx_reader_callbacks cb = { .on_record = on_state_record,
                                             .on_end = on_state_end,
                                             .on_trouble = on_trouble,
                                             .on_fatal = on_fatal,
                                             .arg = p };
    if (klx_reader_new(p->loop, &o, &cb, &p->reader, &e) != 0) {
        fatal(p, e.text);
    }
}

static void make_metrics(struct klx_publisher *p) {
    const struct klx_label labels[] = { { "cluster", p->cluster }, { NULL, NULL } };
    p->metrics.events = klx_counter("klaxon_events_total", "Events written to topics.", labels);
    p->metrics.transactions =
        klx_counter("klaxon_transactions_total", "Transactions begun.", labels);
    p->metrics.pauses =
        klx_counter("klaxon_publisher_pauses_total",
                    "Times the batch was full and the watches were paused.", labels);
    p->metrics.commit_seconds =
        klx_histogram("klaxon_commit_seconds", "From the start of a transaction to its commit.",
                      labels, klx_latency_bounds, KLX_COUNT(klx_latency_bounds));
    p->metrics.queue_records =
        klx_gauge("klaxon_batch_records", "Records of the last transaction.", labels);
    p->metrics.transactional =
        klx_gauge("klaxon_transactional",
                  "1: batches are transactions. 0: Kafka has none, or they are off.", labels);
    p->metrics.trouble = klx_gauge("klaxon_publisher_trouble",
                                   "1 while Kafka does not take what is to be committed.", labels);
}

/* Stopping: everything is committed, or the time is up. */
static void on_last_call(void *arg) {
    struct klx_publisher *p = arg;
    klx_timer_stop(p->last_call);
    klx_txn_stop(p->txn, LAST_CALL_MS, on_txn_stopped, p);
}

/* "klaxon-collector-prod"; with another prefix of the topics "klaxon-collector-prod@staging": two installations may watch the same cluster
   into the same Kafka, and do not fence each other. */
static char *transactional_id(const struct klx_publisher_options *o) {
    struct klx_sv which = klx_topic_installation(o->topics);
    return klx_asprintf("klaxon-collector-%s%s%.*s", o->cluster, which.n > 0 ? "@" : "",
                        KLX_SV_FMT(which));
}

static int open_txn(struct klx_publisher *p, const struct klx_publisher_options *o,
                    struct klx_error *e) {
    const char *names[KLX_TOPICS_N];
    size_t names_n = 0;
    for (size_t i = 0; i < KLX_TOPICS_N; i++) {
        if ((o->used >> i & 1u) != 0) {
            names[names_n++] = o->topics->name[i];
        }
    }
    char *id = transactional_id(o);
    const struct klx_txn_options txn = { .kafka = o->kafka,
                                         .transactional_id = id,
                                         .topics = names,
                                         .topics_n = names_n,
                                         .state_topic = o->topics->name[KLX_TOPIC_STATE],
                                         .mode = o->transactions };
    const struct klx_txn_callbacks cb = { .on_ready = on_txn_ready,
                                          .on_committed = on_committed,
                                          .on_trouble = on_trouble,
                                          .on_fatal = on_fatal,
                                          .on_without = on_without,
                                          .arg = p };
    int rc = klx_txn_new(p->loop, &txn, &cb, &p->txn, e);
    free(id);
    return rc;
}

int klx_publisher_new(struct klx_loop *l, const struct klx_publisher_options *o,
                      const struct klx_publisher_callbacks *cb, struct klx_publisher **ret,
                      struct klx_error *e) {
    struct klx_publisher *p = klx_alloc(struct klx_publisher);
    p->loop = l;
    int rc = open_txn(p, o, e);
    if (rc != 0) {
        free(p);
        return rc;
    }
    p->outbox = (struct klx_outbox){ .event = put_event, .state = put_state, .arena = &p->scratch };
    p->clock = o->clock;
    p->topics = *o->topics;
    p->mode = o->transactions;
    p->kafka = klx_kafka_config_dup(o->kafka);
    p->cluster = klx_strdup(o->cluster);
    make_metrics(p);
    p->cb = *cb;
    p->lazy = klx_timer_new(l, on_lazy, p);
    p->gather = klx_timer_new(l, on_gathered, p);
    p->give_up = klx_timer_new(l, on_give_up, p);
    p->last_call = klx_timer_new(l, on_last_call, p);
    klx_arena_init(&p->scratch, 16384, SCRATCH_BYTES_MAX);
    for (int i = 0; i < 2; i++) {
        klx_arena_init(&p->batches[i].arena, ARENA_CHUNK_BYTES, ARENA_BYTES_MAX);
    }
    *ret = p;
    return 0;
}

void klx_publisher_start(struct klx_publisher *p) {
    klx_gauge_set(p->metrics.transactional, p->mode != KLX_TXN_OFF);
    klx_gauge_set(p->metrics.trouble, 0); /* of the run before */
    klx_txn_start(p->txn);
}

bool klx_publisher_ready(const struct klx_publisher *p, struct klx_buf *why) {
    if (p->trouble[0] != '\0') {
        klx_buf_printf(why, "kafka %s: %s\n", p->cluster, p->trouble);
    }
    return p->trouble[0] == '\0';
}

struct klx_outbox *klx_publisher_outbox(struct klx_publisher *p) {
    return &p->outbox;
}

void klx_publisher_put_state(struct klx_publisher *p, const char *key, const char *more,
                             struct klx_sv value) {
    struct klx_outbox *out = klx_publisher_outbox(p);
    out->state(out, klx_arena_printf(out->arena, "%s/%s%s", p->cluster, key, more), value);
}

void klx_publisher_put_everywhere(struct klx_publisher *p, enum klx_topic topic,
                                  struct klx_event *e,
                                  struct klx_sv (*id)(struct klx_arena *a,
                                                      const struct klx_event *e,
                                                      enum klx_topic topic, int32_t partition)) {
    int32_t n = klx_txn_partitions(p->txn, p->topics.name[topic]);
    for (int32_t i = 0; i < n; i++) {
        e->id = id(&p->scratch, e, topic, i);
        struct klx_record *r = add_event(p, e);
        if (r == NULL) {
            return;
        }
        r->topic = p->topics.name[topic];
        r->partition = i;
    }
}

uint64_t klx_publisher_batch(const struct klx_publisher *p) {
    return p->batch;
}

bool klx_publisher_has_committed(const struct klx_publisher *p, uint64_t batch) {
    return batch < p->committed;
}

void klx_publisher_checkpoint(struct klx_publisher *p, size_t slot, const char *source,
                              struct klx_sv resource_version, bool lazy) {
    struct slot *s = &p->slots[slot];
    s->source = source;
    s->dirty = true;
    klx_rv_set(&s->rv, resource_version);
    if (lazy && !p->wanted && !klx_timer_active(p->lazy)) {
        klx_timer_start(p->lazy, LAZY_MS);
    } else if (!lazy) {
        p->wanted = true;
    }
}

void klx_publisher_end_turn(struct klx_publisher *p) {
    klx_arena_reset(&p->scratch);
    flush_soon(p);
    check_full(p);
}

void klx_publisher_stop(struct klx_publisher *p, int64_t wait_ms,
                        void (*on_stopped)(void *arg, bool clean), void *arg) {
    p->stopping = true;
    p->on_stopped = on_stopped;
    p->stop_arg = arg;
    for (size_t i = 0; i < KLX_WATCHES_MAX; i++) {
        p->wanted = p->wanted || p->slots[i].dirty; /* a bookmark that waits for company */
    }
    flush(p);
    if (!p->ready || p->dead || klx_txn_idle(p->txn)) {
        klx_txn_stop(p->txn, wait_ms, on_txn_stopped, p);
    } else { /* what gathers behind the commit that is under way goes with the next one */
        klx_timer_start(p->last_call, wait_ms > LAST_CALL_MS ? wait_ms - LAST_CALL_MS : 1);
    }
}

void klx_publisher_free(struct klx_publisher *p) {
    if (p == NULL) {
        return;
    }
    klx_txn_free(p->txn);
    klx_reader_free(p->reader);
    klx_timer_free(p->lazy);
    klx_timer_free(p->gather);
    klx_timer_free(p->give_up);
    klx_timer_free(p->last_call);
    klx_kafka_config_free(p->kafka);
    klx_arena_release(&p->scratch);
    for (int i = 0; i < 2; i++) {
        klx_arena_release(&p->batches[i].arena);
        free(p->batches[i].records);
    }
    free(p->cluster);
    free(p);
}
