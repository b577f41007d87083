/*
 * The Log Analytics channel: rows of a table, through the Logs Ingestion API of Azure Monitor.
 */
#include <stdlib.h>

#include "lib/base/mem.h"
#include "sinks/core/sink.h"
#include "sinks/loganalytics/post.h"
#include "sinks/loganalytics/row.h"
#include "sinks/loganalytics/settings.h"

/* 800 rows of 1.3 KB, which is the usual one, are the 1 MB that a request may hold. Fewer than may wait for a channel (queue: 1000), so
   that reading goes on, and the next batch gathers, while one is sent. */
#define BATCH_N_MAX 800
/* The brackets are the request's; the lane counts the commas. */
#define BATCH_BYTES_MAX (KLX_LOGANALYTICS_BODY_BYTES_MAX - 2)
/* Azure shows a row after seconds to minutes: five more are not felt, and a quiet cluster costs few requests. */
#define BATCH_AGE_MS 5000

struct channel {
    struct klx_clock *clock;
    struct klx_loganalytics_post *post;
};

static int loganalytics_check(const void *config, const struct klx_config_node *at,
                              struct klx_error *e) {
    return klx_loganalytics_config_check(config, at, e);
}

/* Who klaxon is may be what AKS says in the environment. */
static int loganalytics_check_here(const void *config, const struct klx_config_node *at,
                                   struct klx_error *e) {
    const struct klx_loganalytics_config *c = config;
    struct klx_oauth_settings s;
    struct klx_error why = { 0 };
    if (klx_loganalytics_oauth(c, false, &s, &why) != 0) {
        return klx_config_fail(at, e, "%s", why.text);
    }
    klx_oauth_settings_release_copy(&s, &c->oauth);
    return 0;
}

static int loganalytics_open(const struct klx_sink_env *env, const char *name, const void *config,
                             void **ret_channel, struct klx_error *e) {
    struct klx_loganalytics_post *post = NULL;
    int rc = klx_loganalytics_config_check(config, NULL, e);
    rc = rc == 0 ? klx_loganalytics_post_new(env, name, config, &post, e) : rc;
    if (rc != 0) {
        return rc;
    }
    struct channel *c = klx_alloc(struct channel);
    c->clock = env->clock;
    c->post = post;
    *ret_channel = c;
    return 0;
}

static int loganalytics_render(void *channel, const struct klx_notice *notice, struct klx_buf *out,
                               struct klx_error *e) {
    const struct channel *c = channel;
    int rc = klx_loganalytics_row(notice, c->clock->wall_us(c->clock), out);
    return rc == 0 ? 0 : klx_fail(e, rc, "the event is too large for a row");
}

static void loganalytics_send(void *channel, const struct klx_send *send, klx_sent_fn done,
                              void *arg) {
    const struct channel *c = channel;
    klx_loganalytics_post_start(c->post, send, done, arg);
}

/* Who klaxon is there, and with what. */
static void loganalytics_credential(const void *config, struct klx_buf *out) {
    const struct klx_loganalytics_config *c = config;
    struct klx_oauth_settings s;
    if (klx_loganalytics_oauth(c, false, &s, NULL) != 0) {
        return;
    }
    klx_buf_printf(out, "%s %s %s", s.token_url, s.client_id != NULL ? s.client_id : "", s.scope);
    if (s.client_secret != NULL) {
        klx_buf_printf(out, " %s", klx_secret_where(s.client_secret));
    }
    klx_oauth_settings_release_copy(&s, &c->oauth);
}

static void loganalytics_close(void *channel) {
    struct channel *c = channel;
    klx_loganalytics_post_free(c->post);
    free(c);
}

static bool loganalytics_sends_data(const void *config) {
    (void)config;
    return true;
}

const struct klx_sink_ops klx_sink_loganalytics = {
    .name = "loganalytics",
    .fields = klx_loganalytics_fields,
    .config_bytes = sizeof(struct klx_loganalytics_config),
    .payload_bytes_max = KLX_LOGANALYTICS_ROW_BYTES_MAX,
    .batch_bytes_max = BATCH_BYTES_MAX,
    .batch_n_max = BATCH_N_MAX,
    .batch_age_ms = BATCH_AGE_MS,
    .check = loganalytics_check,
    .check_here = loganalytics_check_here,
    .sends_data = loganalytics_sends_data,
    .open = loganalytics_open,
    .render = loganalytics_render,
    .send = loganalytics_send,
    .credential = loganalytics_credential,
    .close = loganalytics_close,
};
