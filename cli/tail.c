/*
 * `klaxon tail`: records of the topics, filtered, in the order of their time, as lines.
 *
 *   look (Kafka answers, the topics are there) ──▶ PAST ──(the ends that the partitions had)──▶ LIVE
 *        PAST, LIVE ──(count reached, the end without following, --until, stdout closed, a signal)──▶ finish: all is freed, the loop ends
 *
 * In the past, lines wait until every partition has been read, since Kafka hands out one partition after the other; live, they wait a
 * moment for earlier ones of other partitions.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/event_topics.h"
#include "cli/format.h"
#include "cli/reorder.h"
#include "cli/tail_plan.h"
#include "lib/base/cleanup.h"
#include "lib/base/time.h"
#include "lib/io/loop.h"

#define COMMAND "klaxon tail"
#define ARENA_BYTES_MAX (64u << 20)
#define SETTLE_MS 150 /* live: lines wait this long for earlier ones of other partitions */
#define QUIET_MS                                                                                   \
    1000 /* of the past: nothing came for so long, so a partition's end may never come */
#define UNTIL_GRACE_MS                                                                             \
    1000 /* --until in the future: records are written a moment after they happened */
#define PATIENCE_US (15 * KLX_US_PER_S) /* of a span without any answer from Kafka */
#define COUNT_NOT_GIVEN INT64_MIN       /* 0 would be taken for no end */
#define EXIT_WITHIN_S 1                 /* after Ctrl-C, however long Kafka's client takes */

struct tail {
    struct klx_tail_plan plan;
    struct klx_terminal terminal;
    struct klx_loop *loop;
    struct klx_reader *reader;
    struct klx_timer *settle, *until;
    struct klx_fd *closed; /* of stdout, when it is a pipe */
    int closed_fd;
    struct klx_reorder reorder;
    struct klx_arena arena;
    struct klx_buf line;
    bool live;     /* what comes now is new */
    bool in_parts; /* it was said that the past is too long to be sorted as a whole */
    int64_t shown;
    int64_t progress_us; /* monotonic: the start, or the last record */
    bool finished;
    int exit_code;
};

static void finish(struct tail *t, int exit_code) {
    if (t->finished) {
        return;
    }
    t->finished = true;
    t->exit_code = exit_code;
    klx_timer_free(t->settle);
    klx_timer_free(t->until);
    klx_fd_free(t->closed);
    klx_reader_free(t->reader);
    klx_loop_on_signal(t->loop, NULL, NULL);
}

static bool print_line(void *arg, struct klx_sv line) {
    struct tail *t = arg;
    if (fwrite(line.p, 1, line.n, stdout) != line.n || fflush(stdout) != 0) {
        bool gone = errno == EPIPE; /* `klaxon tail | head`: no mistake of anybody */
        if (!gone) {
            fprintf(stderr, "%s: cannot write: %s\n", COMMAND, strerror(errno));
        }
        finish(t, gone ? KLX_EXIT_OK : KLX_EXIT_FAILED);
        return false;
    }
    t->shown++;
    if (t->shown == t->plan.count) {
        finish(t, KLX_EXIT_OK);
        return false;
    }
    return true;
}

static void drain(void *arg) {
    struct tail *t = arg;
    klx_reorder_drain(&t->reorder, print_line, t);
}

static void make_room(struct tail *t) {
    if (t->plan.newest && (size_t)t->plan.count < t->reorder.n) {
        klx_reorder_keep_newest(&t->reorder, (size_t)t->plan.count);
        return;
    }
    if (!t->live && !t->in_parts) {
        t->in_parts = true;
        fprintf(stderr, "%s: more than %zu events: sorted by time in parts\n", COMMAND,
                t->reorder.n);
    }
    drain(t);
}

static void wait_for_earlier(struct tail *t) {
    if (t->live && t->reorder.n == 0) {
        klx_timer_start(t->settle, SETTLE_MS);
    } else if (!t->live && t->plan.follow) {
        klx_timer_start(t->settle, QUIET_MS);
    }
}

static void show(struct tail *t, const struct klx_shown *s) {
    klx_buf_reset(&t->line);
    if (t->plan.json) {
        klx_format_json(s, &t->line);
    } else {
        klx_format_line(&t->terminal, s, klx_cli_now_us(), &t->line);
    }
    if (klx_buf_check(&t->line) != 0) {
        fprintf(stderr, "%s: %s/%d@%lld is too large to be shown\n", COMMAND, s->record->topic,
                (int)s->record->partition, (long long)s->record->offset);
        return;
    }
    wait_for_earlier(t);
    klx_reorder_add(&t->reorder, klx_format_time(s), s->record, klx_buf_sv(&t->line));
    if (klx_reorder_full(&t->reorder)) {
        make_room(t);
    }
}

