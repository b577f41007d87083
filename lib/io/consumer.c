/*
 * klx_consumer. librdkafka has two queues here, each a feed: what concerns the group (rebalances, errors, answers to commits) and what is
 * read. So a consumer that is paused leaves the records where they are, which stops the fetching, and still answers the group.
 */
#include "lib/io/consumer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/backoff.h"
#include "lib/base/mem.h"
#include "lib/io/feed.h"
#include "lib/io/group.h"
#include "lib/io/kafka.h"
#include "lib/io/kafka_login.h"
#include "lib/io/trouble.h"

#define SERVE_EVERY_MS 500
#define CLOSING_EVERY_MS 20
#define CHECK_EVERY_MS 5000
#define SESSION_MS 10000 /* as the property below */
#define ENDS_MAX 256     /* partitions of a topic whose ends are asked for */
#define ENDS_AGAIN_MS 200

struct klx_consumer {
    struct klx_loop *loop;
    struct klx_consumer_callbacks cb;
    rd_kafka_t *rk;
    struct klx_kafka_login_client *login;
    rd_kafka_topic_partition_list_t *topics;
    rd_kafka_queue_t *read; /* borrowed from `records` */
    struct klx_feed *group, *records, *closing;
    struct klx_trouble trouble;
    struct klx_backoff backoff;
    bool looking_up; /* on the pool: rk, `begun` and `start` are its */
    bool begun;      /* the start is known: it is a member, or about to be */
    bool from_beginning;
    struct klx_group_start start;
    rd_kafka_topic_partition_list_t *wanted; /* topics that are to take the place of `topics` */
    rd_kafka_topic_partition_list_t *fresh;  /* those of them that `topics` has not */
    bool looking_further; /* on the pool: rk, `fresh`, `found` and `further` are its */
    bool found;
    struct klx_group_start further; /* of `fresh` */
    struct klx_timer *check;        /* active: there was trouble, which may last */
    bool checking;                  /* on the pool: rk, `state` and `wrong` are its */
    char doubt[KLX_KAFKA_WORDS];    /* the trouble */
    enum klx_group_state state;
    const char *denied; /* the topic that is not to be had, of `topics`; or NULL */
    char wrong[KLX_KAFKA_WORDS];
    rd_kafka_topic_partition_list_t *owned; /* NULL: the group has given nothing, or taken it */
    bool paused;
    bool leaving;            /* on_leaving was called: owned goes with klx_consumer_let_go */
    size_t asking;           /* questions on the pool: rk is theirs too */
    bool dead;               /* fatal, or told to stop: hands out nothing more */
    bool over;               /* stopped: nothing is called any more */
    struct klx_timer *timer; /* the start, later the deadline of the stop */
    void (*on_stopped)(void *arg);
    void *stop_arg;
    bool in_callback, freed;
};

static void say_trouble(void *arg, const char *what) {
    struct klx_consumer *c = arg;
    if (!c->dead) {
        c->cb.on_trouble(c->cb.arg, what);
    }
}

/* librdkafka tells once. While what it told of lasts, it is asked for. The words are borrowed for the call. */
static void doubt(struct klx_consumer *c, const char *words) {
    char copy[KLX_KAFKA_WORDS];
    if (c->dead) {
        return;
    }
    snprintf(copy, sizeof(copy), "%s", words);
    memcpy(c->doubt, copy, sizeof(copy));
    klx_timer_start(c->check, CHECK_EVERY_MS);
    klx_trouble_add(&c->trouble, copy); /* last: it may free c */
}

static void check(void *arg) {
    struct klx_consumer *c = arg;
    c->state = klx_group_check(c->rk, c->topics, &c->denied, c->wrong, sizeof(c->wrong));
}

static void deny(struct klx_consumer *c, const char *topic, const char *words) {
    if (c->cb.on_denied != NULL && !c->dead) {
        c->cb.on_denied(c->cb.arg, topic, words);
    }
}

static void change_topics(struct klx_consumer *c);

