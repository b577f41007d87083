#include "sinks/slack/bot.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "sinks/slack/api.h"
#include "sinks/slack/blocks.h"
#include "sinks/slack/errors.h"
#include "sinks/slack/limits.h"

#define BODY_BYTES_MAX (2u * KLX_SLACK_PAYLOAD_BYTES_MAX)
#define FIRST_ANSWER_BYTES_MAX 300 /* of the 511 that a verdict holds: the second one shows too */

enum step { IDLE, EDIT, REPLY, NEW, PROBE };

struct klx_slack_bot {
    const struct klx_slack_config *c;
    enum klx_slack_updates updates;
    struct klx_slack_api *api;
    struct klx_timer *timer; /* a pause before the step, or a verdict for the next turn */
    enum step step;
    bool plain;    /* the step's message was refused: as text */
    bool edited;   /* the message stands there as it is now */
    bool finished; /* the verdict is there */

    /* Of the delivery. */
    struct klx_arena arena;
    const struct klx_json *payload;
    enum klx_severity severity;
    bool again, resolved;
    struct klx_slack_handle handle; /* of the message to edit or reply to */
    struct klx_buf body;
    char before[FIRST_ANSWER_BYTES_MAX + 1]; /* what was answered to what did not work */
    char refused[64];                        /* the reason of the first refusal */
    struct klx_verdict verdict;
    klx_sent_fn done;
    void *arg;
};

static void on_answer(void *arg, const struct klx_slack_answer *answer);

/* done may start the next, or free b. */
static void finish(struct klx_slack_bot *b) {
    const struct klx_verdict verdict = b->verdict;
    b->step = IDLE;
    b->done(b->arg, &verdict, 1);
}

static bool is_worse(const struct klx_slack_bot *b) {
    return b->severity > b->handle.told;
}

static bool is_reply_wanted(const struct klx_slack_bot *b) {
    return b->again || (b->updates == KLX_SLACK_BOTH && (b->resolved || is_worse(b)));
}

static void write_text(struct klx_slack_bot *b, struct klx_jw *w, const struct klx_json *message) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&text, BODY_BYTES_MAX);
    klx_slack_add_plain_text(&text, message);
    klx_jw_member_sv(w, "text", klx_buf_sv(&text));
    if (b->step == EDIT) { /* what is left out stays as it was */
        klx_jw_key(w, "attachments");
        klx_jw_raw(w, KLX_SV("[]"));
    }
}

static void write_members(struct klx_jw *w, const struct klx_json *message) {
    for (const struct klx_json *m = klx_json_first(message); m != NULL; m = klx_json_next(m)) {
        klx_jw_key_sv(w, klx_json_key(m));
        klx_jw_node(w, m);
    }
}

static void write_place(struct klx_slack_bot *b, struct klx_jw *w) {
    klx_jw_member_str(w, "channel", b->step == NEW ? b->c->channel : b->handle.channel);
    if (b->step == EDIT) {
        klx_jw_member_str(w, "ts", b->handle.ts);
        klx_jw_member_str(w, "parse", "none"); /* otherwise "client", unlike a post */
        return;
    }
    if (b->step == REPLY) {
        klx_jw_member_str(w, "thread_ts", b->handle.ts);
        klx_jw_member_bool(w, "reply_broadcast", b->c->broadcast && (b->again || is_worse(b)));
    }
    klx_jw_member_bool(w, "unfurl_links", false);
    klx_jw_member_bool(w, "unfurl_media", false);
}

static void make_body(struct klx_slack_bot *b) {
    struct klx_jw w;
    const struct klx_json *reply = klx_json_get(b->payload, "reply");
    const struct klx_json *message =
        b->step == REPLY && reply != NULL ? reply : klx_json_get(b->payload, "message");
    klx_buf_reset(&b->body);
    klx_jw_init(&w, &b->body);
    klx_jw_begin_object(&w);
    write_place(b, &w);
    if (b->plain) {
        write_text(b, &w, message);
    } else {
        write_members(&w, message);
    }
    klx_jw_end_object(&w);
}

