/*
 * `klaxon channel list` and `klaxon channel send`; `klaxon channel status` is in channel_status.c.
 */
#include <stdio.h>
#include <string.h>

#include "cli/channel_status.h"
#include "cli/channels.h"
#include "cli/command.h"
#include "cli/event_file.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "lib/base/cleanup.h"
#include "lib/base/time.h"

#define OUTPUT_BYTES_MAX (4u << 20)
#define ANSWER_MS 60000

struct options {
    const char *config, *output, *event;
    bool dry_run;
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

static const struct klx_option list_options[] = {
    KLX_CLI_OPTION_CONFIG,
    KLX_CLI_OPTION_TABLE,
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
    if (klx_cli_is_json(o.output)) {
        write_json(&channels, &out);
    } else {
        write_table(&channels, &out);
    }
    klx_cli_channels_release(&channels);
    return klx_cli_print(help.name, klx_buf_sv(&out), KLX_EXIT_OK);
}

#define SEND "klaxon channel send"

/* One send under way. */
struct sending {
    struct klx_cli_channel *channel;
    const struct klx_sv *recipients;
    size_t recipients_n;
    int64_t begun_us;
    bool answered;
    int code;
};

/* The worst of all recipients counts. */
static int code_of(enum klx_verdict_class class) {
    switch (class) {
    case KLX_VERDICT_DELIVERED:
    case KLX_VERDICT_ACCEPTED:
        return KLX_EXIT_OK;
    case KLX_VERDICT_CREDENTIAL_BROKEN:
        return KLX_EXIT_DENIED;
    case KLX_VERDICT_RETRY_AFTER:
    case KLX_VERDICT_RETRY_BACKOFF:
    case KLX_VERDICT_AMBIGUOUS:
        return KLX_EXIT_UNAVAILABLE;
    default:
        return KLX_EXIT_FAILED;
    }
}

static void print_verdict(const struct sending *s, struct klx_sv recipient,
                          const struct klx_verdict *v, int64_t took_us) {
    struct klx_buf line KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&line, 8192);
    klx_buf_printf(&line, "channel/%s", s->channel->name);
    if (recipient.n > 0) {
        klx_buf_add_str(&line, " to ");
        klx_terminal_text_plain(&line, recipient);
    }
    klx_buf_printf(&line, " %s", klx_verdict_name(v->class));
    if (v->reason[0] != '\0') {
        klx_buf_printf(&line, ": %s", v->reason);
    }
    if (v->answer[0] != '\0' && strcmp(v->answer, v->reason) != 0) {
        klx_buf_add_str(&line, " (");
        klx_terminal_text_plain(&line, klx_sv(v->answer));
        klx_buf_add_char(&line, ')');
    }
    klx_buf_printf(&line, ", after %lld ms", (long long)(took_us / KLX_US_PER_MS));
    if (v->retry_after_ms > 0) {
        klx_buf_printf(&line, "; to be tried again in %lld s",
                       (long long)(v->retry_after_ms / 1000));
    }
    if (v->handle[0] != '\0') {
        klx_buf_add_str(&line, "; its id is ");
        klx_terminal_text_plain(&line, klx_sv(v->handle));
    }
    printf("%s\n", klx_buf_str(&line));
}

static void on_sent(void *arg, const struct klx_verdict *verdicts, size_t n) {
    struct sending *s = arg;
    struct klx_clock *clock = s->channel->env.clock;
    s->answered = true;
    for (size_t i = 0; i < n; i++) {
        int code = code_of(verdicts[i].class);
        s->code = code != KLX_EXIT_OK ? code : s->code;
        print_verdict(s, i < s->recipients_n ? s->recipients[i] : klx_sv(""), &verdicts[i],
                      clock->mono_us(clock) - s->begun_us);
    }
    klx_loop_stop(s->channel->env.loop);
}

static void on_deadline(void *arg) {
    struct sending *s = arg;
    fprintf(stderr, SEND ": %s: no answer within %d s\n", s->channel->name, ANSWER_MS / 1000);
    s->code = KLX_EXIT_UNAVAILABLE;
    klx_loop_stop(s->channel->env.loop);
}

static void on_signal(void *arg, int signum) {
    struct sending *s = arg;
    (void)signum;
    s->code = KLX_EXIT_INTERRUPTED;
    klx_loop_stop(s->channel->env.loop);
}

