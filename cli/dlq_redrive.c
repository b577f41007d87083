/*
 * `klaxon dlq redrive` and `klaxon dlq discard`: what is done about dead letters.
 *
 * Redriven deliveries are written to klaxon.retry in the order of klaxon.dlq, in portions. Only what Kafka has acknowledged gets its mark on
 * klaxon.control: whatever breaks in between, something may be told twice, but nothing is taken as told that was not.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

struct options {
    const char *config, *author, *reason;
    struct klx_dlq_selection selection;
    int64_t max;
    bool dry_run, again, quiet;
};

struct run {
    const char *command;
    const struct options *o;
    const struct klx_cli_config *c;
    enum klx_letter_state to;
    struct klx_cli_recipients recipients; /* of what is redriven */
    struct klx_arena arena;
    const struct klx_letter *letters[PORTION];
    struct klx_record deliveries[PORTION], marks[PORTION];
    size_t n;
    const struct klx_letter *warned; /* of whose channel it was said that it is not configured */
    size_t done, left;
    int code; /* of Kafka */
    bool refused;
};

static bool names_ids(const struct options *o) {
    return o->selection.ids.n > 0 || o->selection.operands_n > 0;
}

/* Whether something is to be done about it, which its record is needed for. */
static bool is_due(const void *arg, const struct klx_letter *l) {
    const struct options *o = arg;
    return klx_dlq_selects(&o->selection, l) && (l->state == KLX_LETTER_OPEN || o->again);
}

static void say(const struct run *r, const struct klx_letter *l) {
    struct klx_buf line KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&line, LINE_BYTES_MAX);
    klx_terminal_text_plain(&line, l->id);
    if (!r->o->quiet) {
        klx_buf_printf(&line, " %s%s: ", klx_letter_state_name(r->to),
                       r->o->dry_run ? " (dry run)" : "");
        klx_terminal_text_plain(&line, l->event_type.n > 0 ? l->event_type : l->reason);
        klx_buf_add_str(&line, l->channel.n > 0 ? " to " : " of ");
        klx_terminal_text_plain(&line, l->channel.n > 0 ? l->channel : l->sink);
    }
    printf("%s%s\n", r->o->quiet ? "" : "deadletter/", klx_buf_str(&line));
}

static void complain(struct run *r, struct klx_sv id, const char *why) {
    struct klx_buf line KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&line, LINE_BYTES_MAX);
    klx_terminal_text_plain(&line, id);
    fprintf(stderr, "%s: deadletter/%s %s\n", r->command, klx_buf_str(&line), why);
    r->refused = r->refused || names_ids(r->o);
}

