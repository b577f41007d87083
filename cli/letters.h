/*
 * All dead letters, and what was done about each (cli/letter.h). A letter with several records counts once, as its last.
 */
#pragma once

#include "cli/command.h"
#include "cli/letter.h"

#define KLX_LETTERS_KEPT_BYTES_MAX (64u << 20) /* of records that are kept */

struct klx_letters;

/* Whose record is to be kept, while there is room. NULL: nobody's. */
typedef bool (*klx_letter_keep_fn)(const void *arg, const struct klx_letter *l);

struct klx_letters *klx_letters_new(klx_letter_keep_fn keep, const void *arg);
void klx_letters_free(struct klx_letters *all);
/* A record of klaxon.control; others than marks are passed over. All of them before the first letter. */
void klx_letters_control(struct klx_letters *all, const struct klx_record *r);
/* A record of klaxon.dlq, in the order of its partition. -EBADMSG: it is no dead letter. */
int klx_letters_put(struct klx_letters *all, const struct klx_record *r,
                    struct klx_error *e) KLX_MUST_CHECK;
/* After the last: by partition and offset. */
void klx_letters_sort(struct klx_letters *all);
/* Those for which it says false are forgotten. */
void klx_letters_filter(struct klx_letters *all, klx_letter_keep_fn passes, const void *arg);
/* In that order, from NULL on; NULL ends. */
const struct klx_letter *klx_letters_next(const struct klx_letters *all,
                                          const struct klx_letter *l);

/* Reads both topics; letters since start_ms only (-1: all). KLX_EXIT_OK, or the exit code after it has said what is wrong. */
int klx_letters_read(const char *command, const struct klx_cli_config *c, int64_t start_ms,
                     struct klx_letters *all) KLX_MUST_CHECK;
