/*
 * Many nodes lost at once.
 *
 * When the alarm of a node is due, those that were lost within `burst_within` are counted. A burst are `burst_percent` of the known
 * nodes, but at least `burst_nodes`, and in a large cluster `burst_at_most`; or all nodes of a cluster of three or more. It is one
 * incident: the alarms that wait are told as history that names it, as is every further loss. Its growth is told at most once a minute,
 * when it is half as large again. It is over when all are back, or when for a minute less than half a burst is left; those have an alarm
 * of their own then.
 */
#include "collector/detectors/nodes/node_rules.h"

#include <inttypes.h>
#include <stdio.h>
#include <utlist.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#define ALL_MIN 3
#define POOLS_MAX 50
#define NAMES_SHOWN_MAX 10
#define UPDATE_US (1 * KLX_MINUTE_US)
#define OVER_US (1 * KLX_MINUTE_US)
#define DATA_BYTES_MAX (128 * 1024)
#define VERSION 1

struct pool {
    const char *name;
    int64_t known, lost;
};

/* How the cluster stands: made of all nodes, each time that it is told. */
struct standing {
    int64_t known, lost, unknown; /* unknown: of the lost, those that do not report at all */
    int64_t since_us;
    struct pool pools[POOLS_MAX];
    size_t pools_n;
    const char *names[NAMES_SHOWN_MAX];
    size_t names_n;
};

bool klx_node_burst_is_on(const struct klx_nodes *d) {
    return klx_episode_is_open(&d->burst.episode);
}

int64_t klx_node_burst_threshold(const struct klx_nodes *d) {
    int64_t share = (d->known_n * d->set.burst_percent + 99) / 100;
    share = share > d->set.burst_at_most ? d->set.burst_at_most : share;
    int64_t wanted = share > d->set.burst_nodes ? share : d->set.burst_nodes;
    return d->known_n >= ALL_MIN && d->known_n < wanted ? d->known_n : wanted;
}

static struct pool *pool_of(struct standing *s, const char *name) {
    for (size_t i = 0; i < s->pools_n; i++) {
        if (strcmp(s->pools[i].name, name) == 0) {
            return &s->pools[i];
        }
    }
    if (s->pools_n == POOLS_MAX) {
        return NULL;
    }
    s->pools[s->pools_n].name = name;
    return &s->pools[s->pools_n++];
}

static void add_node(struct standing *s, const struct klx_node_state *n) {
    bool is_lost = !n->ready && n->was_ready;
    struct pool *p = n->pool[0] != '\0' ? pool_of(s, n->pool) : NULL;
    s->known++;
    s->lost += is_lost;
    s->unknown += is_lost && strcmp(n->ready_reason, "NodeStatusUnknown") == 0;
    if (p != NULL) {
        p->known++;
        p->lost += is_lost;
    }
    if (is_lost && s->names_n < NAMES_SHOWN_MAX) {
        s->names[s->names_n++] = n->name;
    }
}

static struct standing look(const struct klx_nodes *d) {
    struct standing s = { .since_us = KLX_TIME_NONE };
    const struct klx_node_entry *e = NULL, *next = NULL;
    HASH_ITER(hh, d->nodes, e, next) {
        if (e->n.known) {
            add_node(&s, &e->n);
        }
    }
    return s;
}

static void write_standing(struct klx_jw *w, const struct standing *s) {
    klx_jw_key(w, "nodes");
    klx_jw_begin_object(w);
    klx_jw_member_int(w, "lost", s->lost);
    klx_jw_member_int(w, "unknown", s->unknown);
    klx_jw_member_int(w, "known", s->known);
    klx_jw_key(w, "names");
    klx_jw_begin_array(w);
    for (size_t i = 0; i < s->names_n; i++) {
        klx_jw_str(w, s->names[i]);
    }
    klx_jw_end_array(w);
    klx_jw_end_object(w);
    klx_jw_key(w, "pools");
    klx_jw_begin_array(w);
    for (size_t i = 0; i < s->pools_n; i++) {
        klx_jw_begin_object(w);
        klx_jw_member_str(w, "name", s->pools[i].name);
        klx_jw_member_int(w, "lost", s->pools[i].lost);
        klx_jw_member_int(w, "known", s->pools[i].known);
        klx_jw_end_object(w);
    }
    klx_jw_end_array(w);
}

