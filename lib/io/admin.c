#include "lib/io/admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/io/kafka.h"
#include "lib/io/kafka_login.h"

#define KNOWN_WITHIN_MS 5000
#define KNOWN_STEP_MS 10
#define FIRST_WAIT_MS 100 /* for metadata; then twice as long each time, until the timeout */
#define MARGIN_MS 1000    /* librdkafka answers itself when the timeout is over, in better words */

struct klx_admin {
    rd_kafka_t *rk;
    int timeout_ms;
    rd_kafka_event_t *described; /* holds the values of the last describe */
    bool all_down;
    bool refused;             /* the credentials */
    rd_kafka_resp_err_t last; /* what a broker's connection ended with, in librdkafka's words */
    char why[KLX_KAFKA_WORDS];
};

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque) {
    struct klx_admin *a = opaque;
    (void)rk;
    if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        a->all_down = true;
        return; /* the reason is that of the one before */
    }
    a->refused = a->refused || err == RD_KAFKA_RESP_ERR__AUTHENTICATION;
    a->last = klx_kafka_sort((rd_kafka_resp_err_t)err, reason, true);
    snprintf(a->why, sizeof(a->why), "%s", reason);
}

/* Until a broker answers, all are known to be away, or the time is over. */
static rd_kafka_resp_err_t ask(struct klx_admin *a) {
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR__TIMED_OUT;
    int left_ms = a->timeout_ms;
    for (int wait_ms = FIRST_WAIT_MS; left_ms > 0; wait_ms *= 2) {
        const struct rd_kafka_metadata *md = NULL;
        int now_ms = wait_ms < left_ms ? wait_ms : left_ms;
        err = rd_kafka_metadata(a->rk, 0, NULL, &md, now_ms);
        if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            rd_kafka_metadata_destroy(md);
            return err;
        }
        rd_kafka_poll(a->rk, 0);
        if (a->refused || a->all_down) {
            return a->refused ? RD_KAFKA_RESP_ERR__AUTHENTICATION : err;
        }
        left_ms -= now_ms;
    }
    return err;
}

static int fail_to_connect(struct klx_admin *a, rd_kafka_resp_err_t err, struct klx_error *e) {
    char words[KLX_KAFKA_WORDS], reason[KLX_KAFKA_WORDS];
    if (a->refused || a->last == RD_KAFKA_RESP_ERR__SSL) {
        klx_kafka_words(a->rk, a->last, a->why, words, sizeof(words));
        return klx_fail(e, a->refused ? -EACCES : -EHOSTUNREACH, "%s", words);
    }
    klx_kafka_words(a->rk, err, NULL, words, sizeof(words));
    klx_kafka_reason(a->why, reason, sizeof(reason));
    return klx_fail(e, -EHOSTUNREACH, "%s%s%s", words, reason[0] != '\0' ? ": " : "", reason);
}

int klx_admin_new(const struct klx_kafka_config *kafka, int64_t timeout_ms, struct klx_admin **ret,
                  struct klx_error *e) {
    struct klx_admin *a = klx_alloc(struct klx_admin);
    rd_kafka_conf_t *conf = klx_kafka_conf(kafka);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_opaque(conf, a);
    int rc = klx_kafka_new(RD_KAFKA_PRODUCER, conf, &a->rk, e);
    if (rc != 0) {
        free(a);
        return rc;
    }
    a->timeout_ms = (int)timeout_ms;
    rc = klx_kafka_login_once(kafka, a->rk, timeout_ms, e);
    if (rc != 0) {
        klx_admin_free(a);
        rc = rc == -EACCES ? rc : -EHOSTUNREACH;
        return klx_fail_in(e, rc, "no token for Kafka at %s", klx_kafka_config_bootstrap(kafka));
    }
    rd_kafka_resp_err_t err = ask(a);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rc = fail_to_connect(a, err, e);
        klx_admin_free(a);
        return rc;
    }
    *ret = a;
    return 0;
}

static void forget_described(struct klx_admin *a) {
    if (a->described != NULL) {
        rd_kafka_event_destroy(a->described);
        a->described = NULL;
    }
}

void klx_admin_free(struct klx_admin *a) {
    if (a != NULL) {
        forget_described(a);
        rd_kafka_destroy(a->rk);
        free(a);
    }
}

static int fail_with(struct klx_admin *a, rd_kafka_resp_err_t err, const char *words,
                     struct klx_error *e) {
    char text[KLX_KAFKA_WORDS];
    klx_kafka_words(a->rk, err, words, text, sizeof(text));
    return klx_fail(e, klx_kafka_errno(err), "%s", text);
}

static rd_kafka_AdminOptions_t *options_for(struct klx_admin *a, rd_kafka_admin_op_t request) {
    char words[256];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(a->rk, request);
    rd_kafka_AdminOptions_set_request_timeout(options, a->timeout_ms, words, sizeof(words));
    return options;
}

/* Takes both. A request has a queue of its own, so that an answer that comes too late is not taken for that of the next one. */
static rd_kafka_event_t *wait_for(struct klx_admin *a, rd_kafka_queue_t *queue,
                                  rd_kafka_AdminOptions_t *options) {
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, a->timeout_ms + MARGIN_MS);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return event;
}

static int describe_one(struct klx_admin *a, struct klx_admin_topic *t, struct klx_error *e) {
    const struct rd_kafka_metadata *md = NULL;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(a->rk, t->name, NULL);
    rd_kafka_resp_err_t err = rd_kafka_metadata(a->rk, 0, topic, &md, a->timeout_ms);
    rd_kafka_topic_destroy(topic);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return fail_with(a, err, NULL, e);
    }
    err = md->topic_cnt == 1 ? md->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    t->exists = err == RD_KAFKA_RESP_ERR_NO_ERROR;
    t->partitions = t->exists ? md->topics[0].partition_cnt : 0;
    t->replication =
        t->exists && t->partitions > 0 ? (int16_t)md->topics[0].partitions[0].replica_cnt : -1;
    rd_kafka_metadata_destroy(md);
    bool missing =
        err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
    return t->exists || missing ? 0 : fail_with(a, err, t->name, e);
}

