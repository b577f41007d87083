/*
 * The ceiling: records from a file into transactions of N records, one after the other, and nothing else. What the collector is
 * measured beside: the same bytes, the same client library, the same broker.
 *
 *     bench-ceiling BOOTSTRAP TOPIC FILE N      → "records seconds cpu-seconds commits"
 *
 * The file holds, for each record, in the machine's byte order: uint32 bytes of key, uint32 bytes of value, uint32 headers,
 * then for each header uint32 bytes of name, uint32 bytes of value, name, value; then key, value.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

static char words[512];

static void die(const char *what, const char *why) {
    fprintf(stderr, "bench-ceiling: %s: %s\n", what, why);
    exit(1);
}

static void check(const char *what, rd_kafka_error_t *error) {
    if (error != NULL) {
        die(what, rd_kafka_error_string(error));
    }
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value) {
    if (rd_kafka_conf_set(conf, name, value, words, sizeof(words)) != RD_KAFKA_CONF_OK) {
        die(name, words);
    }
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *arg) {
    (void)rk;
    (void)arg;
    if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        die("delivery", rd_kafka_err2str(m->err));
    }
}

static rd_kafka_t *producer(const char *bootstrap) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", bootstrap);
    set(conf, "transactional.id", "bench-ceiling");
    set(conf, "linger.ms", "1");
    set(conf, "partitioner", "murmur2_random");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, words, sizeof(words));
    if (rk == NULL) {
        die("producer", words);
    }
    return rk;
}

static uint32_t take_number(const char **p) {
    uint32_t n = 0;
    memcpy(&n, *p, sizeof(n));
    *p += sizeof(n);
    return n;
}

static const char *produce(rd_kafka_t *rk, const char *topic, const char *p) {
    uint32_t key_n = take_number(&p), value_n = take_number(&p), headers_n = take_number(&p);
    rd_kafka_headers_t *headers = rd_kafka_headers_new(headers_n);
    for (uint32_t i = 0; i < headers_n; i++) {
        uint32_t name = take_number(&p), value = take_number(&p);
        rd_kafka_header_add(headers, p, (ssize_t)name, p + name, (ssize_t)value);
        p += name + value;
    }
    rd_kafka_resp_err_t err =
        rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_KEY(p, key_n),
                          RD_KAFKA_V_VALUE((void *)(uintptr_t)(p + key_n), value_n),
                          RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        die("produce", rd_kafka_err2str(err));
    }
    return p + key_n + value_n;
}

static void know_topic(rd_kafka_t *rk, const char *name) {
    const struct rd_kafka_metadata *md = NULL;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, name, NULL);
    if (rd_kafka_metadata(rk, 0, topic, &md, 10000) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        die("metadata", name);
    }
    rd_kafka_metadata_destroy(md);
    rd_kafka_topic_destroy(topic);
}

static double seconds_of(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    if (argc != 5) {
        die("usage", "bench-ceiling BOOTSTRAP TOPIC FILE N");
    }
    struct stat st;
    int fd = open(argv[3], O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        die(argv[3], "cannot be read");
    }
    const char *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (p == MAP_FAILED) {
        die(argv[3], "cannot be mapped");
    }
    const char *end = p + st.st_size;
    unsigned long per_commit = strtoul(argv[4], NULL, 10), records = 0, commits = 0;
    rd_kafka_t *rk = producer(argv[1]);
    know_topic(rk, argv[2]);
    check("init", rd_kafka_init_transactions(rk, 30000));
    double began = seconds_of(CLOCK_MONOTONIC), cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    while (p < end) {
        check("begin", rd_kafka_begin_transaction(rk));
        for (unsigned long i = 0; i < per_commit && p < end; i++) {
            p = produce(rk, argv[2], p);
            records++;
        }
        check("commit", rd_kafka_commit_transaction(rk, -1));
        commits++;
    }
    printf("%lu %.3f %.3f %lu\n", records, seconds_of(CLOCK_MONOTONIC) - began,
           seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu, commits);
    rd_kafka_destroy(rk);
    return 0;
}
