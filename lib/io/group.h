/*
 * Inside lib/io only: what a member asks of Kafka before it joins, and when it has heard of trouble. All of it BLOCKS: for klx_work.
 */
#pragma once

#include <stdbool.h>

#include "lib/io/kafka.h"

#define KLX_GROUP_STEP_MS 2000
#define KLX_GROUP_CHECK_MS 1000

struct klx_group_start {
    /* New topics whose end could not be committed, since members of the group are running: the first partitions of them that this member
       is given begin at their end. Owned. */
    rd_kafka_topic_partition_list_t *at_end;
    char words[KLX_KAFKA_WORDS]; /* of what failed */
};

/*
 * A topic is new to the group when none of its partitions has an offset. Its end, now, is committed, so that whoever is given a partition,
 * now or later, begins there and loses nothing that comes after. Topics that do not exist are left out: when they appear, all that is in
 * them is new.
 *
 * A few steps of at most KLX_GROUP_STEP_MS. False: try again. Ask it again only after klx_group_start_release.
 */
bool klx_group_begin(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *topics,
                     struct klx_group_start *ret) KLX_MUST_CHECK;
void klx_group_start_release(struct klx_group_start *s);

/* Where the partitions of a topic end, the first *n of them; *n becomes their number. All of them, or an error: one that
   klx_kafka_denies is about the topic, any other passes. KLX_GROUP_STEP_MS, and as long for a partition when Kafka is away. */
rd_kafka_resp_err_t klx_group_ends(rd_kafka_t *rk, const char *topic, int64_t *ret,
                                   size_t *n) KLX_MUST_CHECK;

enum klx_group_state {
    KLX_GROUP_FINE,
    KLX_GROUP_AWAY,  /* Kafka does not answer */
    KLX_GROUP_WRONG, /* it does, but something is the matter with a topic: *words says what */
};

/* Stops at the first thing that is wrong, so that KLX_GROUP_CHECK_MS is the longest wait when Kafka is away. *ret_denied: the topic of
   `topics` that klx_kafka_denies is about, or NULL. */
enum klx_group_state klx_group_check(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *topics,
                                     const char **ret_denied, char *words, size_t n) KLX_MUST_CHECK;
