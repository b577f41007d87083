/*
 * klaxon-collector: one or more clusters → Kafka.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/fleet.h"
#include "klx_version.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/io/httpd.h"
#include "lib/io/metrics.h"
#include "lib/io/reload_metrics.h"
#include "lib/io/service.h"
#include "lib/io/watch_files.h"
#include "schema/startup.h"

#define STOP_MS 4000 /* of the five seconds that an ordered stop may take */
#define WORK_THREADS_MORE 8

static const struct klx_command_help help = {
    .name = "klaxon-collector",
    .operands = "",
    .summary = "Streams what happens in Kubernetes clusters to Kafka, each change exactly once.",
    .examples = "  klaxon-collector --config klaxon.yaml --check\n  klaxon-collector --config "
                "klaxon.yaml\n",
};

struct process {
    const char *config;
    struct klx_loop *loop;
    struct klx_http *http;
    struct klx_httpd *httpd;
    struct klx_fleet *fleet;
    struct klx_service *service;
    struct klx_watch_files *watch;  /* of the configuration */
    char hash[KLX_HASH_TEXT_BYTES]; /* of the one in use */
    bool stopping, clean;
    int exit_code;
};

static void on_stopped(void *arg, bool clean) {
    struct process *p = arg;
    p->clean = clean;
    klx_loop_stop(p->loop);
}

static void stop(struct process *p) {
    if (!p->stopping) {
        p->stopping = true;
        klx_service_stopping(p->service);
        klx_watch_files_free(p->watch);
        p->watch = NULL;
        klx_fleet_stop(p->fleet, STOP_MS, on_stopped, p);
    }
}

/* Takes over the settings. */
static int use(struct process *p, struct klx_settings *settings, struct klx_error *e) {
    struct klx_collector_settings collector;
    enum klx_log_format format = settings->log_format;
    enum klx_log_level level = settings->log_level;
    char hash[KLX_HASH_TEXT_BYTES];
    memcpy(hash, settings->hash, sizeof(hash));
    int rc = klx_collector_settings_load(settings, &collector, e);
    if (rc != 0) {
        klx_settings_release(settings);
        return rc;
    }
    rc = klx_fleet_reload(p->fleet, settings, &collector, e);
    if (rc == 0) {
        memcpy(p->hash, hash, sizeof(hash));
        klx_log_init("collector", format, level);
        klx_log_info("the configuration was read again",
                     KLX_F_STR("file", klx_settings_path(p->config)));
    }
    return rc;
}

/* A configuration with a mistake changes nothing. asked: by a signal; else because files have changed, perhaps to what they were. */
static void reload(struct process *p, bool asked) {
    struct klx_settings settings;
    struct klx_error e = { 0 };
    klx_watch_files_seen(p->watch);
    int rc = klx_settings_load(p->config, &settings, &e);
    if (rc == 0 && !asked && strcmp(settings.hash, p->hash) == 0) {
        klx_settings_release(&settings);
    } else if (rc == 0) {
        rc = use(p, &settings, &e);
    }
    if (rc == 0) {
        klx_reload_metrics_good(p->hash, klx_clock_real());
    } else {
        klx_reload_metrics_bad();
        klx_log_error("the configuration cannot be used, going on with the one before",
                      KLX_F_STR("why", e.text));
    }
}

static void on_files(void *arg) {
    reload(arg, false);
}

static void on_signal(void *arg, int signum) {
    struct process *p = arg;
    if (signum == SIGHUP && !p->stopping) {
        reload(p, true);
    } else if (signum != SIGHUP) {
        klx_log_info("stopping");
        stop(p);
    }
}

static void on_stuck(void *arg) {
    struct process *p = arg;
    klx_log_error("Kafka does not answer a commit, ending; the next start resumes at the last one");
    p->exit_code = KLX_EXIT_FAILED;
    p->clean = false;
    klx_loop_stop(p->loop);
}