static void on_record(void *arg, const struct klx_record *r) {
    struct tail *t = arg;
    struct klx_event event;
    struct klx_error e = { 0 };
    struct klx_shown s = { .record = r };
    t->progress_us = klx_loop_now_us(t->loop);
    if (t->finished || !klx_filter_has_time(&t->plan.filter, r)) {
        return;
    }
    klx_arena_reset(&t->arena);
    if (klx_event_decode(&t->arena, r, &event, &e) == 0) {
        s.event = &event;
        if (klx_json_parse(&t->arena, event.data, NULL, &s.data, NULL) != 0) {
            s.data = NULL;
        }
    }
    s.problem = e.text;
    bool wanted = s.event != NULL ? klx_filter_has_event(&t->plan.filter, &event,
                                                         klx_json_str(s.data, "summary"))
                                  : !t->plan.filter.selects;
    if (wanted) {
        show(t, &s);
    }
}

/* Of the past. */
static void on_end(void *arg) {
    struct tail *t = arg;
    if (t->plan.newest) {
        klx_reorder_keep_newest(&t->reorder, (size_t)t->plan.count);
    }
    drain(t);
    t->live = true;
    if (!t->plan.follow) {
        finish(t, KLX_EXIT_OK);
    }
}

static void give_up(void *arg) {
    finish(arg, KLX_EXIT_UNAVAILABLE);
}

static void on_trouble(void *arg, const char *what) {
    struct tail *t = arg;
    bool patient = t->plan.follow || klx_loop_now_us(t->loop) - t->progress_us < PATIENCE_US;
    fprintf(stderr, "%s: %s%s\n", COMMAND, what, patient ? "; trying again" : "");
    if (!patient) {
        klx_loop_defer(t->loop, give_up, t);
    }
}

static void on_fatal(void *arg, const char *why) {
    fprintf(stderr, "%s: %s\n", COMMAND, why);
    finish(arg, KLX_EXIT_UNAVAILABLE);
}

static void on_until(void *arg) {
    drain(arg);
    finish(arg, KLX_EXIT_OK);
}

static void on_stdout(void *arg, int events) {
    (void)
        events; /* the reading end is gone: a pipe's writing end never becomes readable otherwise */
    finish(arg, KLX_EXIT_OK);
}

static void exit_now(int signum) {
    (void)signum;
    _exit(KLX_EXIT_INTERRUPTED);
}

static void on_signal(void *arg, int signum) {
    (void)signum;
    drain(arg);
    finish(arg, KLX_EXIT_INTERRUPTED);
    signal(SIGALRM, exit_now);
    alarm(EXIT_WITHIN_S);
}

/* A second descriptor of the pipe, because the loop would make stdout itself non-blocking. */
static void watch_stdout(struct tail *t) {
    struct stat st;
    t->closed_fd = -1;
    if (fstat(STDOUT_FILENO, &st) == 0 && S_ISFIFO(st.st_mode)) {
        t->closed_fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    }
    if (t->closed_fd >= 0) {
        t->closed = klx_fd_new(t->loop, t->closed_fd, on_stdout, t);
        klx_fd_set(t->closed, KLX_FD_READ);
    }
}

static void add_instant(struct klx_buf *b, const char *word, int64_t us) {
    char text[KLX_TIME_TEXT_BYTES];
    if (us != KLX_TIME_NONE) {
        klx_time_format(us, KLX_TIME_MILLIS, text);
        klx_buf_printf(b, "%s%s %s", b->len > 0 ? " " : "", word, text);
    }
}

static void say_span(const struct klx_tail_plan *p) {
    struct klx_buf words;
    klx_buf_init(&words, 256);
    add_instant(&words, "since", p->since_us);
    add_instant(&words, "until", p->until_us);
    if (words.len > 0) {
        fprintf(stderr, "showing what happened %s (UTC)\n", klx_buf_str(&words));
    }
    klx_buf_release(&words);
}

