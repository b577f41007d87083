/*
 * `klaxon export`: what a plan means, in the order of its time, as a table or a file.
 *
 *   reading ──▶ sorter (history/sorter.h) ── all read ──▶ writing, some at a turn of the loop ──▶ commit
 *
 * --unordered writes at once. What is counted by --dry-run goes nowhere.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/event_topics.h"
#include "cli/history_counts.h"
#include "cli/history_read.h"
#include "cli/history_state.h"
#include "cli/terminal.h"
#include "history/output.h"
#include "history/sorter.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"

#define COMMAND "klaxon export"
#define LINES_A_TURN 2000
#define MEMORY_MIB_MAX 65536

struct options {
    const char *config, *output, *file;
    struct klx_history_options history;
    int64_t memory;
    bool zstd, dry_run, resume, unordered, quiet;
};

struct export {
    const struct options *o;
    enum klx_history_format format;
    bool zstd;
    bool terminal; /* what a cluster wrote may not command it */
    struct klx_history_plan plan;
    struct klx_history_read read;
    struct klx_sorter *sorter;
    struct klx_output *output;
    struct klx_buf line, shown;
    char *folder; /* of --resume; NULL: nothing is kept */
    char *state;  /* the file in it */
    char question[KLX_HASH_TEXT_BYTES];
    uint64_t written;
    int64_t begun_us;
};

static const char *const formats[] = { "ndjson", "rows", "csv", "raw" };

/* The reader's going away is no failure. */
static void stop_writing(struct export *x, const struct klx_error *e) {
    if (e->code == -EPIPE) {
        klx_history_read_end(&x->read, KLX_EXIT_OK);
    } else {
        klx_history_read_fail(&x->read, e, KLX_EXIT_FAILED);
    }
}

/* Of the line in hand, on a terminal. */
static struct klx_sv made_harmless(struct export *x) {
    struct klx_sv text = klx_buf_sv(&x->line);
    if (!x->terminal) {
        return text;
    }
    klx_buf_reset(&x->shown);
    if (x->format == KLX_HISTORY_NDJSON || x->format == KLX_HISTORY_ROWS) {
        klx_terminal_json(&x->shown, text);
    } else {
        klx_terminal_text_plain(&x->shown, klx_sv_trim(text));
        klx_buf_add_char(&x->shown, '\n');
    }
    return klx_buf_sv(&x->shown);
}

static void on_selected(void *arg, const struct klx_history_event *h, int64_t time_us, size_t i) {
    struct export *x = arg;
    struct klx_error e = { 0 };
    const struct klx_sorter_key key = { time_us, h->record->offset, (uint32_t)i };
    if (x->o->dry_run || x->read.over) {
        return;
    }
    klx_buf_reset(&x->line);
    klx_history_format(x->format, h, &x->line);
    struct klx_sv text = made_harmless(x);
    int rc = klx_buf_check(&x->line);
    if (rc != 0) {
        klx_fail(&e, rc, "%s/%d@%lld: larger than a line may be", h->record->topic,
                 (int)h->record->partition, (long long)h->record->offset);
    } else if (x->sorter != NULL) {
        rc = klx_sorter_add(x->sorter, &key, text, &e);
    } else {
        rc = klx_output_write(x->output, text, &e);
        x->written++;
    }
    if (rc != 0) {
        stop_writing(x, &e);
    }
}

static void say_result(const struct export *x) {
    const struct klx_history_read *r = &x->read;
    char took[KLX_TIME_TEXT_BYTES];
    if (r->not_events > 0) {
        fprintf(stderr,
                COMMAND ": %llu records of that time are no CloudEvents and are left out; -o raw "
                        "has them\n",
                (unsigned long long)r->not_events);
    }
    if (r->gone > 0) {
        fprintf(stderr,
                COMMAND ": %lld offsets were deleted (retention) before they were read: what stood "
                        "there is missing\n",
                (long long)r->gone);
    }
    if (!x->o->quiet && !x->o->dry_run) {
        klx_duration_words((klx_loop_now_us(r->loop) - x->begun_us) / KLX_US_PER_MS, took);
        fprintf(stderr, COMMAND ": %llu events%s%s in %s\n", (unsigned long long)x->written,
                x->o->file != NULL ? " in " : "", x->o->file != NULL ? x->o->file : "", took);
    }
}