static void call(struct klx_slack_bot *b) {
    const char *method = b->step == EDIT    ? "chat.update"
                         : b->step == PROBE ? "auth.test"
                                            : "chat.postMessage";
    if (b->step == PROBE) {
        klx_buf_reset(&b->body);
        klx_buf_add_str(&b->body, "{}");
    } else {
        make_body(b);
    }
    klx_slack_api_call(b->api, method, klx_buf_sv(&b->body), on_answer, b);
}

static void go(struct klx_slack_bot *b, enum step step, bool plain, int64_t pause_ms) {
    b->step = step;
    b->plain = plain;
    if (pause_ms > 0) {
        klx_timer_start(b->timer, pause_ms);
    } else {
        call(b);
    }
}

static void on_timer(void *arg) {
    struct klx_slack_bot *b = arg;
    if (b->finished) {
        finish(b);
    } else {
        call(b);
    }
}

static void remember(struct klx_slack_bot *b, const struct klx_verdict *v) {
    struct klx_sv answer = klx_sv_utf8_prefix(klx_sv(v->answer), FIRST_ANSWER_BYTES_MAX);
    memcpy(b->before, answer.p, answer.n);
    b->before[answer.n] = '\0';
}

/* What did not work before is said as well. */
static void conclude(struct klx_slack_bot *b, const struct klx_verdict *v, const char *reason) {
    struct klx_buf answer KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&answer, sizeof(b->before) + sizeof(v->answer) + 64);
    if (b->before[0] != '\0') {
        klx_buf_printf(&answer, "%s; %s: ", b->before, b->plain ? "as plain text" : "posted anew");
    }
    klx_buf_add_str(&answer, v->answer);
    klx_verdict_set(&b->verdict, v->class, reason, klx_buf_sv(&answer));
    b->verdict.retry_after_ms = v->retry_after_ms;
}

static void end_told(struct klx_slack_bot *b, const struct klx_slack_answer *a) {
    struct klx_slack_handle h = b->handle;
    const char *reason = b->plain               ? "plain_text"
                         : b->before[0] != '\0' ? "posted_anew"
                                                : a->verdict.reason;
    conclude(b, &a->verdict, reason);
    if (b->step == NEW) {
        memcpy(h.channel, a->channel, sizeof(h.channel));
        memcpy(h.ts, a->ts, sizeof(h.ts));
        h.told = b->severity;
    } else if (b->step == REPLY && is_worse(b)) {
        h.told = b->severity;
    }
    if (h.ts[0] != '\0') {
        klx_slack_handle_write(&h, b->verdict.handle);
        b->verdict.handle_replaces = true; /* another message, or people know of worse */
    }
    finish(b);
}

/* The message is there as it should be; that nobody can be notified in its thread is said, and no reason for a dead letter. */
static void end_edited_only(struct klx_slack_bot *b, const struct klx_slack_answer *a) {
    conclude(b, &a->verdict, "edited_only");
    b->verdict.class = KLX_VERDICT_DELIVERED;
    klx_slack_handle_write(&b->handle, b->verdict.handle);
    finish(b);
}

static void on_refused(struct klx_slack_bot *b, const struct klx_slack_answer *a) {
    if (!b->plain) {
        remember(b, &a->verdict);
        memcpy(b->refused, a->verdict.reason, sizeof(b->refused));
        go(b, b->step, true, KLX_SLACK_INTERVAL_MS);
    } else if (b->step == REPLY && b->edited) {
        end_edited_only(b, a);
    } else {
        conclude(b, &a->verdict, b->refused);
        finish(b);
    }
}

static void on_delivered(struct klx_slack_bot *b, const struct klx_slack_answer *a) {
    if (b->step == EDIT && is_reply_wanted(b)) {
        b->edited = true;
        b->before[0] = '\0';
        go(b, REPLY, false, 0);
    } else {
        end_told(b, a);
    }
}

