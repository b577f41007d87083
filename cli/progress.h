/*
 * How far a long command is, on stderr: on a terminal one line that is drawn anew, else a line every ten seconds.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"

struct klx_progress {
    const char *command;
    const char *what; /* "reading", "writing" */
    bool terminal;
    int64_t begun_us, last_us; /* monotonic */
    uint64_t at_begin;         /* done then: of what was broken off before */
    bool drawn;
};

/* Of the process's stderr. quiet: nothing is ever said. */
void klx_progress_init(struct klx_progress *p, const char *command, bool quiet);
/* Another stretch of work begins. */
void klx_progress_begin(struct klx_progress *p, const char *what, uint64_t done, int64_t now_us);
/* Says it when it is time. total 0: not known. */
void klx_progress_tell(struct klx_progress *p, uint64_t done, uint64_t total, int64_t now_us);
/* Takes the line away, before something else is said. */
void klx_progress_clear(struct klx_progress *p);
/* "reading 1234567 of 2000000 (61 %), 210000/s, 4 s left" */
void klx_progress_words(const struct klx_progress *p, uint64_t done, uint64_t total, int64_t now_us,
                        struct klx_buf *out);
