/*
 * `klaxon dlq redrive` and `klaxon dlq discard`: what is done about dead letters.
 *
 * Redriven deliveries are written to klaxon.retry in the order of klaxon.dlq, in portions. Only what Kafka has acknowledged gets its mark on
 * klaxon.control: whatever breaks in between, something may be told twice, but nothing is taken as told that was not.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/channels.h"
#include "cli/dlq.h"
#include "cli/log.h"
#include "cli/terminal.h"
#include "lib/base/cleanup.h"
#include "lib/base/config.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"

#define REDRIVE "klaxon dlq redrive"
#define DISCARD "klaxon dlq discard"
#define PORTION 1000
#define PORTION_BYTES (6u << 20) /* well below what the producer holds */
#define ARENA_BYTES (1u << 20)
#define ARENA_BYTES_MAX (64u << 20)
#define LINE_BYTES_MAX 65536
#define OUTPUT_BYTES_MAX (64u << 20)

struct options {
    const char *config, *author, *reason, *output;
    struct klx_dlq_selection selection;
    int64_t max, rate;
    enum klx_letter_state to; /* what becomes of them */
    bool dry_run, again, quiet, yes;
};

struct run {
    const char *command;
    const struct options *o;
    const struct klx_cli_config *c;
    struct klx_cli_recipients recipients; /* of what is redriven */
    struct klx_arena arena;
    const struct klx_letter *letters[PORTION];
    struct klx_record deliveries[PORTION], marks[PORTION];
    size_t n;
    const struct klx_letter *warned; /* of whose channel it was said that it is not configured */
    size_t due, done, refused;
    int64_t portion_us;    /* when the last one was begun; 0: there was none */
    struct klx_buf report; /* of -o json: the items */
    struct klx_jw items;
    int code;           /* of Kafka, or KLX_EXIT_INTERRUPTED */
    bool named_refused; /* one of those that were asked for by id */
};

static bool names_ids(const struct options *o) {
    return o->selection.ids.n > 0 || o->selection.operands_n > 0;
}

/* Whether something is to be done about it, which its record is needed for. */
static bool is_due(const void *arg, const struct klx_letter *l) {
    const struct options *o = arg;
    return klx_dlq_selects(&o->selection, l) && (l->state == KLX_LETTER_OPEN || o->again);
}

/* Whose record is needed: to be sent, or to be looked at by --filter. */
static bool is_needed(const void *arg, const struct klx_letter *l) {
    const struct options *o = arg;
    return klx_dlq_is_filtered(&o->selection, l) || (o->to == KLX_LETTER_REDRIVEN && is_due(o, l));
}

static void report(struct run *r, struct klx_sv id, const struct klx_letter *l, const char *error) {
    klx_jw_begin_object(&r->items);
    klx_jw_member_sv(&r->items, "id", id);
    klx_jw_member_sv_null(&r->items, "channel", l != NULL ? l->channel : klx_sv(""));
    klx_jw_member_sv_null(&r->items, "event", l != NULL ? l->event : klx_sv(""));
    klx_jw_member_bool(&r->items, "done", error == NULL);
    klx_jw_member_sv_null(&r->items, "error", klx_sv(error != NULL ? error : ""));
    klx_jw_end_object(&r->items);
}

static void say(struct run *r, const struct klx_letter *l) {
    struct klx_buf line KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&line, LINE_BYTES_MAX);
    if (klx_cli_is_json(r->o->output)) {
        report(r, l->id, l, NULL);
        return;
    }
    klx_terminal_text_plain(&line, l->id);
    if (!r->o->quiet) {
        klx_buf_printf(&line, " %s%s: ", klx_letter_state_name(r->o->to),
                       r->o->dry_run ? " (dry run)" : "");
        klx_terminal_text_plain(&line, l->event_type.n > 0 ? l->event_type : l->reason);
        klx_buf_add_str(&line, l->channel.n > 0 ? " to " : " of ");
        klx_terminal_text_plain(&line, l->channel.n > 0 ? l->channel : l->sink);
    }
    printf("%s%s\n", r->o->quiet ? "" : "deadletter/", klx_buf_str(&line));
}

static void complain(struct run *r, struct klx_sv id, const struct klx_letter *l, const char *why) {
    struct klx_buf line KLX_CLEANUP(klx_buf_release);
    report(r, id, l, why);
    r->refused++;
    klx_buf_init(&line, LINE_BYTES_MAX);
    klx_terminal_text_plain(&line, id);
    fprintf(stderr, "%s: deadletter/%s %s\n", r->command, klx_buf_str(&line), why);
    r->named_refused = r->named_refused || names_ids(r->o);
}

