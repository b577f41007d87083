/*
 * `klaxon check`: binds every part of the configuration as the processes would, and reports all of the mistakes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/channels.h"
#include "cli/command.h"
#include "cli/findings.h"
#include "collector/cluster_access.h"
#include "collector/settings.h"
#include "collector/watch_places.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/options.h"
#include "lib/io/httpd.h"
#include "sinks/core/wording.h"

#define COMMAND "klaxon check"
#define OUTPUT_BYTES_MAX (16u << 20)

struct options {
    const char *config, *output;
    bool no_environment, strict;
};

struct check {
    const struct options *o;
    struct klx_settings settings;
    struct klx_findings findings;
};

static void report(void *arg, const char *text) {
    struct check *c = arg;
    klx_findings_add(&c->findings, false, text);
}

static void mistake(struct check *c, const struct klx_config_node *at,
                    const struct klx_error *why) {
    struct klx_error e;
    klx_config_fail(at, &e, "%s", why->text);
    report(c, e.text);
}

static void warn(struct check *c, const struct klx_config_node *at, const char *words) {
    struct klx_error e;
    klx_config_fail(at, &e, "%s", words);
    klx_findings_add(&c->findings, true, e.text);
}

/* Properties that name files: librdkafka's own words about them are OpenSSL's. */
static size_t check_kafka_files(struct check *c) {
    size_t wrong = 0;
    const struct klx_config_node *n = klx_config_first(c->settings.kafka);
    for (; n != NULL; n = klx_config_next(n)) {
        struct klx_error e = { 0 };
        struct klx_sv path = klx_config_scalar(n);
        if (path.n > 0 && klx_sv_ends(klx_config_key(n), KLX_SV(".location")) &&
            !klx_sv_eq(path, KLX_SV("probe")) && access(path.p, R_OK) != 0) {
            klx_fail(&e, -errno, "cannot read %s: %s", path.p, strerror(errno));
            mistake(c, n, &e);
            wrong++;
        }
    }
    return wrong;
}

static void check_kafka(struct check *c) {
    if (c->settings.kafka == NULL) {
        return;
    }
    struct klx_kafka_config *kafka = klx_kafka_config_new();
    struct klx_error e = { 0 };
    size_t refused = c->o->no_environment
                         ? klx_kafka_config_bind_anywhere(kafka, c->settings.kafka, report, c)
                         : klx_kafka_config_bind(kafka, c->settings.kafka, report, c);
    if (refused == 0 && !c->o->no_environment && check_kafka_files(c) == 0 &&
        klx_kafka_config_check(kafka, &e) != 0) {
        mistake(c, c->settings.kafka, &e);
    }
    if (klx_kafka_config_doubt(kafka) != NULL) {
        warn(c, c->settings.kafka, klx_kafka_config_doubt(kafka));
    }
    klx_kafka_config_free(kafka);
}

static void check_address(struct check *c, const struct klx_config_node *map) {
    const struct klx_config_node *n = map != NULL ? klx_config_get(map, "listen") : NULL;
    struct klx_error e = { 0 };
    if (n == NULL || klx_config_scalar(n).n == 0) {
        return;
    }
    if (klx_httpd_check_address(klx_config_scalar(n).p, &e) != 0) {
        mistake(c, n, &e);
    }
}

/* `own`: where klaxon's own objects are; NULL: not known here. */
static void warn_of_blind_canary(struct check *c, const struct klx_cluster_settings *cluster,
                                 const char *own) {
    const struct klx_canary_settings *canary = &cluster->canary;
    const char *namespace = canary->namespace != NULL ? canary->namespace : own;
    if (namespace == NULL ||
        !klx_canary_is_blind(canary, cluster->sources, cluster->sources_n, namespace)) {
        return;
    }
    char *words = klx_asprintf(
        "there is no canary in the namespace %s: %s. A watch that died in silence is noticed by "
        "`dead_after` only; `canary: { namespace: … }` or `canary: false` settles it",
        namespace, klx_canary_obstacle(canary, cluster->sources, cluster->sources_n, namespace));
    const struct klx_config_node *set = klx_config_get(cluster->at, "canary");
    warn(c, set != NULL ? set : cluster->at, words);
    free(words);
}

static void check_access(struct check *c, struct klx_cluster_settings *cluster) {
    struct klx_kube_access *access = NULL;
    struct klx_error e = { 0 };
    struct klx_clock *clock = klx_clock_real();
    if (klx_cluster_settings_complete(cluster, &e) != 0) {
        report(c, e.text);
        return;
    }
    if (klx_cluster_access_load(cluster, clock->wall_us(clock), &access, &e) != 0) {
        /* The path of the place ends in the same word. */
        const struct klx_config_node *named =
            klx_config_get(cluster->at, cluster->in_cluster ? "in_cluster" : "kubeconfig");
        struct klx_sv words = klx_sv(e.text);
        struct klx_sv prefix = klx_sv(cluster->in_cluster ? "in_cluster: " : "kubeconfig: ");
        size_t skip = named != NULL && klx_sv_starts(words, prefix) ? prefix.n : 0;
        struct klx_error why;
        klx_fail(&why, e.code, "%s", e.text + skip);
        mistake(c, named != NULL ? named : cluster->at, &why);
    }
    warn_of_blind_canary(c, cluster, access != NULL ? access->namespace : NULL);
    klx_kube_access_free(access);
}