static void take_values(struct klx_admin_topic *t, const rd_kafka_ConfigResource_t *r) {
    size_t n = 0;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(r, &n);
    for (size_t s = 0; s < t->settings_n; s++) {
        t->settings[s].value = NULL;
        for (size_t i = 0; i < n; i++) {
            if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), t->settings[s].name) == 0) {
                t->settings[s].value = rd_kafka_ConfigEntry_value(entries[i]);
            }
        }
    }
}

/* NULL when the broker does not answer. */
static rd_kafka_event_t *ask_for_settings(struct klx_admin *a, rd_kafka_ConfigResource_t **wanted,
                                          size_t n) {
    rd_kafka_queue_t *queue = rd_kafka_queue_new(a->rk);
    rd_kafka_AdminOptions_t *options = options_for(a, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_DescribeConfigs(a->rk, wanted, n, options, queue);
    return wait_for(a, queue, options);
}

/* A broker may refuse to tell them, all or those of a topic (Event Hubs does, and ACLs can): then they are not known. */
static void take_settings(rd_kafka_event_t *described, struct klx_admin_topic *topics, size_t n) {
    size_t got = 0;
    const rd_kafka_ConfigResource_t **resources = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result(described), &got);
    for (size_t r = 0; r < got; r++) {
        for (size_t i = 0; i < n; i++) {
            if (rd_kafka_ConfigResource_error(resources[r]) == RD_KAFKA_RESP_ERR_NO_ERROR &&
                strcmp(rd_kafka_ConfigResource_name(resources[r]), topics[i].name) == 0) {
                take_values(&topics[i], resources[r]);
            }
        }
    }
}

static void describe_settings(struct klx_admin *a, struct klx_admin_topic *topics, size_t n) {
    rd_kafka_ConfigResource_t **wanted = klx_alloc_n(rd_kafka_ConfigResource_t *, n);
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t s = 0; s < topics[i].settings_n; s++) {
            topics[i].settings[s].value = NULL;
        }
        if (topics[i].exists && topics[i].settings_n > 0) {
            wanted[count++] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topics[i].name);
        }
    }
    if (count > 0) {
        a->described = ask_for_settings(a, wanted, count);
        rd_kafka_ConfigResource_destroy_array(wanted, count);
    }
    free(wanted);
    if (a->described != NULL && rd_kafka_event_error(a->described) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        take_settings(a->described, topics, n);
    }
}

int klx_admin_describe(struct klx_admin *a, struct klx_admin_topic *topics, size_t n,
                       struct klx_error *e) {
    forget_described(a);
    for (size_t i = 0; i < n; i++) {
        int rc = describe_one(a, &topics[i], e);
        if (rc != 0) {
            return rc;
        }
    }
    describe_settings(a, topics, n);
    return 0;
}

/* What the broker says of the one topic. */
static int created(struct klx_admin *a, rd_kafka_event_t *event, struct klx_error *e) {
    size_t n = 0;
    if (event == NULL) {
        return fail_with(a, RD_KAFKA_RESP_ERR__TIMED_OUT, NULL, e);
    }
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return fail_with(a, rd_kafka_event_error(event), rd_kafka_event_error_string(event), e);
    }
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
    if (n != 1) {
        return fail_with(a, RD_KAFKA_RESP_ERR__FAIL, NULL, e);
    }
    rd_kafka_resp_err_t err = rd_kafka_topic_result_error(results[0]);
    return err == RD_KAFKA_RESP_ERR_NO_ERROR
               ? 0
               : fail_with(a, err, rd_kafka_topic_result_error_string(results[0]), e);
}

/* The controller has made it; until the broker knows, whoever comes next is told that it does not exist. */
static void wait_until_known(struct klx_admin *a, const char *name) {
    struct klx_admin_topic t = { .name = name };
    struct klx_error ignored;
    for (int i = 0; i < KNOWN_WITHIN_MS / KNOWN_STEP_MS; i++) {
        if (describe_one(a, &t, &ignored) != 0 || t.exists) {
            return;
        }
        rd_kafka_poll(a->rk, KNOWN_STEP_MS);
    }
}

int klx_admin_create(struct klx_admin *a, const struct klx_admin_topic *topic,
                     struct klx_error *e) {
    char words[256];
    rd_kafka_NewTopic_t *t = rd_kafka_NewTopic_new(topic->name, topic->partitions,
                                                   topic->replication, words, sizeof(words));
    if (t == NULL) {
        return klx_fail(e, -EINVAL, "topic %s: %s", topic->name, words);
    }
    for (size_t i = 0; i < topic->settings_n; i++) {
        rd_kafka_NewTopic_set_config(t, topic->settings[i].name, topic->settings[i].value);
    }
    rd_kafka_queue_t *queue = rd_kafka_queue_new(a->rk);
    rd_kafka_AdminOptions_t *options = options_for(a, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_CreateTopics(a->rk, &t, 1, options, queue);
    rd_kafka_event_t *event = wait_for(a, queue, options);
    rd_kafka_NewTopic_destroy(t);
    int rc = created(a, event, e);
    if (event != NULL) {
        rd_kafka_event_destroy(event);
    }
    if (rc == 0) {
        wait_until_known(a, topic->name);
    }
    return rc;
}
