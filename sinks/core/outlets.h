/*
 * The outlets of a process from one configuration to the next: an array with one for each channel of the settings, NULL for those that are
 * another process's or that nobody subscribes to.
 *
 * A channel that is configured as before keeps its outlet, and with it everything that is under way; one that is configured differently keeps
 * it too, and changes inside of it (outlet.h). All that is new is opened before anything is changed, so a configuration is used
 * whole or not at all.
 */
#pragma once

#include <stdbool.h>

#include "sinks/core/outlet.h"
#include "sinks/core/route.h"
#include "sinks/core/settings.h"

struct klx_outlets {
    struct klx_outlet **items;
    size_t n;
};

struct klx_outlets_change {
    struct klx_outlet_options options; /* but for the channel */
    const struct klx_sinks_settings *settings;
    const struct klx_route *route;
    const struct klx_outlets *before; /* NULL: it is the start */
    bool all; /* what all channels share is different: none goes on as it was */
};

/* What is new is opened, what is different prepared. On an error everything is as before. */
int klx_outlets_prepare(const struct klx_outlets_change *c, struct klx_outlets *ret,
                        struct klx_error *e) KLX_MUST_CHECK;
/* Those of `before` that are not in `now` any more are put into `gone`, which has room for all of `before`; their number. */
size_t klx_outlets_commit(const struct klx_outlets *before, const struct klx_outlets *now,
                          struct klx_outlet **gone);