static void finish(struct export *x) {
    struct klx_error e = { 0 };
    if (x->output != NULL && klx_output_commit(x->output, &e) != 0) {
        stop_writing(x, &e);
        return;
    }
    klx_progress_clear(&x->read.progress);
    say_result(x);
    if (x->folder != NULL) {
        unlink(x->state); /* first: it names runs */
        klx_sorter_free(x->sorter);
        x->sorter = NULL;
        rmdir(x->folder);
    }
    klx_history_read_end(&x->read, x->read.gone > 0 ? KLX_EXIT_PARTLY : KLX_EXIT_OK);
}

static void write_some(void *arg) {
    struct export *x = arg;
    struct klx_error e = { 0 };
    struct klx_sorter_key key;
    struct klx_sv line;
    bool more = !x->read.over;
    int rc = 0;
    for (int i = 0; rc == 0 && more && i < LINES_A_TURN; i++) {
        rc = klx_sorter_next(x->sorter, &key, &line, &more, &e);
        if (rc == 0 && more) {
            rc = klx_output_write(x->output, line, &e);
            x->written++;
        }
    }
    if (rc != 0) {
        stop_writing(x, &e);
    } else if (more) {
        klx_progress_tell(&x->read.progress, x->written, klx_sorter_items(x->sorter),
                          klx_loop_now_us(x->read.loop));
        klx_loop_defer(x->read.loop, write_some, x);
    } else if (!x->read.over) {
        finish(x);
    }
}

static void on_end(void *arg) {
    struct export *x = arg;
    struct klx_error e = { 0 };
    if (x->o->dry_run) {
        klx_history_counts_print(&x->read);
        finish(x);
    } else if (x->sorter == NULL) {
        finish(x);
    } else if (x->folder != NULL && klx_sorter_flush(x->sorter, &e) != 0) {
        stop_writing(x, &e);
    } else {
        klx_progress_begin(&x->read.progress, "writing", 0, klx_loop_now_us(x->read.loop));
        klx_loop_defer(x->read.loop, write_some, x);
    }
}

/* What was read so far is kept by --resume. */
static void on_signal(void *arg) {
    struct export *x = arg;
    struct klx_error e = { 0 };
    if (x->folder != NULL && x->read.reading && x->read.partitions != NULL) {
        if (klx_sorter_flush(x->sorter, &e) != 0) {
            klx_history_read_fail(&x->read, &e, KLX_EXIT_FAILED);
            return;
        }
        fprintf(stderr, COMMAND ": interrupted; the same command goes on from here\n");
    }
    klx_history_read_end(&x->read, KLX_EXIT_INTERRUPTED);
}

static int on_spill(void *arg, const uint32_t *runs, size_t n, struct klx_error *e) {
    struct export *x = arg;
    const struct klx_history_state s = {
        .question = klx_sv(x->question),
        .span = x->plan.span,
        .selected = x->read.selected,
        .not_events = x->read.not_events,
        .partitions = x->read.partitions,
        .partitions_n = x->read.partitions_n,
        .runs = runs,
        .runs_n = n,
    };
    return klx_history_state_save(x->state, &s, e);
}

/* What stands there is taken over: the range as it was then, how far each partition was read, and what was selected. */
static int take_up(struct export *x, struct klx_arena *a, struct klx_error *e) {
    struct klx_history_state s = { 0 };
    if (mkdir(x->folder, 0700) != 0 && errno != EEXIST) {
        return klx_fail(e, -errno, "%s: %s", x->folder, strerror(errno));
    }
    int rc = klx_history_state_load(x->state, a, &s, e);
    if (rc == -ENOENT) {
        return klx_sorter_resume(x->sorter, NULL, 0, e);
    }
    if (rc == 0 && !klx_sv_eq(s.question, klx_sv(x->question))) {
        rc = klx_fail(e, -EINVAL,
                      "%s is of an export with other options: give those, or remove it to begin "
                      "anew",
                      x->folder);
    }
    rc = rc == 0 ? klx_sorter_resume(x->sorter, s.runs, s.runs_n, e) : rc;
    if (rc == 0) {
        fprintf(stderr, COMMAND ": goes on with what %s holds\n", x->folder);
        x->plan.span = s.span;
        x->read.selected = s.selected;
        x->read.not_events = s.not_events;
        x->read.resume = s.partitions;
        x->read.resume_n = s.partitions_n;
    }
    return rc;
}

