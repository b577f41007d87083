/* `klaxon schema`: prints what editors and programs need to know of klaxon's files and records. */
#include <stdio.h>

#include "cli/asyncapi.h"
#include "cli/command.h"
#include "cli/event_schema.h"
#include "cli/schema.h"
#include "lib/base/cleanup.h"
#include "lib/base/config.h"
#include "lib/base/options.h"

#define COMMAND "klaxon schema"
#define DOCUMENT_BYTES_MAX (4u << 20)
#define PREFIX "klaxon."

static const char *const documents[] = { "config", "channels", "subscriptions", "asyncapi" };

struct options {
    char unused;
};

static const struct klx_option table[] = { { .name = NULL } };

static const struct klx_command_help help = {
    .name = COMMAND,
    .operands = "[config|channels|subscriptions|asyncapi|EVENT]",
    .summary = "Print the JSON Schema of a configuration file or of an event's data, or the "
               "AsyncAPI document of all topics.",
    .examples = "  klaxon schema > klaxon.schema.json\n"
                "  klaxon schema subscriptions > subscriptions.schema.json\n"
                "  klaxon schema node.repair.started\n"
                "  klaxon schema asyncapi > asyncapi.json\n"
                "\nIn the first line of klaxon.yaml, for editors:\n"
                "# yaml-language-server: $schema=./klaxon.schema.json\n",
};

static enum klx_kind kind_of(struct klx_sv name) {
    size_t k = 0;
    while (k < KLX_KINDS_N && !klx_sv_eq(klx_event_short_type(name),
                                         klx_event_short_type(klx_sv(klx_kind_specs[k].type)))) {
        k++;
    }
    return (enum klx_kind)k;
}

static int refuse(const char *what) {
    const char *names[KLX_KINDS_N + KLX_COUNT(documents)];
    struct klx_sv given = klx_event_short_type(klx_sv(what));
    for (size_t k = 0; k < KLX_KINDS_N; k++) {
        names[k + KLX_COUNT(documents)] = klx_kind_short_name((enum klx_kind)k);
    }
    for (size_t i = 0; i < KLX_COUNT(documents); i++) {
        names[i] = documents[i];
    }
    const char *near = klx_config_nearest(given, names, KLX_COUNT(names));
    fprintf(stderr,
            "%s: \"%s\" is neither config, channels, subscriptions nor asyncapi nor a kind of "
            "event%s%s%s\n",
            COMMAND, what, near != NULL ? ", did you mean \"" : "", near != NULL ? near : "",
            near != NULL ? "\"?" : ". docs/events.md has them all.");
    return KLX_EXIT_USAGE;
}

static int write_document(struct klx_buf *out, const char *what) {
    struct klx_sv name = klx_sv(what);
    enum klx_kind kind = kind_of(name);
    struct klx_topic_names topics;
    if (klx_sv_eq(name, KLX_SV("config"))) {
        klx_schema_write(out, KLX_SCHEMA_MAIN);
    } else if (klx_sv_eq(name, KLX_SV("channels"))) {
        klx_schema_write(out, KLX_SCHEMA_CHANNELS);
    } else if (klx_sv_eq(name, KLX_SV("subscriptions"))) {
        klx_schema_write(out, KLX_SCHEMA_SUBSCRIPTIONS);
    } else if (kind < KLX_KINDS_N) {
        klx_event_schema_write(out, kind);
    } else if (klx_sv_eq(name, KLX_SV("asyncapi")) &&
               klx_topic_names_init(&topics, KLX_SV(PREFIX), NULL) == 0) {
        klx_asyncapi_write(out, &topics);
    } else {
        return refuse(what);
    }
    return KLX_EXIT_OK;
}

int klx_cli_schema(int argc, char **argv) {
    struct options o = { 0 };
    int code = KLX_EXIT_OK;
    int first = klx_options_parse(argc, argv, &help, table, &o, &code);
    if (first < 0) {
        return code;
    }
    code = first < argc ? klx_cli_no_operands(COMMAND, argc, argv, first + 1) : KLX_EXIT_OK;
    if (code != KLX_EXIT_OK) {
        return code;
    }
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, DOCUMENT_BYTES_MAX);
    code = write_document(&out, first < argc ? argv[first] : "config");
    return code == KLX_EXIT_OK ? klx_cli_print(COMMAND, klx_buf_sv(&out), code) : code;
}
