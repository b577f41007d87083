/*
 * Onto a topic: the records as they were, with their keys and times, marked with replayid. At most RATE a second, and at most IN_FLIGHT that Kafka
 * has not acknowledged; what is acknowledged from the first on is done.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/replay.h"
#include "lib/base/cleanup.h"
#include "lib/base/json_text.h"
#include "lib/base/mem.h"
#include "lib/io/admin.h"
#include "lib/io/producer.h"

#define ANSWER_MS 10000
#define LAST_ANSWERS_MS 30000
#define DEFAULT_RATE 1000
#define IN_FLIGHT 5000
#define TURN_MS 10
#define SAVE_EVERY_US (1000 * 1000)
#define VALUE_BYTES_MAX (32u << 20)

struct topic;

/* One that is under way, or was answered before one that was sent earlier. */
struct slot {
    struct topic *topic;
    bool answered;
};

struct topic {
    struct klx_replay *r;
    struct klx_loop *loop;
    struct klx_producer *producer;
    struct klx_timer *timer;
    struct klx_buf value;
    int64_t begun_us, saved_us;
    uint64_t sent;      /* of this run */
    uint64_t settled;   /* answered, as all before it */
    struct slot *slots; /* of those from `settled` on, by their number modulo IN_FLIGHT */
    bool more;          /* there is one that was not sent yet */
    bool in_hand;       /* and this is it */
    struct klx_record record;
    bool stopping;
    int code;
};

int klx_replay_look_for_topic(const struct klx_replay *r) {
    struct klx_admin_topic found = { .name = r->goal };
    struct klx_admin *admin = NULL;
    struct klx_error e = { 0 };
    int rc = klx_admin_new(r->config->kafka, ANSWER_MS, &admin, &e);
    rc = rc == 0 ? klx_admin_describe(admin, &found, 1, &e) : rc;
    klx_admin_free(admin);
    if (rc == 0 && !found.exists) {
        klx_fail(&e, -ENOENT,
                 "there is no topic %s: create it first, with retention.ms=-1, since "
                 "its records are old",
                 r->goal);
    }
    if (rc == 0 && found.exists) {
        return KLX_EXIT_OK;
    }
    fprintf(stderr, KLX_REPLAY ": %s\n", e.text);
    return rc == 0 ? KLX_EXIT_FAILED : klx_cli_exit_code(rc);
}

static void on_stopped(void *arg, size_t left) {
    struct topic *t = arg;
    if (left > 0) {
        fprintf(stderr, KLX_REPLAY ": Kafka has not acknowledged %zu records\n", left);
        t->code = KLX_EXIT_UNAVAILABLE;
    }
    klx_loop_stop(t->loop);
}

static void stop(struct topic *t, int code) {
    t->code = t->code == KLX_EXIT_OK ? code : t->code;
    if (!t->stopping) {
        t->stopping = true;
        klx_timer_stop(t->timer);
        klx_producer_stop(t->producer, LAST_ANSWERS_MS, on_stopped, t);
    }
}

static void fail(struct topic *t, const struct klx_error *e, int code) {
    klx_progress_clear(&t->r->progress);
    if (t->code == KLX_EXIT_OK) {
        fprintf(stderr, KLX_REPLAY ": %s\n", e->text);
    }
    stop(t, code);
}

static void save(struct topic *t) {
    struct klx_error e = { 0 };
    if (klx_replay_done(t->r, t->r->done, &e) != 0) {
        fail(t, &e, KLX_EXIT_FAILED);
    }
}

/* Partitions answer in an order of their own; done is what everything before it is. What was refused ends it, so nothing is passed over. */
static void on_produced(void *arg, int status, const char *why) {
    struct slot *slot = arg;
    struct topic *t = slot->topic;
    struct klx_error e = { 0 };
    slot->answered = status == 0;
    if (status != 0) {
        klx_fail(&e, status, "Kafka does not take it: %s", why);
        fail(t, &e, klx_cli_exit_code(status));
    }
    while (t->settled < t->sent && t->slots[t->settled % IN_FLIGHT].answered) {
        t->slots[t->settled % IN_FLIGHT].answered = false;
        t->settled++;
        t->r->done++;
        t->r->told++;
    }
}

static bool is_structured(const struct klx_record *r) {
    for (size_t i = 0; i < r->headers_n; i++) {
        if (klx_sv_eq_nocase(r->headers[i].name, KLX_SV("content-type")) &&
            klx_sv_starts(r->headers[i].value, KLX_SV("application/cloudevents"))) {
            return true;
        }
    }
    return false;
}