static bool is_ready(void *arg, struct klx_buf *why) {
    const struct process *p = arg;
    return klx_fleet_ready(p->fleet, why);
}

static int open_server(struct process *p, const char *listen, struct klx_error *e) {
    if (listen == NULL) {
        return 0;
    }
    int rc = klx_httpd_new(p->loop, listen, is_ready, p, &p->httpd, e);
    if (rc == 0) {
        klx_log_info("listening: /metrics, /healthz, /readyz", KLX_F_STR("address", listen),
                     KLX_F_INT("port", klx_httpd_port(p->httpd)));
    }
    return rc;
}

static int open_all(struct process *p, struct klx_settings *s, struct klx_collector_settings *c,
                    struct klx_error *e) {
    const struct klx_member_env env = {
        .loop = p->loop, .http = p->http, .clock = klx_clock_real(), .on_stuck = on_stuck, .arg = p
    };
    char *listen = c->listen != NULL ? klx_strdup(c->listen) : NULL;
    int rc = klx_fleet_new(&env, s, c, &p->fleet, e);
    rc = rc == 0 ? open_server(p, listen, e) : rc;
    free(listen);
    return rc;
}

static void follow_files(struct process *p) {
    char *folders[KLX_SETTINGS_FOLDERS_N];
    klx_settings_folders(klx_settings_path(p->config), folders);
    p->watch =
        klx_watch_files_new(p->loop, klx_settings_path(p->config), (const char *const *)folders,
                            KLX_SETTINGS_FOLDERS_N, on_files, p);
    for (size_t i = 0; i < KLX_SETTINGS_FOLDERS_N; i++) {
        free(folders[i]);
    }
    klx_reload_metrics_good(p->hash, klx_clock_real());
}

static void close_all(struct process *p) {
    klx_watch_files_free(p->watch);
    klx_service_free(p->service);
    klx_fleet_free(p->fleet);
    klx_httpd_free(p->httpd);
    klx_metrics_reset();
    klx_http_free(p->http);
    klx_loop_on_signal(p->loop, NULL, NULL);
    klx_loop_run(p->loop); /* the last close callbacks */
    klx_loop_free(p->loop);
}

static int run(struct process *p, struct klx_settings *s, struct klx_collector_settings *c) {
    struct klx_error e = { 0 };
    /* The commit of each cluster, and reading the state or ending a client beside it; more clusters may come. */
    klx_work_threads((unsigned)c->clusters_n + WORK_THREADS_MORE);
    p->loop = klx_loop_new();
    /* Before anything can be seen of the process: whoever then ends it finds it in order. */
    klx_loop_on_signal(p->loop, on_signal, p);
    p->http = klx_http_new(p->loop);
    klx_metrics_set_version(KLX_VERSION);
    if (open_all(p, s, c, &e) != 0) {
        klx_log_error(e.text);
        close_all(p);
        return KLX_EXIT_CONFIG;
    }
    p->service = klx_service_new(p->loop);
    klx_fleet_start(p->fleet);
    follow_files(p);
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
    struct klx_collector_settings c;
    struct process p = { .clean = true };
    struct klx_error e = { 0 };
    int code = 0;
    klx_share_heap();
    if (!klx_startup(argc, argv, &help, "collector", &startup, &code)) {
        return code;
    }
    if (klx_collector_settings_load(&startup.settings, &c, &e) != 0) {
        fprintf(stderr, "%s\n", e.text);
        klx_settings_release(&startup.settings);
        return KLX_EXIT_CONFIG;
    }
    if (startup.check) {
        printf("%s: %zu cluster%s: good\n", klx_startup_path(&startup), c.clusters_n,
               c.clusters_n == 1 ? "" : "s");
        klx_collector_settings_release(&c);
        klx_settings_release(&startup.settings);
        return KLX_EXIT_OK;
    }
    p.config = startup.config;
    memcpy(p.hash, startup.settings.hash, sizeof(p.hash));
    return run(&p, &startup.settings, &c);
}
