/*
 * `klaxon render CHANNEL --event FILE`: what the channel's sender would be given, and how much of its limit that is.
 */
#include <stdio.h>
#include <unistd.h>

#include "cli/channels.h"
#include "cli/command.h"
#include "cli/event_file.h"
#include "cli/mime_part.h"
#include "cli/terminal.h"
#include "lib/base/cleanup.h"
#include "lib/base/options.h"

#define COMMAND "klaxon render"
#define SHOWN_BYTES_MAX (16u << 20)

struct options {
    const char *config, *event, *team;
    bool html;
};

static const struct klx_option table[] = {
    KLX_CLI_OPTION_CONFIG,
    { "event", 'e', KLX_OPT_STR, offsetof(struct options, event), "FILE",
      "the event, as `klaxon tail -o json` prints it; - is stdin (default: a test message)", NULL },
    { "team", 't', KLX_OPT_STR, offsetof(struct options, team), "TEAM",
      "as the first subscription of the team tells it (default: the first that matches)", NULL },
    { "html", 0, KLX_OPT_FLAG, offsetof(struct options, html), NULL,
      "the HTML of a mail, for a browser, and nothing else", NULL },
    { .name = NULL },
};

static const struct klx_command_help help = {
    .name = COMMAND,
    .operands = "CHANNEL",
    .summary = "Prints what a channel would be sent of an event, without sending it.",
    .examples = "  klaxon tail --since 7d -n 1 -o json > event.json\n"
                "  klaxon render ops-slack --event event.json\n"
                "  klaxon render ops-mail --event event.json --html > mail.html\n",
};

/* For a file as it is; what is for a terminal cannot command it. */
static int print_text(struct klx_sv text) {
    struct klx_buf shown KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&shown, SHOWN_BYTES_MAX);
    if (isatty(STDOUT_FILENO) != 1) {
        klx_buf_add_sv(&shown, text);
    } else if (klx_sv_starts(text, KLX_SV("{"))) {
        klx_terminal_json(&shown, text);
    } else {
        klx_terminal_lines(&shown, text);
    }
    if (shown.len > 0 && shown.data[shown.len - 1] != '\n') {
        klx_buf_add_char(&shown, '\n');
    }
    return klx_cli_print(COMMAND, klx_buf_sv(&shown), KLX_EXIT_OK);
}

static int print_html(const struct klx_cli_channel *c, struct klx_sv message) {
    struct klx_buf html KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&html, c->ops->payload_bytes_max);
    if (!klx_mime_part(message, "text/html", &html)) {
        fprintf(stderr, COMMAND ": %s: a message of %s has no HTML, that of email has\n", c->name,
                c->ops->name);
        return KLX_EXIT_FAILED;
    }
    return print_text(klx_buf_sv(&html));
}

static int print(const struct klx_cli_channel *c, const struct klx_event_file *f,
                 const struct options *o) {
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    struct klx_error e = { 0 };
    klx_buf_init(&out, c->ops->payload_bytes_max);
    if (klx_cli_channel_render(c, f, o->team, &out, &e) != 0) {
        fprintf(stderr, COMMAND ": %s: %s\n", c->name, e.text);
        return KLX_EXIT_FAILED;
    }
    int code = o->html ? print_html(c, klx_buf_sv(&out)) : print_text(klx_buf_sv(&out));
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
        code = rc == 0 ? print(&c, &f, o) : code;
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
