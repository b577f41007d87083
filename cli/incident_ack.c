/*
 * `klaxon incident ack` and `klaxon incident unack`: ack/<incident> on klaxon.control, which ends reminders and escalations at once.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/incidents.h"
#include "cli/log.h"
#include "cli/terminal.h"
#include "lib/base/arena.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#define ACK "klaxon incident ack"
#define UNACK "klaxon incident unack"
#define PORTION 1000
#define ARENA_BYTES_MAX (32u << 20) /* of a portion */
#define LINE_BYTES_MAX 65536

struct options {
    const char *config, *author, *comment;
    struct klx_option_strings filters;
    struct klx_matchers matchers;
    bool dry_run, quiet;
};

struct run {
    const char *command;
    const struct options *o;
    const struct klx_cli_config *c;
    struct klx_cli_incidents *all;
    bool takes_back;
    const struct klx_cli_incident **due;
    size_t due_n, room;
    size_t done, refused;
};

static void take(struct run *r, const struct klx_cli_incident *i) {
    if (r->due_n == r->room) {
        r->due = klx_grow_array(r->due, r->room, r->room + 256, sizeof(*r->due));
        r->room += 256;
    }
    r->due[r->due_n++] = i;
}

static void take_once(struct run *r, const struct klx_cli_incident *i) {
    for (size_t n = 0; n < r->due_n; n++) {
        if (r->due[n] == i) {
            return;
        }
    }
    take(r, i);
}

static void say(const struct run *r, const struct klx_cli_incident *i, const char *what) {
    struct klx_buf line KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&line, LINE_BYTES_MAX);
    klx_terminal_text_plain(&line, i->id);
    if (!r->o->quiet) {
        klx_buf_printf(&line, " %s%s", what, r->o->dry_run ? " (dry run)" : "");
    }
    if (!r->o->quiet && i->summary.n > 0) {
        klx_buf_add_str(&line, ": ");
        klx_terminal_text_plain(&line, i->summary);
    }
    printf("%s%s\n", r->o->quiet ? "" : "incident/", klx_buf_str(&line));
}

static void say_done_before(const struct run *r, const struct klx_cli_incident *i) {
    struct klx_buf what KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&what, LINE_BYTES_MAX);
    if (r->takes_back) {
        say(r, i, "is not acknowledged");
        return;
    }
    klx_buf_add_str(&what, "is acknowledged already");
    if (i->ack->by.n > 0) {
        klx_buf_add_str(&what, ", by ");
        klx_terminal_text_plain(&what, i->ack->by);
    }
    say(r, i, klx_buf_str(&what));
}

static void complain(struct run *r, const char *word, const char *why) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&text, LINE_BYTES_MAX);
    klx_terminal_text_plain(&text, klx_sv(word));
    fprintf(stderr, "%s: %s %s\n", r->command, klx_buf_str(&text), why);
    r->refused++;
}

static bool is_open(const struct klx_cli_incident *i) {
    return i->open;
}

static bool is_acknowledged(const struct klx_cli_incident *i) {
    return i->ack != NULL;
}

static bool is_any(const struct klx_cli_incident *i) {
    return i->channels_n > 0;
}

static bool needs_it(const struct run *r, const struct klx_cli_incident *i) {
    return r->takes_back == (i->ack != NULL);
}

/* Among those for which there is something to do first: so a short id need not be told from what is over. */
static void take_named(struct run *r, const char *word) {
    const struct klx_cli_incident *i = NULL;
    bool (*const of)(const struct klx_cli_incident *) = r->takes_back ? is_acknowledged : is_open;
    int rc = klx_cli_incidents_find(r->all, klx_sv(word), of, &i);
    bool is_over = false;
    if (rc == -ENOENT) {
        rc = klx_cli_incidents_find(r->all, klx_sv(word), is_any, &i);
        is_over = rc == 0 && !r->takes_back;
    }
    if (rc == -ENOTUNIQ) {
        complain(r, word, "begins several ids: give more of it");
    } else if (rc != 0) {
        complain(r, word, "is no open incident: `klaxon incident list` shows them");
    } else if (is_over) {
        complain(r, word, "is over");
    } else if (!needs_it(r, i)) {
        say_done_before(r, i);
        r->done++;
    } else {
        take_once(r, i);
    }
}

