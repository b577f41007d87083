/*
 * The way without transactions: events, and when all of them are acknowledged, the state.
 *
 * A record is tried until it is acknowledged or refused for good (message.timeout.ms is infinite), so within one client nothing is
 * written twice. What was refused is tried again by the next job, without what is acknowledged already; of the state, whose order
 * counts, all of it. linger.ms is long and flushed away: what is queued together goes out as one piece, which a broker takes whole.
 */
#include "lib/io/txn_job.h"

#include <string.h>

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque) {
    (void)rk;
    struct klx_txn_job *j = klx_txn_hearing_owner(opaque);
    size_t i = (uintptr_t)m->_private;
    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        j->written[i] = true;
        j->delivered++;
    } else {
        klx_txn_job_refused(j, m);
    }
}

static void configure(struct klx_txn_job *j, rd_kafka_conf_t *conf) {
    (void)j;
    klx_kafka_set(conf, "enable.idempotence", "true");
    klx_kafka_set(conf, "message.timeout.ms", "0");
    klx_kafka_set(conf, "linger.ms", "1000");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
}

static bool is_state(const struct klx_txn_job *j, size_t i) {
    return strcmp(j->records[i].topic, j->state_topic) == 0;
}

/* Until every record that is queued has its answer. */
static enum klx_txn_outcome settle(struct klx_txn_job *j) {
    while (rd_kafka_flush(j->rk, KLX_TXN_SLICE_MS) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (klx_txn_job_is_spent(j)) {
            return KLX_TXN_FATAL;
        }
        klx_txn_job_say_first(j, RD_KAFKA_RESP_ERR__TIMED_OUT, NULL);
        klx_txn_job_look(j);
        if (klx_txn_job_pause(j)) {
            return KLX_TXN_STOPPED;
        }
    }
    return klx_txn_job_is_spent(j) ? KLX_TXN_FATAL : KLX_TXN_DONE;
}

static enum klx_txn_outcome send_part(struct klx_txn_job *j, bool state) {
    enum klx_txn_outcome produced = KLX_TXN_DONE;
    for (size_t i = 0; i < j->n && produced == KLX_TXN_DONE; i++) {
        if (is_state(j, i) == state && !j->written[i]) {
            produced = klx_txn_job_produce(j, i);
        }
    }
    enum klx_txn_outcome o = settle(j);
    for (size_t i = 0; i < j->n && o == KLX_TXN_DONE; i++) {
        o = is_state(j, i) == state && !j->written[i] ? KLX_TXN_RETRY : KLX_TXN_DONE;
    }
    for (size_t i = 0; i < j->n && o == KLX_TXN_RETRY && state; i++) {
        j->written[i] = j->written[i] && !is_state(j, i);
    }
    return o;
}

static enum klx_txn_outcome write_batch(struct klx_txn_job *j) {
    enum klx_txn_outcome o = send_part(j, false);
    o = o == KLX_TXN_DONE ? send_part(j, true) : o;
    return o == KLX_TXN_RETRY ? klx_txn_job_retry(j) : o;
}

const struct klx_txn_way klx_txn_ack_way = { configure, klx_txn_job_ask_for_topics, write_batch };
