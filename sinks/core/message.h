/*
 * One record on its way through a sink: a copy of it, the event it carries and the event's data, in one arena.
 *
 * A message is counted by reference, from its decoding until all that follows from it (deliveries, receipts, dead letters) is done; with
 * the last reference it is given back to its pool, which then says so. Whoever cannot do his part (a revoked partition, the end of the
 * process) drops his reference with `abandon`: such a message is never settled, so Kafka gives its record again.
 *
 * The data may be nested KLX_MESSAGE_DEPTH_MAX deep, a little less than klx_json_limits_default allows, because a dead letter carries it
 * inside of its own data. One loop, no locks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/record.h"
#include "schema/event.h"
#include "sinks/core/tracker.h"

#define KLX_MESSAGE_DEPTH_MAX 28
#define KLX_MESSAGE_BYTES_MAX (32u << 20) /* what one record may need once it is parsed */

struct klx_edition;
struct klx_message_pool;
struct klx_backlog_item;

struct klx_message {
    struct klx_record record; /* a copy */
    struct klx_event event;
    const struct klx_json *data; /* NULL until klx_message_keep */
    struct klx_tracked tracked;
    struct klx_backlog_item
        *parked;  /* it was read from klaxon.retry: its place there; NULL: it is tracked */
    bool told;    /* somebody is told of it, or it is a dead letter */
    bool outcome; /* some recipient has a verdict already */

    struct klx_edition
        *edition; /* whose subscriptions its deliveries point to: a reference, or NULL */
    struct klx_message_pool *pool;
    struct klx_message *next_free;
    struct klx_arena arena;
    size_t bytes; /* counted in the pool */
    unsigned refs;
    bool abandoned;
};

/* on_done: the last reference has gone; the message is valid during the call. */
struct klx_message_pool *klx_message_pool_new(void (*on_done)(void *arg, struct klx_message *m),
                                              void *arg);
/* Every message must have been given back. */
void klx_message_pool_free(struct klx_message_pool *p);
/* Memory held by messages that are under way. */
size_t klx_message_pool_bytes(const struct klx_message_pool *p);

/* A message of the caller's record, which it borrows until klx_message_keep, but for the topic; one reference. */
struct klx_message *klx_message_new(struct klx_message_pool *p, const struct klx_record *r);
/* The attributes. -EBADMSG with what is not a CloudEvent about it. */
int klx_message_decode(struct klx_message *m, struct klx_error *e) KLX_MUST_CHECK;
/* Copies the record, decodes again from the copy and parses the data. -EBADMSG: the data is not JSON, or is too large or too deep. */
int klx_message_keep(struct klx_message *m, struct klx_error *e) KLX_MUST_CHECK;
/* Keeps the configuration by which it is routed, as long as there are deliveries of it. NULL: it needs none. */
void klx_message_use(struct klx_message *m, struct klx_edition *e);
struct klx_message *klx_message_ref(struct klx_message *m);
void klx_message_unref(struct klx_message *m);
/* klx_message_unref for one whose part is not done. */
void klx_message_abandon(struct klx_message *m);
