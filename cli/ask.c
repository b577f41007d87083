#include "cli/ask.h"

#include <stdio.h>
#include <strings.h>
#include <unistd.h>

#include "cli/command.h"

bool klx_cli_can_ask(void) {
    return isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1;
}

int klx_cli_ask_first(const char *command, bool yes) {
    if (yes || klx_cli_can_ask()) {
        return KLX_EXIT_OK;
    }
    return klx_cli_usage(command, "there is no terminal to ask on: give --yes, or --dry-run to see "
                                  "what would be done");
}

static bool is_yes(const char *answer) {
    struct klx_sv word = klx_sv_trim(klx_sv(answer));
    return word.n > 0 &&
           (strncasecmp(word.p, "y", word.n) == 0 || strncasecmp(word.p, "yes", word.n) == 0);
}

int klx_cli_ask(const char *command, bool yes, const char *question) {
    char answer[64];
    if (yes) {
        return KLX_EXIT_OK;
    }
    fprintf(stderr, "%s: %s Go on? [y/N] ", command, question);
    if (fgets(answer, sizeof(answer), stdin) != NULL && is_yes(answer)) {
        return KLX_EXIT_OK;
    }
    fprintf(stderr, "%s: nothing is done\n", command);
    return KLX_EXIT_FAILED;
}