static int make_mark(struct run *r, const struct klx_letter *l, struct klx_record *ret) {
    struct klx_buf key KLX_CLEANUP(klx_buf_release), value KLX_CLEANUP(klx_buf_release);
    const char *by = klx_cli_author(r->o->author);
    const struct klx_letter_mark m = { .state = r->o->to,
                                       .at_us = klx_cli_now_us(),
                                       .by = klx_sv(by != NULL ? by : "unknown"),
                                       .reason = klx_sv(r->o->reason != NULL ? r->o->reason : ""),
                                       .letter = l->place };
    klx_buf_init(&key, 4096);
    klx_buf_init(&value, KLX_LETTER_MARK_BYTES_MAX);
    klx_letter_mark_key(l->id, &key);
    klx_letter_mark_encode(&m, &value);
    *ret = (struct klx_record){ .partition = -1,
                                .timestamp_ms = m.at_us / KLX_US_PER_MS,
                                .key = klx_arena_dup(&r->arena, klx_buf_sv(&key)),
                                .value = klx_arena_dup(&r->arena, klx_buf_sv(&value)) };
    return klx_buf_check(&value) == 0 && klx_buf_check(&key) == 0 && ret->value.p != NULL ? 0 : -1;
}

/* With --rate: until as many seconds have gone by as what was written last may take. */
static int keep_rate(struct run *r) {
    int64_t now = klx_cli_now_us(), from = r->portion_us + KLX_US_PER_S;
    int code = KLX_EXIT_OK;
    if (r->o->rate > 0 && !r->o->dry_run && r->portion_us > 0 && from > now) {
        code = klx_cli_wait((from - now) / KLX_US_PER_MS + 1);
    }
    r->portion_us = klx_cli_now_us();
    return code;
}

static void flush(struct run *r) {
    int code = r->n > 0 ? keep_rate(r) : KLX_EXIT_OK;
    if (code != KLX_EXIT_OK) {
        r->code = code;
        r->n = 0;
        return;
    }
    if (r->n > 0 && r->o->to == KLX_LETTER_REDRIVEN && !r->o->dry_run) {
        code = klx_cli_write(r->command, r->c, KLX_TOPIC_RETRY, r->deliveries, r->n);
        if (code != KLX_EXIT_OK) {
            fprintf(stderr, "%s: of %zu deliveries some may be on %s; none is marked\n", r->command,
                    r->n, r->c->settings.topics.name[KLX_TOPIC_RETRY]);
        }
    }
    if (r->n > 0 && code == KLX_EXIT_OK && !r->o->dry_run) {
        code = klx_cli_write(r->command, r->c, KLX_TOPIC_CONTROL, r->marks, r->n);
        if (code != KLX_EXIT_OK && r->o->to == KLX_LETTER_REDRIVEN) {
            fprintf(stderr,
                    "%s: %zu are redriven, but not all could be marked: if they are redriven once "
                    "more, they are told once more\n",
                    r->command, r->n);
        }
    }
    for (size_t i = 0; i < r->n && code == KLX_EXIT_OK; i++) {
        say(r, r->letters[i]);
    }
    r->done += code == KLX_EXIT_OK ? r->n : 0;
    r->code = code;
    r->n = 0;
    klx_arena_reset(&r->arena);
}

/* Its sink keeps it then, and gives it up after give_up_after. */
static void look_for_channel(struct run *r, const struct klx_letter *l) {
    const struct klx_settings *s = &r->c->settings;
    for (size_t i = 0; i < s->channels_n; i++) {
        if (klx_sv_eq(klx_config_key(s->channels[i]), l->channel)) {
            return;
        }
    }
    if (r->warned == NULL || !klx_sv_eq(r->warned->channel, l->channel)) {
        struct klx_buf name KLX_CLEANUP(klx_buf_release);
        klx_buf_init(&name, LINE_BYTES_MAX);
        klx_terminal_text_plain(&name, l->channel);
        fprintf(stderr,
                "%s: the channel %s is not in this configuration; a sink that does not have it "
                "gives it up again\n",
                r->command, klx_buf_str(&name));
        r->warned = l;
    }
}

static int make_delivery(struct run *r, const struct klx_letter *l, struct klx_record *ret,
                         struct klx_error *e) {
    struct klx_parked p;
    int rc = klx_letter_parked(&r->arena, l->record, klx_cli_now_us(), &p, e);
    if (rc == 0) {
        rc = klx_parked_encode(&r->arena, r->c->settings.topics.name[KLX_TOPIC_RETRY], &p, ret);
        rc = rc == 0 ? 0 : klx_fail(e, rc, "it is larger than klaxon carries");
    }
    return rc;
}

