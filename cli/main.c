/*
 * klaxon: the command line.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "lib/base/cleanup.h"
#include "lib/base/options.h"

static const struct klx_cli_command commands[] = {
    { "check", "Check the configuration of all processes", klx_cli_check },
    { "channel", "List the channels, try one, and see how they stand", klx_cli_channel },
    { "subscription", "List who is told of what, and who would be told of an event",
      klx_cli_subscription },
    { "render", "Print what a channel would be sent", klx_cli_render },
    { "incident", "Show what is open, and take it in hand", klx_cli_incident },
    { "silence", "Silence what nobody wants to hear of for a while", klx_cli_silence },
    { "dlq", "Show what could not be delivered, and have it tried again", klx_cli_dlq },
    { "topics", "Create and list the topics", klx_cli_topics },
    { "tail", "Show events as they come, or those of a span of time", klx_cli_tail },
    { "export", "Write the events of a span of time as a table or a file", klx_cli_export },
    { "replay", "Tell a channel or a topic again what happened in a span of time", klx_cli_replay },
    { "advise", "Advise on an HPA's bounds, from the recorded load", klx_cli_advise },
    { "rbac", "Print the rights that the collector needs", klx_cli_rbac },
    { "schema", "Print the schema of klaxon.yaml, of events, or of all topics", klx_cli_schema },
    { "version", "Show the version of klaxon and of its libraries", klx_cli_version },
};

struct options {
    const char *config;
};

static const struct klx_option table[] = {
    KLX_CLI_OPTION_CONFIG,
    { .name = NULL },
};

static struct klx_command_help help = {
    .name = "klaxon",
    .operands = "COMMAND",
    .summary = "Watches Kubernetes clusters, and tells teams what they must know.",
    .examples = "  klaxon check\n"
                "  klaxon topics apply --dry-run\n"
                "  klaxon tail --since 1h --severity critical\n"
                "\n'klaxon COMMAND --help' shows the options of a command.\n",
};

/* Where the command stands: behind the options of klaxon itself. */
static int find_command(int argc, char **argv) {
    int i = 1;
    while (i < argc && argv[i][0] == '-') {
        bool has_value = strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0;
        i += has_value ? 2 : 1;
    }
    return i < argc ? i : argc;
}

static int help_of(int argc, char **argv) {
    const struct klx_cli_command *command =
        klx_cli_command_find("klaxon", commands, KLX_COUNT(commands), argv[0]);
    if (command == NULL) {
        return KLX_EXIT_USAGE;
    }
    char option[] = "--help";
    char *words[] = { argv[0], argc > 1 ? argv[1] : option, argc > 1 ? option : NULL, NULL };
    return command->run(argc > 1 ? 3 : 2, words);
}

int main(int argc, char **argv) {
    struct klx_buf list KLX_CLEANUP(klx_buf_release);
    struct options o = { 0 };
    signal(SIGPIPE, SIG_IGN); /* `klaxon … | head` ends quietly: a write says EPIPE */
    klx_buf_init(&list, 4096);
    klx_cli_commands_help(commands, KLX_COUNT(commands), &list);
    help.commands = klx_buf_str(&list);
    int at = find_command(argc, argv), code = KLX_EXIT_OK;
    if (klx_options_parse(at, argv, &help, table, &o, &code) < 0) {
        return code;
    }
    if (o.config != NULL) {
        setenv("KLAXON_CONFIG", o.config, 1); /* what each command looks for */
    }
    if (at == argc || (strcmp(argv[at], "help") == 0 && at + 1 == argc)) {
        klx_options_help(stdout, &help, table);
        return KLX_EXIT_OK;
    }
    if (strcmp(argv[at], "help") == 0) {
        return help_of(argc - at - 1, argv + at + 1);
    }
    const struct klx_cli_command *command =
        klx_cli_command_find("klaxon", commands, KLX_COUNT(commands), argv[at]);
    return command != NULL ? command->run(argc - at, argv + at) : KLX_EXIT_USAGE;
}