static int make_mark(struct run *r, const struct klx_letter *l, struct klx_record *ret) {
    struct klx_buf key KLX_CLEANUP(klx_buf_release), value KLX_CLEANUP(klx_buf_release);
    const char *user = getenv("USER");
    const char *by = r->o->author != NULL ? r->o->author : user;
    const struct klx_letter_mark m = { .state = r->to,
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

static void flush(struct run *r) {
    int code = KLX_EXIT_OK;
    if (r->n > 0 && r->to == KLX_LETTER_REDRIVEN && !r->o->dry_run) {
        code = klx_cli_write(r->command, r->c, KLX_TOPIC_RETRY, r->deliveries, r->n);
        if (code != KLX_EXIT_OK) {
            fprintf(stderr, "%s: of %zu deliveries some may be on %s; none is marked\n", r->command,
                    r->n, r->c->settings.topics.name[KLX_TOPIC_RETRY]);
        }
    }
    if (r->n > 0 && code == KLX_EXIT_OK && !r->o->dry_run) {
        code = klx_cli_write(r->command, r->c, KLX_TOPIC_CONTROL, r->marks, r->n);
        if (code != KLX_EXIT_OK && r->to == KLX_LETTER_REDRIVEN) {
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

static void take(struct run *r, const struct klx_letter *l) {
    struct klx_error e = { 0 };
    if (r->to == KLX_LETTER_REDRIVEN) {
        if (l->record == NULL) {
            r->left++;
            return;
        }
        if (make_delivery(r, l, &r->deliveries[r->n], &e) != 0) {
            char why[sizeof(e.text) + 32];
            snprintf(why, sizeof(why), "cannot be redriven: %s", e.text);
            complain(r, l->id, why);
            return;
        }
        if (is_for_somebody_else(r, l)) {
            complain(r, l->id,
                     "cannot be redriven: its recipient is none of the channel's any more");
            return;
        }
        look_for_channel(r, l);
    }
    if (make_mark(r, l, &r->marks[r->n]) != 0) {
        complain(r, l->id, "cannot be marked: its mark would be too large");
        return;
    }
    r->letters[r->n++] = l;
    if (r->n == PORTION || r->arena.used_bytes > PORTION_BYTES) {
        flush(r);
    }
}

static void take_all(struct run *r, const struct klx_letters *all) {
    for (const struct klx_letter *l = klx_letters_next(all, NULL);
         l != NULL && r->code == KLX_EXIT_OK; l = klx_letters_next(all, l)) {
        if (is_due(r->o, l)) {
            if (r->o->max > 0 && r->done + r->n >= (size_t)r->o->max) {
                r->left++;
                continue;
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
        complain(r, klx_sv(id), "is not there: `klaxon dlq list --all` shows them");
    } else if (l->state == KLX_LETTER_REDRIVEN && !r->o->again) {
        complain(r, l->id, "was redriven before; --again does it once more");
    } else if (l->state == KLX_LETTER_DISCARDED && !r->o->again) {
        complain(r, l->id, "was discarded before; --again handles it all the same");
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

static int sum_up(const struct run *r) {
    if (r->code != KLX_EXIT_OK) {
        return r->code;
    }
    if (r->left > 0) {
        fprintf(stderr, "%s: %zu more are left: run it again\n", r->command, r->left);
    }
    if (r->done == 0 && !r->refused) {
        fprintf(stderr, "%s: nothing to do\n", r->command);
    }
    return r->refused ? KLX_EXIT_FAILED : KLX_EXIT_OK;
}

static int handle(const char *command, const struct options *o, enum klx_letter_state to) {
    struct klx_cli_config c = { 0 };
    struct klx_cli_channels channels = { 0 };
    int code = klx_cli_config_load(command, o->config, &c);
    if (code == KLX_EXIT_OK && to == KLX_LETTER_REDRIVEN) {
        code = klx_cli_channels_load(command, o->config, &channels);
    }
    if (code != KLX_EXIT_OK) {
        klx_cli_config_release(&c);
        return code;
    }
    struct run *r = klx_alloc(struct run);
    struct klx_letters *all = klx_letters_new(to == KLX_LETTER_REDRIVEN ? is_due : NULL, o);
    r->command = command;
    r->o = o;
    r->c = &c;
    r->to = to;
    r->recipients.all = &channels;
    klx_arena_init(&r->arena, ARENA_BYTES, ARENA_BYTES_MAX);
    code = klx_letters_read(command, &c, klx_dlq_start_ms(&o->selection), all);
    if (code == KLX_EXIT_OK) {
        check_ids(r, all);
        take_all(r, all);
        code = sum_up(r);
    }
    klx_cli_recipients_release(&r->recipients);
    klx_arena_release(&r->arena);
    free(r);
    klx_letters_free(all);
    klx_cli_channels_release(&channels);
    klx_cli_config_release(&c);
    return klx_cli_print(command, KLX_SV(""), code);
}

#define SELECTING                                                                                  \
    { "id",         0,                                                                             \
      KLX_OPT_STRS, offsetof(struct options, selection.ids),                                       \
      "ID",         "this one; repeatable, and an operand is the same",                            \
      NULL },                                                                                      \
        { "channel",   0,                                                                          \
          KLX_OPT_STR, offsetof(struct options, selection.channel),                                \
          "NAME",      "those of this channel",                                                    \
          NULL },                                                                                  \
        { "reason",    0,                                                                          \
          KLX_OPT_STR, offsetof(struct options, selection.reason),                                 \
          "NAME",      "those with this reason, as gave_up",                                       \
          NULL },                                                                                  \
    {                                                                                              \
        "since", 0, KLX_OPT_STR, offsetof(struct options, selection.since), "TIME",                \
            "those written since then", NULL                                                       \
    }
#define COMMON                                                                                     \
    {                                                                                              \
        "author",    'a',                                                                          \
        KLX_OPT_STR, offsetof(struct options, author),                                             \
        "NAME",      "who (default: $USER)",                                                       \
        NULL                                                                                       \
    },                                                                                             \
        { "again",      0,                                                                         \
          KLX_OPT_FLAG, offsetof(struct options, again),                                           \
          NULL,         "also what was redriven or discarded before",                              \
          NULL },                                                                                  \
        { "dry-run",    0,                                                                         \
          KLX_OPT_FLAG, offsetof(struct options, dry_run),                                         \
          NULL,         "say what would be done, and write nothing",                               \
          NULL },                                                                                  \
        { "quiet", 'q', KLX_OPT_FLAG, offsetof(struct options, quiet), NULL, "print the ids only", \
          NULL },                                                                                  \
        KLX_CLI_OPTION_CONFIG

static const struct klx_option redrive_options[] = {
    SELECTING,
    { "max", 0, KLX_OPT_INT, offsetof(struct options, max), "N", "at most so many, the oldest",
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

/* False: the command ends with *ret. */
static bool begin(const struct klx_command_help *help, const struct klx_option *options, int argc,
                  char **argv, struct options *o, int *ret) {
    struct klx_error e = { 0 };
    int first = klx_options_parse(argc, argv, help, options, o, ret);
    if (first < 0) {
        return false;
    }
    o->selection.operands = argv + first;
    o->selection.operands_n = (size_t)(argc - first);
    if (klx_dlq_selection_is_empty(&o->selection)) {
        *ret = klx_cli_usage(help->name, "which? Give ids, --channel, --reason or --since");
        return false;
    }
    if (klx_dlq_selection_begin(&o->selection, klx_cli_now_us(), &e) != 0) {
        *ret = klx_cli_usage(help->name, e.text);
        return false;
    }
    return true;
}

int klx_dlq_redrive(int argc, char **argv) {
    static const struct klx_command_help help = {
        .name = REDRIVE,
        .operands = "[ID…]",
        .summary = "Have the channels told after all: what all filters select, in order.",
        .examples = "  klaxon dlq redrive --channel ops-slack --since 1d --dry-run\n"
                    "  klaxon dlq redrive --reason gave_up --max 100 --dry-run\n",
    };
    struct options o = { 0 };
    int code = 0;
    if (!begin(&help, redrive_options, argc, argv, &o, &code)) {
        return code;
    }
    if (o.max < 0) {
        return klx_cli_usage(REDRIVE, "--max is not a number of dead letters");
    }
    return handle(REDRIVE, &o, KLX_LETTER_REDRIVEN);
}

int klx_dlq_discard(int argc, char **argv) {
    static const struct klx_command_help help = {
        .name = DISCARD,
        .operands = "[ID…]",
        .summary = "Leave it at that: what all filters select is not listed any more.",
        .examples = "  klaxon dlq discard --reason not_cloudevent -m 'a test of the bridge' "
                    "--dry-run\n",
    };
    struct options o = { 0 };
    int code = 0;
    if (!begin(&help, discard_options, argc, argv, &o, &code)) {
        return code;
    }
    if (o.reason == NULL || o.reason[0] == '\0') {
        return klx_cli_usage(DISCARD, "--reason-text TEXT is missing: why nobody needs them");
    }
    return handle(DISCARD, &o, KLX_LETTER_DISCARDED);
}
