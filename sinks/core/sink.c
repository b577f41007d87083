/*
 * The process of a sink: what it owns, and the order in which that starts and stops.
 *
 *   start: settings → producer → channels → what others know → health server → consumer → the files of the settings are followed
 *   stop:  reading → sends under way → parking of what waits → channels → receipts → the last commit, leaving the group → the rest
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "klx_version.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/options.h"
#include "lib/base/time.h"
#include "lib/io/consumer.h"
#include "lib/io/httpd.h"
#include "lib/io/metrics.h"
#include "lib/io/service.h"
#include "schema/startup.h"
#include "sinks/core/dispatch.h"
#include "sinks/core/edition.h"
#include "sinks/core/follow.h"
#include "sinks/core/memory.h"
#include "sinks/core/reload.h"

/* Together, and with what librdkafka needs to end, below the five seconds that an ordered stop may take. */
#define SENDS_MS 2800
#define PARK_MS 700
#define RECEIPTS_MS 700
#define LEAVE_MS 500
#define WAITING_MS 3000
#define ENDS_MAX 256
#define ASK_AGAIN_MS 30000
#define TROUBLE_US (60 * KLX_US_PER_S) /* so long it counts as lasting, unless a record comes */

struct process {
    const struct klx_sink_ops *ops;
    char *name;                 /* "klaxon-sink-slack" */
    struct klx_startup startup; /* its settings are those of `first` */
    struct klx_edition *first;  /* Kafka, the topics and `listen` are its, whatever is read later */
    struct klx_reload *reload;
    char *group;
    struct klx_loop *loop;
    struct klx_http *http;
    struct klx_httpd *httpd;
    struct klx_service *service;
    struct klx_producer *producer;
    struct klx_consumer *consumer;
    struct klx_dispatch *dispatch;
    struct klx_memory *memory; /* klaxon.state */
    bool full;                 /* the dispatch wants no records now */
    bool reading;              /* klaxon.state is being read to its end: records wait */
    struct klx_follow *follow; /* klaxon.control */
    /* What klx_dispatch_parked_known needs. */
    bool in_step;   /* klaxon.control was followed to its end */
    unsigned asked; /* answers with the ends of klaxon.retry that are to come */
    size_t ends_n;
    int64_t ends[ENDS_MAX];
    char no_parking[256]; /* why nothing can be parked; "" */
    struct klx_timer *ask_again;
    struct klx_log_lasting lasting_parking;
    char trouble[256];
    int64_t trouble_us;
    struct klx_log_lasting lasting;
    struct klx_timer *waiting; /* for the group to give it partitions */
    bool stopping;
    int exit_code;
};

static const char *component_of(const struct process *p) {
    return p->name + sizeof("klaxon-") - 1;
}

static void on_left(void *arg) {
    struct process *p = arg;
    klx_loop_stop(p->loop);
}

static void on_receipts_written(void *arg, size_t left) {
    struct process *p = arg;
    if (left > 0) {
        klx_log_warn("Kafka has not taken all receipts in time; what they are of is read again",
                     KLX_F_INT("left", left));
    }
    klx_dispatch_flush(p->dispatch);
    klx_dispatch_say_again(p->dispatch);
    klx_consumer_stop(p->consumer, LEAVE_MS, on_left, p);
}

static void on_parked(void *arg) {
    struct process *p = arg;
    klx_dispatch_close(p->dispatch);
    klx_producer_stop(p->producer, RECEIPTS_MS, on_receipts_written, p);
}

static void on_idle(void *arg) {
    struct process *p = arg;
    klx_dispatch_drain(p->dispatch, PARK_MS, on_parked, p);
}

static void stop(struct process *p) {
    if (!p->stopping) {
        p->stopping = true;
        klx_service_stopping(p->service);
        klx_reload_free(p->reload);
        p->reload = NULL;
        klx_consumer_pause(p->consumer);
        klx_dispatch_stop(p->dispatch, SENDS_MS, on_idle, p);
    }
}

static void on_signal(void *arg, int signum) {
    struct process *p = arg;
    if (signum == SIGHUP && !p->stopping) {
        klx_log_info("trying failing channels now");
        klx_dispatch_retry_now(p->dispatch);
        klx_reload_now(p->reload);
    }
    if (signum == SIGHUP) {
        return;
    }
    klx_log_info("stopping");
    stop(p);
}

