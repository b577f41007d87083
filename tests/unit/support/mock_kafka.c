#include "tests/unit/support/mock_kafka.h"

#include <assert.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdarg.h>
#include <stdlib.h>

#include "lib/base/mem.h"

struct mock_kafka {
    rd_kafka_t *rk; /* whose threads the cluster runs on */
    rd_kafka_mock_cluster_t *cluster;
};

static void ignore_log(const rd_kafka_t *rk, int level, const char *facility, const char *text) {
    (void)rk;
    (void)level;
    (void)facility;
    (void)text;
}

struct mock_kafka *mock_kafka_new(void) {
    char words[256];
    struct mock_kafka *m = klx_alloc(struct mock_kafka);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, ignore_log);
    m->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, words, sizeof(words));
    assert(m->rk != NULL);
    m->cluster = rd_kafka_mock_cluster_new(m->rk, 1);
    assert(m->cluster != NULL);
    return m;
}

void mock_kafka_free(struct mock_kafka *m) {
    rd_kafka_mock_cluster_destroy(m->cluster);
    rd_kafka_destroy(m->rk);
    free(m);
}

void mock_kafka_topic(struct mock_kafka *m, const char *name, int partitions) {
    rd_kafka_resp_err_t err = rd_kafka_mock_topic_create(m->cluster, name, partitions, 1);
    assert(err == RD_KAFKA_RESP_ERR_NO_ERROR);
    (void)err;
}

void mock_kafka_hide_topic(struct mock_kafka *m, const char *name) {
    rd_kafka_mock_topic_set_error(m->cluster, name, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
}

void mock_kafka_fail(struct mock_kafka *m, enum mock_kafka_request request, int code, size_t n) {
    for (size_t i = 0; i < n; i++) {
        rd_kafka_mock_push_request_errors(m->cluster, (int16_t)request, 1,
                                          (rd_kafka_resp_err_t)code);
    }
}

void mock_kafka_without(struct mock_kafka *m, enum mock_kafka_request request) {
    rd_kafka_mock_set_apiversion(m->cluster, (int16_t)request, -1, -1);
}

void mock_kafka_down(struct mock_kafka *m) {
    rd_kafka_mock_broker_set_down(m->cluster, 1);
}

void mock_kafka_up(struct mock_kafka *m) {
    rd_kafka_mock_broker_set_up(m->cluster, 1);
}

struct klx_kafka_config *mock_kafka_config(struct mock_kafka *m, ...) {
    struct klx_kafka_config *c = klx_kafka_config_new();
    struct klx_error e;
    va_list list;
    int rc = klx_kafka_config_set(c, KLX_SV("bootstrap.servers"),
                                  klx_sv(rd_kafka_mock_cluster_bootstraps(m->cluster)), &e);
    va_start(list, m);
    for (const char *name = va_arg(list, const char *); rc == 0 && name != NULL;
         name = va_arg(list, const char *)) {
        rc = klx_kafka_config_set(c, klx_sv(name), klx_sv(va_arg(list, const char *)), &e);
    }
    va_end(list);
    assert(rc == 0);
    return c;
}
