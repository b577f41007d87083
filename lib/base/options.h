/*
 * Command lines: one table makes the parsing (getopt_long), the help and the usage line.
 *
 * --help and --version are handled by every program in the same way; an unknown option names the nearest one. Long options are written
 * out: an abbreviation that is unique today would mean something else, or nothing, tomorrow.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/base/error.h"
#include "lib/base/sv.h"

enum klx_option_kind {
    KLX_OPT_FLAG,   /* bool                              */
    KLX_OPT_STR,    /* const char *, borrowed from argv  */
    KLX_OPT_STRS,   /* struct klx_option_strings, repeatable */
    KLX_OPT_INT,    /* int64_t                           */
    KLX_OPT_CHOICE, /* const char *, one of `choices`, "table|json" */
};

#define KLX_OPTION_STRINGS_MAX 32
struct klx_option_strings {
    const char *items[KLX_OPTION_STRINGS_MAX];
    size_t n;
};

struct klx_option {
    const char *name; /* long name; NULL ends the table */
    char letter;      /* 0: none */
    enum klx_option_kind kind;
    size_t offset;
    const char *value; /* what stands for it in the help: "FILE" */
    const char *help;
    const char *choices; /* of KLX_OPT_CHOICE */
};

struct klx_command_help {
    const char *name;     /* "klaxon tail" */
    const char *operands; /* "[TOPIC…]" or "" */
    const char *summary;  /* one line */
    const char *examples; /* lines, each run as printed; may be NULL */
    const char
        *commands; /* of what has commands of its own: "  list   Show …\n" lines; may be NULL */
};

/* Of every program; docs/cli.md. */
enum {
    KLX_EXIT_OK = 0,
    KLX_EXIT_FAILED = 1, /* it did not work, or the answer is no */
    KLX_EXIT_CONFIG = 1, /* the configuration is not valid: the answer is no */
    KLX_EXIT_USAGE = 2,
    KLX_EXIT_WARNINGS = 3, /* only warnings, and --strict makes them count */
    KLX_EXIT_DENIED = 4,   /* credentials or rights */
    KLX_EXIT_UNAVAILABLE = 5,
    KLX_EXIT_PARTLY = 6, /* some of what was asked for is done, and some is not */
    KLX_EXIT_INTERRUPTED = 130
};

/* Returns the index of the first operand, or -1 when the program should end with *ret_exit (help was printed on stdout, or an error and
   a hint on stderr). Options may stand after operands. */
int klx_options_parse(int argc, char **argv, const struct klx_command_help *help,
                      const struct klx_option *options, void *target, int *ret_exit) KLX_MUST_CHECK;
void klx_options_help(FILE *out, const struct klx_command_help *help,
                      const struct klx_option *options);
