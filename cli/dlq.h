/*
 * What the verbs of `klaxon dlq` share: which dead letters are meant, and what is said of each.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cli/letters.h"
#include "lib/base/error.h"
#include "lib/base/options.h"

/* All that is given must hold. Ids are those of --id, and the operands. */
struct klx_dlq_selection {
    const char *channel, *reason, *since;
    struct klx_option_strings ids;
    char **operands;
    size_t operands_n;
    int64_t since_us; /* of klx_dlq_selection_begin; INT64_MIN: from the beginning */
};

/* Reads --since. */
int klx_dlq_selection_begin(struct klx_dlq_selection *s, int64_t now_us,
                            struct klx_error *e) KLX_MUST_CHECK;
bool klx_dlq_selection_is_empty(const struct klx_dlq_selection *s);
bool klx_dlq_selects(const struct klx_dlq_selection *s, const struct klx_letter *l);
/* From where on klaxon.dlq is to be read; -1: the beginning. */
int64_t klx_dlq_start_ms(const struct klx_dlq_selection *s);

/* Members of the letter's object: state, and what was done about it. */
void klx_dlq_write_state(struct klx_jw *w, const struct klx_letter *l);

int klx_dlq_show(int argc, char **argv);
int klx_dlq_redrive(int argc, char **argv);
int klx_dlq_discard(int argc, char **argv);