static void pause_or_resume(struct process *p) {
    if (p->full || p->reading) {
        klx_consumer_pause(p->consumer);
    } else if (!p->stopping) {
        klx_consumer_resume(p->consumer);
    }
}

static void set_paused(void *arg, bool paused) {
    struct process *p = arg;
    p->full = paused;
    pause_or_resume(p);
}

static void store(void *arg, const char *topic, int32_t partition, int64_t next_offset) {
    struct process *p = arg;
    klx_consumer_store(p->consumer, topic, partition, next_offset);
}

static int produce(void *arg, const struct klx_record *r, klx_produced_fn done, void *done_arg,
                   struct klx_error *e) {
    struct process *p = arg;
    return klx_producer_send(p->producer, r, done, done_arg, e);
}

static int place(void *arg, const struct klx_record *r, klx_placed_fn placed, void *placed_arg,
                 struct klx_error *e) {
    struct process *p = arg;
    return klx_producer_place(p->producer, r, placed, placed_arg, e);
}

static void seek(void *arg, const char *topic, int32_t partition, int64_t offset) {
    struct process *p = arg;
    klx_consumer_seek(p->consumer, topic, partition, offset);
}

static void cannot_park(struct process *p, const char *why) {
    snprintf(p->no_parking, sizeof(p->no_parking), "%s", why);
    if (klx_log_lasting_due(&p->lasting_parking, why, klx_loop_now_us(p->loop))) {
        klx_log_warn(
            "nothing can be parked: a channel that fails stops reading when its queue is full",
            KLX_F_STR("why", why));
    }
}

/* Both answers are there, or one of them will not come. */
static void tell_known(struct process *p) {
    if (!p->stopping && p->in_step && p->asked == 0) {
        bool both = p->no_parking[0] == '\0' && p->ends_n > 0;
        klx_dispatch_parked_known(p->dispatch, p->ends, both ? p->ends_n : 0);
        if (!both) {
            klx_timer_start(p->ask_again, ASK_AGAIN_MS);
        }
    }
}

/* Silences, acknowledgements, and what was told. */
static void tell_noise(struct process *p) {
    if (p->in_step && !p->reading) {
        klx_dispatch_know(p->dispatch);
    }
}

static void on_in_step(void *arg) {
    struct process *p = arg;
    p->in_step = true;
    tell_noise(p);
    tell_known(p);
}

static void on_state(void *arg, struct klx_sv key, struct klx_sv value) {
    struct process *p = arg;
    klx_dispatch_state(p->dispatch, key, value);
}

static void on_memory_read(void *arg) {
    struct process *p = arg;
    p->reading = false;
    tell_noise(p);
    pause_or_resume(p);
}

static void on_ends(void *arg, const int64_t *ends, size_t n, const char *why) {
    struct process *p = arg;
    p->asked--;
    p->ends_n = n < ENDS_MAX ? n : ENDS_MAX;
    if (p->ends_n > 0) {
        memcpy(p->ends, ends, p->ends_n * sizeof(*ends));
    } else if (p->no_parking[0] == '\0') {
        cannot_park(p, why);
    }
    tell_known(p);
}

static void ask_parked(void *arg) {
    struct process *p = arg;
    p->in_step = false;
    p->no_parking[0] = '\0';
    p->asked++;
    klx_follow_forget(p->follow, p);
    klx_follow_sync(p->follow, on_in_step, p);
    klx_consumer_ends(p->consumer, p->first->settings.topics.name[KLX_TOPIC_RETRY], on_ends, p);
}

static void on_ask_again(void *arg) {
    struct process *p = arg;
    if (!p->stopping && klx_consumer_assigned(p->consumer)) {
        ask_parked(p);
    }
}

static void on_control(void *arg, struct klx_sv key, struct klx_sv value) {
    struct process *p = arg;
    klx_dispatch_control(p->dispatch, key, value);
}

/* While Kafka is away, or moves the topic, records wait: what is parked may not be overtaken. */
static void on_control_trouble(void *arg, const char *what) {
    (void)arg;
    klx_log_debug("waiting to know what is parked", KLX_F_STR("why", what));
}

/* Without klaxon.control nothing is parked, but everything is delivered. */
static void on_control_denied(void *arg, const char *why) {
    struct process *p = arg;
    cannot_park(p, why);
    if (!p->in_step) {
        on_in_step(p);
    }
}

