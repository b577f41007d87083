#include "cli/history_read.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"

#define PATIENCE_US (60 * KLX_US_PER_S) /* without a record or an end */
#define TICK_MS 200
#define ARENA_BYTES 65536
#define ARENA_BYTES_MAX (64u << 20)

static void leave(void *arg) {
    struct klx_history_read *h = arg;
    klx_loop_stop(h->loop);
}

void klx_history_read_end(struct klx_history_read *h, int code) {
    if (h->over) {
        return;
    }
    h->over = true;
    h->code = code;
    klx_progress_clear(&h->progress);
    if (h->range != NULL) {
        klx_range_pause(h->range);
    }
    klx_loop_defer(h->loop, leave, h);
}

void klx_history_read_fail(struct klx_history_read *h, const struct klx_error *e, int code) {
    if (!h->over) {
        klx_progress_clear(&h->progress);
        fprintf(stderr, "%s: %s\n", h->command, e->text);
        klx_history_read_end(h, code);
    }
}

static void count(struct klx_history_read *h, size_t i, int64_t time_us) {
    struct klx_history_count *c = &h->counts[i];
    c->first_us = c->selected == 0 || time_us < c->first_us ? time_us : c->first_us;
    c->last_us = c->selected == 0 || time_us > c->last_us ? time_us : c->last_us;
    c->selected++;
    h->selected++;
}

static void select_bare(struct klx_history_read *h, const struct klx_record *r, size_t i) {
    int64_t time_us = klx_history_time(h->plan, r, NULL);
    if (klx_history_in_span(h->plan, time_us)) {
        count(h, i, time_us);
        h->on_selected(h->arg, &(struct klx_history_event){ .record = r }, time_us, i);
    }
}

static void select_event(struct klx_history_read *h, const struct klx_record *r, size_t i) {
    const struct klx_history_plan *plan = h->plan;
    struct klx_event event;
    struct klx_history_event selected = { .record = r, .event = &event };
    if (klx_event_decode(&h->arena, r, &event, NULL) != 0) {
        selected.event = NULL;
    }
    if (selected.event == NULL && (!h->foreign || plan->selects)) {
        h->not_events += klx_history_in_span(plan, klx_history_time(plan, r, NULL));
        return;
    }
    if (selected.event == NULL) {
        select_bare(h, r, i);
        return;
    }
    int64_t time_us = klx_history_time(plan, r, &event);
    if (!klx_history_in_span(plan, time_us)) {
        return;
    }
    if ((h->parsed || plan->needs_data) &&
        klx_json_parse(&h->arena, event.data, NULL, &selected.data, NULL) != 0) {
        selected.data = NULL;
    }
    if (klx_history_wants(plan, &event, selected.data)) {
        count(h, i, time_us);
        h->on_selected(h->arg, &selected, time_us, i);
    }
}

static void on_record(void *arg, const struct klx_record *r, size_t i) {
    struct klx_history_read *h = arg;
    h->counts[i].read++;
    if (h->bare) {
        select_bare(h, r, i);
    } else {
        klx_arena_reset(&h->arena);
        select_event(h, r, i);
    }
}

static void say(const struct klx_history_read *h, const struct klx_range_partition *p,
                const char *what) {
    fprintf(stderr, "%s: %s/%d: %s\n", h->command, p->topic, (int)p->partition, what);
}

/* What the range does not hold, and never will or not yet. */
static void say_edges(const struct klx_history_read *h) {
    char words[256];
    for (size_t i = 0; i < h->partitions_n; i++) {
        const struct klx_range_partition *p = &h->partitions[i];
        bool cut = h->plan->span.since_us != KLX_TIME_NONE && p->first > 0 && p->begin <= p->first;
        if (cut && h->resume == NULL) {
            snprintf(words, sizeof(words),
                     "what was before offset %" PRId64 " is deleted (retention): of the time asked "
                     "for, there may have been more",
                     p->first);
            say(h, p, words);
        }
        if (p->high > p->end) {
            snprintf(words, sizeof(words),
                     "a transaction is open since offset %" PRId64 ": it and what stands behind it "
                     "(%" PRId64 " offsets) is left out",
                     p->end, p->high - p->end);
            say(h, p, words);
        }
    }
}

static void totals(const struct klx_history_read *h, uint64_t *done, uint64_t *total) {
    *done = *total = 0;
    for (size_t i = 0; i < h->partitions_n; i++) {
        const struct klx_range_partition *p = &h->partitions[i];
        *done += (uint64_t)(p->next > p->begin ? p->next - p->begin : 0);
        *total += (uint64_t)(p->end > p->begin ? p->end - p->begin : 0);
    }
}

