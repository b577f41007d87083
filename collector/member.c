#include "collector/member.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "collector/cluster.h"
#include "collector/cluster_access.h"
#include "collector/kube/lease.h"
#include "lib/base/backoff.h"
#include "lib/base/cleanup.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "lib/base/utf8.h"
#include "lib/io/metrics.h"

#define GIVE_UP_MS 1000 /* for the last commit of a run that leads no more, or cannot go on */
#define AGAIN_MIN_MS 500
#define AGAIN_BASE_MS 2000
#define AGAIN_MAX_MS 60000
#define LASTED_US (10 * 60 * INT64_C(1000000)) /* a run of so long begins anew at once */
#define HOST_BYTES 128

struct klx_member {
    struct klx_member_env env;
    const struct klx_cluster_settings *settings;
    struct klx_kube_client *client;
    struct klx_lease *lease; /* NULL: it always leads */
    struct klx_cluster *run; /* NULL only while it cannot be made */
    enum { STANDBY, RUNNING, STOPPING } phase;
    bool leads;
    bool failed; /* the run that is stopping could not go on */
    int64_t began_us;
    struct klx_backoff backoff;
    struct klx_timer *again; /* active: after a run that could not go on */
    char holder[KLX_LEASE_HOLDER_BYTES];
    void (*on_stopped)(void *arg, bool clean); /* set: it is to end */
    void *stop_arg;
    struct {
        struct klx_gauge *leads;
        struct klx_counter *failures;
    } metrics;
};

static int64_t now_us(const struct klx_member *m) {
    return klx_loop_now_us(m->env.loop);
}

static void on_run_fatal(void *arg, const char *why);

static int make_run(struct klx_member *m, struct klx_error *e) {
    const struct klx_cluster_env env = { .loop = m->env.loop,
                                         .client = m->client,
                                         .clock = m->env.clock,
                                         .kafka = m->env.kafka,
                                         .topics = m->env.topics,
                                         .transactions = m->env.transactions,
                                         .on_fatal = on_run_fatal,
                                         .arg = m };
    return klx_cluster_new(&env, m->settings, &m->run, e);
}

/* Begins a run, when it leads, none is stopping, and there is nothing to wait for. */
static void begin(void *arg) {
    struct klx_member *m = arg;
    struct klx_error e = { 0 };
    if (!m->leads || m->phase != STANDBY || m->on_stopped != NULL || klx_timer_active(m->again)) {
        return;
    }
    if (m->run == NULL && make_run(m, &e) != 0) {
        klx_log_error("cannot begin, trying again", KLX_F_STR("cluster", m->settings->name),
                      KLX_F_STR("why", e.text));
        klx_timer_start(m->again, klx_backoff_next(&m->backoff, m->env.clock));
        return;
    }
    m->phase = RUNNING;
    m->began_us = now_us(m);
    klx_gauge_set(m->metrics.leads, 1);
    klx_cluster_start(m->run);
}

static void on_released(void *arg) {
    struct klx_member *m = arg;
    m->on_stopped(m->stop_arg, true);
}

static void release(struct klx_member *m) {
    if (m->lease != NULL) {
        klx_lease_release(m->lease, on_released, m);
    } else {
        klx_loop_defer(m->env.loop, on_released, m);
    }
}

static void on_run_stopped(void *arg, bool clean) {
    struct klx_member *m = arg;
    klx_gauge_set(m->metrics.leads, 0);
    if (!clean) {
        if (m->on_stopped != NULL) {
            m->on_stopped(m->stop_arg, false);
        } else {
            m->env.on_stuck(m->env.arg);
        }
        return;
    }
    klx_cluster_free(m->run);
    m->run = NULL;
    m->phase = STANDBY;
    if (m->on_stopped != NULL) {
        release(m);
        return;
    }
    if (m->failed) {
        m->failed = false;
        klx_timer_start(m->again, klx_backoff_next(&m->backoff, m->env.clock));
    }
    begin(m);
}

static void stop_run(struct klx_member *m, int64_t wait_ms) {
    m->phase = STOPPING;
    klx_cluster_stop(m->run, wait_ms, on_run_stopped, m);
}

static void on_run_fatal(void *arg, const char *why) {
    struct klx_member *m = arg;
    if (m->phase != RUNNING) {
        return;
    }
    klx_log_error("cannot go on, beginning anew at the last commit",
                  KLX_F_STR("cluster", m->settings->name), KLX_F_STR("why", why));
    klx_counter_add(m->metrics.failures, 1);
    if (now_us(m) - m->began_us > LASTED_US) {
        klx_backoff_reset(&m->backoff);
    }
    m->failed = true;
    stop_run(m, GIVE_UP_MS);
}

static void on_leading(void *arg, bool leading) {
    struct klx_member *m = arg;
    m->leads = leading;
    if (leading) {
        klx_log_info("leads: the Lease is held", KLX_F_STR("cluster", m->settings->name));
        begin(m);
    } else {
        klx_log_warn("leads no more, standing by", KLX_F_STR("cluster", m->settings->name));
        if (m->phase == RUNNING) {
            stop_run(m, GIVE_UP_MS);
        }
    }
}

