/*
 * How a process that runs for long begins: its command line (--config, --check, --help, --version), the settings that all processes
 * share, and the log.
 */
#pragma once

#include <stdbool.h>

#include "lib/base/options.h"
#include "schema/settings.h"

struct klx_startup {
    const char *config; /* as given; NULL: the default */
    bool check; /* only look whether the configuration is valid, say so on stdout, and end */
    struct klx_settings settings;
};

/* True: go on; the settings are to be released. False: end with *ret_exit, everything is said (on stderr, the help on stdout).
   `component` stands in every line of the log and must stay. */
bool klx_startup(int argc, char **argv, const struct klx_command_help *help, const char *component,
                 struct klx_startup *ret, int *ret_exit) KLX_MUST_CHECK;
/* Where the settings came from, for messages. */
const char *klx_startup_path(const struct klx_startup *s);