static void on_ready(void *arg) {
    struct klx_history_read *h = arg;
    uint64_t done = 0, total = 0;
    h->partitions_n = klx_range_partitions(h->range, &h->partitions);
    h->counts = klx_alloc_n(struct klx_history_count, h->partitions_n);
    h->progress_us = klx_loop_now_us(h->loop);
    say_edges(h);
    totals(h, &done, &total);
    klx_progress_begin(&h->progress, "reading", done, h->progress_us);
    if (h->on_ready != NULL) {
        h->on_ready(h->arg);
    }
}

/* The range is kept: its partitions are still looked at. */
static void on_end(void *arg) {
    struct klx_history_read *h = arg;
    h->reading = false;
    klx_progress_clear(&h->progress);
    for (size_t i = 0; i < h->partitions_n; i++) {
        h->gone += h->partitions[i].gone;
    }
    h->on_end(h->arg);
}

static void on_trouble(void *arg, const char *what) {
    struct klx_history_read *h = arg;
    bool patient = klx_loop_now_us(h->loop) - h->progress_us < PATIENCE_US;
    klx_progress_clear(&h->progress);
    fprintf(stderr, "%s: %s%s\n", h->command, what, patient ? "; trying again" : "");
    if (!patient) {
        klx_history_read_end(h, KLX_EXIT_UNAVAILABLE);
    }
}

static void on_fatal(void *arg, const char *why) {
    struct klx_error e = { 0 };
    klx_fail(&e, -EIO, "%s", why);
    klx_history_read_fail(arg, &e, KLX_EXIT_UNAVAILABLE);
}

static void on_tick(void *arg) {
    struct klx_history_read *h = arg;
    uint64_t done = 0, total = 0;
    int64_t now = klx_loop_now_us(h->loop);
    if (h->over || !h->reading || h->counts == NULL) {
        return;
    }
    totals(h, &done, &total);
    klx_progress_tell(&h->progress, done, total, now);
    if (done != h->done) {
        h->done = done;
        h->progress_us = now;
    } else if (now - h->progress_us > PATIENCE_US) {
        struct klx_error e = { 0 };
        klx_fail(&e, -ETIMEDOUT, "Kafka has given nothing for %d s, with %" PRIu64 " offsets left",
                 (int)(PATIENCE_US / KLX_US_PER_S), total - done);
        klx_history_read_fail(h, &e, KLX_EXIT_UNAVAILABLE);
    }
}

static void exit_now(int signum) {
    (void)signum;
    _exit(KLX_EXIT_INTERRUPTED);
}

/* The first Ctrl-C ends in order, the second at once. */
static void on_signal(void *arg, int signum) {
    struct klx_history_read *h = arg;
    (void)signum;
    klx_progress_clear(&h->progress);
    klx_loop_on_signal(h->loop, NULL, NULL);
    signal(SIGINT, exit_now);
    signal(SIGTERM, exit_now);
    if (h->on_signal != NULL && !h->over) {
        h->on_signal(h->arg);
    } else {
        klx_history_read_end(h, KLX_EXIT_INTERRUPTED);
    }
}

static int start(struct klx_history_read *h, struct klx_error *e) {
    const struct klx_range_options options = {
        .kafka = h->kafka,
        .topics = h->plan->topics,
        .topics_n = h->plan->topics_n,
        .from_ms = h->plan->from_ms,
        .bare = h->bare,
        .resume = h->resume,
        .resume_n = h->resume_n,
    };
    const struct klx_range_callbacks cb = { on_ready, on_record, on_end, on_trouble, on_fatal, h };
    return klx_range_new(h->loop, &options, &cb, &h->range, e);
}

static void say_span(const struct klx_history_read *h) {
    struct klx_buf words KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&words, 256);
    klx_history_span_words(&h->plan->span, &words);
    fprintf(stderr, "%s: %s\n", h->command, klx_buf_str(&words));
}

int klx_history_read_run(struct klx_history_read *h) {
    struct klx_error e = { 0 };
    h->loop = klx_loop_new();
    h->reading = true;
    h->progress_us = klx_loop_now_us(h->loop);
    klx_arena_init(&h->arena, ARENA_BYTES, ARENA_BYTES_MAX);
    klx_progress_init(&h->progress, h->command, h->quiet);
    say_span(h);
    if (start(h, &e) == 0) {
        h->timer = klx_timer_new(h->loop, on_tick, h);
        klx_timer_repeat(h->timer, TICK_MS);
        klx_loop_on_signal(h->loop, on_signal, h);
        klx_loop_run(h->loop);
        klx_loop_on_signal(h->loop, NULL, NULL);
        klx_timer_free(h->timer);
    } else {
        fprintf(stderr, "%s: %s\n", h->command, e.text);
        h->code = KLX_EXIT_CONFIG;
    }
    return h->code;
}

void klx_history_read_release(struct klx_history_read *h) {
    if (h->loop != NULL) {
        klx_range_free(h->range);
        klx_loop_run(h->loop); /* the last close callbacks */
        klx_loop_free(h->loop);
        klx_arena_release(&h->arena);
    }
    free(h->counts);
    *h = (struct klx_history_read){ 0 };
}
