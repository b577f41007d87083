/*
 * A helper program on the loop: it is started, says something within limits, and ends, or is ended.
 *
 * The program gets no input (/dev/null), the environment of this process with `env` put over it, and a process group of its own, so that
 * what it started ends with it. The call ends with exactly one on_done, never from inside klx_process_start: when the program has
 * ended and both its outputs with it (who keeps them open from the background is waited for 500 ms), or when a limit made an end of it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/base/sv.h"
#include "lib/io/loop.h"

#define KLX_PROCESS_ERR_BYTES_MAX 4096

struct klx_process;

enum klx_process_end {
    KLX_PROCESS_EXITED,    /* by itself: `code` is its exit code */
    KLX_PROCESS_SIGNALLED, /* by a signal that was not ours: `code` is its number */
    KLX_PROCESS_TIMEOUT,   /* killed: it took too long */
    KLX_PROCESS_TOO_LARGE, /* killed: it wrote more than out_bytes_max */
};

struct klx_process_result {
    enum klx_process_end end;
    int code;
    struct klx_sv out; /* stdout; valid during on_done, wiped after it */
    struct klx_sv err; /* the first KLX_PROCESS_ERR_BYTES_MAX of stderr, the rest is dropped */
};

struct klx_process_request {
    const char *const *argv; /* NULL-terminated; a name without '/' is searched for in $PATH */
    const char *const *env;  /* "NAME=value", NULL-terminated; may be NULL */
    int64_t timeout_ms;
    size_t out_bytes_max;
    /* All strings are copied. */

    void (*on_done)(void *arg, const struct klx_process_result *result);
    void *arg;
};

/* -ENOENT, -EACCES … when it cannot be started: then there is no on_done. */
int klx_process_start(struct klx_loop *l, const struct klx_process_request *r,
                      struct klx_process **ret, struct klx_error *e) KLX_MUST_CHECK;
/* Kills it; no callback comes any more. NULL is allowed. */
void klx_process_cancel(struct klx_process *p);
