#include "cli/event_topics.h"

#include <stdio.h>

#include "cli/command.h"
#include "lib/base/cleanup.h"
#include "lib/io/admin.h"

#define ANSWER_MS 10000

static const enum klx_topic events[] = { KLX_TOPIC_KUBERNETES, KLX_TOPIC_NODES, KLX_TOPIC_SCALING,
                                         KLX_TOPIC_GITOPS, KLX_TOPIC_METRICS };

static bool holds_events(enum klx_topic t) {
    for (size_t i = 0; i < KLX_COUNT(events); i++) {
        if (events[i] == t) {
            return true;
        }
    }
    return t == KLX_TOPIC_DELIVERIES || t == KLX_TOPIC_DLQ;
}

static void add_topic(const char **topics, size_t *n, const char *name) {
    for (size_t i = 0; i < *n; i++) {
        if (topics[i] == name) {
            return;
        }
    }
    topics[(*n)++] = name;
}

int klx_cli_event_topics(const struct klx_option_strings *words,
                         const struct klx_topic_names *names, const char *ret[KLX_TOPICS_N],
                         size_t *ret_n, struct klx_error *e) {
    *ret_n = 0;
    for (size_t i = 0; i < words->n; i++) {
        enum klx_topic t = KLX_TOPIC_NODES;
        int rc = klx_topic_find(names, klx_sv(words->items[i]), &t, e);
        if (rc != 0) {
            return klx_fail_in(e, -EINVAL, "--topic");
        }
        if (!holds_events(t)) {
            return klx_fail(e, -EINVAL, "--topic: %s holds no events", names->name[t]);
        }
        add_topic(ret, ret_n, names->name[t]);
    }
    for (size_t i = 0; words->n == 0 && i < KLX_COUNT(events); i++) {
        add_topic(ret, ret_n, names->name[events[i]]);
    }
    return 0;
}

static int leave_out_missing(const char *command, const struct klx_kafka_config *kafka,
                             const struct klx_admin_topic *found, const char **topics, size_t *n,
                             bool named) {
    struct klx_buf missing KLX_CLEANUP(klx_buf_release);
    size_t left = 0, total = *n;
    klx_buf_init(&missing, 2048);
    for (size_t i = 0; i < total; i++) {
        if (found[i].exists) {
            topics[left++] = topics[i];
        } else {
            klx_buf_printf(&missing, "%s%s", missing.len > 0 ? ", " : "", found[i].name);
        }
    }
    *n = left;
    if (left == total) {
        return KLX_EXIT_OK;
    }
    bool fail = named || left == 0;
    fprintf(stderr, "%s: Kafka at %s does not have %s: run `klaxon topics apply`%s\n", command,
            klx_kafka_config_bootstrap(kafka), klx_buf_str(&missing),
            fail ? "" : "; the other topics are shown");
    return fail ? KLX_EXIT_FAILED : KLX_EXIT_OK;
}

int klx_cli_event_topics_look(const char *command, const struct klx_kafka_config *kafka,
                              const char *topics[KLX_TOPICS_N], size_t *n, bool named) {
    struct klx_admin_topic found[KLX_TOPICS_N] = { 0 };
    struct klx_admin *admin = NULL;
    struct klx_error e = { 0 };
    for (size_t i = 0; i < *n; i++) {
        found[i].name = topics[i];
    }
    int rc = klx_admin_new(kafka, ANSWER_MS, &admin, &e);
    rc = rc == 0 ? klx_admin_describe(admin, found, *n, &e) : rc;
    klx_admin_free(admin);
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", command, e.text);
        return klx_cli_exit_code(rc);
    }
    return leave_out_missing(command, kafka, found, topics, n, named);
}
