/*
 * Asking before something is done that cannot be taken back.
 */
#pragma once

#include <stdbool.h>

#include "lib/base/error.h"

/* Whether there is somebody to ask: stdin and stderr are a terminal. */
bool klx_cli_can_ask(void);
/* Before anything is looked at: without --yes (`yes`) where nobody can be asked, it says so. KLX_EXIT_OK or KLX_EXIT_USAGE. */
int klx_cli_ask_first(const char *command, bool yes) KLX_MUST_CHECK;
/* "command: question Go on? [y/N] " on stderr; with `yes` nobody is asked. KLX_EXIT_OK, or KLX_EXIT_FAILED when the answer is another than y or yes. */
int klx_cli_ask(const char *command, bool yes, const char *question) KLX_MUST_CHECK;
