/*
 * Inside lib/io only: a queue of librdkafka, taken from on the loop.
 *
 * librdkafka writes to an eventfd when an empty queue gets something, and may keep quiet about what comes while it is being taken from. So
 * the queue is emptied each time, in turns of a bounded number, and is looked at now and then in any case.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/io/kafka.h"
#include "lib/io/loop.h"

struct klx_feed;

/* Takes the queue. take(arg) takes one thing off it and returns false when there was none to take; it may free the feed. It is called
   first in the next turn, then whenever something comes, and at least every `every_ms`. */
struct klx_feed *klx_feed_new(struct klx_loop *l, rd_kafka_queue_t *queue, int64_t every_ms,
                              bool (*take)(void *arg), void *arg);
/* Calls take in the next turn. */
void klx_feed_wake(struct klx_feed *f);
void klx_feed_free(struct klx_feed *f);