/* Events about Nodes lie in `default`: a selection easily loses them, and with them what auto-repair does. */
static void warn_of_lost_node_events(struct check *c, const struct klx_cluster_settings *cluster) {
    const struct klx_config_node *sources = klx_config_get(cluster->at, "sources");
    for (size_t i = 0; i < cluster->sources_n && klx_config_get(sources, "nodes") != NULL; i++) {
        const struct klx_source_settings *s = &cluster->sources[i];
        if (s->ops == &klx_source_events && !klx_source_covers(s, KLX_SV("default/node"))) {
            const struct klx_config_node *map = klx_config_get(sources, s->ops->name);
            const char *key = s->namespaces.n > 0 ? "namespaces" : "exclude_namespaces";
            warn(c, klx_config_get(map, key),
                 "Events about nodes lie in the namespace `default`: auto-repair is not seen");
        }
    }
}

/* Limits are the Pods'; what uses them is not held against anything without. */
static void warn_of_no_limits(struct check *c, const struct klx_cluster_settings *cluster) {
    const struct klx_config_node *sources = klx_config_get(cluster->at, "sources");
    const struct klx_config_node *metrics = klx_config_get(sources, klx_source_podmetrics.name);
    if (metrics != NULL && klx_config_get(sources, klx_source_pods.name) == NULL) {
        warn(c, metrics,
             "without the source `pods` no limit is known: memory near its limit is not told");
    }
}

static void check_collector(struct check *c, struct klx_collector_settings *ret) {
    klx_collector_settings_bind(&c->settings, ret, report, c);
    check_address(c, c->settings.collector);
    for (size_t i = 0; i < ret->clusters_n; i++) {
        if (ret->clusters[i].sources_n > 0) {
            warn_of_lost_node_events(c, &ret->clusters[i]);
            warn_of_no_limits(c, &ret->clusters[i]);
        }
    }
    for (size_t i = 0; i < ret->clusters_n; i++) {
        if (klx_config_type(ret->clusters[i].at) != KLX_CONFIG_MAP) {
            continue;
        }
        if (c->o->no_environment) {
            warn_of_blind_canary(c, &ret->clusters[i], NULL);
        } else {
            check_access(c, &ret->clusters[i]);
        }
    }
}

static void warn_of_unused(struct check *c, const struct klx_sinks_settings *s) {
    for (size_t i = 0; i < s->channels_n; i++) {
        bool used = false;
        for (size_t k = 0; k < s->subscriptions_n; k++) {
            used = used || klx_subscription_names(&s->subscriptions[k], i);
        }
        if (!used) {
            warn(c, c->settings.channels[i], "no subscription sends to this channel");
        }
    }
}

static void warn_of_doubts(struct check *c, const struct klx_sinks_settings *s) {
    for (size_t i = 0; i < s->channels_n; i++) {
        const struct klx_channel_settings *ch = &s->channels[i];
        const char *key = NULL;
        const char *words = ch->ops != NULL && ch->ops->doubt != NULL && ch->config != NULL
                                ? ch->ops->doubt(ch->config, &key)
                                : NULL;
        if (words != NULL) {
            const struct klx_config_node *kind = klx_config_get(c->settings.channels[i], ch->sink);
            warn(c, klx_config_get(kind, key), words);
        }
    }
}

/* Only where the clusters are in the same configuration: a sink's may leave them out. */
static void warn_of_clusters(struct check *c, const struct klx_sinks_settings *s,
                             const struct klx_collector_settings *collector) {
    for (size_t i = 0; i < s->subscriptions_n && collector->clusters_n > 0; i++) {
        bool any = false;
        for (size_t k = 0; k < collector->clusters_n; k++) {
            const char *name = collector->clusters[k].name;
            any = any || klx_match_test(s->subscriptions[i].cluster, klx_sv(name));
        }
        if (!any) {
            const struct klx_config_node *match =
                klx_config_get(c->settings.subscriptions[i], "match");
            warn(c, klx_config_get(match, "cluster"), "this matches none of `clusters:`");
        }
    }
}

static void doubt(void *arg, const char *text) {
    struct check *c = arg;
    klx_findings_add(&c->findings, true, text);
}

static bool tells_people(const struct klx_sinks_settings *s,
                         const struct klx_subscription_settings *subscription) {
    for (size_t i = 0; i < s->channels_n; i++) {
        if (klx_subscription_names(subscription, i) && !klx_channel_sends_data(&s->channels[i])) {
            return true;
        }
    }
    return false;
}