struct news {
    enum klx_kind kind;
    enum klx_phase phase;
    int64_t time_us;
    const char *reason;
    struct klx_sv summary, hint;
};

static void write_data(struct klx_node_call *c, const struct standing *s, const struct news *m,
                       struct klx_buf *out) {
    const struct klx_node_burst *b = &c->d->burst;
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_sv(&w, "summary", m->summary);
    klx_jw_key(&w, "object");
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "kind", "Cluster");
    klx_jw_member_str(&w, "name", c->d->cluster);
    klx_jw_end_object(&w);
    klx_jw_member_str(&w, "reason", m->reason);
    klx_jw_key(&w, "labels");
    klx_jw_begin_object(&w);
    klx_jw_end_object(&w);
    klx_jw_member_time(&w, "since", b->since_us);
    write_standing(&w, s);
    klx_jw_member_sv_opt(&w, "hint", m->hint);
    klx_jw_key(&w, "incident");
    klx_jw_begin_object(&w);
    klx_jw_member_time(&w, "opened", b->episode.opened_us);
    klx_jw_member_str(&w, "severity", klx_severity_name(b->episode.worst));
    klx_jw_end_object(&w);
    klx_jw_end_object(&w);
}

static void tell(struct klx_node_call *c, const struct standing *s, const struct news *m) {
    struct klx_arena *a = c->out->arena;
    struct klx_node_burst *b = &c->d->burst;
    enum klx_severity severity = klx_kind_specs[m->kind].severity;
    struct klx_sv at = klx_arena_printf(a, "%" PRId64, m->time_us);
    const struct klx_sv parts[] = { klx_sv(b->episode.id), at };
    struct klx_buf data KLX_CLEANUP(klx_buf_release);
    klx_episode_count(&b->episode, severity);
    klx_buf_init(&data, DATA_BYTES_MAX);
    write_data(c, s, m, &data);
    const struct klx_event e = {
        .kind = m->kind,
        .id = klx_event_id(a, klx_sv(c->d->cluster), m->kind, parts, KLX_COUNT(parts)),
        .source = klx_arena_printf(a, "/clusters/%s/nodes", c->d->cluster),
        .subject = klx_arena_printf(a, "Cluster/%s", c->d->cluster),
        .key = klx_arena_printf(a, "%s/-", c->d->cluster),
        .cluster = klx_sv(c->d->cluster),
        .severity = severity,
        .incident = klx_sv(b->episode.id),
        .phase = m->phase,
        .incident_seq = b->episode.seq,
        .time_us = m->time_us,
        .data = klx_buf_sv(&data),
    };
    c->out->event(c->out, &e);
}

/* ": 9 of 35 in user, 3 of 5 in system" */
static struct klx_sv pools_words(struct klx_node_call *c, const struct standing *s) {
    struct klx_buf b KLX_CLEANUP(klx_buf_release);
    size_t shown = 0;
    klx_buf_init(&b, 4096);
    for (size_t i = 0; i < s->pools_n && shown < 5; i++) {
        const struct pool *p = &s->pools[i];
        if (p->lost > 0) {
            klx_buf_printf(&b, "%s%" PRId64 " of %" PRId64 " in %s", shown > 0 ? ", " : ": ",
                           p->lost, p->known, p->name);
            shown++;
        }
    }
    return klx_arena_dup(c->out->arena, klx_buf_sv(&b));
}