static void take_matching(struct run *r) {
    size_t unseen_n = 0;
    const struct klx_cli_incident *i = klx_cli_incidents_next(r->all, NULL);
    for (; i != NULL; i = klx_cli_incidents_next(r->all, i)) {
        bool unseen = false;
        if (i->open && needs_it(r, i) &&
            klx_cli_incident_matches(r->all, i, &r->o->matchers, &unseen)) {
            take(r, i);
        }
        unseen_n += unseen;
    }
    if (unseen_n > 0) {
        fprintf(stderr, "%s: %zu are not looked at: Kafka does not have their events any more\n",
                r->command, unseen_n);
    }
}

static struct klx_record record_of(const struct run *r, struct klx_arena *a,
                                   const struct klx_cli_incident *i) {
    struct klx_buf key KLX_CLEANUP(klx_buf_release), value KLX_CLEANUP(klx_buf_release);
    const struct klx_cli_ack ack = { .by = klx_sv(klx_cli_author(r->o->author)),
                                     .comment = klx_sv(r->o->comment),
                                     .at_us = klx_cli_now_us() };
    klx_buf_init(&key, 4096);
    klx_buf_init(&value, KLX_CLI_ACK_BYTES_MAX);
    klx_cli_ack_key(i->id, &key);
    klx_cli_ack_encode(&ack, &value);
    return (struct klx_record){ .partition = -1,
                                .timestamp_ms = ack.at_us / KLX_US_PER_MS,
                                .key = klx_arena_dup(a, klx_buf_sv(&key)),
                                .value = r->takes_back ? klx_sv(NULL)
                                                       : klx_arena_dup(a, klx_buf_sv(&value)) };
}

static int write_portion(struct run *r, size_t from, size_t n) {
    struct klx_record records[PORTION];
    struct klx_arena arena;
    int code = KLX_EXIT_OK;
    klx_arena_init(&arena, 65536, ARENA_BYTES_MAX);
    for (size_t i = 0; i < n; i++) {
        records[i] = record_of(r, &arena, r->due[from + i]);
    }
    if (!r->o->dry_run) {
        code = klx_cli_write(r->command, r->c, KLX_TOPIC_CONTROL, records, n);
    }
    klx_arena_release(&arena);
    for (size_t i = 0; i < n && code == KLX_EXIT_OK; i++) {
        say(r, r->due[from + i], r->takes_back ? "unacknowledged" : "acknowledged");
    }
    r->done += code == KLX_EXIT_OK ? n : 0;
    return code;
}

static int write_all(struct run *r) {
    int code = KLX_EXIT_OK;
    size_t n = 0;
    for (size_t from = 0; from < r->due_n && code == KLX_EXIT_OK; from += n) {
        n = r->due_n - from < PORTION ? r->due_n - from : PORTION;
        code = write_portion(r, from, n);
    }
    return code;
}

/* After everything: of Kafka, or of what was asked for. */
static int code_of(const struct run *r, int code) {
    if (code == KLX_EXIT_OK && r->done + r->refused == 0) {
        fprintf(stderr, "%s: nothing to do\n", r->command);
    }
    code = code == KLX_EXIT_OK && r->refused > 0 ? KLX_EXIT_FAILED : code;
    if (code != KLX_EXIT_OK && r->done > 0) {
        fprintf(stderr, "%s: %zu %s done, %s\n", r->command, r->done, r->done == 1 ? "is" : "are",
                r->refused > 0 ? "the others are not" : "then Kafka went away");
        return KLX_EXIT_PARTLY;
    }
    return code;
}

static int handle(struct run *r, char **words, size_t n) {
    int code = klx_cli_incidents_read(r->command, r->c, r->all);
    if (code == KLX_EXIT_OK && n == 0) {
        code = klx_cli_incidents_read_events(r->command, r->c, r->all);
    }
    if (code != KLX_EXIT_OK) {
        return code;
    }
    for (size_t i = 0; i < n; i++) {
        take_named(r, words[i]);
    }
    if (n == 0) {
        take_matching(r);
    }
    code = write_all(r);
    return code_of(r, code);
}