static void on_checked(void *arg) {
    struct klx_consumer *c = arg;
    c->checking = false;
    if (c->denied != NULL) {
        deny(c, c->denied, c->wrong);
    }
    change_topics(c);
    if (c->freed) {
        klx_consumer_free(c);
    } else if (c->state == KLX_GROUP_FINE) {
        klx_trouble_clear(&c->trouble);
    } else {
        doubt(c, c->state == KLX_GROUP_AWAY ? c->doubt : c->wrong);
    }
}

static void on_check_time(void *arg) {
    struct klx_consumer *c = arg;
    if (c->looking_further) {
        klx_timer_start(c->check, CHECK_EVERY_MS);
    } else if (!c->dead && !c->checking && !c->looking_up) {
        c->checking = true;
        klx_work(c->loop, check, on_checked, c);
    }
}

static void on_error(struct klx_consumer *c, rd_kafka_resp_err_t err, const char *topic,
                     const char *detail) {
    char words[KLX_KAFKA_WORDS];
    if (klx_kafka_passes(err) || c->dead) {
        return;
    }
    if (err == RD_KAFKA_RESP_ERR__FATAL) {
        rd_kafka_fatal_error(c->rk, words, sizeof(words));
        c->dead = true;
        c->cb.on_fatal(c->cb.arg, words);
    } else if (topic != NULL) {
        klx_kafka_topic_words(c->rk, err, topic, words, sizeof(words));
        if (klx_kafka_denies(err)) {
            deny(c, topic, words);
        }
        doubt(c, words);
    } else {
        klx_kafka_words(c->rk, err, detail, words, sizeof(words));
        doubt(c, words);
    }
}

static bool owns(const struct klx_consumer *c, const char *topic, int32_t partition) {
    return c->owned != NULL &&
           rd_kafka_topic_partition_list_find(c->owned, topic, partition) != NULL;
}

/* What comes first of a partition that begins at its end, a record or the end, says where that is. */
static void keep_start(struct klx_consumer *c, const rd_kafka_message_t *m) {
    const char *topic = rd_kafka_topic_name(m->rkt);
    if (c->start.at_end != NULL && owns(c, topic, m->partition) &&
        rd_kafka_topic_partition_list_del(c->start.at_end, topic, m->partition) != 0) {
        klx_consumer_store(c, topic, m->partition, m->offset);
    }
}

static void say_end(struct klx_consumer *c, const rd_kafka_message_t *m) {
    const char *topic = rd_kafka_topic_name(m->rkt);
    if (c->cb.on_end != NULL && !c->dead && owns(c, topic, m->partition)) {
        c->cb.on_end(c->cb.arg, topic, m->partition, m->offset);
    }
}

static void on_message(struct klx_consumer *c, const rd_kafka_message_t *m) {
    struct klx_record_header headers[KLX_KAFKA_HEADERS_MAX];
    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR || m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        keep_start(c, m);
    }
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        say_end(c, m);
        return;
    }
    if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        on_error(c, m->err, m->rkt != NULL ? rd_kafka_topic_name(m->rkt) : NULL,
                 rd_kafka_message_errstr(m));
        return;
    }
    struct klx_record record = klx_kafka_record(m, headers, KLX_KAFKA_HEADERS_MAX);
    if (!c->dead && owns(c, record.topic, record.partition)) {
        c->cb.on_record(c->cb.arg, &record);
    }
}

static bool take_message(struct klx_consumer *c, rd_kafka_message_t *m) {
    if (m != NULL) {
        on_message(c, m);
        rd_kafka_message_destroy(m);
    }
    c->in_callback = false;
    if (c->freed) {
        klx_consumer_free(c); /* it was put off while librdkafka, or a message of it, was in hand */
        return false;
    }
    return m != NULL;
}

static bool take_of_group(void *arg) {
    struct klx_consumer *c = arg;
    c->in_callback = true;
    return take_message(c, rd_kafka_consumer_poll(c->rk, 0));
}

