/*
 * What the verbs of `klaxon silence` share: the silences as they are on klaxon.control.
 */
#pragma once

#include "cli/command.h"
#include "sinks/core/noise/silence.h"

/* All that are known to be there; what is no good one is said and left out. KLX_EXIT_OK, or the exit code after it has said why not. */
int klx_cli_silences_read(const char *command, const struct klx_cli_config *c,
                          struct klx_silences *ret) KLX_MUST_CHECK;
/* Returns when Kafka has acknowledged them all. */
int klx_cli_silences_write(const char *command, const struct klx_cli_config *c,
                           const struct klx_silence *silences, size_t n) KLX_MUST_CHECK;
/* Says on stderr which words of it no event of klaxon has, of severity, phase, topic and type: a mistake in one of them would hide nothing. */
void klx_cli_silence_doubt(const char *command, const struct klx_silence *s);

int klx_cli_silence_import(int argc, char **argv);
int klx_cli_silence_export(int argc, char **argv);