static int check(const struct options *o, bool takes_back, size_t ids, struct klx_error *e) {
    if (ids == 0 && o->filters.n == 0) {
        return klx_fail(e, -EINVAL, "which? Give ids or --filter");
    }
    if (ids > 0 && o->filters.n > 0) {
        return klx_fail(e, -EINVAL, "ids and --filter exclude each other");
    }
    const char *author = klx_cli_author(o->author);
    if (!takes_back && author == NULL) {
        return klx_fail(e, -EINVAL, "who takes it? Give --author NAME: there is no $USER");
    }
    size_t bytes = klx_sv(author).n + klx_sv(o->comment).n;
    if (!takes_back && bytes > KLX_CLI_ACK_BYTES_MAX / 8) {
        return klx_fail(e, -EINVAL, "--author and --comment have at most %d bytes together",
                        KLX_CLI_ACK_BYTES_MAX / 8);
    }
    return 0;
}

static int run(const struct klx_command_help *help, const struct klx_option *options,
               bool takes_back, int argc, char **argv) {
    struct options o = { 0 };
    struct klx_cli_config c = { 0 };
    struct klx_error e = { 0 };
    int code = 0, first = klx_options_parse(argc, argv, help, options, &o, &code);
    if (first < 0) {
        return code;
    }
    size_t ids = (size_t)(argc - first);
    int rc = check(&o, takes_back, ids, &e);
    rc = rc == 0 ? klx_cli_filters_parse(&o.filters, &o.matchers, &e) : rc;
    code =
        rc == 0 ? klx_cli_config_load(help->name, o.config, &c) : klx_cli_usage(help->name, e.text);
    if (code == KLX_EXIT_OK) {
        struct run r = { .command = help->name,
                         .o = &o,
                         .c = &c,
                         .all = klx_cli_incidents_new(klx_cli_now_us()),
                         .takes_back = takes_back };
        code = klx_cli_print(help->name, KLX_SV(""), handle(&r, argv + first, ids));
        klx_cli_incidents_free(r.all);
        free(r.due);
        klx_cli_config_release(&c);
    }
    klx_matchers_release(&o.matchers);
    return code;
}

#define DRY_RUN                                                                                    \
    {                                                                                              \
        "dry-run", 0, KLX_OPT_FLAG, offsetof(struct options, dry_run), NULL,                       \
            "say what would be done, and write nothing", NULL                                      \
    }
#define QUIET                                                                                      \
    {                                                                                              \
        "quiet", 'q', KLX_OPT_FLAG, offsetof(struct options, quiet), NULL, "print the ids only",   \
            NULL                                                                                   \
    }

int klx_cli_incident_ack(int argc, char **argv) {
    static const struct klx_option options[] = {
        KLX_CLI_INCIDENT_OPTION_FILTER,
        { "comment", 'm', KLX_OPT_STR, offsetof(struct options, comment), "TEXT",
          "what is being done about it", NULL },
        { "author", 'a', KLX_OPT_STR, offsetof(struct options, author), "NAME",
          "who (default: $USER)", NULL },
        DRY_RUN,
        QUIET,
        KLX_CLI_OPTION_CONFIG,
        { .name = NULL },
    };
    static const struct klx_command_help help = {
        .name = ACK,
        .operands = "[ID…]",
        .summary = "Take incidents in hand: they are not reminded of and do not escalate any more. "
                   "News are told.",
        .examples = "  klaxon incident ack --filter cluster=prod-weu -m 'on it' --dry-run\n"
                    "  klaxon incident list -q | xargs -r klaxon incident ack --dry-run\n",
    };
    return run(&help, options, false, argc, argv);
}

int klx_cli_incident_unack(int argc, char **argv) {
    static const struct klx_option options[] = {
        KLX_CLI_INCIDENT_OPTION_FILTER, DRY_RUN, QUIET, KLX_CLI_OPTION_CONFIG, { .name = NULL },
    };
    static const struct klx_command_help help = {
        .name = UNACK,
        .operands = "[ID…]",
        .summary = "Take acknowledgements back: reminders and escalations go on.",
        .examples = "  klaxon incident unack --filter cluster=prod-weu --dry-run\n",
    };
    return run(&help, options, true, argc, argv);
}
