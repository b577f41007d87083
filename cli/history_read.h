/*
 * Reading what a plan means (cli/history.h), from Kafka's answer to the last record, with what a person is told on the way: the range in UTC,
 * open transactions, what retention has deleted, how far it is.
 *
 * One struct for a command, on a loop of its own: klx_history_read_run returns when the owner has called klx_history_read_end, or something
 * ended it. The owner's on_end begins what it does with what it has, on the same loop.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cli/command.h"
#include "cli/history.h"
#include "cli/progress.h"
#include "history/format.h"
#include "lib/base/arena.h"
#include "lib/io/loop.h"
#include "lib/io/range.h"

/* Of one partition. */
struct klx_history_count {
    uint64_t read, selected;
    int64_t first_us, last_us; /* the times of what was selected */
};

struct klx_history_read {
    /* Set by the owner. */
    const char *command;
    const struct klx_kafka_config *kafka;
    const struct klx_history_plan *plan;
    bool bare;   /* values are enough: no event is decoded, no header read */
    bool parsed; /* the owner wants the data of each event parsed */
    bool
        foreign; /* records that are no events are selected, too, when nothing is asked of events: without one */
    bool quiet;                               /* no progress */
    const struct klx_range_partition *resume; /* as klx_range_options */
    size_t resume_n;
    void (*on_ready)(void *arg); /* MAY: partitions and counts are there */
    void (*on_selected)(void *arg, const struct klx_history_event *h, int64_t time_us, size_t i);
    void (*on_end)(void *arg);    /* all was read */
    void (*on_signal)(void *arg); /* MAY: the first Ctrl-C; NULL: it ends at once */
    void *arg;

    struct klx_loop *loop; /* from the run's beginning to its end */
    struct klx_progress progress;
    const struct klx_range_partition *partitions; /* until klx_history_read_release */
    struct klx_history_count *counts;             /* of each; until klx_history_read_release */
    size_t partitions_n;
    uint64_t selected, not_events;
    int64_t gone; /* offsets that were deleted before they were read */

    struct klx_range *range;
    struct klx_timer *timer;
    struct klx_arena arena;
    int64_t progress_us; /* when there was any */
    uint64_t done;       /* offsets, then */
    bool reading, over;
    int code;
};

/* The exit code: what klx_history_read_end was given, or that of what ended it, which was said. */
int klx_history_read_run(struct klx_history_read *h) KLX_MUST_CHECK;
/* Ends the run with this exit code; the first call counts. */
void klx_history_read_end(struct klx_history_read *h, int code);
/* Ends it with what an error says. */
void klx_history_read_fail(struct klx_history_read *h, const struct klx_error *e, int code);
void klx_history_read_release(struct klx_history_read *h);