/* The sink would tell all that the channel has, of whom each may know already. */
static bool is_for_somebody_else(struct run *r, const struct klx_letter *l) {
    return l->recipient.n > 0 &&
           !klx_cli_recipients_may_have(&r->recipients, l->channel, l->recipient);
}

static size_t portion_of(const struct run *r) {
    return r->o->rate > 0 && r->o->rate < PORTION ? (size_t)r->o->rate : PORTION;
}

static void take(struct run *r, const struct klx_letter *l) {
    struct klx_error e = { 0 };
    if (r->o->to == KLX_LETTER_REDRIVEN) {
        if (l->record == NULL) {
            return;
        }
        if (make_delivery(r, l, &r->deliveries[r->n], &e) != 0) {
            char why[sizeof(e.text) + 32];
            snprintf(why, sizeof(why), "cannot be redriven: %s", e.text);
            complain(r, l->id, l, why);
            return;
        }
        if (is_for_somebody_else(r, l)) {
            complain(r, l->id, l,
                     "cannot be redriven: its recipient is none of the channel's any more");
            return;
        }
        look_for_channel(r, l);
    }
    if (make_mark(r, l, &r->marks[r->n]) != 0) {
        complain(r, l->id, l, "cannot be marked: its mark would be too large");
        return;
    }
    r->letters[r->n++] = l;
    if (r->n == portion_of(r) || r->arena.used_bytes > PORTION_BYTES) {
        flush(r);
    }
}

static void take_all(struct run *r, const struct klx_letters *all) {
    for (const struct klx_letter *l = klx_letters_next(all, NULL);
         l != NULL && r->code == KLX_EXIT_OK; l = klx_letters_next(all, l)) {
        if (is_due(r->o, l)) {
            if (r->o->max > 0 && r->done + r->n >= (size_t)r->o->max) {
                break;
            }
            take(r, l);
        }
    }
    if (r->code == KLX_EXIT_OK) {
        flush(r);
    }
}

static void check_id(struct run *r, const struct klx_letters *all, const char *id) {
    const struct klx_letter *l = klx_letters_next(all, NULL);
    while (l != NULL && !klx_sv_eq(l->id, klx_sv(id))) {
        l = klx_letters_next(all, l);
    }
    if (l == NULL) {
        complain(r, klx_sv(id), NULL, "is not there: `klaxon dlq list --all` shows them");
    } else if (l->state == KLX_LETTER_REDRIVEN && !r->o->again) {
        complain(r, l->id, l, "was redriven before; --again does it once more");
    } else if (l->state == KLX_LETTER_DISCARDED && !r->o->again) {
        complain(r, l->id, l, "was discarded before; --again handles it all the same");
    }
}

/* What was named and is not to be handled is said; of what a filter found, only what is open is meant. */
static void check_ids(struct run *r, const struct klx_letters *all) {
    const struct klx_dlq_selection *s = &r->o->selection;
    for (size_t i = 0; i < s->ids.n; i++) {
        check_id(r, all, s->ids.items[i]);
    }
    for (size_t i = 0; i < s->operands_n; i++) {
        check_id(r, all, s->operands[i]);
    }
}

/* What is to be handled: how much, one of it, and whether there are others than of its channel. */
struct asked {
    size_t n;
    const struct klx_letter *first;
    bool others;
};

static struct asked look_at_all(const struct run *r, const struct klx_letters *all) {
    struct asked a = { .n = 0 };
    const struct klx_letter *l = klx_letters_next(all, NULL);
    for (; l != NULL; l = klx_letters_next(all, l)) {
        if (is_due(r->o, l)) {
            a.n++;
            a.first = a.first == NULL ? l : a.first;
            a.others = a.others || !klx_sv_eq(a.first->channel, l->channel);
        }
    }
    return a;
}

static int ask(struct run *r, const struct klx_letters *all) {
    struct klx_buf question KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&question, LINE_BYTES_MAX);
    const struct asked a = look_at_all(r, all);
    r->due = a.n;
    if (a.n == 0 || r->o->dry_run) {
        return KLX_EXIT_OK;
    }
    size_t n = r->o->max > 0 && (size_t)r->o->max < a.n ? (size_t)r->o->max : a.n;
    klx_buf_printf(&question, "%zu dead letter%s of ", n, n == 1 ? "" : "s");
    klx_terminal_text_plain(&question, a.first->channel.n > 0 ? a.first->channel : a.first->sink);
    klx_buf_printf(&question, "%s would be %s.", a.others ? " and other channels" : "",
                   klx_letter_state_name(r->o->to));
    return klx_cli_ask(r->command, r->o->yes, klx_buf_str(&question));
}