static void on_holder(void *arg, const char *holder) {
    struct klx_member *m = arg;
    struct klx_buf line KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&line, sizeof(m->holder));
    klx_utf8_line(&line, klx_sv(holder), sizeof(m->holder) - 1);
    snprintf(m->holder, sizeof(m->holder), "%s", klx_buf_str(&line));
    if (!m->leads && holder[0] != '\0') {
        klx_log_info("another collector holds the Lease", KLX_F_STR("cluster", m->settings->name),
                     KLX_F_STR("holder", holder));
    }
}

static void on_lease_trouble(void *arg, const char *what, const char *detail) {
    struct klx_member *m = arg;
    klx_log_warn(what, KLX_F_STR("cluster", m->settings->name), KLX_F_STR("detail", detail));
}

static int open_client(struct klx_member *m, struct klx_error *e) {
    struct klx_kube_access *access = NULL;
    const struct klx_cluster_settings *s = m->settings;
    int64_t wall_us = m->env.clock->wall_us(m->env.clock);
    int rc = klx_cluster_access_load(s, wall_us, &access, e);
    if (rc != 0) {
        return klx_fail_in(e, rc, "cluster %s", s->name);
    }
    if (access->insecure) {
        klx_log_warn("INSECURE: the kubeconfig says insecure-skip-tls-verify; anybody on the way "
                     "can read the token and invent events",
                     KLX_F_STR("cluster", s->name), KLX_F_STR("context", access->context));
    }
    m->client = klx_kube_client_new(m->env.loop, m->env.http, m->env.clock, access);
    return 0;
}

/* "aks-prod-klaxon-0_5f1e…": for people the host, and nobody else's. */
static char *identity(const struct klx_member *m) {
    char host[HOST_BYTES] = "";
    (void)gethostname(host, sizeof(host) - 1);
    return klx_asprintf("%s_%016llx", host, (unsigned long long)m->env.clock->random(m->env.clock));
}

static void open_lease(struct klx_member *m) {
    const struct klx_lease_settings *s = &m->settings->lease;
    const struct klx_lease_callbacks cb = { on_leading, on_holder, on_lease_trouble, m };
    char *name = klx_lease_name(m->settings);
    char *me = identity(m);
    m->lease =
        klx_lease_new(m->client, m->env.clock,
                      s->namespace != NULL ? s->namespace : klx_kube_client_namespace(m->client),
                      name, me, &s->times, &cb);
    free(name);
    free(me);
}

static void make_metrics(struct klx_member *m) {
    const struct klx_label labels[] = { { "cluster", m->settings->name }, { NULL, NULL } };
    m->metrics.leads =
        klx_gauge("klaxon_cluster_leads",
                  "1 while this process collects the cluster, 0: it stands by.", labels);
    m->metrics.failures =
        klx_counter("klaxon_cluster_failures_total",
                    "Times a cluster could not go on and began anew at its last commit.", labels);
}

int klx_member_new(const struct klx_member_env *env, const struct klx_cluster_settings *s,
                   struct klx_member **ret, struct klx_error *e) {
    struct klx_member *m = klx_alloc(struct klx_member);
    m->env = *env;
    m->settings = s;
    klx_backoff_init(&m->backoff, AGAIN_MIN_MS, AGAIN_BASE_MS, AGAIN_MAX_MS);
    int rc = open_client(m, e);
    make_metrics(m);
    rc = rc == 0 ? make_run(m, e) : rc; /* now, so that its mistakes are said at the start */
    if (rc != 0) {
        klx_member_free(m);
        return rc;
    }
    m->again = klx_timer_new(env->loop, begin, m);
    if (s->lease.wanted) {
        open_lease(m);
    }
    *ret = m;
    return 0;
}

void klx_member_start(struct klx_member *m) {
    if (m->lease != NULL) {
        klx_lease_start(m->lease);
    } else {
        m->leads = true;
        begin(m);
    }
}

const struct klx_cluster_settings *klx_member_settings(const struct klx_member *m) {
    return m->settings;
}

bool klx_member_ready(const struct klx_member *m, struct klx_buf *why) {
    if (m->phase == RUNNING) {
        return klx_cluster_ready(m->run, why);
    }
    bool stands_by = m->lease != NULL && !m->leads && m->holder[0] != '\0';
    klx_buf_printf(why, "cluster %s: %s%s\n", m->settings->name,
                   stands_by                       ? "stands by; the Lease is held by "
                   : m->lease != NULL && !m->leads ? "waits for the Lease"
                                                   : "begins anew soon, see the log",
                   stands_by ? m->holder : "");
    return stands_by;
}

void klx_member_stop(struct klx_member *m, int64_t wait_ms,
                     void (*on_stopped)(void *arg, bool clean), void *arg) {
    m->on_stopped = on_stopped;
    m->stop_arg = arg;
    klx_timer_stop(m->again);
    if (m->phase == RUNNING) {
        stop_run(m, wait_ms);
    } else if (m->phase == STANDBY) {
        release(m);
    }
}

void klx_member_free(struct klx_member *m) {
    if (m == NULL) {
        return;
    }
    klx_cluster_free(m->run);
    klx_lease_free(m->lease);
    klx_timer_free(m->again);
    klx_kube_client_free(m->client);
    free(m);
}