static void tell_burst(struct klx_node_call *c, enum klx_phase phase, int64_t at_us) {
    struct klx_node_burst *b = &c->d->burst;
    const struct standing s = look(c->d);
    bool silent = s.unknown == s.lost, all = s.lost == s.known;
    b->told_n = c->d->folded_n + c->d->recent_n;
    b->told_us = at_us;
    b->update_us = KLX_TIME_NONE;
    tell(c, &s,
         &(struct news){
             .kind = KLX_KIND_NODE_BURST,
             .phase = phase,
             .time_us = at_us,
             .reason = silent ? "NodesUnknown" : "NodesNotReady",
             .summary = klx_arena_printf(
                 c->out->arena, "%" PRId64 " of %" PRId64 " nodes are not ready%s%.*s", s.lost,
                 s.known, silent ? ", none of them reports" : "", KLX_SV_FMT(pools_words(c, &s))),
             .hint = klx_sv(
                 silent && all ? "No node reports: mostly it is the way to the API server, or the "
                                 "control plane itself. Pods may well go on running."
                 : silent      ? "These nodes do not report: look at what they have in common, "
                                 "and at their way to the API server."
                               : NULL) });
}

static void save(struct klx_node_call *c) {
    const struct klx_node_burst *b = &c->d->burst;
    struct klx_buf value KLX_CLEANUP(klx_buf_release);
    char mark[KLX_HASH_TEXT_BYTES];
    struct klx_jw w;
    klx_buf_init(&value, 4096);
    klx_jw_init(&w, &value);
    klx_jw_begin_object(&w);
    klx_jw_member_int(&w, "version", VERSION);
    klx_episode_write(&b->episode, "incident", &w);
    klx_jw_member_time(&w, "since", b->since_us);
    klx_jw_member_int(&w, "toldNodes", b->told_n);
    klx_jw_member_time(&w, "told", b->told_us);
    klx_jw_member_time(&w, "update", b->update_us);
    klx_jw_member_time(&w, "over", b->over_us);
    klx_jw_end_object(&w);
    struct klx_sv text = klx_buf_sv(&value);
    klx_hash_parts(&text, 1, mark);
    if (memcmp(mark, c->d->burst_written, sizeof(mark)) != 0) {
        memcpy(c->d->burst_written, mark, sizeof(mark));
        c->out->state(
            c->out, klx_arena_printf(c->out->arena, "%s/node_repair/cluster/burst", c->d->cluster),
            text);
    }
    c->d->next_us = klx_news_earlier(c->d->next_us, klx_node_burst_next(c->d));
}

int klx_node_burst_restore(struct klx_nodes *d, struct klx_sv value) {
    struct klx_arena arena KLX_CLEANUP(klx_arena_release);
    const struct klx_json *v = NULL;
    klx_arena_init(&arena, 4096, 1 << 20);
    if (klx_json_parse(&arena, value, NULL, &v, NULL) != 0 ||
        klx_json_int(v, "version", 0) != VERSION) {
        return -EBADMSG;
    }
    klx_episode_read(&d->burst.episode, klx_json_get(v, "incident"));
    d->burst.since_us = klx_news_time(v, "since");
    d->burst.told_n = klx_json_int(v, "toldNodes", 0);
    d->burst.told_us = klx_news_time(v, "told");
    d->burst.update_us = klx_news_time(v, "update");
    d->burst.over_us = klx_news_time(v, "over");
    klx_hash_parts(&value, 1, d->burst_written);
    d->restored = true;
    return 0;
}

int64_t klx_node_burst_next(const struct klx_nodes *d) {
    return klx_node_burst_is_on(d) ? klx_news_earlier(d->burst.update_us, d->burst.over_us)
                                   : KLX_TIME_NONE;
}

static void forget_old(struct klx_node_call *c) {
    int64_t within_us = c->d->set.burst_within_ms * KLX_US_PER_MS;
    while (c->d->recent != NULL && c->now_us - c->d->recent->n.lost_us > within_us) {
        klx_node_recent_remove(c->d, c->d->recent);
    }
}

