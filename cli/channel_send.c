/*
 * `klaxon channel send`: a real message by which a channel is tried.
 */
#include "cli/channel_send.h"

#include <stdio.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/channels.h"
#include "cli/command.h"
#include "cli/event_file.h"
#include "cli/terminal.h"
#include "lib/base/cleanup.h"
#include "lib/base/time.h"

#define SEND "klaxon channel send"

#define OUTPUT_BYTES_MAX (4u << 20)
#define ANSWER_MS 60000

struct options {
    const char *config, *output, *event;
    bool dry_run, yes;
};

/* One send under way. */
struct sending {
    struct klx_cli_channel *channel;
    struct klx_jw *json; /* the items of -o json; NULL: lines */
    const struct klx_sv *recipients;
    size_t recipients_n;
    int64_t begun_us;
    size_t taken; /* by so many recipients */
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

static void write_verdict(struct klx_jw *w, struct klx_sv recipient, const struct klx_verdict *v,
                          int64_t took_us) {
    klx_jw_begin_object(w);
    klx_jw_member_sv_null(w, "recipient", recipient);
    klx_jw_member_str(w, "verdict", klx_verdict_name(v->class));
    klx_jw_member_sv_null(w, "reason", klx_sv(v->reason));
    klx_jw_member_sv_null(w, "answer", klx_sv(v->answer));
    klx_jw_member_sv_null(w, "handle", klx_sv(v->handle));
    klx_jw_key(w, "retryAfterMs");
    if (v->retry_after_ms > 0) {
        klx_jw_int(w, v->retry_after_ms);
    } else {
        klx_jw_null(w);
    }
    klx_jw_member_int(w, "tookMs", took_us / KLX_US_PER_MS);
    klx_jw_end_object(w);
}

static void on_sent(void *arg, const struct klx_verdict *verdicts, size_t n) {
    struct sending *s = arg;
    struct klx_clock *clock = s->channel->env.clock;
    int64_t took_us = clock->mono_us(clock) - s->begun_us;
    for (size_t i = 0; i < n; i++) {
        struct klx_sv recipient = i < s->recipients_n ? s->recipients[i] : klx_sv("");
        int code = code_of(verdicts[i].class);
        s->code = code != KLX_EXIT_OK ? code : s->code;
        s->taken += code == KLX_EXIT_OK;
        if (s->json != NULL) {
            write_verdict(s->json, recipient, &verdicts[i], took_us);
        } else {
            print_verdict(s, recipient, &verdicts[i], took_us);
        }
    }
    s->code = s->taken > 0 && s->taken < n ? KLX_EXIT_PARTLY : s->code;
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

static int send_payload(struct klx_cli_channel *c, struct klx_sv payload, struct klx_sv id,
                        struct klx_jw *json) {
    static const struct klx_sv nobody_in_particular = { "", 0 };
    struct sending s = {
        .channel = c, .json = json, .recipients = &nobody_in_particular, .recipients_n = 1
    };
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

static void begin_document(struct klx_jw *w, struct klx_buf *out, const struct klx_cli_channel *c,
                           const struct options *o, size_t bytes) {
    klx_jw_init(w, out);
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "apiVersion", "klaxon.io/v1");
    klx_jw_member_str(w, "kind", "SendResult");
    klx_jw_member_str(w, "channel", c->name);
    klx_jw_member_str(w, "sink", c->ops->name);
    klx_jw_member_bool(w, "dryRun", o->dry_run);
    klx_jw_member_int(w, "bytes", (int64_t)bytes);
    klx_jw_member_int(w, "bytesMax", (int64_t)c->ops->payload_bytes_max);
    klx_jw_key(w, "items");
    klx_jw_begin_array(w);
}

/* What was rendered: asked about, sent, and said. */
static int send_rendered(struct klx_cli_channel *c, const struct options *o, struct klx_sv payload,
                         struct klx_sv id, struct klx_buf *out) {
    struct klx_buf question KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    bool json = klx_cli_is_json(o->output);
    klx_buf_init(&question, 4096);
    klx_buf_printf(&question, "channel/%s would be sent a real message, marked as a test.",
                   c->name);
    int code = o->dry_run ? KLX_EXIT_OK : klx_cli_ask(SEND, o->yes, klx_buf_str(&question));
    if (code != KLX_EXIT_OK) {
        return code;
    }
    begin_document(&w, out, c, o, payload.n);
    if (!o->dry_run) {
        code = send_payload(c, payload, id, json ? &w : NULL);
    } else if (!json) {
        printf("channel/%s would be sent %zu bytes (dry run); `klaxon render` shows them\n",
               c->name, payload.n);
    }
    klx_cli_list_end(&w);
    if (!json) {
        klx_buf_reset(out);
    }
    return code;
}

static int send_event(const struct klx_cli_channels *channels, const struct options *o,
                      const struct klx_channel_settings *s, const struct klx_event_file *f) {
    struct klx_buf payload KLX_CLEANUP(klx_buf_release), out KLX_CLEANUP(klx_buf_release);
    struct klx_cli_channel c;
    struct klx_error e = { 0 };
    klx_buf_init(&payload, s->ops->payload_bytes_max);
    klx_buf_init(&out, OUTPUT_BYTES_MAX);
    int code = KLX_EXIT_FAILED, rc = klx_cli_channel_open(channels, s, &c, &e);
    rc = rc == 0 ? klx_cli_channel_render(&c, f, NULL, &payload, &e) : rc;
    if (rc != 0) {
        fprintf(stderr, SEND ": %s: %s\n", s->name, e.text);
    } else {
        code = send_rendered(&c, o, klx_buf_sv(&payload), f->event.id, &out);
    }
    klx_cli_channel_close(&c);
    return klx_cli_print(SEND, klx_buf_sv(&out), code);
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
    rc = rc == 0 && o->event != NULL ? klx_event_file_mark(&f, "TEST: ", &e) : rc;
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
    { "yes", 'y', KLX_OPT_FLAG, offsetof(struct options, yes), NULL,
      "do not ask; needed where there is no terminal", NULL },
    { "output", 'o', KLX_OPT_CHOICE, offsetof(struct options, output), NULL,
      "a line for each recipient, or one JSON document", "text|json" },
    { .name = NULL },
};

int klx_cli_channel_send(int argc, char **argv) {
    static const struct klx_command_help help = {
        .name = SEND,
        .operands = "CHANNEL",
        .summary = "Send a test message on a channel, and print its answer. No Kafka is needed.",
        .examples = "  klaxon channel send ops-slack --dry-run\n"
                    "  klaxon channel send ops-slack --yes\n"
                    "  klaxon channel send ops-slack --event event.json --dry-run\n",
    };
    struct options o = { 0 };
    struct klx_cli_channels channels = { 0 };
    int code = 0, first = klx_options_parse(argc, argv, &help, send_options, &o, &code);
    code = first < 0 ? code : klx_cli_operand(SEND, argc, argv, first, "CHANNEL");
    if (first < 0 || code != KLX_EXIT_OK) {
        return code;
    }
    code = o.dry_run ? KLX_EXIT_OK : klx_cli_ask_first(SEND, o.yes);
    code = code == KLX_EXIT_OK ? klx_cli_channels_load(SEND, o.config, &channels) : code;
    if (code == KLX_EXIT_OK) {
        code = send(&channels, &o, argv[first]);
        klx_cli_channels_release(&channels);
    }
    return code;
}
