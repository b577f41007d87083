#include "sinks/core/freshness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "lib/io/metrics.h"

#define PERIODS 3
#define LATE_US (10 * KLX_US_PER_S) /* between two looks: the process did not run */
#define DATA_BYTES_MAX 65536
#define EVERY_MS_MAX (60 * 60 * 1000)

struct beat {
    int32_t partition;
    int64_t time_us;  /* of the last heartbeat, wall */
    int64_t heard_us; /* when it was read, monotonic */
};

/* One topic of one cluster. */
struct stream {
    enum klx_topic topic;
    char *cluster;
    int64_t every_us;
    struct beat *beats;
    size_t n, room;
    bool silent; /* said, and not yet over */
    struct klx_gauge *seconds;
};

struct klx_freshness {
    struct klx_clock *clock;
    struct stream *streams;
    size_t n, room;
    size_t beats; /* of all of them */
    int64_t looked_us;
};

static int64_t mono_us(const struct klx_freshness *f) {
    return f->clock->mono_us(f->clock);
}

struct klx_freshness *klx_freshness_new(struct klx_clock *clock) {
    struct klx_freshness *f = klx_alloc(struct klx_freshness);
    f->clock = clock;
    f->looked_us = mono_us(f);
    return f;
}

void klx_freshness_free(struct klx_freshness *f) {
    if (f == NULL) {
        return;
    }
    for (size_t i = 0; i < f->n; i++) {
        free(f->streams[i].cluster);
        free(f->streams[i].beats);
    }
    free(f->streams);
    free(f);
}

/* -EBADMSG, or how often they come. */
static int read_every(struct klx_sv data, int64_t *ret_us) {
    struct klx_arena a;
    const struct klx_json *root = NULL;
    klx_arena_init(&a, 4096, DATA_BYTES_MAX);
    int64_t every_ms =
        klx_json_parse(&a, data, NULL, &root, NULL) == 0 ? klx_json_int(root, "everyMs", 0) : 0;
    klx_arena_release(&a);
    if (every_ms <= 0 || every_ms > EVERY_MS_MAX) {
        return -EBADMSG;
    }
    *ret_us = every_ms * KLX_US_PER_MS;
    return 0;
}

static struct stream *find_stream(struct klx_freshness *f, enum klx_topic topic,
                                  struct klx_sv cluster) {
    for (size_t i = 0; i < f->n; i++) {
        if (f->streams[i].topic == topic && klx_sv_eq(klx_sv(f->streams[i].cluster), cluster)) {
            return &f->streams[i];
        }
    }
    return NULL;
}

static struct stream *add_stream(struct klx_freshness *f, enum klx_topic topic,
                                 struct klx_sv cluster) {
    if (f->n == f->room) {
        size_t room = f->room > 0 ? 2 * f->room : 8;
        f->streams = klx_grow_array(f->streams, f->room, room, sizeof(*f->streams));
        f->room = room;
    }
    struct stream *s = &f->streams[f->n++];
    *s = (struct stream){ .topic = topic, .cluster = klx_sv_dup(cluster) };
    s->seconds = klx_gauge(
        "klaxon_sink_freshness_seconds",
        "Age of the last heartbeat, on the stalest partition that is read here.",
        KLX_LABELS({ "topic", klx_topic_specs[topic].short_name }, { "cluster", s->cluster }));
    return s;
}

static struct beat *find_beat(const struct stream *s, int32_t partition) {
    for (size_t i = 0; i < s->n; i++) {
        if (s->beats[i].partition == partition) {
            return &s->beats[i];
        }
    }
    return NULL;
}

static struct beat *add_beat(struct klx_freshness *f, struct stream *s, int32_t partition) {
    if (s->n == s->room) {
        size_t room = s->room > 0 ? 2 * s->room : 4;
        s->beats = klx_grow_array(s->beats, s->room, room, sizeof(*s->beats));
        s->room = room;
    }
    f->beats++;
    s->beats[s->n] = (struct beat){ .partition = partition, .time_us = KLX_TIME_NONE };
    return &s->beats[s->n++];
}

