/*
 * Which records `klaxon tail` shows.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/base/match.h"
#include "lib/base/options.h"
#include "lib/base/record.h"
#include "lib/base/sv.h"
#include "schema/event.h"

struct klx_filter {
    int64_t since_ms,
        until_ms; /* of the record's timestamp, [since, until); INT64_MIN, INT64_MAX: open */
    struct klx_match *cluster; /* NULL: any */
    struct klx_match *node;    /* the node an event is about */
    bool severities[KLX_SEVERITY_CRITICAL + 1];
    bool heartbeats;    /* show them too */
    struct klx_sv grep; /* in the summary, letters of ASCII in either case; borrowed */
    bool selects;       /* something about the event itself is asked for */
};

struct klx_filter_words {
    const struct klx_option_strings *clusters, *nodes, *severities;
    const char *grep; /* NULL: any */
};

/* Opens both ends of the time. -EINVAL with the option that is wrong. */
int klx_filter_init(struct klx_filter *f, const struct klx_filter_words *w,
                    struct klx_error *e) KLX_MUST_CHECK;
void klx_filter_release(struct klx_filter *f);
bool klx_filter_has_time(const struct klx_filter *f, const struct klx_record *r);
bool klx_filter_has_event(const struct klx_filter *f, const struct klx_event *e,
                          struct klx_sv summary);