static int open_ends(struct export *x, struct klx_arena *a, struct klx_error *e) {
    const struct klx_sorter_options sorting = {
        .memory_max = (size_t)x->o->memory << 20, .keep = x->folder, .on_spill = on_spill, .arg = x
    };
    if (x->o->dry_run) {
        return 0;
    }
    if (!x->o->unordered) {
        x->sorter = klx_sorter_new(&sorting);
    }
    int rc = x->folder != NULL ? take_up(x, a, e) : 0;
    rc = rc == 0 ? klx_output_open(x->o->file, x->zstd, &x->output, e) : rc;
    if (rc == 0) {
        klx_history_format_head(x->format, &x->line);
        rc = klx_output_write(x->output, klx_buf_sv(&x->line), e);
    }
    return rc;
}

static int run(struct export *x, const struct klx_kafka_config *kafka) {
    struct klx_error e = { 0 };
    struct klx_arena a;
    bool raw = x->format == KLX_HISTORY_RAW;
    klx_arena_init(&a, 4096, 64u << 20);
    klx_buf_init(&x->line, KLX_HISTORY_LINE_BYTES_MAX);
    klx_buf_init(&x->shown, 6 * (size_t)KLX_HISTORY_LINE_BYTES_MAX);
    x->plan.filter.heartbeats |= raw && !x->plan.selects;
    klx_history_digest(&x->plan, &x->o->history, formats[x->format], x->question);
    x->read.command = COMMAND;
    x->read.kafka = kafka;
    x->read.plan = &x->plan;
    x->read.foreign = raw;
    x->read.bare = raw && !x->plan.selects && x->plan.field == KLX_TIME_FIELD_INGEST;
    x->read.parsed =
        !x->o->dry_run && (x->format == KLX_HISTORY_ROWS || x->format == KLX_HISTORY_CSV);
    x->read.quiet = x->o->quiet;
    x->read.on_selected = on_selected;
    x->read.on_end = on_end;
    x->read.on_signal = on_signal;
    x->read.arg = x;
    int code = KLX_EXIT_FAILED;
    if (open_ends(x, &a, &e) == 0) {
        struct klx_clock *clock = klx_clock_real();
        x->begun_us = clock->mono_us(clock);
        code = klx_history_read_run(&x->read);
    } else {
        fprintf(stderr, COMMAND ": %s\n", e.text);
    }
    klx_sorter_free(x->sorter);
    klx_output_free(x->output);
    klx_history_read_release(&x->read);
    klx_buf_release(&x->line);
    klx_buf_release(&x->shown);
    klx_arena_release(&a);
    return code;
}

static bool take_ending(struct klx_sv *name, const char *ending) {
    struct klx_sv s = klx_sv(ending);
    bool has = klx_sv_ends(*name, s);
    name->n -= has ? s.n : 0;
    return has;
}

/* By -o, or the name of the file: events.csv.zst. */
static int choose_format(struct export *x, struct klx_error *e) {
    struct klx_sv name = klx_sv(x->o->file);
    x->zstd = take_ending(&name, ".zst") || take_ending(&name, ".zstd") || x->o->zstd;
    x->format = take_ending(&name, ".csv") ? KLX_HISTORY_CSV : KLX_HISTORY_NDJSON;
    for (size_t i = 0; x->o->output != NULL && i < KLX_COUNT(formats); i++) {
        x->format = strcmp(x->o->output, formats[i]) == 0 ? (enum klx_history_format)i : x->format;
    }
    x->terminal = x->o->file == NULL && isatty(STDOUT_FILENO) == 1;
    if (x->terminal && x->zstd) {
        return klx_fail(e, -EINVAL, "--zstd: a terminal shows no compressed data; give --file");
    }
    if (x->o->memory < 0 || x->o->memory > MEMORY_MIB_MAX) {
        return klx_fail(e, -EINVAL, "--memory wants a number of MiB from 1 to %d", MEMORY_MIB_MAX);
    }
    if (x->o->resume && (x->o->file == NULL || x->o->unordered || x->o->dry_run)) {
        return klx_fail(e, -EINVAL, "--resume wants --file, and neither --unordered nor --dry-run");
    }
    if (x->o->resume) {
        x->folder = klx_asprintf("%s.parts", x->o->file);
        x->state = klx_asprintf("%s/state.json", x->folder);
    }
    return 0;
}