static bool take_record(void *arg) {
    struct klx_consumer *c = arg;
    if (c->paused || c->leaving || c->dead) {
        return false;
    }
    c->in_callback = true;
    return take_message(c, rd_kafka_consume_queue(c->read, 0));
}

/* Before it is assigned, so that no record of it goes to the group's queue. */
static void lead_to_records(struct klx_consumer *c, const rd_kafka_topic_partition_t *p) {
    rd_kafka_queue_t *queue = rd_kafka_queue_get_partition(c->rk, p->topic, p->partition);
    if (queue != NULL) {
        rd_kafka_queue_forward(queue, c->read);
        rd_kafka_queue_destroy(queue);
    }
}

static void begin_at_end(struct klx_consumer *c, rd_kafka_topic_partition_list_t *given) {
    for (int i = 0; c->start.at_end != NULL && i < given->cnt; i++) {
        rd_kafka_topic_partition_t *p = &given->elems[i];
        if (rd_kafka_topic_partition_list_find(c->start.at_end, p->topic, p->partition) != NULL) {
            p->offset = RD_KAFKA_OFFSET_END;
        }
    }
}

static void take_over(struct klx_consumer *c, rd_kafka_topic_partition_list_t *given) {
    if (c->dead) {
        rd_kafka_assign(c->rk, NULL);
        return;
    }
    for (int i = 0; i < given->cnt; i++) {
        lead_to_records(c, &given->elems[i]);
    }
    begin_at_end(c, given);
    rd_kafka_assign(c->rk, given);
    c->owned = rd_kafka_topic_partition_list_copy(given);
    for (int i = 0; !c->over && i < given->cnt; i++) {
        c->cb.on_assigned(c->cb.arg, given->elems[i].topic, given->elems[i].partition);
    }
}

static void give_back(struct klx_consumer *c) {
    c->leaving = false;
    rd_kafka_topic_partition_list_t *owned = c->owned;
    c->owned = NULL;
    for (int i = 0; owned != NULL && !c->over && i < owned->cnt; i++) {
        c->cb.on_revoked(c->cb.arg, owned->elems[i].topic, owned->elems[i].partition);
    }
    rd_kafka_assign(c->rk, NULL); /* commits what is stored, then lets the group go on */
    if (owned != NULL) {
        rd_kafka_topic_partition_list_destroy(owned);
    }
}

/* The group waits for whoever has something to end. Nobody waits for what is lost. */
static void give_up(struct klx_consumer *c) {
    if (c->cb.on_leaving == NULL || c->owned == NULL || c->dead ||
        rd_kafka_assignment_lost(c->rk) != 0) {
        give_back(c);
        return;
    }
    c->leaving = true;
    c->cb.on_leaving(c->cb.arg);
}

int64_t klx_consumer_session_ms(const struct klx_consumer *c) {
    char text[32] = "";
    size_t n = sizeof(text);
    int64_t ms = 0;
    bool known = rd_kafka_conf_get(rd_kafka_conf(c->rk), "session.timeout.ms", text, &n) ==
                     RD_KAFKA_CONF_OK &&
                 klx_sv_int(klx_sv(text), &ms) == 0;
    return known ? ms : SESSION_MS;
}

void klx_consumer_let_go(struct klx_consumer *c) {
    if (c->leaving) {
        give_back(c);
    }
}

/* Runs inside rd_kafka_consumer_poll, so on the loop. */
static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err,
                         rd_kafka_topic_partition_list_t *partitions, void *opaque) {
    (void)rk;
    if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        take_over(opaque, partitions);
    } else {
        give_up(opaque);
    }
}

/* What concerns no partition: connections, credentials. As the other callbacks inside rd_kafka_consumer_poll. */
static void on_client_error(rd_kafka_t *rk, int err, const char *reason, void *opaque) {
    (void)rk;
    struct klx_consumer *c = opaque;
    bool never_had = c->owned == NULL; /* later, a broker that goes away looks the same */
    on_error(c, klx_kafka_sort((rd_kafka_resp_err_t)err, reason, never_had), NULL, reason);
}