static void say_what_is_left(const struct run *r) {
    size_t left = r->due > r->done + r->refused ? r->due - r->done - r->refused : 0;
    if (left > 0 && r->code == KLX_EXIT_OK) {
        fprintf(stderr, "%s: %zu more are left: run it again\n", r->command, left);
    } else if (r->done > 0 && (r->code != KLX_EXIT_OK || r->named_refused)) {
        fprintf(stderr, "%s: %zu are %s, %zu are not\n", r->command, r->done,
                klx_letter_state_name(r->o->to), left + r->refused);
    } else if (r->done == 0 && !r->named_refused && r->code == KLX_EXIT_OK) {
        fprintf(stderr, "%s: nothing to do\n", r->command);
    }
}

static int code_of(const struct run *r) {
    int code = r->code == KLX_EXIT_OK && r->named_refused ? KLX_EXIT_FAILED : r->code;
    return r->done > 0 && code != KLX_EXIT_OK && code != KLX_EXIT_INTERRUPTED ? KLX_EXIT_PARTLY
                                                                              : code;
}

static void write_report(const struct run *r, struct klx_buf *out) {
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "apiVersion", "klaxon.io/v1");
    klx_jw_member_str(&w, "kind", "DeadLetterResult");
    klx_jw_member_str(&w, "state", klx_letter_state_name(r->o->to));
    klx_jw_member_bool(&w, "dryRun", r->o->dry_run);
    klx_jw_member_int(&w, "due", (int64_t)r->due);
    klx_jw_member_int(&w, "done", (int64_t)r->done);
    klx_jw_member_int(&w, "refused", (int64_t)r->refused);
    klx_jw_key(&w, "items");
    klx_jw_raw(&w, klx_buf_sv(&r->report));
    klx_jw_end_object(&w);
    klx_buf_add_char(out, '\n');
}

static int run(struct run *r, struct klx_letters *all, struct klx_buf *out) {
    int code = klx_letters_read(r->command, r->c, klx_dlq_start_ms(&r->o->selection), all);
    if (code != KLX_EXIT_OK) {
        return code;
    }
    klx_dlq_filter(r->command, &r->o->selection, all);
    klx_jw_init(&r->items, &r->report);
    klx_jw_begin_array(&r->items);
    check_ids(r, all);
    code = ask(r, all);
    if (code != KLX_EXIT_OK) {
        return code;
    }
    take_all(r, all);
    klx_jw_end_array(&r->items);
    say_what_is_left(r);
    if (klx_cli_is_json(r->o->output)) {
        write_report(r, out);
    }
    return code_of(r);
}

static int handle(const char *command, const struct options *o) {
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    struct klx_cli_config c = { 0 };
    struct klx_cli_channels channels = { 0 };
    klx_buf_init(&out, OUTPUT_BYTES_MAX);
    int code = o->dry_run ? KLX_EXIT_OK : klx_cli_ask_first(command, o->yes);
    code = code == KLX_EXIT_OK ? klx_cli_config_load(command, o->config, &c) : code;
    if (code == KLX_EXIT_OK && o->to == KLX_LETTER_REDRIVEN) {
        code = klx_cli_channels_load(command, o->config, &channels);
    }
    if (code == KLX_EXIT_OK) {
        struct run *r = klx_alloc(struct run);
        struct klx_letters *all = klx_letters_new(is_needed, o);
        r->command = command;
        r->o = o;
        r->c = &c;
        r->recipients.all = &channels;
        klx_arena_init(&r->arena, ARENA_BYTES, ARENA_BYTES_MAX);
        klx_buf_init(&r->report, OUTPUT_BYTES_MAX / 2);
        code = run(r, all, &out);
        klx_cli_recipients_release(&r->recipients);
        klx_arena_release(&r->arena);
        klx_buf_release(&r->report);
        free(r);
        klx_letters_free(all);
    }
    klx_cli_channels_release(&channels);
    klx_cli_config_release(&c);
    return klx_cli_print(command, klx_buf_sv(&out), code);
}

/* clang-format off */
#define SELECTING                                                                                          \
    { "id", 0, KLX_OPT_STRS, offsetof(struct options, selection.ids), "ID",                                \
      "this one; repeatable, and an operand is the same", NULL },                                          \
    { "channel", 0, KLX_OPT_STR, offsetof(struct options, selection.channel), "NAME",                      \
      "those of this channel", NULL },                                                                     \
    { "reason", 0, KLX_OPT_STR, offsetof(struct options, selection.reason), "NAME",                        \
      "those with this reason, as gave_up", NULL },                                                        \
    { "since", 0, KLX_OPT_STR, offsetof(struct options, selection.since), "TIME",                          \
      "those written since then", NULL },                                                                  \
    KLX_DLQ_OPTION_FILTER
