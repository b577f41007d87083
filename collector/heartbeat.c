#include "collector/heartbeat.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/cleanup.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"

#define FIRST_MS 5000 /* by then the watches are connected, as a rule */
#define DATA_BYTES_MAX 4096

struct klx_heartbeat {
    struct klx_heartbeat_env env;
    struct klx_timer *timer;
    int64_t seq;
    uint64_t batch; /* that holds the last one */
};

static struct klx_sv id_of(struct klx_arena *a, const struct klx_event *e, enum klx_topic topic,
                           int32_t partition) {
    const struct klx_sv parts[] = {
        klx_sv(klx_topic_specs[topic].short_name),
        klx_arena_printf(a, "%d", (int)partition),
        klx_arena_printf(a, "%lld", (long long)e->time_us),
    };
    return klx_event_id(a, e->cluster, KLX_KIND_HEARTBEAT, parts, 3);
}

static void write_canary(const struct klx_canary *c, struct klx_jw *w) {
    int64_t age_us = c != NULL ? klx_canary_age(c) : KLX_TIME_NONE;
    if (age_us == KLX_TIME_NONE) {
        return;
    }
    int64_t round_trip_us = klx_canary_round_trip(c);
    klx_jw_key(w, "canary");
    klx_jw_begin_object(w);
    klx_jw_member_int(w, "ageMs", age_us / KLX_US_PER_MS);
    if (round_trip_us != KLX_TIME_NONE) {
        klx_jw_member_int(w, "roundTripMs", round_trip_us / KLX_US_PER_MS);
    }
    klx_jw_end_object(w);
}

static void write_object(const struct klx_heartbeat *h, struct klx_jw *w) {
    klx_jw_key(w, "object");
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "kind", "Cluster");
    klx_jw_member_str(w, "name", h->env.cluster);
    klx_jw_end_object(w);
    klx_jw_member_str(w, "reason", "Heartbeat");
    klx_jw_key(w, "labels");
    klx_jw_begin_object(w);
    klx_jw_end_object(w);
}

static void write_data(const struct klx_heartbeat *h, struct klx_buf *out) {
    size_t of = 0, connected = 0;
    struct klx_jw w;
    h->env.count(h->env.arg, &of, &connected);
    char *summary = klx_asprintf("Cluster %s is watched: %zu of %zu watches %s connected",
                                 h->env.cluster, connected, of, of == 1 ? "is" : "are");
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "summary", summary);
    write_object(h, &w);
    klx_jw_member_int(&w, "seq", h->seq);
    klx_jw_member_int(&w, "everyMs", h->env.every_ms);
    klx_jw_key(&w, "watches");
    klx_jw_begin_object(&w);
    klx_jw_member_int(&w, "connected", (int64_t)connected);
    klx_jw_member_int(&w, "of", (int64_t)of);
    klx_jw_end_object(&w);
    write_canary(h->env.canary, &w);
    klx_jw_end_object(&w);
    free(summary);
}

static void beat(struct klx_heartbeat *h) {
    struct klx_arena *a = klx_publisher_outbox(h->env.publisher)->arena;
    struct klx_buf data KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&data, DATA_BYTES_MAX);
    write_data(h, &data);
    struct klx_event e = {
        .kind = KLX_KIND_HEARTBEAT,
        .source = klx_arena_printf(a, "/clusters/%s", h->env.cluster),
        .subject = klx_arena_printf(a, "Cluster/%s", h->env.cluster),
        .key = klx_arena_printf(a, "%s/-/Heartbeat", h->env.cluster),
        .cluster = klx_sv(h->env.cluster),
        .severity = KLX_SEVERITY_INFO,
        .time_us = h->env.clock->wall_us(h->env.clock),
        .data = klx_buf_sv(&data),
    };
    h->batch = klx_publisher_batch(h->env.publisher);
    for (size_t t = 0; t < KLX_TOPICS_N; t++) {
        if ((h->env.topics >> t & 1u) != 0) {
            klx_publisher_put_everywhere(h->env.publisher, (enum klx_topic)t, &e, id_of);
        }
    }
    klx_publisher_end_turn(h->env.publisher);
}

static void on_timer(void *arg) {
    struct klx_heartbeat *h = arg;
    klx_timer_start(h->timer, h->env.every_ms);
    h->seq++; /* a hole in the numbers is one that was left out */
    if (h->seq == 1 || klx_publisher_has_committed(h->env.publisher, h->batch)) {
        beat(h);
    }
}

struct klx_heartbeat *klx_heartbeat_new(const struct klx_heartbeat_env *env) {
    struct klx_heartbeat *h = klx_alloc(struct klx_heartbeat);
    h->env = *env;
    h->timer = klx_timer_new(env->loop, on_timer, h);
    return h;
}

void klx_heartbeat_start(struct klx_heartbeat *h) {
    klx_timer_start(h->timer, h->env.every_ms < FIRST_MS ? h->env.every_ms : FIRST_MS);
}

void klx_heartbeat_stop(struct klx_heartbeat *h) {
    klx_timer_stop(h->timer);
}

void klx_heartbeat_free(struct klx_heartbeat *h) {
    if (h != NULL) {
        klx_timer_free(h->timer);
        free(h);
    }
}
