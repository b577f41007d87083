/*
 * `klaxon dlq show`.
 */
#include <errno.h>
#include <stdio.h>

#include "cli/dlq.h"
#include "cli/letter_request.h"
#include "cli/terminal.h"
#include "lib/base/cleanup.h"
#include "lib/base/time.h"

#define SHOW "klaxon dlq show"
#define OUTPUT_BYTES_MAX (64u << 20)

struct options {
    const char *config, *output;
};

static void add_row(struct klx_buf *out, const char *name, struct klx_sv value) {
    if (value.n > 0) {
        klx_buf_printf(out, "%-12s", name);
        klx_terminal_text_plain(out, value);
        klx_buf_add_char(out, '\n');
    }
}

static void add_what_was_done(struct klx_buf *out, const struct klx_letter *l) {
    char at[KLX_TIME_TEXT_BYTES];
    klx_buf_printf(out, "%-12s%s", "state", klx_letter_state_name(l->state));
    if (l->state != KLX_LETTER_OPEN) {
        klx_time_format(l->mark.at_us, KLX_TIME_SECONDS, at);
        klx_buf_printf(out, " at %s by ", at);
        klx_terminal_text_plain(out, l->mark.by);
    }
    if (l->mark.reason.n > 0) {
        klx_buf_add_str(out, ": ");
        klx_terminal_text_plain(out, l->mark.reason);
    }
    klx_buf_add_char(out, '\n');
}

static void add_attempts(struct klx_arena *a, struct klx_buf *out, const struct klx_json *data) {
    int64_t n = klx_json_int(data, "attempts", 0), lost = klx_json_int(data, "ambiguous", 0);
    struct klx_sv first = klx_json_str(data, "firstAttempt"),
                  last = klx_json_str(data, "lastAttempt");
    struct klx_sv times = first.n > 0 ? klx_arena_printf(a, ", from %.*s to %.*s",
                                                         KLX_SV_FMT(first), KLX_SV_FMT(last))
                                      : klx_sv("");
    struct klx_sv unanswered =
        lost > 0 ? klx_arena_printf(a, ", %lld without an answer", (long long)lost) : klx_sv("");
    add_row(out, "attempts",
            klx_arena_printf(a, "%lld%.*s%.*s", (long long)n, KLX_SV_FMT(unanswered),
                             KLX_SV_FMT(times)));
}

/* "name (detail)", or what there is of it. */
static struct klx_sv with_detail(struct klx_arena *a, struct klx_sv name, struct klx_sv detail) {
    return detail.n > 0 ? klx_arena_printf(a, "%.*s (%.*s)", KLX_SV_FMT(name), KLX_SV_FMT(detail))
                        : name;
}

static void add_original(struct klx_arena *a, struct klx_buf *out, const struct klx_json *data) {
    const struct klx_json *original = klx_json_get(data, "original");
    struct klx_sv topic = klx_json_str(original, "topic");
    add_row(out, "read from",
            klx_arena_printf(a, "%.*s/%lld@%lld", KLX_SV_FMT(topic),
                             (long long)klx_json_int(original, "partition", -1),
                             (long long)klx_json_int(original, "offset", -1)));
    add_row(out, "key", klx_json_str(original, "key"));
    struct klx_buf json KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&json, OUTPUT_BYTES_MAX);
    klx_jw_init(&w, &json);
    klx_jw_node(&w, original);
    klx_buf_add_str(out, "original\n");
    klx_terminal_json(out, klx_buf_sv(&json));
    klx_buf_add_char(out, '\n');
}

static void write_letter(struct klx_arena *a, const struct klx_letter *l,
                         const struct klx_json *data, const struct klx_letter_request *request,
                         struct klx_buf *out) {
    char time[KLX_TIME_TEXT_BYTES];
    klx_time_format(l->time_us, KLX_TIME_MILLIS, time);
    add_row(out, "id", l->id);
    add_row(out, "time", klx_sv(time));
    add_what_was_done(out, l);
    add_row(out, "channel", with_detail(a, l->channel, l->sink));
    add_row(out, "team", with_detail(a, l->team, klx_json_str(data, "subscription")));
    add_row(out, "recipient", l->recipient);
    add_row(out, "reason", l->reason);
    add_row(out, "verdict", with_detail(a, klx_json_str(data, "verdict"), l->code));
    add_row(out, "answer", klx_json_str(data, "answer"));
    add_attempts(a, out, data);
    add_row(out, "event", l->event);
    add_row(out, "type", l->event_type);
    add_row(out, "happened", klx_json_str(data, "eventTime"));
    add_row(out, "incident", klx_json_str(data, "incident"));
    add_row(out, "notice", klx_json_str(data, "notice"));
    add_row(out, "summary", l->summary);
    klx_letter_request_write(request, out);
    add_original(a, out, data);
}

