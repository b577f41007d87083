/*
 * Reading the configuration again while a sink runs: on SIGHUP, and when its files have changed (lib/io/watch_files.h).
 *
 *            files changed, SIGHUP              whole and good                    applied
 *   IN USE ────────────────────────▶ reading ─────────────────▶ apply ───────────────────────▶ IN USE (the new one)
 *     ▲                                 │  a mistake              │ cannot be opened
 *     └──── the same is in use ◀──── REFUSED ◀────────────────────┘
 *                                       │  every 30 s, and when the files change: again
 *                                       └──▶ reading
 *
 * A configuration with a mistake changes nothing: what is in use goes on. All its mistakes are logged, the metric
 * klaxon_config_reload_failed is 1, and an event tells it (schema/config_event.h): once for the same mistakes. What is wrong may be outside
 * of the files, such as a secret that is not there yet, so a refused one is tried again by itself. The event
 * that ends the incident comes when a configuration without mistakes is in use again.
 */
#pragma once

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/record.h"
#include "lib/io/loop.h"
#include "sinks/core/edition.h"

struct klx_reload;

struct klx_reload_options {
    struct klx_loop *loop;
    struct klx_clock *clock;
    const struct klx_sink_ops *ops;
    const char *config;          /* as given on the command line; NULL: the default */
    const char *component;       /* of log lines */
    const char *process;         /* "klaxon-sink-slack", and which installation */
    struct klx_edition *edition; /* in use at the start: a reference is taken */
    /* Uses another one from now on, or leaves everything as it is and says why. */
    int (*apply)(void *arg, struct klx_edition *e, struct klx_error *err);
    /* To Kafka, as it comes. */
    void (*publish)(void *arg, const struct klx_record *r);
    void *arg;
};

struct klx_reload *klx_reload_new(const struct klx_reload_options *o);
/* Now, whatever inotify says. Says also that nothing is different. */
void klx_reload_now(struct klx_reload *r);
/* Appends a line for /readyz while a configuration is refused. */
void klx_reload_describe(const struct klx_reload *r, struct klx_buf *out);
void klx_reload_free(struct klx_reload *r);
