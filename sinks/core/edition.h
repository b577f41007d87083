/*
 * One reading of the configuration by a sink process, kept while anything lives by it.
 *
 * Counted by reference: the process holds the one that is in use, each message the one by which it was routed (its deliveries point to
 * subscriptions), each outlet the one whose channel it has opened. So a reload changes nothing for what is under way.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/io/kafka_config.h"
#include "schema/settings.h"
#include "sinks/core/settings.h"

struct klx_edition {
    struct klx_settings settings;    /* of the files */
    struct klx_sinks_settings sinks; /* borrows from settings */
    struct klx_kafka_config *kafka;
    unsigned refs;
};

/* Binds for the sink `ops`, also what has mistakes already (klx_settings_load_all). Takes over the contents of *settings in any case. Every mistake is handed to `report`: the result is their
   number, and *ret is set, with one reference, only when it is 0. */
size_t klx_edition_new(struct klx_settings *settings, const struct klx_sink_ops *ops,
                       klx_config_report_fn report, void *arg, struct klx_edition **ret);
struct klx_edition *klx_edition_ref(struct klx_edition *e);
void klx_edition_unref(struct klx_edition *e); /* NULL is allowed */

/* Whether what all channels share, beside their own entries, is as before: a part of the configuration that an outlet is given belongs here. NULL
   is as everything. */
bool klx_edition_shares(const struct klx_edition *a, const struct klx_edition *b);

/* What there is to do for a kind of sink. */
struct klx_edition_census {
    size_t channels, subscribed, subscriptions;
    const char *unsubscribed; /* the first channel that nobody subscribes to, or NULL */
};
struct klx_edition_census klx_edition_count(const struct klx_edition *e,
                                            const struct klx_sink_ops *ops);
