#include "lib/io/kafka_login.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "lib/base/url.h"
#include "lib/io/feed.h"
#include "lib/io/http.h"
#include "lib/io/oauth.h"

#define SERVE_EVERY_MS 1000
#define RETRY_MS_MIN 100

struct klx_kafka_login {
    struct klx_oauth_settings settings;
    unsigned holders; /* configurations, and clients */
    unsigned clients;
    /* There while there are clients. */
    struct klx_http *http;
    struct klx_oauth *oauth;
};

/* A loop object. */
struct klx_kafka_login_client {
    struct klx_kafka_login *login;
    rd_kafka_t *rk;
    struct klx_feed *feed;
    struct klx_timer *retry;
    struct klx_oauth_waiter waiter;
};

static const struct klx_config_field fields[] = {
    KLX_OAUTH_FIELDS(struct klx_kafka_login, settings),
    { .key = NULL },
};
const struct klx_config_field *const klx_kafka_oauth_fields = fields;

struct klx_kafka_login *klx_kafka_login_keep(struct klx_kafka_login *l) {
    if (l != NULL) {
        l->holders++;
    }
    return l;
}

void klx_kafka_login_release(struct klx_kafka_login *l) {
    if (l != NULL && --l->holders == 0) {
        klx_oauth_settings_release(&l->settings);
        free(l);
    }
}

/* "https://NAMESPACE.servicebus.windows.net/.default" for a namespace of Event Hubs, else NULL. */
static char *scope_of(const char *brokers) {
    static const char *const clouds[] = { ".servicebus.windows.net",
                                          ".servicebus.usgovcloudapi.net",
                                          ".servicebus.chinacloudapi.cn" };
    struct klx_sv rest = klx_sv(brokers);
    struct klx_sv host = klx_url_host(klx_sv_trim(klx_sv_cut(&rest, ',')), NULL);
    for (size_t i = 0; i < KLX_COUNT(clouds); i++) {
        if (klx_sv_ends(host, klx_sv(clouds[i]))) {
            return klx_asprintf("https://%.*s/.default", KLX_SV_FMT(host));
        }
    }
    return NULL;
}

struct klx_kafka_login *klx_kafka_login_bind(const struct klx_config_node *oauth,
                                             const char *brokers, bool anywhere,
                                             klx_config_report_fn report, void *arg) {
    struct klx_kafka_login *l = klx_alloc(struct klx_kafka_login);
    struct klx_error e = { 0 }, at;
    l->holders = 1;
    size_t mistakes = klx_config_bind_all(oauth, fields, l, report, arg);
    char *scope = scope_of(brokers);
    if (mistakes == 0 && klx_oauth_settings_complete(&l->settings, scope, anywhere, &e) != 0) {
        klx_config_fail(oauth, &at, "%s", e.text);
        report(arg, at.text);
        mistakes++;
    }
    free(scope);
    if (mistakes > 0) {
        klx_kafka_login_release(l);
        return NULL;
    }
    return l;
}

void klx_kafka_login_prepare(rd_kafka_conf_t *conf) {
    rd_kafka_conf_enable_sasl_queue(conf, 1);
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH);
}

static int give(rd_kafka_t *rk, struct klx_oauth *oauth, struct klx_error *e) {
    char words[KLX_KAFKA_WORDS];
    struct klx_oauth_token t;
    struct klx_clock *clock = klx_clock_real();
    int rc = klx_oauth_get(oauth, &t, e);
    if (rc != 0) {
        return rc;
    }
    /* The principal is in the token; brokers do not look at ours, and librdkafka does not either, but wants one. */
    int64_t until_ms = clock->wall_us(clock) / KLX_US_PER_MS + t.left_ms;
    rd_kafka_resp_err_t err = rd_kafka_oauthbearer_set_token(rk, t.value.p, until_ms, "klaxon",
                                                             NULL, 0, words, sizeof(words));
    /* Its words could repeat the token. */
    return err == RD_KAFKA_RESP_ERR_NO_ERROR
               ? 0
               : klx_fail(e, -EPROTO, "the Kafka client does not take the token: %s",
                          rd_kafka_err2str(err));
}