static int start(struct tail *t, const struct klx_kafka_config *kafka, struct klx_error *e) {
    t->live = t->plan.start == KLX_READER_END;
    const struct klx_reader_options options = {
        .kafka = kafka,
        .topics = t->plan.topics,
        .topics_n = t->plan.topics_n,
        .start = t->plan.start,
        .start_ms = t->plan.since_us != KLX_TIME_NONE ? t->plan.filter.since_ms : 0,
        .until_end = !t->live,
    };
    const struct klx_reader_callbacks cb = { .on_record = on_record,
                                             .on_end = on_end,
                                             .on_trouble = on_trouble,
                                             .on_fatal = on_fatal,
                                             .arg = t };
    int rc = klx_reader_new(t->loop, &options, &cb, &t->reader, e);
    if (rc != 0) {
        return rc;
    }
    t->settle = klx_timer_new(t->loop, drain, t);
    t->until = klx_timer_new(t->loop, on_until, t);
    if (t->plan.follow && t->plan.until_us != KLX_TIME_NONE) {
        int64_t left_us = t->plan.until_us - klx_cli_now_us();
        klx_timer_start(t->until, (left_us > 0 ? left_us / KLX_US_PER_MS : 0) + UNTIL_GRACE_MS);
    }
    watch_stdout(t);
    klx_loop_on_signal(t->loop, on_signal, t);
    return 0;
}

static int run(struct tail *t, const struct klx_kafka_config *kafka) {
    struct klx_error e = { 0 };
    t->loop = klx_loop_new();
    t->progress_us = klx_loop_now_us(t->loop);
    klx_reorder_init(&t->reorder);
    klx_arena_init(&t->arena, 65536, ARENA_BYTES_MAX);
    klx_buf_init(&t->line, KLX_FORMAT_LINE_BYTES_MAX);
    t->closed_fd = -1;
    if (start(t, kafka, &e) == 0) {
        klx_loop_run(t->loop);
    } else {
        fprintf(stderr, "%s: %s\n", COMMAND, e.text);
        t->exit_code = KLX_EXIT_CONFIG;
    }
    klx_loop_free(t->loop);
    if (t->closed_fd >= 0) {
        close(t->closed_fd);
    }
    klx_reorder_release(&t->reorder);
    klx_arena_release(&t->arena);
    klx_buf_release(&t->line);
    return t->exit_code;
}

static const struct klx_command_help help = {
    .name = COMMAND,
    .operands = "",
    .summary = "Show events as they come, or those of a span of time.",
    .examples =
        "  klaxon tail\n"
        "  klaxon tail --since 1h --severity warning --severity critical\n"
        "  klaxon tail -n 20 --no-follow\n"
        "  klaxon tail --since yesterday --until today --topic nodes -o json\n"
        "  klaxon tail --since 1d --no-follow --node 'aks-system-*'\n"
        "\nTIME is 2026-03-11T07:52:18Z, \"2026-03-11 07:52\" (UTC), 1773215538, 90m, now-1d, "
        "today or yesterday.\n",
};

int klx_cli_tail(int argc, char **argv) {
    struct klx_tail_options o = { .color = "auto", .count = COUNT_NOT_GIVEN };
    struct klx_cli_config config;
    struct klx_terminal_env env;
    struct klx_error e = { 0 };
    int code = KLX_EXIT_OK;
    int first = klx_options_parse(argc, argv, &help, klx_tail_option_table, &o, &code);
    code = first < 0 ? code : klx_cli_no_operands(COMMAND, argc, argv, first);
    if (first < 0 || code != KLX_EXIT_OK) {
        return code;
    }
    if (o.count == 0) {
        fprintf(stderr, "%s: --count wants a number from 1 on\n", COMMAND);
        return KLX_EXIT_USAGE;
    }
    o.count = o.count == COUNT_NOT_GIVEN ? 0 : o.count;
    code = klx_cli_config_load(COMMAND, o.config, &config);
    if (code != KLX_EXIT_OK) {
        return code;
    }
    struct tail t = { 0 };
    klx_terminal_env_read(&env, STDOUT_FILENO);
    klx_terminal_init(&t.terminal, o.color, &env);
    if (klx_tail_plan_init(&t.plan, &o, &config.settings.topics, klx_cli_now_us(), &e) == 0) {
        code = klx_cli_event_topics_look(COMMAND, config.kafka, t.plan.topics, &t.plan.topics_n,
                                         o.topics.n > 0);
        if (code == KLX_EXIT_OK) {
            say_span(&t.plan);
            code = run(&t, config.kafka);
        }
        klx_tail_plan_release(&t.plan);
    } else {
        code = klx_cli_usage(COMMAND, e.text);
    }
    klx_cli_config_release(&config);
    return code;
}