static void on_end(void *arg, const char *topic, int32_t partition, int64_t next_offset) {
    struct process *p = arg;
    if (strcmp(topic, p->first->settings.topics.name[KLX_TOPIC_RETRY]) == 0 &&
        strstr(p->no_parking, topic) != NULL) {
        p->no_parking[0] = '\0'; /* it can be read again */
    }
    klx_dispatch_end(p->dispatch, topic, partition, next_offset);
}

static void on_record(void *arg, const struct klx_record *r) {
    struct process *p = arg;
    p->trouble[0] = '\0';
    klx_dispatch_record(p->dispatch, r);
}

static void on_assigned(void *arg, const char *topic, int32_t partition) {
    struct process *p = arg;
    p->trouble[0] = '\0';
    klx_log_debug("assigned", KLX_F_STR("topic", topic), KLX_F_INT("partition", partition));
    klx_dispatch_given(p->dispatch, topic, partition);
    p->reading = true;
    pause_or_resume(p);
    klx_memory_read(p->memory);
    klx_dispatch_assigned(p->dispatch, topic, partition);
}

static void on_revoked(void *arg, const char *topic, int32_t partition) {
    struct process *p = arg;
    klx_log_debug("revoked", KLX_F_STR("topic", topic), KLX_F_INT("partition", partition));
    klx_dispatch_revoke(p->dispatch, topic, partition);
}

static void on_drained(void *arg) {
    struct process *p = arg;
    klx_consumer_let_go(p->consumer);
    klx_dispatch_resume(p->dispatch);
}

/* The others of the group wait: at most for half of the time after which they would think us dead. */
static void on_leaving(void *arg) {
    struct process *p = arg;
    if (p->stopping) {
        return; /* klx_consumer_stop lets them go, when what waits is parked */
    }
    klx_dispatch_drain(p->dispatch, klx_consumer_session_ms(p->consumer) / 2, on_drained, p);
}

static void on_trouble(void *arg, const char *what) {
    struct process *p = arg;
    if (strcmp(what, p->no_parking) == 0) {
        return; /* of klaxon.retry, which on_denied has told */
    }
    snprintf(p->trouble, sizeof(p->trouble), "%s", what);
    p->trouble_us = klx_loop_now_us(p->loop);
    if (klx_log_lasting_due(&p->lasting, what, p->trouble_us)) {
        klx_log_warn("trouble with Kafka, trying again", KLX_F_STR("what", what));
    }
}

static void on_denied(void *arg, const char *topic, const char *why) {
    struct process *p = arg;
    if (strcmp(topic, p->first->settings.topics.name[KLX_TOPIC_RETRY]) == 0) {
        cannot_park(p, why);
    }
}

static void on_fatal(void *arg, const char *why) {
    struct process *p = arg;
    klx_log_error("cannot go on reading, ending; the next start resumes at the last commit",
                  KLX_F_STR("why", why));
    p->exit_code = KLX_EXIT_FAILED;
    stop(p);
}

static bool is_ready(void *arg, struct klx_buf *why) {
    const struct process *p = arg;
    bool assigned = klx_consumer_assigned(p->consumer);
    bool trouble = p->trouble[0] != '\0' && klx_loop_now_us(p->loop) - p->trouble_us < TROUBLE_US;
    klx_buf_printf(why, "kafka: %s%s%s\n",
                   p->stopping ? "stopping"
                   : assigned  ? "reading"
                               : "waits for its partitions",
                   trouble ? ": " : "", trouble ? p->trouble : "");
    if (p->no_parking[0] != '\0') {
        klx_buf_printf(why, "nothing can be parked: %s\n", p->no_parking);
    }
    klx_dispatch_describe(p->dispatch, why);
    klx_memory_describe(p->memory, why);
    if (p->reload != NULL) {
        klx_reload_describe(p->reload, why);
    }
    return assigned && !trouble && !p->stopping;
}

static int open_dispatch(struct process *p, struct klx_error *e) {
    const struct klx_dispatch_options o = {
        .env = { .loop = p->loop, .http = p->http, .clock = klx_clock_real() },
        .ops = p->ops,
        .topics = &p->first->settings.topics,
        .settings = &p->first->sinks,
        .edition = p->first,
        .pause = set_paused,
        .store = store,
        .produce = produce,
        .place = place,
        .seek = seek,
        .ask_parked = ask_parked,
        .arg = p,
    };
    return klx_dispatch_new(&o, &p->dispatch, e);
}