static int send_payload(struct klx_cli_channel *c, struct klx_sv payload, struct klx_sv id) {
    static const struct klx_sv nobody_in_particular = { "", 0 };
    struct sending s = { .channel = c, .recipients = &nobody_in_particular, .recipients_n = 1 };
    if (c->ops->recipients != NULL) {
        s.recipients_n = c->ops->recipients(c->channel, &s.recipients);
    }
    const struct klx_send send = { .payloads = &payload,
                                   .payloads_n = 1,
                                   .recipients = s.recipients,
                                   .recipients_n = s.recipients_n,
                                   .id = id };
    s.begun_us = c->env.clock->mono_us(c->env.clock);
    struct klx_timer *deadline = klx_timer_new(c->env.loop, on_deadline, &s);
    klx_timer_start(deadline, ANSWER_MS);
    klx_loop_on_signal(c->env.loop, on_signal, &s);
    c->ops->send(c->channel, &send, on_sent, &s);
    klx_loop_run(c->env.loop);
    klx_loop_on_signal(c->env.loop, NULL, NULL);
    klx_timer_free(deadline);
    return s.code;
}

static int send_event(const struct klx_cli_channels *channels, const struct options *o,
                      const struct klx_channel_settings *s, const struct klx_event_file *f) {
    struct klx_buf payload KLX_CLEANUP(klx_buf_release);
    struct klx_cli_channel c;
    struct klx_error e = { 0 };
    klx_buf_init(&payload, s->ops->payload_bytes_max);
    int code = KLX_EXIT_FAILED, rc = klx_cli_channel_open(channels, s, &c, &e);
    rc = rc == 0 ? klx_cli_channel_render(&c, f, NULL, &payload, &e) : rc;
    if (rc != 0) {
        fprintf(stderr, SEND ": %s: %s\n", s->name, e.text);
    } else if (o->dry_run) {
        printf("channel/%s would be sent %zu bytes (dry run); `klaxon render` shows them\n",
               s->name, payload.len);
        code = KLX_EXIT_OK;
    } else {
        code = send_payload(&c, klx_buf_sv(&payload), f->event.id);
    }
    klx_cli_channel_close(&c);
    return klx_cli_print(SEND, KLX_SV(""), code);
}

static int send(const struct klx_cli_channels *channels, const struct options *o,
                const char *name) {
    const struct klx_channel_settings *s = klx_cli_channel_find(SEND, channels, name);
    if (s == NULL) {
        return KLX_EXIT_FAILED;
    }
    struct klx_event_file f;
    struct klx_error e = { 0 };
    int rc = o->event != NULL ? klx_event_file_read(o->event, &f, &e)
                              : klx_event_file_test(name, klx_cli_now_us(), &f, &e);
    rc = rc == 0 && o->event != NULL ? klx_event_file_mark(&f, &e) : rc;
    int code = KLX_EXIT_FAILED;
    if (rc == 0) {
        code = send_event(channels, o, s, &f);
    } else {
        fprintf(stderr, SEND ": %s\n", e.text);
    }
    klx_event_file_release(&f);
    return code;
}

static const struct klx_option send_options[] = {
    KLX_CLI_OPTION_CONFIG,
    { "event", 'e', KLX_OPT_STR, offsetof(struct options, event), "FILE",
      "an event to send, marked as a test; - is stdin (default: a message that says it is a test)",
      NULL },
    { "dry-run", 0, KLX_OPT_FLAG, offsetof(struct options, dry_run), NULL, "do everything but send",
      NULL },
    { .name = NULL },
};

static int run_send(int argc, char **argv) {
    static const struct klx_command_help help = {
        .name = SEND,
        .operands = "CHANNEL",
        .summary = "Send a test message on a channel, and print its answer. No Kafka is needed.",
        .examples = "  klaxon channel send ops-slack --dry-run\n"
                    "  klaxon channel send ops-slack\n"
                    "  klaxon channel send ops-slack --event event.json\n",
    };
    struct options o = { 0 };
    struct klx_cli_channels channels = { 0 };
    int code = 0, first = klx_options_parse(argc, argv, &help, send_options, &o, &code);
    code = first < 0 ? code : klx_cli_operand(SEND, argc, argv, first, "CHANNEL");
    if (first < 0 || code != KLX_EXIT_OK) {
        return code;
    }
    code = klx_cli_channels_load(SEND, o.config, &channels);
    if (code == KLX_EXIT_OK) {
        code = send(&channels, &o, argv[first]);
        klx_cli_channels_release(&channels);
    }
    return code;
}

int klx_cli_channel(int argc, char **argv) {
    static const struct klx_cli_command verbs[] = {
        { "list", "Show the channels and how many subscriptions name each", list },
        { "send", "Send a test message and print the answer", run_send },
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
