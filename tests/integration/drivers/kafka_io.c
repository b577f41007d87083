/*
 * A consumer and a producer of lib/io behind a pipe, for tests against a real Kafka: commands on stdin, what happens on stdout, a line
 * each. `kafka_io [-X property=value]… GROUP TOPIC…`; GROUP "-" makes no consumer.
 *
 *     pause | resume | store TOPIC PARTITION OFFSET | assigned? | subscribe TOPIC… | leave MS
 *     send TOPIC KEY BYTES [COUNT] | pending? | finish MS
 *     quit            (also the end of stdin: everything is freed, the loop must be left with nothing alive)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/io/consumer.h"
#include "lib/io/producer.h"

#define LINE_MAX_BYTES 4096

struct driver {
    struct klx_loop *loop;
    struct klx_fd *in;
    struct klx_consumer *consumer;
    struct klx_producer *producer;
    char line[LINE_MAX_BYTES];
    size_t n;
    bool sending; /* inside klx_producer_send: an answer from there would be a mistake */
};

static void say(const char *what) {
    puts(what);
    fflush(stdout);
}

static void on_record(void *arg, const struct klx_record *r) {
    (void)arg;
    printf("record %s %d %lld key=%.*s bytes=%zu", r->topic, r->partition, (long long)r->offset,
           KLX_SV_FMT(r->key), r->value.n);
    for (size_t i = 0; i < r->headers_n; i++) {
        printf(" %.*s=%.*s", KLX_SV_FMT(r->headers[i].name), KLX_SV_FMT(r->headers[i].value));
    }
    say("");
}

static void on_assigned(void *arg, const char *topic, int32_t partition) {
    (void)arg;
    printf("assigned %s %d", topic, partition);
    say("");
}

static void on_revoked(void *arg, const char *topic, int32_t partition) {
    (void)arg;
    printf("revoked %s %d", topic, partition);
    say("");
}

static void on_trouble(void *arg, const char *what) {
    (void)arg;
    printf("trouble %s", what);
    say("");
}

static void on_fatal(void *arg, const char *why) {
    (void)arg;
    printf("fatal %s", why);
    say("");
}

static void on_left(void *arg) {
    struct driver *d = arg;
    say("left");
    klx_consumer_free(d->consumer);
    d->consumer = NULL;
}

static void on_finished(void *arg, size_t left) {
    struct driver *d = arg;
    printf("finished %zu", left);
    say("");
    klx_producer_free(d->producer);
    d->producer = NULL;
}

static void on_produced(void *arg, int status, const char *why) {
    struct driver *d = arg;
    if (d->sending) {
        say("mistake: answered from inside the send");
    } else {
        printf("answer %d %s", status, why != NULL ? why : "");
        say("");
    }
}

static int number(const char *s) {
    int64_t n = 0;
    return klx_sv_int(klx_sv(s), &n) == 0 ? (int)n : 0;
}

static void send_records(struct driver *d, const char *topic, const char *key, size_t bytes,
                         int count) {
    struct klx_error e;
    char *value = klx_new_bytes(bytes + 1);
    struct klx_record_header header = { KLX_SV("ce_id"), KLX_SV("7") };
    struct klx_record r = { .topic = topic,
                            .partition = -1,
                            .key = klx_sv(key),
                            .value = klx_sv_n(value, bytes),
                            .headers = &header,
                            .headers_n = 1 };
    memset(value, 'v', bytes);
    for (int i = 0; i < count; i++) {
        d->sending = true;
        int rc = klx_producer_send(d->producer, &r, on_produced, d, &e);
        d->sending = false;
        if (rc != 0) {
            printf("refused %d %s", rc, e.text);
            say("");
            break;
        }
    }
    free(value);
}

static void quit(struct driver *d) {
    klx_consumer_free(d->consumer);
    klx_producer_free(d->producer);
    klx_fd_free(d->in);
    d->in = NULL;
}

