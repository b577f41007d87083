/*
 * The Teams channel: a workflow that posts cards to the one channel or chat it was made for.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/cleanup.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "sinks/core/card.h"
#include "sinks/core/http_post.h"
#include "sinks/teams/adaptive.h"
#include "sinks/teams/answer.h"
#include "sinks/teams/workflow.h"

#define CARD_BYTES_MAX (8u << 20) /* names are whole until the card cuts them */
#define TRACKING_BYTES 96

struct channel {
    const char *name;
    struct klx_clock *clock;
    struct klx_teams_settings settings;
    struct klx_http_post *post;
    /* The id of what is sent, as Power Automate shows it with the run: one that was sent twice is told by it. */
    char tracking[TRACKING_BYTES];
    const char *headers[4];
    struct klx_log_lasting said_error;
    klx_sent_fn done;
    void *arg;
};

static int teams_check(const void *config, const struct klx_config_node *at, struct klx_error *e) {
    const struct klx_teams_config *c = config;
    struct klx_teams_settings settings;
    struct klx_sv url = { 0 };
    struct klx_error why = { 0 };
    int rc = klx_teams_settings_read(c, at, &settings, e);
    if (rc != 0) {
        return rc;
    }
    rc = klx_secret_get(c->webhook_url, &url, &why);
    if (rc == 0) {
        rc = klx_teams_workflow_check(klx_sv_trim(url), klx_secret_where(c->webhook_url), &why);
    }
    return rc == 0 ? 0 : klx_config_fail(klx_config_get(at, "webhook_url"), e, "%s", why.text);
}

static const char *teams_doubt(const void *config, const char **ret_key) {
    const struct klx_teams_config *c = config;
    struct klx_sv url = { 0 };
    *ret_key = "webhook_url";
    return klx_secret_get(c->webhook_url, &url, NULL) == 0
               ? klx_teams_workflow_doubt(klx_sv_trim(url))
               : NULL;
}

static int teams_open(const struct klx_sink_env *env, const char *name, const void *config,
                      void **ret_channel, struct klx_error *e) {
    struct channel *ch = klx_alloc(struct channel);
    int rc = klx_teams_settings_read(config, NULL, &ch->settings, e);
    if (rc != 0) {
        free(ch);
        return rc;
    }
    ch->name = name;
    ch->clock = env->clock;
    ch->headers[0] = "Content-Type: application/json; charset=utf-8";
    ch->headers[1] = "User-Agent: klaxon";
    ch->headers[2] = ch->tracking;
    ch->post = klx_http_post_new(&(struct klx_http_post_options){
        .env = env,
        .url = ch->settings.webhook_url,
        .check = klx_teams_workflow_check,
        .headers = ch->headers,
        .deadline_ms = KLX_TEAMS_DEADLINE_MS,
    });
    *ret_channel = ch;
    const char *key = NULL, *doubt = teams_doubt(config, &key);
    if (doubt != NULL) {
        klx_log_warn(doubt, KLX_F_STR("channel", name));
    }
    return 0;
}

static int teams_render(void *channel, const struct klx_notice *notice, struct klx_buf *out,
                        struct klx_error *e) {
    const struct channel *ch = channel;
    const struct klx_teams_settings *s = &ch->settings;
    struct klx_arena arena;
    struct klx_card card;
    klx_arena_init(&arena, 16384, CARD_BYTES_MAX);
    int rc = klx_card_make(&arena, notice, &card);
    if (rc == 0) {
        bool mention = !card.resolved && card.severity >= s->mention_from;
        const struct klx_teams_envelope envelope = { .notice = notice,
                                                     .mentions = s->mentions,
                                                     .mentions_n = mention ? s->mentions_n : 0 };
        klx_teams_render(&card, &envelope, out);
        rc = klx_buf_check(out);
    }
    klx_arena_release(&arena);
    return rc == 0 ? 0 : klx_fail(e, rc, "the event is too large for a message to Teams");
}

static void log_error_in_success(struct channel *ch, const struct klx_http_result *r,
                                 const struct klx_verdict *v) {
    int64_t now_us = ch->clock->mono_us(ch->clock);
    if (klx_teams_says_error(r) && klx_log_lasting_due(&ch->said_error, v->reason, now_us)) {
        klx_log_warn("the flow has answered with success and speaks of an error",
                     KLX_F_STR("channel", ch->name), KLX_F_INT("status", r->status),
                     KLX_F_STR("verdict", klx_verdict_name(v->class)),
                     KLX_F_STR("reason", v->reason), KLX_F_STR("answer", v->answer));
    }
}

static void on_end(void *arg, const struct klx_http_post_end *end) {
    struct channel *ch = arg;
    struct klx_verdict v = { 0 };
    if (end->result == NULL) {
        klx_verdict_set(&v, KLX_VERDICT_CREDENTIAL_BROKEN, "webhook_url", klx_sv(end->not_sent));
    } else {
        klx_teams_judge(end->result, &v);
        log_error_in_success(ch, end->result, &v);
    }
    ch->done(ch->arg, &v, 1); /* may start the next, or close the channel */
}

static void teams_send(void *channel, const struct klx_send *send, klx_sent_fn done, void *arg) {
    struct channel *ch = channel;
    ch->done = done;
    ch->arg = arg;
    snprintf(ch->tracking, sizeof(ch->tracking), "x-ms-client-tracking-id: %.*s",
             (int)(send->id.n < 64 ? send->id.n : 64), send->id.p);
    klx_http_post_start(ch->post, send->payloads[0], on_end, ch);
}

static void teams_close(void *channel) {
    struct channel *ch = channel;
    klx_http_post_free(ch->post);
    free(ch);
}

const struct klx_sink_ops klx_sink_teams = {
    .name = "teams",
    .fields = klx_teams_fields,
    .config_bytes = sizeof(struct klx_teams_config),
    .payload_bytes_max = KLX_TEAMS_PAYLOAD_BYTES_MAX,
    .min_interval_ms = KLX_TEAMS_INTERVAL_MS,
    .throttle_messages = 30,
    .throttle_per_ms = INT64_C(60000),
    .check = teams_check,
    .doubt = teams_doubt,
    .open = teams_open,
    .render = teams_render,
    .send = teams_send,
    .close = teams_close,
};
