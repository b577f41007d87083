/*
 * Where advice has its records from: the seam between topics and advice/, which knows of none.
 */
#pragma once

#include "advice/evidence.h"
#include "cli/command.h"

/* klaxon.scaling first, from its beginning: what an HPA is like may have been told long ago. Then the HPA is chosen, and klaxon.metrics is
   read from h->since_us on. KLX_EXIT_OK, or the exit code after it has said what is wrong. */
int klx_advise_read(const char *command, const struct klx_cli_config *c,
                    struct klx_evidence *h) KLX_MUST_CHECK;
