#include "collector/canary.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/canary_state.h"
#include "lib/base/cleanup.h"
#include "lib/base/hash.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "lib/io/metrics.h"

#define REASON "KlaxonCanary"
#define COMPONENT "klaxon-collector"
#define NAME_PREFIX "klaxon-canary-"
#define NAME_DIGITS 16
#define MARK "klaxon.io/canary" /* the annotation with the number */
#define MARK_BYTES 48
#define BODY_BYTES_MAX 4096
#define DETAIL_BYTES 300
#define ANSWER_MS 10000
#define AGE_EVERY_MS 5000 /* how old the metric may be */
#define STATUS_BYTES_MAX 65536

/* What was said last; each is said once, when it begins. */
enum said { SAID_WELL, SAID_REFUSED, SAID_FAILING };

struct klx_canary {
    struct klx_canary_env env;
    char *cluster, *namespace;
    char name[sizeof(NAME_PREFIX) + NAME_DIGITS];
    char nonce[20]; /* of this process */
    struct klx_canary_state state;
    struct klx_timer *timer;
    struct klx_http_call *call;
    uint64_t sent_with;
    enum said said;
    char detail[DETAIL_BYTES]; /* of the last refusal */
    struct {
        struct klx_gauge *age_seconds;
        struct klx_histogram *round_trip_seconds;
        struct klx_counter *writes, *misses;
    } metrics;
};

static void step(struct klx_canary *c, enum klx_canary_input_kind kind, uint64_t seq);

static int64_t mono_us(const struct klx_canary *c) {
    return c->env.clock->mono_us(c->env.clock);
}

static void arm(struct klx_canary *c) {
    int64_t wait_us = klx_canary_due_us(&c->state) - mono_us(c), most_us = AGE_EVERY_MS * 1000;
    wait_us = wait_us < most_us ? wait_us : most_us;
    klx_timer_start(c->timer, wait_us > 0 ? wait_us / KLX_US_PER_MS + 1 : 1);
}

static void show_age(struct klx_canary *c) {
    int64_t age_us = klx_canary_age_us(&c->state, mono_us(c));
    if (age_us != KLX_TIME_NONE) {
        klx_gauge_set(c->metrics.age_seconds, (double)age_us / 1e6);
    }
}

static void on_timer(void *arg) {
    struct klx_canary *c = arg;
    step(c, KLX_CANARY_IN_TIME, 0);
    show_age(c);
    arm(c);
}

static void format_mark(const struct klx_canary *c, char out[static MARK_BYTES]) {
    snprintf(out, MARK_BYTES, "%s-%llu", c->nonce, (unsigned long long)c->state.seq);
}

static void write_metadata(const struct klx_canary *c, struct klx_jw *w, bool whole) {
    char mark[MARK_BYTES];
    format_mark(c, mark);
    klx_jw_key(w, "metadata");
    klx_jw_begin_object(w);
    if (whole) {
        klx_jw_member_str(w, "name", c->name);
        klx_jw_member_str(w, "namespace", c->namespace);
    }
    klx_jw_key(w, "annotations");
    klx_jw_begin_object(w);
    klx_jw_member_str(w, MARK, mark);
    klx_jw_end_object(w);
    klx_jw_end_object(w);
}

/* About its namespace: the API server wants an Event in the namespace of what it is about. */
static void write_unchanging(const struct klx_canary *c, struct klx_jw *w, const char *now) {
    klx_jw_member_str(w, "apiVersion", "v1");
    klx_jw_member_str(w, "kind", "Event");
    klx_jw_key(w, "involvedObject");
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "apiVersion", "v1");
    klx_jw_member_str(w, "kind", "Namespace");
    klx_jw_member_str(w, "name", c->namespace);
    klx_jw_member_str(w, "namespace", c->namespace);
    klx_jw_end_object(w);
    klx_jw_member_str(w, "type", "Normal");
    klx_jw_member_str(w, "reason", REASON);
    klx_jw_member_str(w, "message",
                      "klaxon writes this Event to see that its watch of Events works.");
    klx_jw_key(w, "source");
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "component", COMPONENT);
    klx_jw_end_object(w);
    klx_jw_member_str(w, "firstTimestamp", now);
}

static void write_body(const struct klx_canary *c, bool whole, struct klx_buf *out) {
    char now[KLX_TIME_TEXT_BYTES];
    struct klx_jw w;
    klx_time_format(c->env.clock->wall_us(c->env.clock), KLX_TIME_SECONDS, now);
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    write_metadata(c, &w, whole);
    if (whole) {
        write_unchanging(c, &w, now);
    }
    klx_jw_member_str(&w, "lastTimestamp", now);
    klx_jw_member_int(&w, "count", (int64_t)c->state.seq);
    klx_jw_end_object(&w);
}

