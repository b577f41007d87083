/*
 * What --dry-run shows: how much of each partition is meant.
 */
#pragma once

#include "cli/history_read.h"

/* A table on stdout, and the sum on stderr. */
void klx_history_counts_print(const struct klx_history_read *h);