static void write_document(const struct klx_letter *l, const struct klx_json *data,
                           const struct klx_letter_request *request, struct klx_buf *out) {
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "apiVersion", "klaxon.io/v1");
    klx_jw_member_str(&w, "kind", "DeadLetter");
    klx_jw_member_sv(&w, "id", l->id);
    klx_jw_member_time(&w, "time", l->time_us);
    klx_jw_member_int(&w, "partition", l->place.partition);
    klx_jw_member_int(&w, "offset", l->place.offset);
    klx_dlq_write_state(&w, l);
    klx_jw_key(&w, "data");
    klx_jw_node(&w, data);
    klx_letter_request_write_json(request, &w);
    klx_jw_end_object(&w);
    klx_buf_add_char(out, '\n');
}

static bool is_the_one(const void *arg, const struct klx_letter *l) {
    return klx_sv_eq(l->id, klx_sv(arg));
}

static int write_one(const struct klx_cli_channels *channels, const struct klx_letter *l, bool json,
                     struct klx_buf *out) {
    const struct klx_json *data = NULL;
    struct klx_arena arena;
    struct klx_letter_request request;
    klx_arena_init(&arena, 65536, OUTPUT_BYTES_MAX);
    int rc = l->record == NULL ? -EMSGSIZE : klx_letter_data(&arena, l->record, &data, NULL);
    if (rc == 0) {
        klx_letter_request_make(channels, l, &request);
        if (json) {
            write_document(l, data, &request, out);
        } else {
            write_letter(&arena, l, data, &request, out);
        }
        klx_letter_request_release(&request);
    } else {
        fprintf(stderr, SHOW ": it is larger than klaxon reads\n");
    }
    klx_arena_release(&arena);
    return rc == 0 ? KLX_EXIT_OK : KLX_EXIT_FAILED;
}

static int show_letter(const struct klx_cli_channels *channels, const struct klx_letters *all,
                       const char *id, bool json, struct klx_buf *out) {
    const struct klx_letter *l = klx_letters_next(all, NULL);
    while (l != NULL && !is_the_one(id, l)) {
        l = klx_letters_next(all, l);
    }
    if (l == NULL) {
        fprintf(stderr,
                SHOW ": there is no dead letter %.80s: `klaxon dlq list --all` shows them\n", id);
        return KLX_EXIT_FAILED;
    }
    return write_one(channels, l, json, out);
}

static const struct klx_option show_options[] = {
    { "output", 'o', KLX_OPT_CHOICE, offsetof(struct options, output), NULL,
      "lines, or one JSON document", "text|json" },
    KLX_CLI_OPTION_CONFIG,
    { .name = NULL },
};

int klx_dlq_show(int argc, char **argv) {
    static const struct klx_command_help help = {
        .name = SHOW,
        .operands = "ID",
        .summary =
            "Show a dead letter: whom it was for, what was answered, the request and the event.",
        .examples = "  klaxon dlq list -q | head -1 | xargs -r klaxon dlq show\n",
    };
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, OUTPUT_BYTES_MAX);
    struct options o = { 0 };
    struct klx_cli_config c = { 0 };
    int code = 0, first = klx_options_parse(argc, argv, &help, show_options, &o, &code);
    code = first < 0 ? code : klx_cli_operand(SHOW, argc, argv, first, "ID");
    code = first >= 0 && code == KLX_EXIT_OK ? klx_cli_config_load(SHOW, o.config, &c) : code;
    if (first < 0 || code != KLX_EXIT_OK) {
        return code;
    }
    struct klx_cli_channels channels = { 0 };
    struct klx_letters *all = klx_letters_new(is_the_one, argv[first]);
    /* Mistakes are said; the letter is shown without its request, for it may be what led to them. */
    bool good = klx_cli_channels_load(SHOW, o.config, &channels) == KLX_EXIT_OK;
    code = klx_letters_read(SHOW, &c, -1, all);
    if (code == KLX_EXIT_OK) {
        code =
            show_letter(good ? &channels : NULL, all, argv[first], klx_cli_is_json(o.output), &out);
    }
    klx_letters_free(all);
    if (good) {
        klx_cli_channels_release(&channels);
    }
    klx_cli_config_release(&c);
    return klx_cli_print(SHOW, klx_buf_sv(&out), code);
}