/* Those that had their alarm already keep it; the others wait to be told as a part of it. */
static void take_held(struct klx_nodes *d) {
    struct klx_node_entry *e = NULL, *next = NULL;
    d->burst.since_us = KLX_TIME_NONE;
    DL_FOREACH_SAFE(d->recent, e, next) {
        d->burst.since_us = klx_news_earlier(d->burst.since_us, e->n.ready_since_us);
        if (e->n.alarm_us == KLX_TIME_NONE) {
            klx_node_recent_remove(d, e);
        }
    }
}

void klx_node_burst_check(struct klx_node_call *c, int64_t due_us) {
    struct klx_nodes *d = c->d;
    struct klx_node_burst *b = &d->burst;
    char at[32];
    if (klx_node_burst_is_on(d)) {
        return;
    }
    forget_old(c);
    if (d->recent_n < klx_node_burst_threshold(d)) {
        return;
    }
    snprintf(at, sizeof(at), "%" PRId64, due_us);
    const struct klx_sv parts[] = { KLX_SV("burst"), klx_sv(at) };
    enum klx_phase phase =
        klx_episode_open(&b->episode, due_us, KLX_NODE_REOPEN_US,
                         klx_incident_id(c->out->arena, klx_sv(d->cluster), parts, 2));
    take_held(d);
    b->over_us = KLX_TIME_NONE;
    tell_burst(c, phase, due_us);
    save(c);
}

static void close_burst(struct klx_node_call *c, int64_t at_us) {
    struct klx_node_burst *b = &c->d->burst;
    const struct standing s = look(c->d);
    int64_t left = c->d->folded_n;
    struct klx_sv words = left == 0
                              ? klx_arena_printf(c->out->arena, "all are back")
                              : klx_arena_printf(c->out->arena, "%" PRId64 " %s still not ready",
                                                 left, left == 1 ? "is" : "are");
    tell(c, &s,
         &(struct news){
             .kind = KLX_KIND_NODE_BURST_OVER,
             .phase = KLX_PHASE_RESOLVED,
             .time_us = at_us,
             .reason = "NodesReady",
             .summary = klx_arena_printf(c->out->arena,
                                         "The loss of many nodes is over after %s: %.*s, %" PRId64
                                         " of %" PRId64 " nodes of the cluster are ready",
                                         klx_node_words(c, b->since_us, at_us), KLX_SV_FMT(words),
                                         s.known - s.lost, s.known) });
    klx_episode_close(&b->episode, at_us);
    b->update_us = b->over_us = KLX_TIME_NONE;
    save(c);
    struct klx_node_entry *e = NULL, *next = NULL;
    HASH_ITER(hh, c->d->nodes, e, next) {
        if (e->n.excuse == KLX_EXCUSE_BURST) {
            e->n.alarm_us = at_us;
            klx_node_table_save(c, e);
        }
    }
}

void klx_node_burst_moved(struct klx_node_call *c) {
    struct klx_node_burst *b = &c->d->burst;
    int64_t left = c->d->folded_n + c->d->recent_n;
    if (!klx_node_burst_is_on(c->d)) {
        return;
    }
    if (left == 0) {
        close_burst(c, c->now_us);
        return;
    }
    if (left * 2 > b->told_n * 3 && b->update_us == KLX_TIME_NONE) {
        b->update_us = b->told_us + UPDATE_US;
    }
    if (left * 2 >= klx_node_burst_threshold(c->d)) {
        b->over_us = KLX_TIME_NONE;
    } else if (b->over_us == KLX_TIME_NONE) {
        b->over_us = c->now_us + OVER_US;
    }
    save(c);
}

void klx_node_burst_due(struct klx_node_call *c) {
    struct klx_node_burst *b = &c->d->burst;
    int64_t due_us = klx_node_burst_next(c->d);
    if (due_us == KLX_TIME_NONE || due_us > c->now_us) {
        return;
    }
    if (due_us == b->over_us) {
        close_burst(c, due_us);
    } else {
        tell_burst(c, KLX_PHASE_UPDATE, due_us);
        save(c);
    }
}
