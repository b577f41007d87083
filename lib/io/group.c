#include "lib/io/group.h"

#include <string.h>

static bool failed(rd_kafka_t *rk, rd_kafka_resp_err_t err, const char *detail,
                   struct klx_group_start *s) {
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return false;
    }
    klx_kafka_words(rk, err, detail, s->words, sizeof(s->words));
    return true;
}

static rd_kafka_resp_err_t ask_for_topic(rd_kafka_t *rk, const char *name, int wait_ms,
                                         const struct rd_kafka_metadata **ret) {
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, name, NULL);
    rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 0, topic, ret, wait_ms);
    rd_kafka_topic_destroy(topic);
    return err;
}

static rd_kafka_resp_err_t error_of_topic(const struct rd_kafka_metadata *md) {
    return md->topic_cnt == 1 ? md->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
}

/* The topic is there: what its metadata do not deny passes. */
static rd_kafka_resp_err_t end_of(rd_kafka_t *rk, const char *topic, size_t partition,
                                  int64_t *ret) {
    int64_t low = -1;
    rd_kafka_resp_err_t err = rd_kafka_query_watermark_offsets(rk, topic, (int32_t)partition, &low,
                                                               ret, KLX_GROUP_STEP_MS);
    return klx_kafka_denies(err) && err != RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED
               ? RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE
               : err;
}

rd_kafka_resp_err_t klx_group_ends(rd_kafka_t *rk, const char *topic, int64_t *ret, size_t *n) {
    const struct rd_kafka_metadata *md = NULL;
    rd_kafka_resp_err_t err = ask_for_topic(rk, topic, KLX_GROUP_STEP_MS, &md);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return err;
    }
    err = error_of_topic(md);
    size_t there = err == RD_KAFKA_RESP_ERR_NO_ERROR ? (size_t)md->topics[0].partition_cnt : 0;
    rd_kafka_metadata_destroy(md);
    *n = there < *n ? there : *n;
    for (size_t i = 0; i < *n && err == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        err = end_of(rk, topic, i, &ret[i]);
    }
    return err;
}

static bool add_partitions(rd_kafka_t *rk, const char *name, rd_kafka_topic_partition_list_t *list,
                           struct klx_group_start *s) {
    const struct rd_kafka_metadata *md = NULL;
    if (failed(rk, ask_for_topic(rk, name, KLX_GROUP_STEP_MS, &md), NULL, s)) {
        return false;
    }
    /* A topic with an error of its own is the subscription's to tell. */
    bool there = error_of_topic(md) == RD_KAFKA_RESP_ERR_NO_ERROR;
    for (int i = 0; there && i < md->topics[0].partition_cnt; i++) {
        rd_kafka_topic_partition_list_add(list, name, md->topics[0].partitions[i].id);
    }
    rd_kafka_metadata_destroy(md);
    return true;
}

static bool all_partitions(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *topics,
                           rd_kafka_topic_partition_list_t *list, struct klx_group_start *s) {
    for (int i = 0; i < topics->cnt; i++) {
        if (!add_partitions(rk, topics->elems[i].topic, list, s)) {
            return false;
        }
    }
    return true;
}

/* The first error of a partition, when the call itself had none. */
static rd_kafka_resp_err_t first_error(rd_kafka_resp_err_t err,
                                       const rd_kafka_topic_partition_list_t *list) {
    for (int i = 0; err == RD_KAFKA_RESP_ERR_NO_ERROR && i < list->cnt; i++) {
        err = list->elems[i].err;
    }
    return err;
}

static bool has_offset(const rd_kafka_topic_partition_list_t *committed, const char *topic) {
    for (int i = 0; i < committed->cnt; i++) {
        if (strcmp(committed->elems[i].topic, topic) == 0 && committed->elems[i].offset >= 0) {
            return true;
        }
    }
    return false;
}

