/*
 * What the Logs Ingestion API's answer to a batch means.
 *
 *   204                TAKEN      accepted: what a transformation drops later, no answer tells
 *   400, 413           BATCH      something in the batch is refused: halves of it say what. With a batch of one the verdict is that record's
 *   401                TOKEN      once, with a fresh token; then the credential is broken
 *   everything else    OTHER      the verdict is for all that is left
 *
 * The code of the error ({"error": {"code", "message"}}) is the verdict's reason. A code that says the rule or the address is wrong counts
 * more than its status: nothing of the batch is at fault then. The table is in answer.c.
 */
#pragma once

#include "lib/io/http.h"
#include "sinks/core/sink.h"

enum klx_loganalytics_meaning {
    KLX_LOGANALYTICS_TAKEN,
    KLX_LOGANALYTICS_BATCH,
    KLX_LOGANALYTICS_TOKEN,
    KLX_LOGANALYTICS_OTHER,
};

struct klx_loganalytics_answer {
    enum klx_loganalytics_meaning meaning;
    bool too_large; /* BATCH: for its size, not its content */
    struct klx_verdict verdict;
};

/* `token` is what was sent: where an answer repeats it, "…" is shown. */
void klx_loganalytics_judge(const struct klx_http_result *r, struct klx_sv token,
                            struct klx_loganalytics_answer *ret);
