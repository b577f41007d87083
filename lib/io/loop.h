/*
 * The loop: one per process, on one thread. Timers, readable file descriptors, wake-ups from other threads, blocking work, signals.
 *
 * Everything that lives on the loop is freed with its _free function, which takes effect in its last close callback: no callback of a
 * freed object runs, and _free may be called from the object's own callback. All calls are for the loop's thread unless said otherwise.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/error.h"

struct klx_loop;

/* Aborts when the system has no loop to give. */
struct klx_loop *klx_loop_new(void);
/* Closes nothing: every object must have been freed. Asserts that none is alive (the ordered shutdown is tested by it). */
void klx_loop_free(struct klx_loop *l);
/* Returns when klx_loop_stop was called or nothing is alive. */
void klx_loop_run(struct klx_loop *l);
void klx_loop_stop(struct klx_loop *l);
/* Runs `fn` in the next turn: how a call answers without calling back from inside itself. */
void klx_loop_defer(struct klx_loop *l, void (*fn)(void *arg), void *arg);
/* Microseconds, monotonic, of the start of this turn. */
int64_t klx_loop_now_us(struct klx_loop *l);
/* libuv's own, for lib/io/process.c only. */
struct uv_loop_s *klx_loop_uv(struct klx_loop *l);

/* SIGTERM, SIGINT, SIGHUP to one callback. SIGPIPE is ignored. NULL ends it. Does not keep the loop alive. */
void klx_loop_on_signal(struct klx_loop *l, void (*fn)(void *arg, int signum), void *arg);

struct klx_timer;
struct klx_timer *klx_timer_new(struct klx_loop *l, void (*fn)(void *arg), void *arg);
/* (Re)starts: fires once after `ms`, or every `ms` with klx_timer_repeat. */
void klx_timer_start(struct klx_timer *t, int64_t ms);
void klx_timer_repeat(struct klx_timer *t, int64_t ms);
void klx_timer_stop(struct klx_timer *t);
bool klx_timer_active(const struct klx_timer *t);
void klx_timer_free(struct klx_timer *t);

enum { KLX_FD_READ = 1, KLX_FD_WRITE = 2 };
struct klx_fd;
/* Watches `fd`, which stays the caller's, and must outlive the watch. `events` is what is ready; on an error of the descriptor both. */
struct klx_fd *klx_fd_new(struct klx_loop *l, int fd, void (*fn)(void *arg, int events), void *arg);
void klx_fd_set(struct klx_fd *w, int events); /* 0 pauses */
void klx_fd_free(struct klx_fd *w);

struct klx_wakeup;
struct klx_wakeup *klx_wakeup_new(struct klx_loop *l, void (*fn)(void *arg), void *arg);
/* From any thread; several sends may be one call of fn. */
void klx_wakeup_send(struct klx_wakeup *w);
void klx_wakeup_free(struct klx_wakeup *w);

/* How many jobs may block at the same time, for the whole process; before the first klx_work. Otherwise 4. */
void klx_work_threads(unsigned n);
/* run(arg) on libuv's thread pool, then done(arg) on the loop. Nobody else may touch what run touches meanwhile. */
void klx_work(struct klx_loop *l, void (*run)(void *arg), void (*done)(void *arg), void *arg);