static void say(struct klx_canary *c, enum said what) {
    const struct klx_log_field cluster = KLX_F_STR("cluster", c->cluster);
    if (what == c->said) {
        return;
    }
    c->said = what;
    if (what == SAID_WELL) {
        klx_log_info("the canary is written again", cluster);
    } else if (what == SAID_REFUSED) {
        klx_log_warn("no canary: the collector may not create and patch events in the namespace; "
                     "`klaxon rbac` prints the rule. Until it is there, a watch that dies in "
                     "silence is noticed by dead_after only",
                     cluster, KLX_F_STR("namespace", c->namespace), KLX_F_STR("detail", c->detail));
    } else {
        klx_log_warn("the canary cannot be written, trying again", cluster,
                     KLX_F_STR("namespace", c->namespace), KLX_F_STR("detail", c->detail));
    }
}

/* The message of a Status, else the number. */
static void set_detail(struct klx_canary *c, const struct klx_http_result *r) {
    struct klx_arena a;
    const struct klx_json *status = NULL;
    klx_arena_init(&a, 4096, 4 * STATUS_BYTES_MAX);
    struct klx_sv words = klx_json_parse(&a, r->body, NULL, &status, NULL) == 0
                              ? klx_json_str(status, "message")
                              : klx_sv(NULL);
    words = klx_sv_utf8_prefix(words, sizeof(c->detail) - 16);
    snprintf(c->detail, sizeof(c->detail), "%d%s%.*s", r->status, words.n > 0 ? ": " : "",
             KLX_SV_FMT(words));
    klx_arena_release(&a);
}

static void on_done(void *arg, const struct klx_http_result *r) {
    struct klx_canary *c = arg;
    c->call = NULL;
    if (r->failure != KLX_HTTP_OK) {
        snprintf(c->detail, sizeof(c->detail), "%s", r->error);
        step(c, KLX_CANARY_IN_UNANSWERED,
             0); /* the watch has words for it, when it is out of reach too */
    } else if (r->status == 200 || r->status == 201) {
        klx_counter_add(c->metrics.writes, 1);
        step(c, KLX_CANARY_IN_ACCEPTED, 0);
        say(c, SAID_WELL);
    } else if (r->status == 404 && !c->state.creating) {
        step(c, KLX_CANARY_IN_ABSENT, 0); /* an Event lives for an hour */
    } else {
        set_detail(c, r);
        if (r->status == 401) {
            klx_kube_client_refresh(c->env.client, c->sent_with);
        }
        step(c, r->status == 403 ? KLX_CANARY_IN_REFUSED : KLX_CANARY_IN_FAILED, 0);
        say(c, r->status == 403 ? SAID_REFUSED : SAID_FAILING);
    }
    arm(c);
}

static void send_it(struct klx_canary *c, bool create) {
    struct klx_buf body KLX_CLEANUP(klx_buf_release);
    struct klx_error e = { 0 };
    char *path = klx_asprintf("/api/v1/namespaces/%s/events%s%s", c->namespace, create ? "" : "/",
                              create ? "" : c->name);
    klx_buf_init(&body, BODY_BYTES_MAX);
    write_body(c, create, &body);
    struct klx_http_request r = {
        .method = create ? "POST" : "PATCH",
        .body = klx_buf_sv(&body),
        .deadline_ms = c->env.every_ms < ANSWER_MS ? c->env.every_ms : ANSWER_MS,
        .body_bytes_max = STATUS_BYTES_MAX,
        .on_done = on_done,
        .arg = c,
    };
    if (klx_kube_client_send(c->env.client, path, "", &r, &c->call, &e) != 0) {
        c->call = NULL;
        step(c, KLX_CANARY_IN_FAILED, 0); /* no credentials: the watch says it */
    }
    c->sent_with = klx_kube_client_credential(c->env.client);
    free(path);
}

static void step(struct klx_canary *c, enum klx_canary_input_kind kind, uint64_t seq) {
    const struct klx_canary_input in = { .kind = kind, .seq = seq };
    enum klx_canary_action a = klx_canary_step(&c->state, &in, mono_us(c));
    if (a == KLX_CANARY_DEAD) {
        klx_counter_add(c->metrics.misses, 1);
        c->env.on_dead(c->env.arg);
    } else if (a != KLX_CANARY_NOTHING) {
        send_it(c, a == KLX_CANARY_CREATE);
    }
}

static void make_metrics(struct klx_canary *c) {
    const struct klx_label labels[] = { { "cluster", c->cluster }, { NULL, NULL } };
    c->metrics.age_seconds = klx_gauge(
        "klaxon_canary_age_seconds", "Since the canary came back on the watch of events.", labels);
    c->metrics.round_trip_seconds =
        klx_histogram("klaxon_canary_round_trip_seconds",
                      "From writing the canary to seeing it on the watch of events.", labels,
                      klx_latency_bounds, KLX_COUNT(klx_latency_bounds));
    c->metrics.writes =
        klx_counter("klaxon_canary_writes_total", "Canaries that the API server took.", labels);
    c->metrics.misses = klx_counter("klaxon_canary_misses_total",
                                    "Connections given up because no canary came back.", labels);
}

