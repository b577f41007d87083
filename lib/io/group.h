/*
 * Inside lib/io only: where a group begins in a topic that is new to it.
 */
#pragma once

#include <stdbool.h>

#include "lib/io/kafka.h"

#define KLX_GROUP_STEP_MS 2000

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
 * BLOCKS, a few steps of at most KLX_GROUP_STEP_MS: for klx_work. False: try again. Ask it again only after klx_group_start_release.
 */
bool klx_group_begin(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *topics,
                     struct klx_group_start *ret) KLX_MUST_CHECK;
void klx_group_start_release(struct klx_group_start *s);