static void on_committed(rd_kafka_t *rk, rd_kafka_resp_err_t err,
                         rd_kafka_topic_partition_list_t *offsets, void *opaque) {
    (void)rk;
    (void)offsets;
    switch (err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
    case RD_KAFKA_RESP_ERR__NO_OFFSET:
    case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS: /* of these three a rebalance event tells */
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
        return;
    default:
        on_error(opaque, err, NULL, rd_kafka_err2str(err));
    }
}

static void join(struct klx_consumer *c) {
    c->begun = true;
    rd_kafka_resp_err_t err = rd_kafka_subscribe(c->rk, c->topics);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        on_error(c, err, NULL, rd_kafka_err2str(err));
    }
}

static void look_up_start(void *arg) {
    struct klx_consumer *c = arg;
    c->begun = klx_group_begin(c->rk, c->topics, &c->start);
}

static void on_looked_up(void *arg) {
    struct klx_consumer *c = arg;
    c->looking_up = false;
    if (c->freed) {
        klx_consumer_free(c);
    } else if (c->dead) {
        return; /* stopped meanwhile: there is no group to leave */
    } else if (c->begun) {
        join(c);
        change_topics(c);
    } else {
        klx_timer_start(c->timer, klx_backoff_next(&c->backoff, klx_clock_real()));
        klx_trouble_add(&c->trouble, c->start.words); /* last: it may free c */
    }
}

static void begin(struct klx_consumer *c) {
    if (c->from_beginning) {
        join(c);
        return;
    }
    c->looking_up = true;
    klx_work(c->loop, look_up_start, on_looked_up, c);
}

static rd_kafka_topic_partition_list_t *list_of(const char *const *topics, size_t n) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)n);
    for (size_t i = 0; i < n; i++) {
        rd_kafka_topic_partition_list_add(list, topics[i], RD_KAFKA_PARTITION_UA);
    }
    return list;
}

static void drop_list(rd_kafka_topic_partition_list_t **list) {
    if (*list != NULL) {
        rd_kafka_topic_partition_list_destroy(*list);
        *list = NULL;
    }
}

/* Those of a that are not in b. */
static rd_kafka_topic_partition_list_t *without(const rd_kafka_topic_partition_list_t *a,
                                                const rd_kafka_topic_partition_list_t *b) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(a->cnt);
    for (int i = 0; i < a->cnt; i++) {
        const char *topic = a->elems[i].topic;
        if (rd_kafka_topic_partition_list_find(b, topic, RD_KAFKA_PARTITION_UA) == NULL) {
            rd_kafka_topic_partition_list_add(list, topic, RD_KAFKA_PARTITION_UA);
        }
    }
    return list;
}

static void look_further(void *arg) {
    struct klx_consumer *c = arg;
    c->found = klx_group_begin(c->rk, c->fresh, &c->further);
}

/* Partitions that begin at their end join those that wait for their beginning since the start. */
static void keep_further(struct klx_consumer *c) {
    const rd_kafka_topic_partition_list_t *more = c->further.at_end;
    if (more != NULL && c->start.at_end == NULL) {
        c->start.at_end = rd_kafka_topic_partition_list_new(more->cnt);
    }
    for (int i = 0; more != NULL && i < more->cnt; i++) {
        const rd_kafka_topic_partition_t *p = &more->elems[i];
        if (rd_kafka_topic_partition_list_find(c->start.at_end, p->topic, p->partition) == NULL) {
            rd_kafka_topic_partition_list_add(c->start.at_end, p->topic, p->partition);
        }
    }
    klx_group_start_release(&c->further);
}

