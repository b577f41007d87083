/*
 * `klaxon render CHANNEL --event FILE`: what the channel's sender would be given, and how much of its limit that is.
 */
#include <stdio.h>

#include "cli/channels.h"
#include "cli/command.h"
#include "cli/event_file.h"
#include "lib/base/cleanup.h"
#include "lib/base/options.h"

#define COMMAND "klaxon render"

struct options {
    const char *config, *event, *team;
};

static const struct klx_option table[] = {
    KLX_CLI_OPTION_CONFIG,
    { "event", 'e', KLX_OPT_STR, offsetof(struct options, event), "FILE",
      "the event, as `klaxon tail -o json` prints it; - is stdin (default: a test message)", NULL },
    { "team", 't', KLX_OPT_STR, offsetof(struct options, team), "TEAM",
      "as the first subscription of the team tells it (default: the first that matches)", NULL },
    { .name = NULL },
};

static const struct klx_command_help help = {
    .name = COMMAND,
    .operands = "CHANNEL",
    .summary = "Prints what a channel would be sent of an event, without sending it.",
    .examples = "  klaxon tail --since 7d -n 1 -o json > event.json\n"
                "  klaxon render ops-slack --event event.json\n",
};

static int print(const struct klx_cli_channel *c, const struct klx_event_file *f,
                 const char *team) {
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    struct klx_error e = { 0 };
    klx_buf_init(&out, c->ops->payload_bytes_max);
    if (klx_cli_channel_render(c, f, team, &out, &e) != 0) {
        fprintf(stderr, COMMAND ": %s: %s\n", c->name, e.text);
        return KLX_EXIT_FAILED;
    }
    int code = klx_cli_print(COMMAND, klx_buf_sv(&out), KLX_EXIT_OK);
    if (out.len > 0 && out.data[out.len - 1] != '\n') {
        code = klx_cli_print(COMMAND, KLX_SV("\n"), code);
    }
    fprintf(stderr, "%zu bytes of at most %zu\n", out.len, c->ops->payload_bytes_max);
    return code;
}

static int render(const struct klx_cli_channels *channels, const struct options *o,
                  const char *name) {
    const struct klx_channel_settings *s = klx_cli_channel_find(COMMAND, channels, name);
    struct klx_event_file f;
    struct klx_cli_channel c;
    struct klx_error e = { 0 };
    if (s == NULL) {
        return KLX_EXIT_FAILED;
    }
    int rc = o->event != NULL ? klx_event_file_read(o->event, &f, &e)
                              : klx_event_file_test(name, klx_cli_now_us(), &f, &e);
    int code = KLX_EXIT_FAILED;
    if (rc == 0) {
        rc = klx_cli_channel_open(channels, s, &c, &e);
        code = rc == 0 ? print(&c, &f, o->team) : code;
        klx_cli_channel_close(&c);
    }
    if (rc != 0) {
        fprintf(stderr, COMMAND ": %s\n", e.text);
    }
    klx_event_file_release(&f);
    return code;
}

int klx_cli_render(int argc, char **argv) {
    struct options o = { 0 };
    struct klx_cli_channels channels = { 0 };
    int code = 0, first = klx_options_parse(argc, argv, &help, table, &o, &code);
    if (first < 0) {
        return code;
    }
    code = klx_cli_operand(COMMAND, argc, argv, first, "CHANNEL");
    if (code != KLX_EXIT_OK) {
        return code;
    }
    code = klx_cli_channels_load(COMMAND, o.config, &channels);
    if (code == KLX_EXIT_OK) {
        code = render(&channels, &o, argv[first]);
        klx_cli_channels_release(&channels);
    }
    return code;
}