static void serve_token(struct klx_kafka_login_client *c) {
    struct klx_error e = { 0 };
    if (!klx_oauth_ready_fresh(c->login->oauth, &c->waiter)) {
        return;
    }
    if (give(c->rk, c->login->oauth, &e) == 0) {
        klx_timer_stop(c->retry);
        return;
    }
    int64_t again_ms = klx_oauth_retry_ms(c->login->oauth);
    klx_timer_start(c->retry, again_ms > RETRY_MS_MIN ? again_ms : RETRY_MS_MIN);
    rd_kafka_oauthbearer_set_token_failure(c->rk, e.text);
}

static void on_token(void *arg) {
    serve_token(arg);
}

static bool take(void *arg) {
    struct klx_kafka_login_client *c = arg;
    rd_kafka_queue_t *queue = rd_kafka_queue_get_sasl(c->rk);
    rd_kafka_event_t *event = queue != NULL ? rd_kafka_queue_poll(queue, 0) : NULL;
    if (queue != NULL) {
        rd_kafka_queue_destroy(queue);
    }
    if (event == NULL) {
        return false;
    }
    bool wanted = rd_kafka_event_type(event) == RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH;
    rd_kafka_event_destroy(event);
    if (wanted) {
        serve_token(c);
    }
    return true;
}

struct klx_kafka_login_client *klx_kafka_login_join(const struct klx_kafka_config *kafka,
                                                    struct klx_loop *loop, rd_kafka_t *rk) {
    struct klx_kafka_login *l = klx_kafka_config_login(kafka);
    rd_kafka_queue_t *queue = l != NULL ? rd_kafka_queue_get_sasl(rk) : NULL;
    if (queue == NULL) {
        return NULL;
    }
    if (l->clients++ == 0) {
        l->http = klx_http_new(loop);
        l->oauth = klx_oauth_new(loop, l->http, klx_clock_real(), &l->settings);
    }
    struct klx_kafka_login_client *c = klx_alloc(struct klx_kafka_login_client);
    c->login = klx_kafka_login_keep(l);
    c->rk = rk;
    c->waiter = (struct klx_oauth_waiter){ .fn = on_token, .arg = c };
    c->retry = klx_timer_new(loop, on_token, c);
    c->feed = klx_feed_new(loop, queue, SERVE_EVERY_MS, take, c);
    return c;
}

void klx_kafka_login_leave(struct klx_kafka_login_client *c) {
    if (c == NULL) {
        return;
    }
    struct klx_kafka_login *l = c->login;
    klx_oauth_forget(&c->waiter);
    klx_timer_free(c->retry);
    klx_feed_free(c->feed);
    if (--l->clients == 0) {
        klx_oauth_free(l->oauth);
        klx_http_free(l->http);
        l->oauth = NULL;
        l->http = NULL;
    }
    klx_kafka_login_release(l);
    free(c);
}

struct once {
    struct klx_loop *loop;
    bool over;
};

static void on_once(void *arg) {
    struct once *o = arg;
    o->over = true;
    klx_loop_stop(o->loop);
}

/* A loop of its own, for as long as it takes. */
int klx_kafka_login_once(const struct klx_kafka_config *kafka, rd_kafka_t *rk, int64_t timeout_ms,
                         struct klx_error *e) {
    struct klx_kafka_login *l = klx_kafka_config_login(kafka);
    if (l == NULL) {
        return 0;
    }
    struct once o = { .loop = klx_loop_new() };
    struct klx_http *http = klx_http_new(o.loop);
    struct klx_oauth *oauth = klx_oauth_new(o.loop, http, klx_clock_real(), &l->settings);
    struct klx_oauth_waiter waiter = { .fn = on_once, .arg = &o };
    struct klx_timer *deadline = klx_timer_new(o.loop, on_once, &o);
    klx_timer_start(deadline, timeout_ms);
    if (!klx_oauth_ready(oauth, &waiter)) {
        klx_loop_run(o.loop);
    }
    int rc = give(rk, oauth, e);
    klx_oauth_free(oauth);
    klx_http_free(http);
    klx_timer_free(deadline);
    klx_loop_run(o.loop);
    klx_loop_free(o.loop);
    return rc;
}
