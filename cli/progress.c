#include "cli/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/time.h"

#define REDRAW_US (200 * KLX_US_PER_MS)
#define LINE_US (10 * KLX_US_PER_S)
#define RATE_AFTER_US (500 * KLX_US_PER_MS) /* before that it would be a guess */

void klx_progress_init(struct klx_progress *p, const char *command, bool quiet) {
    *p = (struct klx_progress){ .command = quiet ? NULL : command,
                                .terminal = isatty(STDERR_FILENO) == 1 };
}

void klx_progress_begin(struct klx_progress *p, const char *what, uint64_t done, int64_t now_us) {
    p->what = what;
    p->at_begin = done;
    p->begun_us = p->last_us = now_us;
}

void klx_progress_words(const struct klx_progress *p, uint64_t done, uint64_t total, int64_t now_us,
                        struct klx_buf *out) {
    char left[KLX_TIME_TEXT_BYTES];
    int64_t took_us = now_us - p->begun_us;
    klx_buf_printf(out, "%s %llu", p->what, (unsigned long long)done);
    if (total > 0) {
        klx_buf_printf(out, " of %llu (%d %%)", (unsigned long long)total,
                       (int)((double)done * 100 / (double)total));
    }
    if (took_us < RATE_AFTER_US || done <= p->at_begin) {
        return;
    }
    double rate = (double)(done - p->at_begin) * 1e6 / (double)took_us;
    klx_buf_printf(out, ", %.0f/s", rate);
    if (total > done) {
        klx_duration_words((int64_t)((double)(total - done) * 1000 / rate), left);
        klx_buf_printf(out, ", %s left", left);
    }
}

void klx_progress_tell(struct klx_progress *p, uint64_t done, uint64_t total, int64_t now_us) {
    struct klx_buf words KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&words, 256);
    if (p->command == NULL || now_us - p->last_us < (p->terminal ? REDRAW_US : LINE_US)) {
        return;
    }
    p->last_us = now_us;
    klx_progress_words(p, done, total, now_us, &words);
    if (p->terminal) {
        fprintf(stderr, "\r\x1b[K%s: %s", p->command, klx_buf_str(&words));
        fflush(stderr);
        p->drawn = true;
    } else {
        fprintf(stderr, "%s: %s\n", p->command, klx_buf_str(&words));
    }
}

void klx_progress_clear(struct klx_progress *p) {
    if (p->drawn) {
        fprintf(stderr, "\r\x1b[K");
        p->drawn = false;
    }
}
