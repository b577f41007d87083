#include "cli/command.h"

#include <stdio.h>

#include "lib/base/options.h"

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