/* Of `partitions`, those of new topics, each with its end. NULL: failed. */
static rd_kafka_topic_partition_list_t *
ends_of_new_topics(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *partitions,
                   struct klx_group_start *s) {
    rd_kafka_topic_partition_list_t *committed = rd_kafka_topic_partition_list_copy(partitions);
    rd_kafka_topic_partition_list_t *ends = rd_kafka_topic_partition_list_new(partitions->cnt);
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (committed->cnt > 0) {
        err = first_error(rd_kafka_committed(rk, committed, KLX_GROUP_STEP_MS), committed);
    }
    for (int i = 0; err == RD_KAFKA_RESP_ERR_NO_ERROR && i < partitions->cnt; i++) {
        const rd_kafka_topic_partition_t *p = &partitions->elems[i];
        if (!has_offset(committed, p->topic)) {
            rd_kafka_topic_partition_list_add(ends, p->topic, p->partition)->offset =
                RD_KAFKA_OFFSET_END; /* as a time, it stands for the last stable offset */
        }
    }
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR && ends->cnt > 0) {
        err = first_error(rd_kafka_offsets_for_times(rk, ends, KLX_GROUP_STEP_MS), ends);
    }
    rd_kafka_topic_partition_list_destroy(committed);
    if (failed(rk, err, NULL, s)) {
        rd_kafka_topic_partition_list_destroy(ends);
        return NULL;
    }
    return ends;
}

static rd_kafka_resp_err_t commit(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *ends) {
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_resp_err_t err = rd_kafka_commit_queue(rk, ends, queue, NULL, NULL);
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, KLX_GROUP_STEP_MS);
        err = event != NULL ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
        if (event != NULL && err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            err = first_error(err, rd_kafka_event_topic_partition_list(event));
        }
        if (event != NULL) {
            rd_kafka_event_destroy(event);
        }
    }
    rd_kafka_queue_destroy(queue);
    return err;
}

static bool members_run(rd_kafka_resp_err_t err) {
    return err == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID ||
           err == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION ||
           err == RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS;
}

/* Twice at most: another member that has just started may have committed the ends meanwhile. */
static bool commit_ends(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *partitions,
                        struct klx_group_start *s) {
    for (int i = 0; i < 2; i++) {
        rd_kafka_topic_partition_list_t *ends = ends_of_new_topics(rk, partitions, s);
        if (ends == NULL) {
            return false;
        }
        rd_kafka_resp_err_t err = ends->cnt > 0 ? commit(rk, ends) : RD_KAFKA_RESP_ERR_NO_ERROR;
        if (members_run(err) && i == 1) {
            s->at_end = ends;
            return true;
        }
        rd_kafka_topic_partition_list_destroy(ends);
        if (!members_run(err)) {
            return !failed(rk, err, NULL, s);
        }
    }
    return false;
}

bool klx_group_begin(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *topics,
                     struct klx_group_start *ret) {
    rd_kafka_topic_partition_list_t *partitions = rd_kafka_topic_partition_list_new(topics->cnt);
    *ret = (struct klx_group_start){ 0 };
    bool ok = all_partitions(rk, topics, partitions, ret) && commit_ends(rk, partitions, ret);
    rd_kafka_topic_partition_list_destroy(partitions);
    return ok;
}

void klx_group_start_release(struct klx_group_start *s) {
    if (s->at_end != NULL) {
        rd_kafka_topic_partition_list_destroy(s->at_end);
        s->at_end = NULL;
    }
}

enum klx_group_state klx_group_check(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *topics,
                                     const char **ret_denied, char *words, size_t n) {
    *ret_denied = NULL;
    for (int i = 0; i < topics->cnt; i++) {
        const struct rd_kafka_metadata *md = NULL;
        const char *name = topics->elems[i].topic;
        if (ask_for_topic(rk, name, KLX_GROUP_CHECK_MS, &md) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            return KLX_GROUP_AWAY;
        }
        rd_kafka_resp_err_t err = error_of_topic(md);
        rd_kafka_metadata_destroy(md);
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            klx_kafka_topic_words(rk, err, name, words, n);
            *ret_denied = klx_kafka_denies(err) ? name : NULL;
            return KLX_GROUP_WRONG;
        }
    }
    return KLX_GROUP_FINE;
}
