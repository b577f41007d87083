/*
 * klaxon-collector: one or more clusters → Kafka.
 */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "collector/cluster.h"
#include "klx_version.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/io/httpd.h"
#include "lib/io/metrics.h"
#include "schema/startup.h"

#define STOP_MS 4000 /* of the five seconds that an ordered stop may take */

static const struct klx_command_help help = {
    .name = "klaxon-collector",
    .operands = "",
    .summary = "Streams what happens in Kubernetes clusters to Kafka, each change exactly once.",
    .examples = "  klaxon-collector --config klaxon.yaml --check\n  klaxon-collector --config "
                "klaxon.yaml\n",
};

struct process {
    struct klx_settings settings;
    struct klx_collector_settings collector;
    struct klx_loop *loop;
    struct klx_http *http;
    struct klx_httpd *httpd;
    struct klx_cluster **clusters;
    size_t clusters_n, stopped_n;
    bool stopping, clean;
    int exit_code;
};

static void on_cluster_stopped(void *arg, bool clean) {
    struct process *p = arg;
    p->stopped_n++;
    p->clean = p->clean && clean;
    if (p->stopped_n == p->clusters_n) {
        klx_loop_stop(p->loop);
    }
}

static void stop(struct process *p) {
    if (p->stopping) {
        return;
    }
    p->stopping = true;
    for (size_t i = 0; i < p->clusters_n; i++) {
        klx_cluster_stop(p->clusters[i], STOP_MS, on_cluster_stopped, p);
    }
}

static void on_signal(void *arg, int signum) {
    if (signum != SIGHUP) {
        klx_log_info("stopping");
        stop(arg);
    }
}

static void on_fatal(void *arg, const char *cluster, const char *why) {
    struct process *p = arg;
    klx_log_error("cannot go on, ending; the next start resumes at the last commit",
                  KLX_F_STR("cluster", cluster), KLX_F_STR("why", why));
    p->exit_code = KLX_EXIT_FAILED;
    stop(p);
}

static bool is_ready(void *arg, struct klx_buf *why) {
    const struct process *p = arg;
    bool ready = !p->stopping;
    for (size_t i = 0; i < p->clusters_n; i++) {
        ready = klx_cluster_ready(p->clusters[i], why) && ready;
    }
    return ready;
}

static int open_clusters(struct process *p, struct klx_error *e) {
    const struct klx_cluster_env env = {
        .loop = p->loop,
        .http = p->http,
        .clock = klx_clock_real(),
        .kafka = p->collector.kafka,
        .topics = &p->settings.topics,
        .on_fatal = on_fatal,
        .arg = p,
    };
    p->clusters = klx_alloc_n(struct klx_cluster *, p->collector.clusters_n);
    for (size_t i = 0; i < p->collector.clusters_n; i++) {
        int rc = klx_cluster_new(&env, &p->collector.clusters[i], &p->clusters[i], e);
        if (rc != 0) {
            return rc;
        }
        p->clusters_n++;
    }
    return 0;
}

static int open_server(struct process *p, struct klx_error *e) {
    if (p->collector.listen == NULL) {
        return 0;
    }
    int rc = klx_httpd_new(p->loop, p->collector.listen, is_ready, p, &p->httpd, e);
    if (rc == 0) {
        klx_log_info("listening: /metrics, /healthz, /readyz",
                     KLX_F_STR("address", p->collector.listen),
                     KLX_F_INT("port", klx_httpd_port(p->httpd)));
    }
    return rc;
}

static void close_all(struct process *p) {
    for (size_t i = 0; i < p->clusters_n; i++) {
        klx_cluster_free(p->clusters[i]);
    }
    free(p->clusters);
    klx_httpd_free(p->httpd);
    klx_metrics_reset();
    klx_http_free(p->http);
    klx_loop_on_signal(p->loop, NULL, NULL);
    klx_loop_run(p->loop); /* the last close callbacks */
    klx_loop_free(p->loop);
    klx_collector_settings_release(&p->collector);
    klx_settings_release(&p->settings);
}

static int run(struct process *p) {
    struct klx_error e = { 0 };
    /* The commit of each cluster, and reading the state or ending a client beside it. */
    klx_work_threads((unsigned)p->collector.clusters_n + 1);
    p->loop = klx_loop_new();
    /* Before anything can be seen of the process: whoever then ends it finds it in order. */
    klx_loop_on_signal(p->loop, on_signal, p);
    p->http = klx_http_new(p->loop);
    klx_metrics_set_version(KLX_VERSION);
    if (open_clusters(p, &e) != 0 || open_server(p, &e) != 0) {
        klx_log_error(e.text);
        close_all(p);
        return KLX_EXIT_CONFIG;
    }
    for (size_t i = 0; i < p->clusters_n; i++) {
        klx_cluster_start(p->clusters[i]);
    }
    klx_loop_run(p->loop);
    if (!p->clean) {
        klx_log_warn("Kafka did not answer in time; the next start ends what is open");
        _exit(p->exit_code);
    }
    klx_log_info("stopped");
    close_all(p);
    return p->exit_code;
}

int main(int argc, char **argv) {
    struct klx_startup startup;
    struct process p = { .clean = true };
    struct klx_error e = { 0 };
    int code = 0;
    klx_share_heap();
    if (!klx_startup(argc, argv, &help, "collector", &startup, &code)) {
        return code;
    }
    p.settings = startup.settings;
    if (klx_collector_settings_load(&p.settings, &p.collector, &e) != 0) {
        fprintf(stderr, "%s\n", e.text);
        klx_settings_release(&p.settings);
        return KLX_EXIT_CONFIG;
    }
    if (startup.check) {
        printf("%s: %zu cluster%s: good\n", klx_startup_path(&startup), p.collector.clusters_n,
               p.collector.clusters_n == 1 ? "" : "s");
        klx_collector_settings_release(&p.collector);
        klx_settings_release(&p.settings);
        return KLX_EXIT_OK;
    }
    return run(&p);
}