static void on_looked_further(void *arg) {
    struct klx_consumer *c = arg;
    c->looking_further = false;
    if (c->freed) {
        klx_consumer_free(c);
        return;
    }
    if (c->dead) {
        return;
    }
    if (!c->found) {
        klx_timer_start(c->timer, klx_backoff_next(&c->backoff, klx_clock_real()));
        klx_trouble_add(&c->trouble, c->further.words); /* last: it may free c */
        return;
    }
    keep_further(c);
    rd_kafka_topic_partition_list_t *known = c->topics; /* and what was looked up is, too */
    for (int i = 0; i < c->fresh->cnt; i++) {
        rd_kafka_topic_partition_list_add(known, c->fresh->elems[i].topic, RD_KAFKA_PARTITION_UA);
    }
    change_topics(c);
}

/* Takes up what is wanted, when nobody is using `topics` and it is known where new ones begin. */
static void change_topics(struct klx_consumer *c) {
    if (c->wanted == NULL || c->dead || c->looking_up || c->looking_further || c->checking) {
        return;
    }
    drop_list(&c->fresh);
    c->fresh = without(c->wanted, c->topics);
    if (c->begun && !c->from_beginning && c->fresh->cnt > 0) {
        c->looking_further = true;
        klx_work(c->loop, look_further, on_looked_further, c);
        return;
    }
    drop_list(&c->topics);
    c->topics = c->wanted;
    c->wanted = NULL;
    if (c->begun) {
        join(c);
    }
}

void klx_consumer_subscribe(struct klx_consumer *c, const char *const *topics, size_t topics_n) {
    const rd_kafka_topic_partition_list_t *now = c->wanted != NULL ? c->wanted : c->topics;
    rd_kafka_topic_partition_list_t *list = list_of(topics, topics_n);
    rd_kafka_topic_partition_list_t *more = without(list, now), *less = without(now, list);
    bool same = more->cnt == 0 && less->cnt == 0;
    rd_kafka_topic_partition_list_destroy(more);
    rd_kafka_topic_partition_list_destroy(less);
    if (same) {
        rd_kafka_topic_partition_list_destroy(list);
        return;
    }
    drop_list(&c->wanted);
    c->wanted = list;
    change_topics(c);
}

static void stopped(struct klx_consumer *c) {
    void (*fn)(void *arg) = c->on_stopped;
    c->on_stopped = NULL;
    c->over = true;
    klx_timer_stop(c->timer);
    if (fn != NULL) {
        fn(c->stop_arg);
    }
}

static void on_timer(void *arg) {
    struct klx_consumer *c = arg;
    if (c->on_stopped != NULL) {
        stopped(c);
    } else if (c->begun) {
        change_topics(c);
    } else {
        begin(c);
    }
}

static rd_kafka_conf_t *properties(struct klx_consumer *c, const struct klx_kafka_config *kafka,
                                   const char *group) {
    rd_kafka_conf_t *conf = klx_kafka_conf(kafka);
    klx_kafka_set(conf, "group.id", group);
    klx_kafka_set(conf, "isolation.level", "read_committed");
    klx_kafka_set(conf, "enable.auto.commit", "true");
    klx_kafka_set(conf, "auto.commit.interval.ms", "1000");
    klx_kafka_set(conf, "enable.auto.offset.store", "false");
    klx_kafka_set(conf, "enable.partition.eof", "true");
    klx_kafka_set(conf, "partition.assignment.strategy", "roundrobin");
    /* Where there is no offset the topic was made, or has grown, or has lost records since the start of the group: nothing is skipped. */
    klx_kafka_set(conf, "auto.offset.reset", "earliest");
    /* The partitions of a process that was killed rest so long. */
    klx_kafka_set_default(conf, kafka, "session.timeout.ms", "10000");
    klx_kafka_set_default(conf, kafka, "heartbeat.interval.ms", "3000");
    /* When so much waits librdkafka 2.0 rests for a second: it is what a second may bring, too. */
    klx_kafka_set_default(conf, kafka, "queued.max.messages.kbytes", "4096");
    klx_kafka_set_default(conf, kafka, "fetch.max.bytes", "1048576");
    klx_kafka_set_default(conf, kafka, "topic.metadata.refresh.interval.ms", "30000");
    rd_kafka_conf_set_error_cb(conf, on_client_error);
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_conf_set_offset_commit_cb(conf, on_committed);
    rd_kafka_conf_set_opaque(conf, c);
    return conf;
}