/* In binary mode a header, in structured mode a member of the envelope. */
static void mark(struct topic *t, struct klx_record_header headers[KLX_REPLAY_HEADERS_MAX + 1]) {
    struct klx_record *r = &t->record;
    size_t n = 0;
    for (size_t i = 0; i < r->headers_n; i++) {
        if (!klx_sv_eq(r->headers[i].name, KLX_SV("ce_replayid"))) {
            headers[n++] = r->headers[i];
        }
    }
    headers[n++] = (struct klx_record_header){ KLX_SV("ce_replayid"), klx_sv(t->r->id) };
    r->headers = headers;
    r->headers_n = n;
    klx_buf_reset(&t->value);
    if (is_structured(r) && klx_json_compact(&t->value, r->value) == 0) {
        klx_buf_truncate(&t->value, t->value.len - 1);
        klx_buf_printf(&t->value, ",\"replayid\":\"%s\"}", t->r->id);
        r->value = klx_buf_sv(&t->value);
    }
}

/* True: it went. */
static bool send_one(struct topic *t) {
    struct klx_record_header headers[KLX_REPLAY_HEADERS_MAX + 1];
    struct klx_error e = { 0 };
    if (!t->in_hand) {
        int rc = klx_replay_next(t->r, &t->record, &t->more, &e);
        if (rc != 0) {
            fail(t, &e, KLX_EXIT_FAILED);
        }
        t->in_hand = rc == 0 && t->more;
    }
    if (!t->in_hand) {
        return false;
    }
    struct klx_record kept = t->record;
    mark(t, headers);
    t->record.topic = t->r->goal;
    t->record.partition = -1;
    struct slot *slot = &t->slots[t->sent % IN_FLIGHT];
    *slot = (struct slot){ .topic = t };
    int rc = klx_producer_send(t->producer, &t->record, on_produced, slot, &e);
    t->record = kept;
    if (rc == -EAGAIN) {
        return false;
    }
    if (rc != 0) {
        fail(t, &e, klx_cli_exit_code(rc));
        return false;
    }
    t->in_hand = false;
    t->sent++;
    return true;
}

static void on_turn(void *arg) {
    struct topic *t = arg;
    int64_t now = klx_loop_now_us(t->loop);
    int64_t rate = t->r->o->rate > 0 ? t->r->o->rate : DEFAULT_RATE;
    uint64_t may = (uint64_t)((double)(now - t->begun_us) * (double)rate / 1e6) + 1;
    klx_progress_tell(&t->r->progress, t->r->done, t->r->total, now);
    bool went = true;
    while (went && t->more && !t->stopping && t->sent - t->settled < IN_FLIGHT && t->sent < may) {
        went = send_one(t);
    }
    if (now - t->saved_us >= SAVE_EVERY_US) {
        t->saved_us = now;
        save(t);
    }
    if (!t->more && t->sent == t->settled) {
        stop(t, KLX_EXIT_OK);
    }
}

static void on_signal(void *arg, int signum) {
    (void)signum;
    stop(arg, KLX_EXIT_INTERRUPTED);
}

int klx_replay_to_topic(struct klx_replay *r) {
    struct topic t = { .r = r, .more = true };
    struct klx_error e = { 0 };
    t.loop = klx_loop_new();
    klx_buf_init(&t.value, VALUE_BYTES_MAX);
    t.slots = klx_alloc_n(struct slot, IN_FLIGHT);
    if (klx_producer_new(t.loop, r->config->kafka, &t.producer, &e) == 0) {
        t.begun_us = t.saved_us = klx_loop_now_us(t.loop);
        klx_progress_begin(&r->progress, "telling", r->done, t.begun_us);
        t.timer = klx_timer_new(t.loop, on_turn, &t);
        klx_timer_repeat(t.timer, TURN_MS);
        klx_loop_on_signal(t.loop, on_signal, &t);
        klx_loop_run(t.loop);
        klx_loop_on_signal(t.loop, NULL, NULL);
        klx_timer_free(t.timer);
        klx_producer_free(t.producer);
        if (klx_replay_done(r, r->done, &e) != 0) {
            fprintf(stderr, KLX_REPLAY ": %s\n", e.text);
            t.code = KLX_EXIT_FAILED;
        }
    } else {
        fprintf(stderr, KLX_REPLAY ": %s\n", e.text);
        t.code = KLX_EXIT_CONFIG;
    }
    klx_loop_run(t.loop); /* the last close callbacks */
    klx_loop_free(t.loop);
    klx_buf_release(&t.value);
    free(t.slots);
    return t.code;
}
