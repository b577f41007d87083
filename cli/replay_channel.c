/*
 * Through a channel, one event after the other, as the sink would render it, its summary marked "REPLAY:".
 *
 *            due                      an answer for every recipient
 *   WAITING ─────▶ SENDING ──────────────────────────────────────────▶ WAITING for the next
 *      ▲              │ not now: retry_after, retry_backoff, ambiguous
 *      └──────────────┘ the same again, at most TRIES_MAX times; a broken channel or credential ends it
 *
 * What ends it leaves that event as not done: the same command goes on with it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cli/channels.h"
#include "cli/replay.h"
#include "cli/terminal.h"
#include "lib/base/backoff.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"

#define DEFAULT_RATE 1
#define TRIES_MAX 8
#define MARK "REPLAY: "

struct channel {
    struct klx_replay *r;
    struct klx_cli_channels all;
    struct klx_cli_channel c;
    struct klx_timer *timer;
    struct klx_backoff backoff;
    struct klx_buf payload;
    struct klx_event_file event; /* in hand */
    bool in_hand, sending;
    unsigned tries;
    struct klx_sv *recipients; /* without a final verdict, of the event in hand */
    size_t recipients_n;
    bool refused; /* by one of them */
    int64_t begun_us;
    int code;
};

static int64_t mono_us(const struct channel *x) {
    return x->c.env.clock->mono_us(x->c.env.clock);
}

static void end(struct channel *x, int code) {
    x->code = code;
    klx_timer_stop(x->timer);
    klx_loop_stop(x->c.env.loop);
}

static void fail(struct channel *x, const struct klx_error *e, int code) {
    klx_progress_clear(&x->r->progress);
    fprintf(stderr, KLX_REPLAY ": %s\n", e->text);
    end(x, code);
}

/* What the other side wrote, and where. */
static void say(struct channel *x, const struct klx_verdict *v) {
    struct klx_buf line KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&line, 8192);
    klx_terminal_text_plain(&line, x->event.event.id);
    klx_buf_printf(&line, ": %s: ", klx_verdict_name(v->class));
    klx_terminal_text_plain(&line, klx_sv(v->reason));
    klx_buf_add_str(&line, v->answer[0] != '\0' ? " (" : "");
    klx_terminal_text_plain(&line, klx_sv(v->answer));
    klx_buf_add_str(&line, v->answer[0] != '\0' ? ")" : "");
    klx_progress_clear(&x->r->progress);
    fprintf(stderr, KLX_REPLAY ": %s\n", klx_buf_str(&line));
}

static void wait_for_next(struct channel *x) {
    int64_t rate = x->r->o->rate > 0 ? x->r->o->rate : DEFAULT_RATE;
    int64_t pause_us = KLX_US_PER_S / rate;
    int64_t own_us = x->c.ops->min_interval_ms * KLX_US_PER_MS;
    int64_t due_us = x->begun_us + (pause_us > own_us ? pause_us : own_us) - mono_us(x);
    klx_timer_start(x->timer, due_us > 0 ? due_us / KLX_US_PER_MS + 1 : 0);
}

static void drop_event(struct channel *x) {
    if (x->in_hand) {
        klx_event_file_release(&x->event);
    }
    x->in_hand = false;
}

static void finish_event(struct channel *x) {
    struct klx_error e = { 0 };
    x->r->told++;
    x->r->refused += x->refused;
    drop_event(x);
    klx_backoff_reset(&x->backoff);
    if (klx_replay_done(x->r, x->r->done + 1, &e) != 0) {
        fail(x, &e, KLX_EXIT_FAILED);
        return;
    }
    klx_progress_tell(&x->r->progress, x->r->done, x->r->total, mono_us(x));
    wait_for_next(x);
}

/* The recipients that are left, after the verdicts of those that were asked; the one that speaks for the rest. */
static const struct klx_verdict *sort_out(struct channel *x, const struct klx_verdict *verdicts,
                                          size_t n) {
    const struct klx_verdict *worst = NULL;
    size_t left = 0;
    for (size_t i = 0; i < n && i < x->recipients_n; i++) {
        const struct klx_verdict *v = &verdicts[i];
        if (!klx_verdict_is_final(v->class)) {
            x->recipients[left++] = x->recipients[i];
            worst = worst == NULL || v->class > worst->class ? v : worst;
        } else if (v->class != KLX_VERDICT_DELIVERED && v->class != KLX_VERDICT_ACCEPTED) {
            x->refused = true;
            say(x, v);
        }
    }
    x->recipients_n = left;
    return worst;
}

