/*
 * What comes back from klaxon.retry: made into a delivery again, and handed to its channel when not-before has come.
 *
 *     add ─▶ waits for not-before, in the channel's order ─▶ push
 *        └─▶ no such channel any more: waits for give_up_after from its first attempt, or else from when it was parked ─▶ give_up
 *
 * A channel that is not in the configuration, or that nobody subscribes to, keeps what was parked for it until then, in case it comes
 * back with the next reload or start; the log says so once a channel.
 *
 * Nothing is called back from inside klx_returns_add.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "sinks/core/delivery.h"
#include "sinks/core/parking/parked.h"
#include "sinks/core/settings.h"

struct klx_returns;

struct klx_returns_options {
    struct klx_clock *clock;
    const struct klx_sinks_settings *settings; /* borrowed */
    int64_t give_up_after_ms;
    /* The recipients that the channel has now; 0: there is no such channel. Borrowed until the next call. */
    size_t (*recipients)(void *arg, struct klx_sv channel, const struct klx_sv **ret);
    /* Takes the delivery. */
    void (*push)(void *arg, struct klx_sv channel, struct klx_delivery *d);
    void (*give_up)(void *arg, struct klx_sv channel, struct klx_delivery *d);
    /* Call klx_returns_wake in delay_ms; a later call replaces this one. */
    void (*schedule)(void *arg, int64_t delay_ms);
    void *arg;
};

struct klx_returns *klx_returns_new(const struct klx_returns_options *o);
/* What is left is abandoned. */
void klx_returns_free(struct klx_returns *r);
/* The configuration was read again. */
void klx_returns_use(struct klx_returns *r, const struct klx_sinks_settings *settings);
/* The message is of parked->original, and kept; a reference is taken. Everything else is copied. */
void klx_returns_add(struct klx_returns *r, struct klx_message *m, const struct klx_parked *parked);
void klx_returns_wake(struct klx_returns *r);
void klx_returns_drop_revoked(struct klx_returns *r);
/* Appends a line for each channel that is not there. */
void klx_returns_describe(const struct klx_returns *r, struct klx_buf *out);
