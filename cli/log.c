#include "cli/log.h"

#include <errno.h>
#include <stdio.h>

#include "lib/base/clock.h"
#include "lib/io/admin.h"
#include "lib/io/consumer.h"
#include "lib/io/loop.h"
#include "lib/io/producer.h"

#define ANSWER_MS 10000
#define PATIENCE_US (30 * INT64_C(1000000)) /* without a record */

/* One reading, writing or waiting. */
struct session {
    const char *command;
    struct klx_loop *loop;
    struct klx_reader *reader;
    struct klx_producer *producer;
    struct klx_timer *timer;
    int64_t progress_us;
    void (*on_record)(void *arg, const struct klx_record *r);
    void *arg;
    int code;
};

static void end(struct session *s, int code) {
    s->code = code;
    klx_reader_free(s->reader);
    s->reader = NULL;
    klx_loop_stop(s->loop);
}

/* A topic that is not there would be waited for. */
static int look(const char *command, const struct klx_cli_config *c, const char *topic) {
    struct klx_admin_topic found = { .name = topic };
    struct klx_admin *admin = NULL;
    struct klx_error e = { 0 };
    int rc = klx_admin_new(c->kafka, ANSWER_MS, &admin, &e);
    rc = rc == 0 ? klx_admin_describe(admin, &found, 1, &e) : rc;
    int code = rc == 0 ? KLX_EXIT_OK : klx_cli_exit_code(rc);
    if (rc == 0 && !found.exists) {
        klx_fail(&e, -ENOENT, "Kafka at %s does not have %s: run `klaxon topics apply`",
                 klx_kafka_config_bootstrap(c->kafka), topic);
        code = KLX_EXIT_FAILED;
    }
    klx_admin_free(admin);
    if (code != KLX_EXIT_OK) {
        fprintf(stderr, "%s: %s\n", command, e.text);
    }
    return code;
}

static void on_record(void *arg, const struct klx_record *r) {
    struct session *s = arg;
    s->progress_us = klx_loop_now_us(s->loop);
    s->on_record(s->arg, r);
}

static void on_end(void *arg) {
    end(arg, KLX_EXIT_OK);
}

static void give_up(void *arg) {
    end(arg, KLX_EXIT_UNAVAILABLE);
}

static void on_trouble(void *arg, const char *what) {
    struct session *s = arg;
    fprintf(stderr, "%s: %s\n", s->command, what);
    if (klx_loop_now_us(s->loop) - s->progress_us > PATIENCE_US) {
        klx_loop_defer(s->loop, give_up, s);
    }
}

static void on_fatal(void *arg, const char *why) {
    struct session *s = arg;
    fprintf(stderr, "%s: %s\n", s->command, why);
    end(s, KLX_EXIT_UNAVAILABLE);
}

static void on_signal(void *arg, int signum) {
    (void)signum;
    end(arg, KLX_EXIT_INTERRUPTED);
}

static void begin(struct session *s) {
    s->loop = klx_loop_new();
    s->progress_us = klx_loop_now_us(s->loop);
    klx_loop_on_signal(s->loop, on_signal, s);
}

static int finish(struct session *s, int rc, const struct klx_error *e) {
    if (rc == 0) {
        klx_loop_run(s->loop);
    } else {
        fprintf(stderr, "%s: %s\n", s->command, e->text);
        s->code = KLX_EXIT_CONFIG;
    }
    klx_reader_free(s->reader);
    klx_producer_free(s->producer);
    klx_timer_free(s->timer);
    klx_loop_on_signal(s->loop, NULL, NULL);
    klx_loop_run(s->loop); /* the last close callbacks */
    klx_loop_free(s->loop);
    return s->code;
}

int klx_cli_read(const char *command, const struct klx_cli_config *c, enum klx_topic topic,
                 int64_t start_ms, void (*on_each)(void *arg, const struct klx_record *r),
                 void *arg) {
    const char *name = c->settings.topics.name[topic];
    struct session s = { .command = command, .on_record = on_each, .arg = arg };
    struct klx_error e = { 0 };
    const struct klx_reader_options options = {
        .kafka = c->kafka,
        .topics = &name,
        .topics_n = 1,
        .start = start_ms >= 0 ? KLX_READER_TIME : KLX_READER_BEGINNING,
        .start_ms = start_ms >= 0 ? start_ms : 0,
        .until_end = true,
    };
    const struct klx_reader_callbacks cb = { .on_record = on_record,
                                             .on_end = on_end,
                                             .on_trouble = on_trouble,
                                             .on_fatal = on_fatal,
                                             .arg = &s };
    int code = look(command, c, name);
    if (code != KLX_EXIT_OK) {
        return code;
    }
    begin(&s);
    int rc = klx_reader_new(s.loop, &options, &cb, &s.reader, &e);
    return finish(&s, rc, &e);
}

static void on_stopped(void *arg, size_t left) {
    struct session *s = arg;
    if (left > 0) {
        fprintf(stderr, "%s: Kafka has not acknowledged it within %d s\n", s->command,
                ANSWER_MS / 1000);
        s->code = KLX_EXIT_UNAVAILABLE;
    }
    klx_loop_stop(s->loop);
}

static void on_produced(void *arg, int status, const char *why) {
    struct session *s = arg;
    if (status != 0) {
        fprintf(stderr, "%s: Kafka does not take it: %s\n", s->command, why);
        s->code = klx_cli_exit_code(status);
    }
}

int klx_cli_write(const char *command, const struct klx_cli_config *c, enum klx_topic topic,
                  const struct klx_record *records, size_t n) {
    const char *name = c->settings.topics.name[topic];
    struct session s = { .command = command };
    struct klx_error e = { 0 };
    int code = look(command, c, name);
    if (code != KLX_EXIT_OK) {
        return code;
    }
    begin(&s);
    int rc = klx_producer_new(s.loop, c->kafka, &s.producer, &e);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct klx_record r = records[i];
        r.topic = name;
        rc = klx_producer_send(s.producer, &r, on_produced, &s, &e);
    }
    if (rc == 0) {
        klx_producer_stop(s.producer, ANSWER_MS, on_stopped, &s);
    }
    return finish(&s, rc, &e);
}

static void on_waited(void *arg) {
    end(arg, KLX_EXIT_OK);
}

int klx_cli_wait(int64_t ms) {
    struct session s = { .command = NULL };
    begin(&s);
    s.timer = klx_timer_new(s.loop, on_waited, &s);
    klx_timer_start(s.timer, ms);
    return finish(&s, 0, NULL);
}
