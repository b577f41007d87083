/*
 * `klaxon channel list`; send and status are in files of their own.
 */
#include <stdio.h>
#include <string.h>

#include "cli/channel_send.h"
#include "cli/channel_status.h"
#include "cli/channels.h"
#include "cli/command.h"
#include "cli/table.h"
#include "lib/base/cleanup.h"

#define OUTPUT_BYTES_MAX (4u << 20)

struct options {
    const char *config, *output;
    bool quiet;
};

static void write_table(const struct klx_cli_channels *c, struct klx_buf *out) {
    static const char *const columns[] = { "NAME", "KIND", "SUBSCRIPTIONS" };
    struct klx_table table;
    klx_table_init(&table, columns, KLX_COUNT(columns));
    for (size_t i = 0; i < c->sinks.channels_n; i++) {
        klx_table_add(&table, klx_sv(c->sinks.channels[i].name));
        klx_table_add(&table, klx_sv(c->sinks.channels[i].sink));
        klx_table_add_count(&table, klx_cli_channel_subscriptions(c, i));
    }
    klx_table_write(&table, out);
    klx_table_release(&table);
}

static void write_json(const struct klx_cli_channels *c, struct klx_buf *out) {
    struct klx_jw w;
    klx_cli_list_begin(&w, out, "ChannelList");
    for (size_t i = 0; i < c->sinks.channels_n; i++) {
        klx_jw_begin_object(&w);
        klx_jw_member_str(&w, "name", c->sinks.channels[i].name);
        klx_jw_member_str(&w, "sink", c->sinks.channels[i].sink);
        klx_jw_member_int(&w, "subscriptions", (int64_t)klx_cli_channel_subscriptions(c, i));
        klx_jw_end_object(&w);
    }
    klx_cli_list_end(&w);
}

static void write_names(const struct klx_cli_channels *c, struct klx_buf *out) {
    for (size_t i = 0; i < c->sinks.channels_n; i++) {
        klx_buf_printf(out, "%s\n", c->sinks.channels[i].name);
    }
}

static const struct klx_option list_options[] = {
    KLX_CLI_OPTION_CONFIG,
    KLX_CLI_OPTION_TABLE,
    { "quiet", 'q', KLX_OPT_FLAG, offsetof(struct options, quiet), NULL, "print the names only",
      NULL },
    { .name = NULL },
};

static int list(int argc, char **argv) {
    static const struct klx_command_help help = {
        .name = "klaxon channel list",
        .operands = "",
        .summary = "List the channels of the configuration, and how many subscriptions name each.",
        .examples = "  klaxon channel list\n  klaxon channel list -o json\n",
    };
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, OUTPUT_BYTES_MAX);
    struct options o = { 0 };
    struct klx_cli_channels channels = { 0 };
    int code = 0, first = klx_options_parse(argc, argv, &help, list_options, &o, &code);
    code = first < 0 ? code : klx_cli_no_operands(help.name, argc, argv, first);
    if (first < 0 || code != KLX_EXIT_OK) {
        return code;
    }
    code = klx_cli_channels_load(help.name, o.config, &channels);
    if (code != KLX_EXIT_OK) {
        return code;
    }
    if (o.quiet) {
        write_names(&channels, &out);
    } else if (klx_cli_is_json(o.output)) {
        write_json(&channels, &out);
    } else {
        write_table(&channels, &out);
    }
    klx_cli_channels_release(&channels);
    return klx_cli_print(help.name, klx_buf_sv(&out), KLX_EXIT_OK);
}

int klx_cli_channel(int argc, char **argv) {
    static const struct klx_cli_command verbs[] = {
        { "list", "Show the channels and how many subscriptions name each", list },
        { "send", "Send a test message and print the answer", klx_cli_channel_send },
        { "status", "Show what Kafka says of the channels", klx_cli_channel_status },
    };
    static const struct klx_command_help help = {
        .name = "klaxon channel",
        .operands = "list|send|status",
        .summary = "List the channels, try one, and see how they stand.",
        .examples = "  klaxon channel list\n  klaxon channel status\n  klaxon channel send "
                    "ops-slack --dry-run\n",
    };
    return klx_cli_noun(&help, verbs, KLX_COUNT(verbs), argc, argv);
}
