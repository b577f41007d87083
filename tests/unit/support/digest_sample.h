/*
 * A digest of the samples, for every test of what it looks like. Static, so that a test needs no library for it.
 */
#pragma once

#include "sinks/core/sink.h"
#include "tests/unit/support/sample.h"

#define TEST_DIGEST_LINES_MAX 64

/* n lines, of which the first is critical, with hostile text in the last. */
static inline void test_digest(struct klx_arena *a, size_t n, struct klx_event *event,
                               struct klx_notice *ret) {
    struct klx_digest_line *lines = klx_arena_alloc(a, TEST_DIGEST_LINES_MAX * sizeof(*lines));
    struct klx_digest *digest = klx_arena_alloc(a, sizeof(*digest));
    *ret = (struct klx_notice){ .event = event,
                                .team = KLX_SV("operations"),
                                .channel = KLX_SV("ops-slack"),
                                .reason = KLX_NOTICE_DIGEST,
                                .digest = digest };
    test_read_event(a, KLX_KIND_REPAIR_STARTED, event, &ret->data);
    event->severity = KLX_SEVERITY_CRITICAL;
    *digest = (struct klx_digest){ .incidents = n,
                                   .since_us = event->time_us - INT64_C(58000000),
                                   .until_us = event->time_us,
                                   .lines = lines,
                                   .lines_n = n < 50 ? n : 50 };
    for (size_t i = 0; i < digest->lines_n; i++) {
        lines[i].severity = i == 0 ? KLX_SEVERITY_CRITICAL : KLX_SEVERITY_WARNING;
        lines[i].events = i < 3 ? 12 - i : 1;
        lines[i].text = klx_arena_printf(a, "Node aks-%zu (prod-weu): Node not ready", i + 1);
        digest->events += lines[i].events;
    }
    lines[digest->lines_n - 1].text =
        KLX_SV("Pod <!channel>/*x* (prod_weu): <b>crash</b>\r\nBcc: z@z");
}