static bool wants_beginning(const struct klx_kafka_config *kafka) {
    const char *reset = klx_kafka_config_get(kafka, "auto.offset.reset");
    return reset != NULL && (strcmp(reset, "earliest") == 0 || strcmp(reset, "smallest") == 0 ||
                             strcmp(reset, "beginning") == 0);
}

int klx_consumer_new(struct klx_loop *l, const struct klx_kafka_config *kafka, const char *group,
                     const char *const *topics, size_t topics_n,
                     const struct klx_consumer_callbacks *cb, struct klx_consumer **ret,
                     struct klx_error *e) {
    struct klx_consumer *c = klx_alloc(struct klx_consumer);
    int rc = klx_kafka_new(RD_KAFKA_CONSUMER, properties(c, kafka, group), &c->rk, e);
    if (rc != 0) {
        free(c);
        return rc;
    }
    rd_kafka_poll_set_consumer(c->rk);
    c->login = klx_kafka_login_join(kafka, l, c->rk);
    c->loop = l;
    c->cb = *cb;
    c->topics = list_of(topics, topics_n);
    c->from_beginning = wants_beginning(kafka);
    klx_backoff_init(&c->backoff, 50, 200, 5000);
    klx_trouble_init(&c->trouble, l, say_trouble, c);
    c->read = rd_kafka_queue_new(c->rk);
    c->records = klx_feed_new(l, c->read, SERVE_EVERY_MS, take_record, c);
    c->group =
        klx_feed_new(l, rd_kafka_queue_get_consumer(c->rk), SERVE_EVERY_MS, take_of_group, c);
    c->check = klx_timer_new(l, on_check_time, c);
    c->timer = klx_timer_new(l, on_timer, c);
    klx_timer_start(c->timer, 0);
    *ret = c;
    return 0;
}

void klx_consumer_pause(struct klx_consumer *c) {
    c->paused = true;
}

void klx_consumer_resume(struct klx_consumer *c) {
    c->paused = false;
    klx_feed_wake(c->records);
}

void klx_consumer_store(struct klx_consumer *c, const char *topic, int32_t partition,
                        int64_t next_offset) {
    if (!owns(c, topic, partition)) {
        return;
    }
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(offsets, topic, partition)->offset = next_offset;
    rd_kafka_offsets_store(c->rk,
                           offsets); /* refused where it is no longer ours, as it should be */
    rd_kafka_topic_partition_list_destroy(offsets);
}

void klx_consumer_seek(struct klx_consumer *c, const char *topic, int32_t partition,
                       int64_t offset) {
    if (!owns(c, topic, partition) || c->leaving) {
        return;
    }
    rd_kafka_topic_t *t = rd_kafka_topic_new(c->rk, topic, NULL);
    rd_kafka_seek(t, partition, offset, 0); /* what was read ahead is outdated from now on */
    rd_kafka_topic_destroy(t);
}

struct ends {
    struct klx_consumer *consumer;
    char *topic;
    klx_consumer_ends_fn done;
    void *arg;
    struct klx_timer *again;
    rd_kafka_resp_err_t err;
    int64_t offsets[ENDS_MAX];
    size_t n;
};

static void ask_ends(void *arg) {
    struct ends *e = arg;
    e->n = ENDS_MAX;
    e->err = klx_group_ends(e->consumer->rk, e->topic, e->offsets, &e->n);
}

static void end_ends(struct ends *e) {
    e->consumer->asking--;
    klx_timer_free(e->again);
    free(e->topic);
    free(e);
}

