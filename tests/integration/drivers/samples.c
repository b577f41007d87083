/*
 * Writes every record of schema/samples to a real Kafka: decoded, encoded and sent by what klaxon itself does that with.
 * `samples BOOTSTRAP PREFIX`; exits 0 when Kafka has them all.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/io/producer.h"
#include "schema/event.h"
#include "tests/unit/support/sample.h"

struct writer {
    struct klx_producer *producer;
    size_t acknowledged;
    int failed;
};

static void on_produced(void *arg, int status, const char *why) {
    struct writer *w = arg;
    w->acknowledged++;
    if (status != 0) {
        fprintf(stderr, "not written: %s\n", why);
        w->failed = 1;
    }
}

static void on_finished(void *arg, size_t left) {
    struct writer *w = arg;
    w->failed = w->failed || left > 0;
    klx_producer_free(w->producer);
    w->producer = NULL;
}

static int send_sample(struct writer *w, const struct klx_topic_names *topics, enum klx_kind kind) {
    struct klx_arena arena KLX_CLEANUP(klx_arena_release);
    struct klx_error e = { 0 };
    struct klx_record sample, r;
    struct klx_event event;
    klx_arena_init(&arena, 65536, 1 << 22);
    test_read_sample(&arena, kind, &sample);
    int rc = klx_event_decode(&arena, &sample, &event, &e);
    event.data_schema = klx_sv(NULL);
    rc = rc == 0 ? klx_event_encode(&arena, topics, &event, event.time_us, &r) : rc;
    rc = rc == 0 ? klx_producer_send(w->producer, &r, on_produced, w, &e) : rc;
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", test_kind_name(kind), e.text);
    }
    return rc;
}

static int write_all(struct klx_loop *loop, const struct klx_kafka_config *kafka,
                     const char *prefix) {
    struct writer w = { .failed = 0 };
    struct klx_topic_names topics;
    struct klx_error e = { 0 };
    int rc = klx_topic_names_init(&topics, klx_sv(prefix), &e);
    rc = rc == 0 ? klx_producer_new(loop, kafka, &w.producer, &e) : rc;
    if (rc != 0) {
        fprintf(stderr, "%s\n", e.text);
        return rc;
    }
    for (size_t k = 0; rc == 0 && k < KLX_KINDS_N; k++) {
        rc = send_sample(&w, &topics, (enum klx_kind)k);
    }
    klx_producer_stop(w.producer, 20000, on_finished, &w);
    klx_loop_run(loop);
    return rc != 0 || w.failed || w.acknowledged != KLX_KINDS_N;
}

int main(int argc, char **argv) {
    struct klx_kafka_config *kafka = klx_kafka_config_new();
    struct klx_error e = { 0 };
    struct klx_loop *loop = klx_loop_new();
    if (argc != 3 ||
        klx_kafka_config_set(kafka, KLX_SV("bootstrap.servers"), klx_sv(argv[1]), &e) != 0) {
        fprintf(stderr, "usage: samples BOOTSTRAP PREFIX %s\n", e.text);
        return 2;
    }
    int failed = write_all(loop, kafka, argv[2]);
    klx_kafka_config_free(kafka);
    klx_loop_free(loop);
    return failed != 0;
}
