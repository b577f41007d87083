#include "lib/io/txn_hearing.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"

#define LIST_US 1000000 /* a list is long complete after this */
#define REFUSALS_MIN 3  /* one might be a mistake of a moment */

struct klx_txn_hearing {
    void *owner;
    pthread_mutex_t lock; /* of all below: lines come from librdkafka's threads */
    int64_t listed_us;    /* when the first list of requests began; 0: none yet */
    bool end_txn;         /* a broker takes EndTxn */
    int refusals;         /* of the kind that no Kafka gives, in a row */
    char refused[256];    /* the last answer when it named no coordinator */
};

struct klx_txn_hearing *klx_txn_hearing_new(void *owner) {
    struct klx_txn_hearing *h = klx_alloc(struct klx_txn_hearing);
    h->owner = owner;
    pthread_mutex_init(&h->lock, NULL);
    return h;
}

void klx_txn_hearing_free(void *arg) {
    struct klx_txn_hearing *h = arg;
    if (h != NULL) {
        pthread_mutex_destroy(&h->lock);
        free(h);
    }
}

void *klx_txn_hearing_owner(void *opaque) {
    return ((struct klx_txn_hearing *)opaque)->owner;
}

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text) {
    (void)level;
    (void)facility;
    klx_txn_hearing_line(rd_kafka_opaque(rk), text);
}

void klx_txn_hearing_attach(struct klx_txn_hearing *h, rd_kafka_conf_t *conf) {
    klx_kafka_set(conf, "debug", "feature,eos");
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_opaque(conf, h);
}

static bool is_foreign(const char *refusal) {
    static const char *const names[] = { "INVALID_REQUEST", "UNSUPPORTED_VERSION" };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strncmp(refusal, names[i], strlen(names[i])) == 0) {
            return true;
        }
    }
    return strstr(refusal, "not supported") != NULL;
}

static void take_refusal(struct klx_txn_hearing *h, const char *refusal) {
    h->refusals = is_foreign(refusal) ? h->refusals + 1 : 0;
    snprintf(h->refused, sizeof(h->refused), "%s", refusal);
}

void klx_txn_hearing_line(struct klx_txn_hearing *h, const char *line) {
    static const char failed[] = "Failed to find transaction coordinator: ";
    const char *refusal = strstr(line, failed);
    struct klx_clock *clock = klx_clock_real();
    pthread_mutex_lock(&h->lock);
    if (refusal != NULL) {
        take_refusal(h, refusal + sizeof(failed) - 1);
    } else if (strstr(line, "Transaction coordinator is broker") != NULL) {
        h->refusals = 0;
        h->refused[0] = '\0';
    } else if (strstr(line, "Broker API support:") != NULL && h->listed_us == 0) {
        h->listed_us = clock->mono_us(clock);
    } else if (strstr(line, "ApiKey EndTxn (26) ") != NULL) {
        h->end_txn = true;
    }
    pthread_mutex_unlock(&h->lock);
}

bool klx_txn_hearing_none(struct klx_txn_hearing *h, char *why, size_t n) {
    struct klx_clock *clock = klx_clock_real();
    bool none = true;
    pthread_mutex_lock(&h->lock);
    if (h->refusals >= REFUSALS_MIN) {
        snprintf(why, n, "a coordinator for transactions is refused: %s", h->refused);
    } else if (!h->end_txn && h->listed_us > 0 && clock->mono_us(clock) > h->listed_us + LIST_US) {
        snprintf(why, n, "they take no EndTxn request");
    } else {
        none = false;
    }
    pthread_mutex_unlock(&h->lock);
    return none;
}

bool klx_txn_hearing_refused(struct klx_txn_hearing *h, char *why, size_t n) {
    pthread_mutex_lock(&h->lock);
    bool refused = h->refused[0] != '\0';
    snprintf(why, n, "%s", h->refused);
    pthread_mutex_unlock(&h->lock);
    return refused;
}