static void tell_ends(struct ends *e) {
    char words[KLX_KAFKA_WORDS];
    if (e->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        e->done(e->arg, e->offsets, e->n, NULL);
    } else {
        klx_kafka_topic_words(e->consumer->rk, e->err, e->topic, words, sizeof(words));
        e->done(e->arg, NULL, 0, words);
    }
}

static void on_ends(void *arg) {
    struct ends *e = arg;
    struct klx_consumer *c = e->consumer;
    bool known = e->err == RD_KAFKA_RESP_ERR_NO_ERROR || klx_kafka_denies(e->err);
    if (!known && !c->over) {
        klx_timer_start(e->again, ENDS_AGAIN_MS);
        return;
    }
    if (!c->over) {
        tell_ends(e); /* c stays: it is asking */
    }
    end_ends(e);
    if (c->freed) {
        klx_consumer_free(c);
    }
}

static void on_ends_again(void *arg) {
    struct ends *e = arg;
    if (e->consumer->over) {
        on_ends(e);
    } else {
        klx_work(e->consumer->loop, ask_ends, on_ends, e);
    }
}

void klx_consumer_ends(struct klx_consumer *c, const char *topic, klx_consumer_ends_fn done,
                       void *arg) {
    struct ends *e = klx_alloc(struct ends);
    *e = (struct ends){ .consumer = c, .topic = klx_strdup(topic), .done = done, .arg = arg };
    e->again = klx_timer_new(c->loop, on_ends_again, e);
    c->asking++;
    klx_work(c->loop, ask_ends, on_ends, e);
}

bool klx_consumer_assigned(const struct klx_consumer *c) {
    return c->owned != NULL;
}

static bool take_while_closing(void *arg) {
    struct klx_consumer *c = arg;
    c->in_callback = true;
    rd_kafka_message_t *m = rd_kafka_consumer_poll(c->rk, 0);
    bool closed = m == NULL && !c->freed && rd_kafka_consumer_closed(c->rk);
    bool more = take_message(c, m); /* frees c if on_revoked did */
    if (closed) {
        stopped(c);
    }
    return more;
}

static void leave_group(struct klx_consumer *c) {
    rd_kafka_queue_t *queue = rd_kafka_queue_new(c->rk);
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(c->rk, queue);
    c->closing = klx_feed_new(c->loop, queue, CLOSING_EVERY_MS, take_while_closing, c);
    if (error != NULL) { /* after a fatal error there is nothing to leave */
        rd_kafka_error_destroy(error);
        klx_timer_start(c->timer, 0);
    }
}

void klx_consumer_stop(struct klx_consumer *c, int64_t wait_ms, void (*on_stopped)(void *arg),
                       void *arg) {
    c->on_stopped = on_stopped;
    c->stop_arg = arg;
    c->dead = true;
    klx_trouble_clear(&c->trouble);
    klx_consumer_let_go(c);
    bool member = !c->looking_up && c->begun;
    klx_timer_start(c->timer, member ? wait_ms : 0);
    if (member) {
        leave_group(c);
    }
}

void klx_consumer_free(struct klx_consumer *c) {
    if (c == NULL) {
        return;
    }
    c->freed = c->dead = c->over = true;
    klx_kafka_login_leave(c->login);
    c->login = NULL;
    c->on_stopped = NULL;
    klx_timer_stop(c->timer);
    klx_timer_stop(c->check);
    if (c->in_callback || c->looking_up || c->looking_further || c->checking || c->asking > 0) {
        return; /* comes again when librdkafka, or the work, is done */
    }
    klx_timer_free(c->timer);
    klx_timer_free(c->check);
    klx_trouble_release(&c->trouble);
    klx_feed_free(c->closing);
    klx_feed_free(c->records);
    klx_feed_free(c->group);
    klx_group_start_release(&c->start);
    klx_group_start_release(&c->further);
    drop_list(&c->topics);
    drop_list(&c->wanted);
    drop_list(&c->fresh);
    drop_list(&c->owned);
    klx_kafka_end(c->loop, c->rk);
    free(c);
}
