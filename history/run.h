/*
 * Internal of history/sorter.c: a run, items in order in a file.
 *
 * Written once, then read from its beginning to its end. The form is this machine's own.
 */
#pragma once

#include <stdbool.h>

#include "history/sorter.h"
#include "lib/base/buf.h"

struct klx_run {
    uint32_t number;
    int fd;
    char *path; /* NULL: the file has no name */
    struct klx_buf buf;
    size_t at;    /* of the item in hand in buf */
    size_t bytes; /* of the file */
    int64_t read; /* of the file, so far */
    bool ended;
    /* The item in hand, in buf. */
    struct klx_sorter_key key;
    struct klx_sv item;
};

/* path NULL: a file without a name in `folder`. */
int klx_run_create(struct klx_run *r, const char *folder, char *path,
                   struct klx_error *e) KLX_MUST_CHECK;
int klx_run_put(struct klx_run *r, const struct klx_sorter_key *k, struct klx_sv item,
                struct klx_error *e) KLX_MUST_CHECK;
/* The last item was put; with `sync` it is on disk afterwards. */
int klx_run_finish(struct klx_run *r, bool sync, struct klx_error *e) KLX_MUST_CHECK;
/* One that is there; takes the path. */
int klx_run_open(struct klx_run *r, char *path, struct klx_error *e) KLX_MUST_CHECK;
/* The next item, from the first one on, into key and item; `ended` after the last. */
int klx_run_next(struct klx_run *r, struct klx_error *e) KLX_MUST_CHECK;
void klx_run_close(struct klx_run *r, bool remove_file);
