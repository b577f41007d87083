/*
 * What the parts of `klaxon replay` share: the events of the range in order, and how far they have been told.
 *
 *   replay.c          options; reading the range into the sorter; what is asked before anything is told
 *   replay_channel.c  one after the other through a channel
 *   replay_topic.c    onto a topic
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cli/command.h"
#include "cli/history_read.h"
#include "cli/history_state.h"
#include "history/sorter.h"

#define KLX_REPLAY "klaxon replay"
#define KLX_REPLAY_HEADERS_MAX 128

struct klx_replay_options {
    const char *config, *to, *reason, *author, *confirm, *state, *id;
    int64_t rate; /* a second; 0: the goal's own */
    struct klx_history_options history;
    bool yes, dry_run, quiet;
};

struct klx_replay {
    const struct klx_replay_options *o;
    const struct klx_cli_config *config;
    struct klx_history_plan plan;
    struct klx_history_read read; /* its partitions are looked at until the end */
    struct klx_sorter *sorter;
    struct klx_progress progress;
    char id[64];
    char question[KLX_HASH_TEXT_BYTES];
    const char *goal;     /* the channel's or the topic's name */
    uint64_t total, done; /* events in order; those that need not be told again */
    uint64_t told, refused;
    struct klx_record_header headers[KLX_REPLAY_HEADERS_MAX];
};

/* The next event's record, with topic, partition and offset: borrowed until the next call. *ret_more false: that was all. */
int klx_replay_next(struct klx_replay *r, struct klx_record *ret, bool *ret_more,
                    struct klx_error *e) KLX_MUST_CHECK;
/* How many events from the first on need not be told again; written down with --resume. */
int klx_replay_done(struct klx_replay *r, uint64_t done, struct klx_error *e) KLX_MUST_CHECK;
/* KLX_EXIT_OK, or the exit code after it has said what is wrong. Blocks. */
int klx_replay_look_for_topic(const struct klx_replay *r) KLX_MUST_CHECK;
/* Both tell what is left, and say what becomes of it. The exit code. */
int klx_replay_to_channel(struct klx_replay *r) KLX_MUST_CHECK;
int klx_replay_to_topic(struct klx_replay *r) KLX_MUST_CHECK;
