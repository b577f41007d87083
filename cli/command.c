#include "cli/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/config.h"
#include "lib/base/options.h"

#define COMMANDS_MAX 16
#define NAME_COLUMN 14

static void print_error(void *arg, const char *text) {
    fprintf(stderr, "%s: %s\n", (const char *)arg, text);
}

int klx_cli_config_load(const char *command, const char *file, struct klx_cli_config *ret) {
    struct klx_cli_config c = { 0 };
    struct klx_error e = { 0 };
    int rc = klx_settings_load(file, &c.settings, &e);
    if (rc != 0) {
        fprintf(stderr, "%s: %s%s\n", command, e.text,
                rc == -ENOENT ? "; name the configuration with -c FILE or KLAXON_CONFIG" : "");
        return KLX_EXIT_CONFIG;
    }
    c.kafka = klx_kafka_config_new();
    if (klx_kafka_config_bind(c.kafka, c.settings.kafka, print_error, (void *)(uintptr_t)command) >
        0) {
        klx_cli_config_release(&c);
        return KLX_EXIT_CONFIG;
    }
    *ret = c;
    return KLX_EXIT_OK;
}

void klx_cli_config_release(struct klx_cli_config *c) {
    klx_kafka_config_free(c->kafka);
    klx_settings_release(&c->settings);
    c->kafka = NULL;
}

int klx_cli_no_operands(const char *command, int argc, char **argv, int first) {
    if (first >= argc) {
        return KLX_EXIT_OK;
    }
    fprintf(stderr, "%s: takes no operands, found \"%s\"\nTry '%s --help'.\n", command, argv[first],
            command);
    return KLX_EXIT_USAGE;
}

int klx_cli_operand(const char *command, int argc, char **argv, int first, const char *what) {
    if (argc - first == 1) {
        return KLX_EXIT_OK;
    }
    if (argc == first) {
        fprintf(stderr, "%s: %s is missing", command, what);
    } else {
        fprintf(stderr, "%s: takes one %s, found \"%s\" as well", command, what, argv[first + 1]);
    }
    fprintf(stderr, "\nTry '%s --help'.\n", command);
    return KLX_EXIT_USAGE;
}

void klx_cli_commands_help(const struct klx_cli_command *commands, size_t n, struct klx_buf *out) {
    for (size_t i = 0; i < n; i++) {
        klx_buf_printf(out, "  %-*s%s\n", NAME_COLUMN, commands[i].name, commands[i].summary);
    }
}

const struct klx_cli_command *klx_cli_command_find(const char *program,
                                                   const struct klx_cli_command *commands, size_t n,
                                                   const char *name) {
    const char *names[COMMANDS_MAX];
    for (size_t i = 0; i < n && i < COMMANDS_MAX; i++) {
        names[i] = commands[i].name;
        if (strcmp(name, names[i]) == 0) {
            return &commands[i];
        }
    }
    fprintf(stderr, "%s: there is no command \"%.80s\"%s\nTry '%s --help'.\n", program, name,
            klx_config_hint(klx_sv(name), names, n).text, program);
    return NULL;
}

int klx_cli_noun(const struct klx_command_help *help, const struct klx_cli_command *verbs, size_t n,
                 int argc, char **argv) {
    static const struct klx_option none[] = { { .name = NULL } };
    struct klx_command_help shown = *help;
    struct klx_buf commands KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&commands, 4096);
    if (argc > 1 && argv[1][0] != '-') {
        const struct klx_cli_command *verb = klx_cli_command_find(help->name, verbs, n, argv[1]);
        return verb != NULL ? verb->run(argc - 1, argv + 1) : KLX_EXIT_USAGE;
    }
    klx_cli_commands_help(verbs, n, &commands);
    shown.commands = klx_buf_str(&commands);
    int unused = 0, code = KLX_EXIT_OK;
    if (klx_options_parse(argc, argv, &shown, none, &unused, &code) >= 0) {
        klx_options_help(stdout, &shown, none);
        code = KLX_EXIT_OK;
    }
    return code;
}

int klx_cli_print(const char *command, struct klx_sv text, int code) {
    bool written =
        (text.n == 0 || fwrite(text.p, 1, text.n, stdout) == text.n) && fflush(stdout) == 0;
    if (written || errno == EPIPE) {
        return code;
    }
    fprintf(stderr, "%s: cannot write: %s\n", command, strerror(errno));
    return KLX_EXIT_FAILED;
}

int klx_cli_exit_code(int error) {
    switch (error) {
    case -EACCES:
        return KLX_EXIT_DENIED;
    case -EHOSTUNREACH:
    case -ETIMEDOUT:
        return KLX_EXIT_UNAVAILABLE;
    default:
        return KLX_EXIT_FAILED;
    }
}

int klx_cli_usage(const char *command, const char *why) {
    fprintf(stderr, "%s: %s\nTry '%s --help'.\n", command, why, command);
    return KLX_EXIT_USAGE;
}

const char *klx_cli_author(const char *given) {
    const char *user = getenv("USER");
    const char *name = given != NULL ? given : user;
    return name != NULL && name[0] != '\0' ? name : NULL;
}

int64_t klx_cli_now_us(void) {
    struct klx_clock *clock = klx_clock_real();
    return clock->wall_us(clock);
}

bool klx_cli_is_json(const char *output) {
    return output != NULL && strcmp(output, "json") == 0;
}

void klx_cli_list_begin(struct klx_jw *w, struct klx_buf *out, const char *kind) {
    klx_jw_init(w, out);
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "apiVersion", "klaxon.io/v1");
    klx_jw_member_str(w, "kind", kind);
    klx_jw_key(w, "items");
    klx_jw_begin_array(w);
}

void klx_cli_list_end(struct klx_jw *w) {
    klx_jw_end_array(w);
    klx_jw_end_object(w);
    klx_buf_add_char(w->out, '\n');
}
