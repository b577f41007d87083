/*
 * What `klaxon tail` was asked for: its options, and what they mean at a given time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cli/filter.h"
#include "lib/base/error.h"
#include "lib/base/options.h"
#include "lib/io/consumer.h"
#include "schema/topics.h"

struct klx_tail_options {
    const char *config, *since, *until, *grep, *output, *color;
    struct klx_option_strings topics, clusters, severities, nodes;
    int64_t count;
    bool no_follow, heartbeats;
};

extern const struct klx_option klx_tail_option_table[];

struct klx_tail_plan {
    const char *topics[KLX_TOPICS_N]; /* full names, of the klx_topic_names */
    size_t topics_n;
    enum klx_reader_start start;
    int64_t since_us; /* KLX_TIME_NONE: not given */
    int64_t until_us; /* KLX_TIME_NONE: not given */
    bool follow;      /* else: until the end that the topics have now */
    int64_t count;    /* 0: no limit */
    bool newest;      /* of the past and without a beginning: the last `count`, not the first */
    bool json;
    struct klx_filter filter; /* with the time */
};

/* -EINVAL with the option that is wrong. */
int klx_tail_plan_init(struct klx_tail_plan *p, const struct klx_tail_options *o,
                       const struct klx_topic_names *names, int64_t now_us,
                       struct klx_error *e) KLX_MUST_CHECK;
void klx_tail_plan_release(struct klx_tail_plan *p);
