/*
 * The commands of `klaxon`: each is a function that gets its own name as argv[0] and returns the exit code of the process.
 *
 * Data goes to stdout, everything else to stderr.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/json.h"
#include "lib/base/options.h"
#include "lib/base/sv.h"
#include "lib/io/kafka_config.h"
#include "schema/settings.h"

int klx_cli_advise(int argc, char **argv);
int klx_cli_channel(int argc, char **argv);
int klx_cli_check(int argc, char **argv);
int klx_cli_dlq(int argc, char **argv);
int klx_cli_export(int argc, char **argv);
int klx_cli_incident(int argc, char **argv);
int klx_cli_rbac(int argc, char **argv);
int klx_cli_render(int argc, char **argv);
int klx_cli_replay(int argc, char **argv);
int klx_cli_schema(int argc, char **argv);
int klx_cli_silence(int argc, char **argv);
int klx_cli_subscription(int argc, char **argv);
int klx_cli_tail(int argc, char **argv);
int klx_cli_topics(int argc, char **argv);
int klx_cli_version(int argc, char **argv);

/* A row of the table of commands, of `klaxon` itself or of a noun. */
struct klx_cli_command {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv); /* argv[0] is the command's name */
};

/* The commands as help shows them, and the one of that name. NULL, after it has said which is nearest, when there is none. */
void klx_cli_commands_help(const struct klx_cli_command *commands, size_t n, struct klx_buf *out);
const struct klx_cli_command *klx_cli_command_find(const char *program,
                                                   const struct klx_cli_command *commands, size_t n,
                                                   const char *name);
/* A noun: runs the verb that argv[1] names, or shows the help, to which it adds the verbs. */
int klx_cli_noun(const struct klx_command_help *help, const struct klx_cli_command *verbs, size_t n,
                 int argc, char **argv);
/* Of what lib/io says: rights, no answer, or another failure. */
int klx_cli_exit_code(int error);
/* Writes to stdout. `code`, or KLX_EXIT_FAILED after it has said why not; a reader that has gone away is no failure. */
int klx_cli_print(const char *command, struct klx_sv text, int code);

/* What a command that talks to Kafka needs of the configuration. */
struct klx_cli_config {
    struct klx_settings settings;
    struct klx_kafka_config *kafka;
};

/* KLX_EXIT_OK, or the exit code after it has said what is wrong. `command` ("klaxon tail") stands in front. */
int klx_cli_config_load(const char *command, const char *file,
                        struct klx_cli_config *ret) KLX_MUST_CHECK;
void klx_cli_config_release(struct klx_cli_config *c);
/* Refuses what stands behind the options of a command that takes no operands. KLX_EXIT_OK or KLX_EXIT_USAGE. */
int klx_cli_no_operands(const char *command, int argc, char **argv, int first) KLX_MUST_CHECK;
/* Asks for exactly one operand, argv[first], called `what` in the message. KLX_EXIT_OK or KLX_EXIT_USAGE. */
int klx_cli_operand(const char *command, int argc, char **argv, int first,
                    const char *what) KLX_MUST_CHECK;

/* Says "command: why", and where the help is. KLX_EXIT_USAGE. */
int klx_cli_usage(const char *command, const char *why);
int64_t klx_cli_now_us(void); /* wall time */
/* Who does it: `given`, or else $USER; NULL when nobody is named. */
const char *klx_cli_author(const char *given);
/* `output`: of -o; NULL when it was not given. */
bool klx_cli_is_json(const char *output);
/* The document of a list, {"apiVersion": …, "kind": …, "items": [ … ]} and a newline: the items come in between. */
void klx_cli_list_begin(struct klx_jw *w, struct klx_buf *out, const char *kind);
void klx_cli_list_end(struct klx_jw *w);

/* Rows of the option tables of many commands, whose struct options has `config` and `output`. */
#define KLX_CLI_CONFIG_HELP "the configuration (default: $KLAXON_CONFIG, /etc/klaxon/klaxon.yaml)"
#define KLX_CLI_OPTION_CONFIG                                                                      \
    {                                                                                              \
        "config", 'c', KLX_OPT_STR, offsetof(struct options, config), "FILE", KLX_CLI_CONFIG_HELP, \
            NULL                                                                                   \
    }
#define KLX_CLI_OPTION_TABLE                                                                       \
    {                                                                                              \
        "output", 'o', KLX_OPT_CHOICE, offsetof(struct options, output), NULL,                     \
            "a table, or one JSON document", "table|json"                                          \
    }
