#include "cli/advise_read.h"

#include <stdio.h>
#include <unistd.h>

#include "cli/event_topics.h"
#include "cli/progress.h"
#include "lib/base/time.h"
#include "lib/io/loop.h"
#include "lib/io/range.h"

#define PATIENCE_US (60 * KLX_US_PER_S) /* without a record */
#define TICK_MS 200

/* Of one topic. */
struct reading {
    const char *command;
    struct klx_evidence *evidence;
    void (*take)(struct klx_evidence *h, const struct klx_record *r);
    struct klx_loop *loop;
    struct klx_range *range;
    struct klx_timer *timer;
    struct klx_progress progress;
    int64_t progress_us;
    uint64_t read;
    bool over;
    int code;
};

static void leave(void *arg) {
    struct reading *x = arg;
    klx_loop_stop(x->loop);
}

/* The first call counts. */
static void end(struct reading *x, int code) {
    klx_progress_clear(&x->progress);
    if (!x->over) {
        x->over = true;
        x->code = code;
        klx_loop_defer(x->loop, leave, x);
    }
}

static void on_ready(void *arg) {
    (void)arg;
}

static void on_record(void *arg, const struct klx_record *r, size_t i) {
    struct reading *x = arg;
    (void)i;
    x->read++;
    x->progress_us = klx_loop_now_us(x->loop);
    x->take(x->evidence, r);
}

static void on_end(void *arg) {
    end(arg, KLX_EXIT_OK);
}

static void on_trouble(void *arg, const char *what) {
    struct reading *x = arg;
    bool patient = klx_loop_now_us(x->loop) - x->progress_us < PATIENCE_US;
    klx_progress_clear(&x->progress);
    fprintf(stderr, "%s: %s%s\n", x->command, what, patient ? "; trying again" : "");
    if (!patient) {
        end(x, KLX_EXIT_UNAVAILABLE);
    }
}

static void on_fatal(void *arg, const char *why) {
    struct reading *x = arg;
    klx_progress_clear(&x->progress);
    fprintf(stderr, "%s: %s\n", x->command, why);
    end(x, KLX_EXIT_UNAVAILABLE);
}

static void on_tick(void *arg) {
    struct reading *x = arg;
    klx_progress_tell(&x->progress, x->read, 0, klx_loop_now_us(x->loop));
}

static void on_signal(void *arg, int signum) {
    (void)signum;
    end(arg, KLX_EXIT_INTERRUPTED);
}

static void run(struct reading *x) {
    x->progress_us = klx_loop_now_us(x->loop);
    klx_progress_init(&x->progress, x->command, isatty(STDERR_FILENO) != 1);
    klx_progress_begin(&x->progress, "reading", 0, x->progress_us);
    x->timer = klx_timer_new(x->loop, on_tick, x);
    klx_timer_repeat(x->timer, TICK_MS);
    klx_loop_on_signal(x->loop, on_signal, x);
    klx_loop_run(x->loop);
    klx_loop_on_signal(x->loop, NULL, NULL);
    klx_timer_free(x->timer);
}

/* From from_ms (INT64_MIN: all) to where the topic ends now. */
static int read_topic(struct reading *x, const struct klx_kafka_config *kafka, const char *topic,
                      int64_t from_ms) {
    struct klx_error e = { 0 };
    const struct klx_range_options options = {
        .kafka = kafka, .topics = &topic, .topics_n = 1, .from_ms = from_ms
    };
    const struct klx_range_callbacks cb = { on_ready, on_record, on_end, on_trouble, on_fatal, x };
    x->loop = klx_loop_new();
    x->code = KLX_EXIT_CONFIG;
    if (klx_range_new(x->loop, &options, &cb, &x->range, &e) == 0) {
        run(x);
    } else {
        fprintf(stderr, "%s: %s\n", x->command, e.text);
    }
    klx_range_free(x->range);
    klx_loop_run(x->loop); /* the last close callbacks */
    klx_loop_free(x->loop);
    return x->code;
}

int klx_advise_read(const char *command, const struct klx_cli_config *c, struct klx_evidence *h) {
    const struct klx_topic_names *names = &c->settings.topics;
    const char *topics[KLX_TOPICS_N] = { names->name[KLX_TOPIC_SCALING],
                                         names->name[KLX_TOPIC_METRICS] };
    struct reading scaling = { .command = command, .evidence = h, .take = klx_evidence_scaling };
    struct reading metrics = { .command = command, .evidence = h, .take = klx_evidence_metrics };
    struct klx_error e = { 0 };
    size_t n = 2;
    int code = klx_cli_event_topics_look(command, c->kafka, topics, &n, true);
    if (code == KLX_EXIT_OK) {
        code = read_topic(&scaling, c->kafka, names->name[KLX_TOPIC_SCALING], INT64_MIN);
    }
    if (code != KLX_EXIT_OK) {
        return code;
    }
    if (klx_evidence_choose(h, &e) != 0) {
        fprintf(stderr, "%s: %s\n", command, e.text);
        return KLX_EXIT_FAILED;
    }
    code =
        read_topic(&metrics, c->kafka, names->name[KLX_TOPIC_METRICS], h->since_us / KLX_US_PER_MS);
    if (code == KLX_EXIT_OK && h->full) {
        fprintf(stderr, "%s: there are more records than fit: give a later --since\n", command);
        return KLX_EXIT_FAILED;
    }
    klx_evidence_sort(h);
    return code;
}
