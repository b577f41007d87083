/*
 * Receipts and dead letters on their way to Kafka: each is kept until Kafka has acknowledged it, however long that takes.
 *
 * An entry holds a reference to its message, so a record settles only when what was written of it is safe. What Kafka does not take now
 * (a full queue, a topic that is not there, a failed record) waits and is tried again with backoff, in order. Of a key whose last record alone
 * counts (`latest`: klaxon.state) an older one that was not taken is not tried again behind a newer one, which it would undo: its messages
 * settle with the newer one. Only a record that is larger than Kafka ever takes is let go, with an error in the log: nothing else would end it.
 *
 * The limit is KLX_LEDGER_MAX entries or KLX_LEDGER_BYTES_MAX: past it klx_ledger_full asks for reading to stop; what is under way may
 * still be added.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <uthash.h>

#include "lib/base/arena.h"
#include "lib/base/clock.h"
#include "lib/base/record.h"
#include "lib/io/producer.h"
#include "sinks/core/message.h"

#define KLX_LEDGER_MAX 10000
#define KLX_LEDGER_BYTES_MAX (8u << 20)

struct klx_ledger;

struct klx_ledger_entry {
    struct klx_record record; /* to be filled, from the arena */
    struct klx_arena arena;
    /* To be set, of a compacted topic: of its key only the record counts that was written last. */
    bool latest;

    struct klx_ledger *ledger;
    struct klx_message *message;
    struct klx_message **covered; /* references too */
    size_t covered_n;
    struct klx_ledger_entry *prev, *next;
    bool refused;      /* at least once, for another reason than a full queue */
    bool outdated;     /* `latest`, and a newer one of the key was written */
    UT_hash_handle hh; /* of `latest`, by key, until it is outdated */
};

struct klx_ledger_options {
    struct klx_clock *clock;
    /* As klx_producer_send. */
    int (*send)(void *arg, const struct klx_record *r, klx_produced_fn done, void *done_arg,
                struct klx_error *e);
    /* Call klx_ledger_wake in delay_ms; a later call replaces this one. */
    void (*schedule)(void *arg, int64_t delay_ms);
    void *arg;
};

struct klx_ledger *klx_ledger_new(const struct klx_ledger_options *o);
/* The messages of what is left are abandoned. Nothing may answer any more: the producer is gone. */
void klx_ledger_free(struct klx_ledger *l);
struct klx_ledger_entry *klx_ledger_new_entry(struct klx_ledger *l);
/* Before it is written: these, too, settle only when it is acknowledged. Takes references. */
void klx_ledger_cover(struct klx_ledger_entry *entry, struct klx_message *const *covered, size_t n);
/* Takes the entry, and a reference to m until it is acknowledged. */
void klx_ledger_write(struct klx_ledger *l, struct klx_ledger_entry *entry, struct klx_message *m);
/* For an entry that is not written after all. */
void klx_ledger_drop_entry(struct klx_ledger_entry *entry);
void klx_ledger_wake(struct klx_ledger *l);
size_t klx_ledger_pending(const struct klx_ledger *l);
bool klx_ledger_full(const struct klx_ledger *l);
bool klx_ledger_has_room(const struct klx_ledger *l);
/* Why Kafka refused what it has not acknowledged since; "" when all is well. */
const char *klx_ledger_trouble(const struct klx_ledger *l);
