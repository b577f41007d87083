/*
 * Inside of dispatch only: dispatch.c is the way from a record to its settling, dispatch_parking.c what klaxon.retry adds to it.
 */
#pragma once

#include "sinks/core/dispatch.h"
#include "sinks/core/freshness.h"
#include "sinks/core/ledger.h"
#include "sinks/core/message.h"
#include "sinks/core/noise/desk.h"
#include "sinks/core/outlets.h"
#include "sinks/core/parking/parking.h"
#include "sinks/core/parking/returns.h"
#include "sinks/core/route.h"

struct klx_dispatch {
    struct klx_dispatch_options o;
    struct klx_route *route;
    struct klx_message_pool *pool;
    struct klx_tracker *tracker;
    struct klx_ledger *ledger;
    struct klx_freshness *freshness;
    struct klx_noise_desk *desk;
    struct klx_noise *noise; /* of the desk; NULL once it is closed */
    struct klx_circuits *circuits;
    /* Of each channel of the settings; NULL: not a channel of this process, or nobody subscribes to it. */
    struct klx_outlets outlets;
    struct klx_outlet **leaving; /* of channels that are not configured any more */
    size_t leaving_n;
    struct klx_parking *parking; /* NULL: nothing is parked */
    struct klx_returns *returns;
    struct klx_timer *ledger_timer, *flush_timer, *gauge_timer, *idle_timer, *returns_timer;
    bool asked; /* what is parked is not known: records wait */
    bool paused, closed;
    bool draining;   /* on_idle waits for the ledger and for parking too */
    char holder[64]; /* the channel that held back most when something was abandoned; "": none */
    bool holder_broken;
    size_t again_said, limit_hits;
    size_t bytes_most; /* of messages, since memory was last given back */
    int64_t pause_said_us, unreadable_said_us;
    void (*on_idle)(void *arg);
    void *idle_arg;
    struct {
        struct klx_counter *records[KLX_TOPICS_N], *unreadable, *pauses, *limit_hits;
        struct klx_gauge *paused, *unsettled, *oldest_seconds, *bytes;
    } metrics;
};

void klx_dispatch_check_brake(struct klx_dispatch *d);
void klx_dispatch_outcome(void *arg, const struct klx_outcome *o);
/* A dead letter for a record that is no event. */
void klx_dispatch_unreadable(struct klx_dispatch *d, struct klx_message *m,
                             const struct klx_record *r, const char *why);

/* dispatch_parking.c: */
void klx_dispatch_open_parking(struct klx_dispatch *d);
/* There may be new channels, and those that were may be gone. */
void klx_dispatch_reloaded(struct klx_dispatch *d);
bool klx_dispatch_is_retry(const struct klx_dispatch *d, const char *topic);
/* As klx_producer_place. */
int klx_dispatch_place(void *arg, const struct klx_record *r, klx_placed_fn placed,
                       void *placed_arg, struct klx_error *e);