struct klx_canary *klx_canary_new(const struct klx_canary_env *env) {
    struct klx_canary *c = klx_alloc(struct klx_canary);
    char digest[KLX_HASH_TEXT_BYTES];
    const struct klx_sv parts[] = { klx_sv(env->cluster), klx_sv(env->identity) };
    klx_hash_parts(parts, 2, digest);
    c->env = *env;
    c->cluster = klx_strdup(env->cluster);
    c->namespace = klx_strdup(env->namespace);
    snprintf(c->name, sizeof(c->name), NAME_PREFIX "%.*s", NAME_DIGITS, digest);
    snprintf(c->nonce, sizeof(c->nonce), "%016llx",
             (unsigned long long)env->clock->random(env->clock));
    klx_canary_state_init(&c->state, env->every_ms * KLX_US_PER_MS);
    c->timer = klx_timer_new(klx_kube_client_loop(env->client), on_timer, c);
    make_metrics(c);
    return c;
}

bool klx_canary_is_one(const struct klx_json *event) {
    return klx_sv_eq(klx_json_str(event, "reason"), KLX_SV(REASON)) &&
           klx_sv_eq(klx_json_str(event, "source.component"), KLX_SV(COMPONENT)) &&
           klx_sv_starts(klx_json_str(event, "metadata.name"), KLX_SV(NAME_PREFIX));
}

void klx_canary_connected(struct klx_canary *c, bool connected) {
    step(c, connected ? KLX_CANARY_IN_CONNECTED : KLX_CANARY_IN_DISCONNECTED, 0);
    arm(c);
}

void klx_canary_paused(struct klx_canary *c, bool paused) {
    step(c, paused ? KLX_CANARY_IN_PAUSED : KLX_CANARY_IN_RESUMED, 0);
    arm(c);
}

void klx_canary_heard(struct klx_canary *c) {
    step(c, KLX_CANARY_IN_HEARD, 0);
}

void klx_canary_seen(struct klx_canary *c, const struct klx_json *event) {
    const struct klx_json *annotations = klx_json_get(event, "metadata.annotations");
    struct klx_sv mark = klx_json_str(klx_json_member(annotations, KLX_SV(MARK)), "");
    struct klx_sv rest = mark, nonce = klx_sv_cut(&rest, '-');
    char text[MARK_BYTES];
    format_mark(c, text);
    if (!klx_sv_eq(nonce, klx_sv(c->nonce))) {
        return; /* another's, or our own of before the restart */
    }
    bool last = klx_sv_eq(mark, klx_sv(text));
    step(c, KLX_CANARY_IN_SEEN, last ? c->state.seq : 0);
    if (last) {
        klx_histogram_observe(c->metrics.round_trip_seconds, (double)c->state.round_trip_us / 1e6);
    }
    show_age(c);
}

int64_t klx_canary_age(const struct klx_canary *c) {
    return klx_canary_age_us(&c->state, mono_us(c));
}

int64_t klx_canary_round_trip(const struct klx_canary *c) {
    return c->state.round_trip_us;
}

bool klx_canary_describe(const struct klx_canary *c, struct klx_buf *out) {
    const struct klx_canary_state *s = &c->state;
    bool missing = klx_canary_is_missing(s, mono_us(c));
    char age[KLX_TIME_TEXT_BYTES];
    klx_buf_printf(out, "canary %s: ", c->cluster);
    if (s->refused) {
        klx_buf_printf(out,
                       "off: may not be written in namespace %s: `klaxon rbac` prints the rule\n",
                       c->namespace);
        return true;
    }
    if (s->seen_us == KLX_TIME_NONE || (s->round_trip_us == KLX_TIME_NONE && !missing)) {
        klx_buf_add_str(out, "not seen yet\n");
        return true;
    }
    klx_duration_words(klx_canary_age(c) / KLX_US_PER_MS, age);
    if (missing) {
        klx_buf_printf(out, "missing for %s%s%s\n", age, s->failing ? ": cannot be written: " : "",
                       s->failing ? c->detail : "");
    } else {
        klx_buf_printf(out, "seen %s ago, after %lld ms\n", age,
                       (long long)(s->round_trip_us / KLX_US_PER_MS));
    }
    return !missing;
}

void klx_canary_stop(struct klx_canary *c) {
    if (c != NULL && c->call != NULL) {
        klx_http_cancel(c->call);
        c->call = NULL;
    }
    if (c != NULL) {
        klx_timer_stop(c->timer);
    }
}

void klx_canary_free(struct klx_canary *c) {
    if (c == NULL) {
        return;
    }
    klx_canary_stop(c);
    klx_timer_free(c->timer);
    free(c->cluster);
    free(c->namespace);
    free(c);
}