static int open_follow(struct process *p, struct klx_error *e) {
    p->ask_again = klx_timer_new(p->loop, on_ask_again, p);
    /* At the end there is no second to wait for. */
    klx_producer_warm(p->producer, p->first->settings.topics.name[KLX_TOPIC_CONTROL]);
    klx_producer_warm(p->producer, p->first->settings.topics.name[KLX_TOPIC_RETRY]);
    const struct klx_follow_callbacks cb = { .on_record = on_control,
                                             .on_trouble = on_control_trouble,
                                             .on_denied = on_control_denied,
                                             .arg = p };
    return klx_follow_new(p->loop, p->first->kafka,
                          p->first->settings.topics.name[KLX_TOPIC_CONTROL], &cb, &p->follow, e);
}

static int open_memory(struct process *p, struct klx_error *e) {
    const struct klx_memory_callbacks cb = { .on_state = on_state,
                                             .on_read = on_memory_read,
                                             .arg = p };
    return klx_memory_new(p->loop, p->first->kafka, &p->first->settings.topics, &cb, &p->memory, e);
}

static int open_server(struct process *p, struct klx_error *e) {
    const char *listen = p->first->sinks.process.listen;
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

/* "klaxon-sink-slack"; with another prefix of the topics "klaxon-sink-slack-staging", so that two installations on the same Kafka are two
   groups. */
static char *group_of(const struct process *p) {
    struct klx_sv which = klx_topic_installation(&p->first->settings.topics);
    return klx_asprintf("%s%s%.*s", p->name, which.n > 0 ? "-" : "", KLX_SV_FMT(which));
}

static void on_waiting(void *arg) {
    struct process *p = arg;
    if (!p->stopping && !klx_consumer_assigned(p->consumer)) {
        klx_log_info("waiting for partitions: the group gives them out when it has heard of all "
                     "its members, and of one that was killed after session.timeout.ms");
    }
}

static int open_consumer(struct process *p, struct klx_error *e) {
    const char *topics[KLX_TOPICS_N];
    size_t n = klx_dispatch_topics(p->dispatch, topics);
    const struct klx_consumer_callbacks cb = {
        .on_record = on_record,
        .on_assigned = on_assigned,
        .on_end = on_end,
        .on_leaving = on_leaving,
        .on_revoked = on_revoked,
        .on_trouble = on_trouble,
        .on_denied = on_denied,
        .on_fatal = on_fatal,
        .arg = p,
    };
    int rc = klx_consumer_new(p->loop, p->first->kafka, p->group, topics, n, &cb, &p->consumer, e);
    if (rc == 0) {
        klx_log_info("starting", KLX_F_STR("group", p->group), KLX_F_STR("version", KLX_VERSION));
    }
    p->waiting = klx_timer_new(p->loop, on_waiting, p);
    klx_timer_start(p->waiting, WAITING_MS);
    return rc;
}

static int apply(void *arg, struct klx_edition *edition, struct klx_error *e) {
    struct process *p = arg;
    const char *topics[KLX_TOPICS_N];
    int rc = klx_dispatch_reload(p->dispatch, &edition->sinks, edition, e);
    if (rc == 0) {
        size_t n = klx_dispatch_topics(p->dispatch, topics);
        klx_consumer_subscribe(p->consumer, topics, n);
    }
    return rc;
}

/* What becomes of it is in the log of the producer. */
static void publish(void *arg, const struct klx_record *r) {
    struct process *p = arg;
    struct klx_error e = { 0 };
    if (klx_producer_send(p->producer, r, NULL, NULL, &e) != 0) {
        klx_log_warn("an event of the process itself is not written", KLX_F_STR("why", e.text));
    }
}

static void follow_files(struct process *p) {
    const struct klx_reload_options o = { .loop = p->loop,
                                          .clock = klx_clock_real(),
                                          .ops = p->ops,
                                          .config = p->startup.config,
                                          .component = component_of(p),
                                          .process = p->group,
                                          .edition = p->first,
                                          .apply = apply,
                                          .publish = publish,
                                          .arg = p };
    p->reload = klx_reload_new(&o);
}

/* After the loop has ended, or half-way through the start. */
static void close_all(struct process *p) {
    klx_httpd_free(p->httpd);
    klx_service_free(p->service);
    klx_reload_free(p->reload);
    klx_timer_free(p->waiting);
    klx_timer_free(p->ask_again);
    klx_follow_free(p->follow);
    klx_consumer_free(p->consumer);
    klx_memory_free(p->memory);
    klx_producer_free(p->producer);
    klx_dispatch_free(p->dispatch);
    klx_http_free(p->http);
    klx_loop_on_signal(p->loop, NULL, NULL);
    klx_loop_run(p->loop); /* the last close callbacks */
    klx_loop_free(p->loop);
    klx_metrics_reset();
}

static int run(struct process *p) {
    struct klx_error e = { 0 };
    p->loop = klx_loop_new();
    /* Before anything can be seen of the process: whoever then ends it finds it in order. */
    klx_loop_on_signal(p->loop, on_signal, p);
    p->http = klx_http_new(p->loop);
    klx_metrics_set_version(KLX_VERSION);
    if (klx_producer_new(p->loop, p->first->kafka, &p->producer, &e) != 0 ||
        open_dispatch(p, &e) != 0 || open_follow(p, &e) != 0 || open_memory(p, &e) != 0 ||
        open_consumer(p, &e) != 0 || open_server(p, &e) != 0) {
        klx_log_error(e.text);
        close_all(p);
        return KLX_EXIT_CONFIG;
    }
    follow_files(p);
    p->service = klx_service_new(p->loop);
    klx_loop_run(p->loop);
    close_all(p);
    klx_log_info("stopped");
    return p->exit_code;
}

static void print_mistake(void *arg, const char *text) {
    (void)arg;
    fprintf(stderr, "%s\n", text);
}

/* False: nobody would ever be told of anything, which is a mistake of the configuration. */
static bool has_work(const struct process *p, const struct klx_edition_census *c) {
    const char *path = klx_startup_path(&p->startup), *kind = p->ops->name;
    if (c->channels == 0) {
        fprintf(stderr,
                "%s: there is no channel of the kind %s: add one to `channels:`, or do not run "
                "%s\n",
                path, kind, p->name);
    } else if (c->subscribed == 0) {
        fprintf(stderr,
                "%s: no subscription names a channel of the kind %s, for example %s: add one to "
                "`subscriptions:`, or do not run %s\n",
                path, kind, c->unsubscribed, p->name);
    }
    return c->subscribed > 0;
}

static int check_or_run(struct process *p) {
    if (klx_edition_new(&p->startup.settings, p->ops, print_mistake, NULL, &p->first) != 0) {
        return KLX_EXIT_CONFIG;
    }
    const struct klx_edition_census c = klx_edition_count(p->first, p->ops);
    if (!has_work(p, &c)) {
        return KLX_EXIT_CONFIG;
    }
    if (p->startup.check) {
        printf("%s: %zu channel%s of the kind %s, %zu subscription%s: good\n",
               klx_startup_path(&p->startup), c.channels, c.channels == 1 ? "" : "s", p->ops->name,
               c.subscriptions, c.subscriptions == 1 ? "" : "s");
        return KLX_EXIT_OK;
    }
    if (c.unsubscribed != NULL) {
        klx_log_warn("nobody subscribes to a channel", KLX_F_STR("channel", c.unsubscribed),
                     KLX_F_INT("of_such", c.channels - c.subscribed));
    }
    p->group = group_of(p);
    return run(p);
}

int klx_sink_main(const struct klx_sink_ops *ops, int argc, char **argv) {
    struct process p = { .ops = ops, .name = klx_asprintf("klaxon-sink-%s", ops->name) };
    char *summary =
        klx_asprintf("Delivers events from Kafka to channels of the kind %s.", ops->name);
    char *examples = klx_asprintf("  %s --config klaxon.yaml --check\n  %s --config klaxon.yaml\n",
                                  p.name, p.name);
    const struct klx_command_help help = {
        .name = p.name, .operands = "", .summary = summary, .examples = examples
    };
    int code = 0;
    klx_share_heap();
    if (klx_startup(argc, argv, &help, component_of(&p), &p.startup, &code)) {
        code = check_or_run(&p);
        klx_edition_unref(p.first);
        klx_settings_release(&p.startup.settings);
        free(p.group);
    }
    free(summary);
    free(examples);
    free(p.name);
    return code;
}