static void obey(struct driver *d, char *line) {
    char *words[5] = { "", "", "", "", "" }, *rest = line;
    for (int i = 0; i < 5 && rest != NULL; i++) {
        words[i] = strsep(&rest, " ");
    }
    if (strcmp(words[0], "pause") == 0) {
        klx_consumer_pause(d->consumer);
    } else if (strcmp(words[0], "resume") == 0) {
        klx_consumer_resume(d->consumer);
    } else if (strcmp(words[0], "store") == 0) {
        klx_consumer_store(d->consumer, words[1], number(words[2]), number(words[3]));
    } else if (strcmp(words[0], "assigned?") == 0) {
        say(klx_consumer_assigned(d->consumer) ? "yes" : "no");
    } else if (strcmp(words[0], "subscribe") == 0) {
        size_t n = 0;
        while (n < 4 && words[n + 1][0] != '\0') {
            n++;
        }
        klx_consumer_subscribe(d->consumer, (const char *const *)&words[1], n);
    } else if (strcmp(words[0], "leave") == 0) {
        klx_consumer_stop(d->consumer, number(words[1]), on_left, d);
    } else if (strcmp(words[0], "send") == 0) {
        send_records(d, words[1], words[2], (size_t)number(words[3]),
                     words[4][0] != '\0' ? number(words[4]) : 1);
    } else if (strcmp(words[0], "pending?") == 0) {
        printf("pending %zu", klx_producer_pending(d->producer));
        say("");
    } else if (strcmp(words[0], "finish") == 0) {
        klx_producer_stop(d->producer, number(words[1]), on_finished, d);
    } else if (strcmp(words[0], "quit") == 0) {
        quit(d);
    } else {
        say("mistake: no such command");
    }
}

static void on_input(void *arg, int events) {
    struct driver *d = arg;
    (void)events;
    ssize_t got = read(STDIN_FILENO, d->line + d->n, sizeof(d->line) - d->n - 1);
    if (got <= 0) {
        quit(d);
        return;
    }
    d->n += (size_t)got;
    d->line[d->n] = '\0';
    char *end = NULL;
    while (d->in != NULL && (end = strchr(d->line, '\n')) != NULL) {
        *end = '\0';
        obey(d, d->line);
        d->n -= (size_t)(end + 1 - d->line);
        memmove(d->line, end + 1, d->n + 1);
    }
}

static int set_property(struct klx_kafka_config *kafka, const char *text) {
    struct klx_error e;
    struct klx_sv value = klx_sv(text);
    struct klx_sv name = klx_sv_cut(&value, '=');
    int rc = klx_kafka_config_set(kafka, name, value, &e);
    if (rc != 0) {
        printf("mistake: %s\n", e.text);
    }
    return rc;
}

static int open_both(struct driver *d, const struct klx_kafka_config *kafka, int n, char **args) {
    struct klx_error e;
    struct klx_consumer_callbacks cb = {
        .on_record = on_record,
        .on_assigned = on_assigned,
        .on_revoked = on_revoked,
        .on_trouble = on_trouble,
        .on_fatal = on_fatal,
        .arg = d,
    };
    int rc = klx_producer_new(d->loop, kafka, &d->producer, &e);
    if (rc == 0 && n > 1 && strcmp(args[0], "-") != 0) {
        rc = klx_consumer_new(d->loop, kafka, args[0], (const char *const *)(args + 1),
                              (size_t)n - 1, &cb, &d->consumer, &e);
    }
    if (rc != 0) {
        printf("mistake: %s\n", e.text);
    }
    return rc;
}

int main(int argc, char **argv) {
    struct klx_kafka_config *kafka = klx_kafka_config_new();
    int rc = 0, i = 1;
    for (; rc == 0 && i + 1 < argc && strcmp(argv[i], "-X") == 0; i += 2) {
        rc = set_property(kafka, argv[i + 1]);
    }
    struct driver d = { .loop = klx_loop_new() };
    rc = rc == 0 ? open_both(&d, kafka, argc - i, argv + i) : rc;
    klx_kafka_config_free(kafka);
    if (rc == 0) {
        d.in = klx_fd_new(d.loop, STDIN_FILENO, on_input, &d);
        klx_fd_set(d.in, KLX_FD_READ);
    } else {
        klx_producer_free(d.producer);
    }
    klx_loop_run(d.loop);
    klx_loop_free(d.loop);
    say("bye");
    return rc == 0 ? 0 : 1;
}