#define COMMON                                                                                             \
    { "author", 'a', KLX_OPT_STR, offsetof(struct options, author), "NAME", "who (default: $USER)", NULL }, \
    { "again", 0, KLX_OPT_FLAG, offsetof(struct options, again), NULL,                                     \
      "also what was redriven or discarded before", NULL },                                                \
    { "dry-run", 0, KLX_OPT_FLAG, offsetof(struct options, dry_run), NULL,                                 \
      "say what would be done, and write nothing", NULL },                                                 \
    { "yes", 'y', KLX_OPT_FLAG, offsetof(struct options, yes), NULL,                                       \
      "do not ask; needed where there is no terminal", NULL },                                             \
    { "quiet", 'q', KLX_OPT_FLAG, offsetof(struct options, quiet), NULL, "print the ids only", NULL },     \
    { "output", 'o', KLX_OPT_CHOICE, offsetof(struct options, output), NULL,                               \
      "a line each, or one JSON document", "text|json" },                                                  \
    KLX_CLI_OPTION_CONFIG
/* clang-format on */

static const struct klx_option redrive_options[] = {
    SELECTING,
    { "max", 0, KLX_OPT_INT, offsetof(struct options, max), "N", "at most so many, the oldest",
      NULL },
    { "rate", 0, KLX_OPT_INT, offsetof(struct options, rate), "N", "at most so many a second",
      NULL },
    COMMON,
    { .name = NULL },
};

static const struct klx_option discard_options[] = {
    SELECTING,
    { "reason-text", 'm', KLX_OPT_STR, offsetof(struct options, reason), "TEXT", "why (required)",
      NULL },
    COMMON,
    { .name = NULL },
};

static int begin(const struct klx_command_help *help, int argc, char **argv, int first,
                 struct options *o) {
    struct klx_error e = { 0 };
    o->selection.operands = argv + first;
    o->selection.operands_n = (size_t)(argc - first);
    if (klx_dlq_selection_is_empty(&o->selection)) {
        return klx_cli_usage(help->name,
                             "which? Give ids, --channel, --reason, --since or --filter");
    }
    return klx_dlq_selection_begin(&o->selection, klx_cli_now_us(), &e) == 0
               ? KLX_EXIT_OK
               : klx_cli_usage(help->name, e.text);
}

int klx_dlq_redrive(int argc, char **argv) {
    static const struct klx_command_help help = {
        .name = REDRIVE,
        .operands = "[ID…]",
        .summary = "Have the channels told after all: what all filters select, in order.",
        .examples = "  klaxon dlq redrive --channel ops-slack --since 1d --dry-run\n"
                    "  klaxon dlq redrive --reason gave_up --max 100 --rate 5 --dry-run\n",
    };
    struct options o = { .to = KLX_LETTER_REDRIVEN };
    int code = 0, first = klx_options_parse(argc, argv, &help, redrive_options, &o, &code);
    if (first < 0) {
        return code;
    }
    code = begin(&help, argc, argv, first, &o);
    if (code == KLX_EXIT_OK && o.max < 0) {
        code = klx_cli_usage(REDRIVE, "--max is not a number of dead letters");
    } else if (code == KLX_EXIT_OK && o.rate < 0) {
        code = klx_cli_usage(REDRIVE, "--rate is not a number of dead letters a second");
    }
    code = code == KLX_EXIT_OK ? handle(REDRIVE, &o) : code;
    klx_dlq_selection_release(&o.selection);
    return code;
}

int klx_dlq_discard(int argc, char **argv) {
    static const struct klx_command_help help = {
        .name = DISCARD,
        .operands = "[ID…]",
        .summary = "Leave it at that: what all filters select is not listed any more.",
        .examples = "  klaxon dlq discard --reason not_cloudevent -m 'a test of the bridge' "
                    "--dry-run\n",
    };
    struct options o = { .to = KLX_LETTER_DISCARDED };
    int code = 0, first = klx_options_parse(argc, argv, &help, discard_options, &o, &code);
    if (first < 0) {
        return code;
    }
    code = begin(&help, argc, argv, first, &o);
    if (code == KLX_EXIT_OK && (o.reason == NULL || o.reason[0] == '\0')) {
        code = klx_cli_usage(DISCARD, "--reason-text TEXT is missing: why nobody needs them");
    }
    code = code == KLX_EXIT_OK ? handle(DISCARD, &o) : code;
    klx_dlq_selection_release(&o.selection);
    return code;
}
