/*
 * What the verbs of `klaxon dlq` share: which dead letters are meant, and what is said of each.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cli/letters.h"
#include "lib/base/error.h"
#include "lib/base/options.h"
#include "sinks/core/noise/matchers.h"

/* All that is given must hold. Ids are those of --id, and the operands. Zeroed is everything. */
struct klx_dlq_selection {
    const char *channel, *reason, *since;
    struct klx_option_strings ids, filters;
    char **operands;
    size_t operands_n;
    /* of klx_dlq_selection_begin */
    int64_t since_us; /* INT64_MIN: from the beginning */
    struct klx_matchers matchers;
};

/* The option --filter, of struct options with `selection`. */
#define KLX_DLQ_OPTION_FILTER                                                                      \
    {                                                                                              \
        "filter", 0, KLX_OPT_STRS, offsetof(struct options, selection.filters), "MATCHER",         \
            "whose event matches, as of a silence: cluster=prod, type=~\"node.*\"; repeatable",    \
            NULL                                                                                   \
    }

/* Reads --since and --filter. Needs klx_dlq_selection_release also when it fails. */
int klx_dlq_selection_begin(struct klx_dlq_selection *s, int64_t now_us,
                            struct klx_error *e) KLX_MUST_CHECK;
bool klx_dlq_selection_is_empty(const struct klx_dlq_selection *s);
void klx_dlq_selection_release(struct klx_dlq_selection *s);
/* What the letter itself says. --filter asks for its event, and so for its record: klx_dlq_filter. */
bool klx_dlq_selects(const struct klx_dlq_selection *s, const struct klx_letter *l);
/* Whose records klx_letters_read has to keep for klx_dlq_filter; `arg` is the selection. */
bool klx_dlq_is_filtered(const void *arg, const struct klx_letter *l);
/* Leaves those whose event --filter matches; without one, all. Says how many could not be looked at. */
void klx_dlq_filter(const char *command, const struct klx_dlq_selection *s,
                    struct klx_letters *all);
/* From where on klaxon.dlq is to be read; -1: the beginning. */
int64_t klx_dlq_start_ms(const struct klx_dlq_selection *s);

/* Members of the letter's object: state, and what was done about it. */
void klx_dlq_write_state(struct klx_jw *w, const struct klx_letter *l);

int klx_dlq_show(int argc, char **argv);
int klx_dlq_redrive(int argc, char **argv);
int klx_dlq_discard(int argc, char **argv);