static void on_answer(void *arg, const struct klx_slack_answer *answer) {
    struct klx_slack_bot *b = arg;
    struct klx_slack_answer a = *answer;
    bool placed = b->step == EDIT || b->step == REPLY;
    if (b->step == EDIT && a.verdict.class == KLX_VERDICT_AMBIGUOUS) {
        a.verdict.class = KLX_VERDICT_RETRY_BACKOFF;
    }
    if (b->step == PROBE) {
        b->verdict = a.verdict;
        finish(b);
    } else if (placed && klx_slack_is_gone(a.verdict.reason)) {
        remember(b, &a.verdict);
        go(b, NEW, false, b->step == REPLY ? KLX_SLACK_INTERVAL_MS : 0);
    } else if (a.verdict.class == KLX_VERDICT_REJECT_MESSAGE) {
        on_refused(b, &a);
    } else if (a.verdict.class == KLX_VERDICT_DELIVERED) {
        on_delivered(b, &a);
    } else {
        conclude(b, &a.verdict, a.verdict.reason);
        finish(b);
    }
}

/* A handle of another channel than the configured one is of the time before somebody moved it. */
static bool take_handle(struct klx_slack_bot *b, struct klx_sv handle) {
    struct klx_sv channel = klx_sv(b->c->channel);
    bool ours = klx_slack_handle_read(handle, &b->handle) &&
                (channel.p[0] == 'U' || !klx_slack_is_id(channel) ||
                 klx_sv_eq(channel, klx_sv(b->handle.channel)));
    if (!ours) {
        b->handle = (struct klx_slack_handle){ 0 };
    }
    return ours;
}

static int take_payload(struct klx_slack_bot *b, struct klx_sv payload) {
    klx_arena_reset(&b->arena);
    int rc = klx_json_parse(&b->arena, payload, NULL, &b->payload, NULL);
    if (rc != 0) {
        return rc;
    }
    struct klx_sv why = klx_json_str(b->payload, "why");
    b->again = klx_sv_eq(why, KLX_SV("again"));
    b->resolved = klx_sv_eq(why, KLX_SV("resolved"));
    return klx_severity_parse(klx_json_str(b->payload, "severity"), &b->severity);
}

static void begin(struct klx_slack_bot *b, klx_sent_fn done, void *arg) {
    assert(b->step == IDLE);
    b->done = done;
    b->arg = arg;
    b->edited = false;
    b->finished = false;
    b->before[0] = '\0';
}

struct klx_slack_bot *klx_slack_bot_new(const struct klx_sink_env *env,
                                        const struct klx_slack_config *c) {
    struct klx_slack_bot *b = klx_alloc(struct klx_slack_bot);
    b->c = c;
    b->updates = klx_slack_settings_updates(c);
    b->api = klx_slack_api_new(env, c);
    b->timer = klx_timer_new(env->loop, on_timer, b);
    klx_arena_init(&b->arena, 16384, (size_t)16 * KLX_SLACK_PAYLOAD_BYTES_MAX);
    klx_buf_init(&b->body, BODY_BYTES_MAX);
    return b;
}

void klx_slack_bot_start(struct klx_slack_bot *b, const struct klx_send *send, klx_sent_fn done,
                         void *arg) {
    begin(b, done, arg);
    if (take_payload(b, send->payloads[0]) != 0) {
        klx_verdict_set(&b->verdict, KLX_VERDICT_REJECT_MESSAGE, "malformed",
                        KLX_SV("what was rendered cannot be read"));
        b->step = NEW;
        b->finished = true;
        klx_timer_start(b->timer, 0);
    } else if (!take_handle(b, send->handle)) {
        go(b, NEW, false, 0);
    } else {
        go(b, b->updates == KLX_SLACK_THREAD || send->is_old ? REPLY : EDIT, false, 0);
    }
}

void klx_slack_bot_probe(struct klx_slack_bot *b, klx_sent_fn done, void *arg) {
    begin(b, done, arg);
    go(b, PROBE, false, 0);
}

void klx_slack_bot_free(struct klx_slack_bot *b) {
    if (b == NULL) {
        return;
    }
    klx_slack_api_free(b->api);
    klx_timer_free(b->timer);
    klx_arena_release(&b->arena);
    klx_buf_release(&b->body);
    free(b);
}