/* Each template of a message is filled in with an event of every kind. */
static void check_wordings(struct check *c, const struct klx_sinks_settings *s) {
    struct klx_wording_trial *trial = klx_wording_trial_new();
    for (size_t i = 0; i < s->channels_n; i++) {
        if (s->channels[i].wording != NULL) {
            klx_wording_try(trial, s->channels[i].wording, report, doubt, c);
        }
    }
    for (size_t i = 0; i < s->subscriptions_n; i++) {
        const struct klx_subscription_settings *sub = &s->subscriptions[i];
        if (sub->wording == NULL) {
            continue;
        }
        klx_wording_try(trial, sub->wording, report, doubt, c);
        if (!tells_people(s, sub)) {
            warn(c, klx_config_get(c->settings.subscriptions[i], "message"),
                 "its channels are sent data and no message for people: these words are nowhere");
        }
    }
    klx_wording_trial_free(trial);
}

static void check_sinks(struct check *c, const struct klx_collector_settings *collector) {
    const struct klx_config_node *n =
        c->settings.sinks != NULL ? klx_config_first(c->settings.sinks) : NULL;
    for (; n != NULL; n = klx_config_next(n)) {
        check_address(c, klx_config_type(n) == KLX_CONFIG_MAP ? n : NULL);
    }
    const struct klx_sink_ops *all[KLX_SINKS_MAX];
    size_t all_n = klx_cli_sinks(all);
    struct klx_sinks_settings sinks;
    size_t wrong =
        c->o->no_environment
            ? klx_sinks_settings_bind_anywhere(&c->settings, all, all_n, &sinks, report, c)
            : klx_sinks_settings_bind(&c->settings, all, all_n, &sinks, report, c);
    if (wrong == 0) {
        warn_of_unused(c, &sinks);
        warn_of_clusters(c, &sinks, collector);
        warn_of_doubts(c, &sinks);
        check_wordings(c, &sinks);
        klx_sinks_settings_release(&sinks);
    }
}

static void check_all(struct check *c) {
    klx_settings_load_all(c->o->config, &c->settings, report, c);
    if (c->settings.unread > 0) {
        return; /* what is missing would make mistakes elsewhere that are none */
    }
    struct klx_collector_settings collector;
    check_kafka(c);
    check_collector(c, &collector);
    check_sinks(c, &collector);
    klx_collector_settings_release(&collector);
}

static struct klx_check_counts count(const struct klx_settings *s) {
    struct klx_check_counts counts = { .channels = s->channels_n,
                                       .subscriptions = s->subscriptions_n };
    const struct klx_config_node *n = s->clusters != NULL ? klx_config_first(s->clusters) : NULL;
    for (; n != NULL; n = klx_config_next(n)) {
        counts.clusters++;
    }
    return counts;
}

static int print(struct check *c) {
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    struct klx_terminal terminal;
    struct klx_terminal_env env;
    const char *file = klx_settings_path(c->o->config);
    const struct klx_check_counts counts = count(&c->settings);
    klx_buf_init(&out, OUTPUT_BYTES_MAX);
    klx_terminal_env_read(&env, STDOUT_FILENO);
    klx_terminal_init(&terminal, "never", &env);
    klx_findings_sort(&c->findings);
    if (strcmp(c->o->output, "json") == 0) {
        klx_findings_json(&c->findings, file, &counts, &out);
    } else if (strcmp(c->o->output, "github") == 0) {
        klx_findings_github(&c->findings, &out);
    } else {
        klx_findings_text(&c->findings, file, &counts, &terminal, &out);
    }
    int code = c->findings.mistakes > 0                   ? KLX_EXIT_CONFIG
               : c->o->strict && c->findings.warnings > 0 ? KLX_EXIT_WARNINGS
                                                          : KLX_EXIT_OK;
    return klx_cli_print(COMMAND, klx_buf_sv(&out), code);
}

static const struct klx_option table[] = {
    KLX_CLI_OPTION_CONFIG,
    { "no-environment", 0, KLX_OPT_FLAG, offsetof(struct options, no_environment), NULL,
      "do not look at secrets, kubeconfigs and certificates", NULL },
    { "strict", 0, KLX_OPT_FLAG, offsetof(struct options, strict), NULL,
      "warnings end with exit code 3", NULL },
    { "output", 'o', KLX_OPT_CHOICE, offsetof(struct options, output), NULL,
      "lines, one JSON document, or annotations of a pull request", "text|json|github" },
    { .name = NULL },
};

static const struct klx_command_help help = {
    .name = COMMAND,
    .operands = "",
    .summary = "Check the configuration of all processes, and say every mistake with its place.",
    .examples = "  klaxon check\n"
                "  klaxon check -c klaxon.yaml --strict\n"
                "  klaxon check --no-environment -o github\n",
};

int klx_cli_check(int argc, char **argv) {
    struct options o = { .output = "text" };
    int code = KLX_EXIT_OK;
    int first = klx_options_parse(argc, argv, &help, table, &o, &code);
    code = first < 0 ? code : klx_cli_no_operands(COMMAND, argc, argv, first);
    if (first < 0 || code != KLX_EXIT_OK) {
        return code;
    }
    struct check c = { .o = &o };
    klx_findings_init(&c.findings);
    check_all(&c);
    code = print(&c);
    klx_findings_release(&c.findings);
    klx_settings_release(&c.settings);
    return code;
}
