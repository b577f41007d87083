#include "lib/base/cleanup.h"
#include "sinks/core/lane_internal.h"

/* From an event's time to the answer: a moment when all is well, hours after an outage. */
static const double delivery_bounds[] = { 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,  1,     2.5,   5,
                                          10,   30,    60,   120, 300,  1800, 10800, 43200, 86400 };

void klx_lane_make_metrics(struct klx_lane *l) {
    const struct klx_label labels[] = { { "sink", l->o.ops->name },
                                        { "channel", l->o.name },
                                        { NULL, NULL } };
    for (int c = 0; c < KLX_VERDICTS_N; c++) {
        const struct klx_label with_class[] = {
            labels[0],
            labels[1],
            { "verdict", klx_verdict_name((enum klx_verdict_class)c) },
            { NULL, NULL },
        };
        l->metrics.verdicts[c] = klx_counter("klaxon_sink_verdicts_total",
                                             "Answers, one for each recipient.", with_class);
    }
    l->metrics.retries = klx_counter("klaxon_sink_retries_total",
                                     "Attempts that were not the first of their message.", labels);
    l->metrics.dead_letters =
        klx_counter("klaxon_sink_dead_letters_total", "Refused for good or given up.", labels);
    l->metrics.words_failed =
        klx_counter("klaxon_sink_template_failures_total",
                    "Parts of messages told in klaxon's own words, as their template could not be "
                    "filled in.",
                    labels);
    l->metrics.queue =
        klx_gauge("klaxon_sink_queue_deliveries", "Deliveries that wait or are under way.", labels);
    l->metrics.in_flight = klx_gauge("klaxon_sink_in_flight", "Sends under way.", labels);
    l->metrics.broken = klx_gauge("klaxon_sink_circuit_open",
                                  "1 while the channel is broken and messages are kept.", labels);
    l->metrics.lag =
        klx_gauge("klaxon_sink_lag_seconds",
                  "How long the oldest delivery has waited; 0 when none does.", labels);
    l->metrics.seconds =
        klx_histogram("klaxon_sink_delivery_seconds", "From an event's time to the answer.", labels,
                      delivery_bounds, KLX_COUNT(delivery_bounds));
    if (klx_lane_is_batch(l)) {
        l->metrics.batches = klx_counter("klaxon_sink_batches_total", "Batches sent.", labels);
    }
    if (l->o.ops->probe != NULL) {
        l->metrics.probe = klx_gauge("klaxon_sink_probe_success",
                                     "1 when the last probe of the channel went well.", labels);
    }
}
