#include "cli/advise_read.h"

#include <stdio.h>

#include "cli/log.h"
#include "lib/base/time.h"

static void on_scaling(void *arg, const struct klx_record *r) {
    klx_evidence_scaling(arg, r);
}

static void on_metrics(void *arg, const struct klx_record *r) {
    klx_evidence_metrics(arg, r);
}

int klx_advise_read(const char *command, const struct klx_cli_config *c, struct klx_evidence *h) {
    struct klx_error e = { 0 };
    int code = klx_cli_read(command, c, KLX_TOPIC_SCALING, -1, on_scaling, h);
    if (code != KLX_EXIT_OK) {
        return code;
    }
    if (klx_evidence_choose(h, &e) != 0) {
        fprintf(stderr, "%s: %s\n", command, e.text);
        return KLX_EXIT_FAILED;
    }
    code = klx_cli_read(command, c, KLX_TOPIC_METRICS, h->since_us / KLX_US_PER_MS, on_metrics, h);
    if (code == KLX_EXIT_OK && h->full) {
        fprintf(stderr, "%s: there are more records than fit: give a later --since\n", command);
        return KLX_EXIT_FAILED;
    }
    klx_evidence_sort(h);
    return code;
}
