/*
 * The commands of `klaxon`: each is a function that gets its own name as argv[0] and returns the exit code of the process.
 *
 * Data goes to stdout, everything else to stderr.
 */
#pragma once

#include "lib/io/kafka_config.h"
#include "schema/settings.h"

int klx_cli_check(int argc, char **argv);
int klx_cli_tail(int argc, char **argv);
int klx_cli_topics(int argc, char **argv);
int klx_cli_version(int argc, char **argv);

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

#define KLX_CLI_CONFIG_HELP "the configuration (default: $KLAXON_CONFIG, /etc/klaxon/klaxon.yaml)"