static const struct klx_option table[] = {
    KLX_HISTORY_OPTION_ROWS(struct options),
    { "output", 'o', KLX_OPT_CHOICE, offsetof(struct options, output), NULL,
      "CloudEvents, flat rows as JSON or CSV, or the values alone (default: by FILE, else ndjson)",
      "ndjson|rows|csv|raw" },
    { "file", 'f', KLX_OPT_STR, offsetof(struct options, file), "FILE",
      "write it here, whole or not at all; .csv and .zst say how (default: stdout)", NULL },
    { "zstd", 0, KLX_OPT_FLAG, offsetof(struct options, zstd), NULL, "compress it", NULL },
    { "dry-run", 0, KLX_OPT_FLAG, offsetof(struct options, dry_run), NULL,
      "count, by topic and partition, and write nothing", NULL },
    { "resume", 0, KLX_OPT_FLAG, offsetof(struct options, resume), NULL,
      "keep what is read in FILE.parts until all is done, and go on from there", NULL },
    { "unordered", 0, KLX_OPT_FLAG, offsetof(struct options, unordered), NULL,
      "write as it is read: partitions in no order among each other, at once", NULL },
    { "memory", 0, KLX_OPT_INT, offsetof(struct options, memory), "MIB",
      "what is sorted beyond that goes to disk meanwhile: FILE.parts, or $TMPDIR (default: 64)",
      NULL },
    { "quiet", 'q', KLX_OPT_FLAG, offsetof(struct options, quiet), NULL, "no progress, no summary",
      NULL },
    { "config", 'c', KLX_OPT_STR, offsetof(struct options, config), "FILE", KLX_CLI_CONFIG_HELP,
      NULL },
    { .name = NULL },
};

static const struct klx_command_help help = {
    .name = COMMAND,
    .operands = "",
    .summary = "Write the events of a span of time, in the order of their time.",
    .examples =
        "  klaxon export --since yesterday --until today --dry-run\n"
        "  klaxon export --since 7d -t nodes -f nodes.csv\n"
        "  klaxon export --at yesterday:today --tz Europe/Berlin -f day.ndjson.zst --resume\n"
        "  klaxon export --since 1d -m '{event: \"node.repair.*\", severity: [warning, critical]}' "
        "-o rows\n"
        "\nTIME is 2026-03-11T07:52:18Z, \"2026-03-11 07:52\", 1773215538, 90m, now-1d, today or "
        "yesterday.\n",
};

int klx_cli_export(int argc, char **argv) {
    struct options o = { 0 };
    struct export x = { .o = &o };
    struct klx_cli_config config;
    struct klx_error e = { 0 };
    int code = KLX_EXIT_OK;
    int first = klx_options_parse(argc, argv, &help, table, &o, &code);
    code = first < 0 ? code : klx_cli_no_operands(COMMAND, argc, argv, first);
    if (first < 0 || code != KLX_EXIT_OK) {
        return code;
    }
    code = klx_cli_config_load(COMMAND, o.config, &config);
    if (code != KLX_EXIT_OK) {
        return code;
    }
    int rc = choose_format(&x, &e);
    rc = rc == 0 ? klx_history_plan_init(&x.plan, &o.history, &config.settings.topics,
                                         klx_cli_now_us(), &e)
                 : rc;
    if (rc == 0) {
        code = klx_cli_event_topics_look(COMMAND, config.kafka, x.plan.topics, &x.plan.topics_n,
                                         o.history.topics.n > 0);
        code = code == KLX_EXIT_OK ? run(&x, config.kafka) : code;
        klx_history_plan_release(&x.plan);
    } else {
        fprintf(stderr, COMMAND ": %s\nTry '" COMMAND " --help'.\n", e.text);
        code = KLX_EXIT_USAGE;
    }
    free(x.folder);
    free(x.state);
    klx_cli_config_release(&config);
    return code;
}