int klx_freshness_heard(struct klx_freshness *f, enum klx_topic topic, int32_t partition,
                        const struct klx_event *e) {
    int64_t every_us = 0;
    int rc = read_every(e->data, &every_us);
    if (rc != 0) {
        return rc;
    }
    struct stream *s = find_stream(f, topic, e->cluster);
    struct beat *b = s != NULL ? find_beat(s, partition) : NULL;
    if (b == NULL && f->beats >= KLX_FRESHNESS_MAX) {
        return 0;
    }
    s = s != NULL ? s : add_stream(f, topic, e->cluster);
    b = b != NULL ? b : add_beat(f, s, partition);
    s->every_us = every_us;
    b->heard_us = mono_us(f);
    b->time_us = e->time_us > b->time_us ? e->time_us : b->time_us;
    return 0;
}

void klx_freshness_revoke(struct klx_freshness *f, enum klx_topic topic, int32_t partition) {
    for (size_t i = 0; i < f->n; i++) {
        struct stream *s = &f->streams[i];
        for (size_t k = 0; k < s->n && s->topic == topic; k++) {
            if (s->beats[k].partition == partition) {
                s->beats[k] = s->beats[--s->n];
                f->beats--;
                break;
            }
        }
    }
}

static int64_t age_us(const struct klx_freshness *f, const struct stream *s) {
    int64_t oldest_us = INT64_MAX, now_us = f->clock->wall_us(f->clock);
    for (size_t i = 0; i < s->n; i++) {
        oldest_us = s->beats[i].time_us < oldest_us ? s->beats[i].time_us : oldest_us;
    }
    return oldest_us < now_us ? now_us - oldest_us : 0;
}

static bool is_silent(const struct stream *s, int64_t now_us) {
    for (size_t i = 0; i < s->n; i++) {
        if (now_us - s->beats[i].heard_us > PERIODS * s->every_us) {
            return true;
        }
    }
    return false;
}

static void say(const struct klx_freshness *f, struct stream *s, bool silent) {
    const struct klx_log_field topic = KLX_F_STR("topic", klx_topic_specs[s->topic].short_name);
    const struct klx_log_field cluster = KLX_F_STR("cluster", s->cluster);
    if (silent == s->silent) {
        return;
    }
    s->silent = silent;
    if (silent) {
        klx_log_warn("no heartbeats: the cluster is not watched any more, or its topic cannot be "
                     "read; no news is no good news",
                     topic, cluster, KLX_F_INT("age_s", age_us(f, s) / KLX_US_PER_S));
    } else if (s->n > 0) {
        klx_log_info("heartbeats come again", topic, cluster);
    }
}

static void excuse(struct klx_freshness *f, int64_t us) {
    for (size_t i = 0; i < f->n; i++) {
        for (size_t k = 0; k < f->streams[i].n; k++) {
            f->streams[i].beats[k].heard_us += us;
        }
    }
}

void klx_freshness_look(struct klx_freshness *f, bool reading) {
    int64_t now_us = mono_us(f), since_us = now_us - f->looked_us;
    f->looked_us = now_us;
    if (!reading || since_us > LATE_US) {
        excuse(f, since_us);
    }
    for (size_t i = 0; i < f->n; i++) {
        struct stream *s = &f->streams[i];
        say(f, s, is_silent(s, now_us));
        klx_gauge_set(s->seconds, (double)age_us(f, s) / 1e6);
    }
}

void klx_freshness_describe(const struct klx_freshness *f, struct klx_buf *out) {
    int64_t stalest_us = -1;
    char age[KLX_TIME_TEXT_BYTES];
    for (size_t i = 0; i < f->n; i++) {
        const struct stream *s = &f->streams[i];
        int64_t a = s->n > 0 ? age_us(f, s) : -1;
        stalest_us = a > stalest_us ? a : stalest_us;
        if (s->silent) {
            klx_duration_words(a / KLX_US_PER_MS, age);
            klx_buf_printf(out, "topic %s of %s: no heartbeat for %s\n",
                           klx_topic_specs[s->topic].short_name, s->cluster, age);
        }
    }
    if (stalest_us < 0) {
        klx_buf_add_str(out, "heartbeats: none yet\n");
    } else if (klx_freshness_silent(f) == 0) {
        klx_duration_words(stalest_us / KLX_US_PER_MS, age);
        klx_buf_printf(out, "heartbeats: the stalest is %s old\n", age);
    }
}

size_t klx_freshness_silent(const struct klx_freshness *f) {
    size_t n = 0;
    for (size_t i = 0; i < f->n; i++) {
        n += f->streams[i].silent;
    }
    return n;
}