static void on_sent(void *arg, const struct klx_verdict *verdicts, size_t n) {
    struct channel *x = arg;
    x->sending = false;
    const struct klx_verdict *v = sort_out(x, verdicts, n);
    if (v == NULL) {
        finish_event(x);
        return;
    }
    say(x, v);
    x->tries++;
    if (v->class == KLX_VERDICT_CREDENTIAL_BROKEN) {
        end(x, KLX_EXIT_DENIED);
    } else if (v->class == KLX_VERDICT_DESTINATION_BROKEN) {
        end(x, KLX_EXIT_FAILED);
    } else if (x->tries == TRIES_MAX) {
        end(x, KLX_EXIT_UNAVAILABLE);
    } else {
        klx_timer_start(x->timer,
                        klx_backoff_next_after(&x->backoff, x->c.env.clock, v->retry_after_ms));
    }
}

static void send(struct channel *x) {
    const struct klx_sv payload = klx_buf_sv(&x->payload);
    char text[160];
    /* Not the event's own: whoever recognizes what was told before by its id would not tell this. */
    int n = snprintf(text, sizeof(text), "%.*s-replay-%s",
                     (int)(x->event.event.id.n < 64 ? x->event.event.id.n : 64),
                     x->event.event.id.p, x->r->id);
    const struct klx_send s = { .payloads = &payload,
                                .payloads_n = 1,
                                .recipients = x->recipients,
                                .recipients_n = x->recipients_n,
                                .id = klx_sv_n(text, (size_t)n) };
    x->sending = true;
    x->begun_us = mono_us(x);
    x->c.ops->send(x->c.channel, &s, on_sent, x);
}

static void name_recipients(struct channel *x) {
    static const struct klx_sv nobody_in_particular = { "", 0 };
    const struct klx_sv *all = &nobody_in_particular;
    size_t n = x->c.ops->recipients != NULL ? x->c.ops->recipients(x->c.channel, &all) : 1;
    free(x->recipients);
    x->recipients = klx_alloc_n(struct klx_sv, n);
    memcpy(x->recipients, all, n * sizeof(*all));
    x->recipients_n = n;
}

/* -EBADMSG: this one is refused by its own look. */
static int take_event(struct channel *x, const struct klx_record *record, struct klx_error *e) {
    x->in_hand = true;
    x->refused = false;
    x->tries = 0;
    int rc = klx_event_file_of(record, &x->r->config->settings.topics, &x->event, e);
    rc = rc == 0 ? klx_event_file_mark(&x->event, MARK, e) : rc;
    if (rc != 0) {
        return rc;
    }
    x->event.event.replay_id = klx_sv(x->r->id);
    klx_buf_reset(&x->payload);
    name_recipients(x);
    return klx_cli_channel_render(&x->c, &x->event, NULL, &x->payload, e);
}

static void on_timer(void *arg) {
    struct channel *x = arg;
    struct klx_record record;
    struct klx_error e = { 0 };
    bool more = true;
    if (x->in_hand) {
        send(x);
        return;
    }
    if (klx_replay_next(x->r, &record, &more, &e) != 0) {
        fail(x, &e, KLX_EXIT_FAILED);
    } else if (!more) {
        end(x, KLX_EXIT_OK);
    } else if (take_event(x, &record, &e) != 0) {
        klx_progress_clear(&x->r->progress);
        fprintf(stderr, KLX_REPLAY ": %s/%d@%lld cannot be told: %s\n", record.topic,
                (int)record.partition, (long long)record.offset, e.text);
        x->refused = true;
        finish_event(x);
    } else {
        send(x);
    }
}

static void on_signal(void *arg, int signum) {
    (void)signum;
    end(arg, KLX_EXIT_INTERRUPTED);
}

static int run(struct channel *x) {
    struct klx_loop *loop = x->c.env.loop;
    klx_backoff_init(&x->backoff, 500, 1000, 60000);
    klx_buf_init(&x->payload, x->c.ops->payload_bytes_max);
    x->timer = klx_timer_new(loop, on_timer, x);
    klx_timer_start(x->timer, 0);
    klx_progress_begin(&x->r->progress, "telling", x->r->done, mono_us(x));
    klx_loop_on_signal(loop, on_signal, x);
    klx_loop_run(loop);
    klx_loop_on_signal(loop, NULL, NULL);
    klx_timer_free(x->timer);
    drop_event(x);
    klx_buf_release(&x->payload);
    free(x->recipients);
    return x->code;
}

int klx_replay_to_channel(struct klx_replay *r) {
    struct channel *x = klx_alloc(struct channel);
    struct klx_error e = { 0 };
    x->r = r;
    int code = klx_cli_channels_load(KLX_REPLAY, r->o->config, &x->all);
    if (code != KLX_EXIT_OK) {
        free(x);
        return code;
    }
    const struct klx_channel_settings *s = klx_cli_channel_find(KLX_REPLAY, &x->all, r->goal);
    code = KLX_EXIT_FAILED;
    if (s != NULL && klx_cli_channel_open(&x->all, s, &x->c, &e) == 0) {
        code = run(x);
    } else if (s != NULL) {
        fprintf(stderr, KLX_REPLAY ": %s: %s\n", r->goal, e.text);
    }
    if (s != NULL) {
        klx_cli_channel_close(&x->c);
    }
    klx_cli_channels_release(&x->all);
    free(x);
    return code;
}
