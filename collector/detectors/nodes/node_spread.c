/*
 * The same problem on many nodes, as when a firewall blocks what all of them need.
 *
 * When a problem of a node is due to be told, the nodes that have it are counted. As many as make a burst (node_burst.c) are one incident
 * of the cluster: this one and each further one is part of it and tells nothing itself; those that were told before keep their incident. It
 * is told again when it is half as large again, once a minute at most. It is over when less than half a burst is left: what is left of its
 * nodes is told then, an incident each.
 */
#include <inttypes.h>
#include <stdio.h>

#include "collector/detectors/nodes/node_problems.h"
#include "collector/detectors/nodes/node_rules.h"
#include "lib/base/cleanup.h"

#define VERSION 1
#define NAMES_SHOWN_MAX 10
#define UPDATE_US (1 * KLX_MINUTE_US)
#define RECORD_BYTES_MAX 4096

struct standing {
    const struct klx_node_problem_spec *spec;
    int64_t known, affected, since_us;
    struct klx_sv reason; /* of one of them */
    const char *names[NAMES_SHOWN_MAX];
    size_t names_n;
};

static struct standing look(const struct klx_nodes *d, size_t spec) {
    struct standing s = { .spec = &klx_node_problem_specs[spec], .since_us = KLX_TIME_NONE };
    struct klx_node_entry *e = NULL, *next = NULL;
    HASH_ITER(hh, d->nodes, e, next) {
        const struct klx_node_problem *p = klx_node_problem_find(&e->n, spec);
        s.known++;
        if (p == NULL || !(p->on || p->told || p->folded)) { /* it is over when that is told */
            continue;
        }
        s.affected++;
        s.since_us = klx_news_earlier(s.since_us, p->since_us);
        s.reason = klx_sv(p->reason);
        if (s.names_n < NAMES_SHOWN_MAX) {
            s.names[s.names_n++] = e->n.name;
        }
    }
    return s;
}

static void details(struct klx_jw *w, const void *arg) {
    const struct standing *s = arg;
    klx_jw_key(w, "problem");
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "condition", s->spec->condition);
    klx_jw_member_sv(w, "reason", s->reason.n > 0 ? s->reason : klx_sv(s->spec->condition));
    klx_jw_end_object(w);
    klx_jw_key(w, "affected");
    klx_jw_begin_object(w);
    klx_jw_member_int(w, "nodes", s->affected);
    klx_jw_member_int(w, "known", s->known);
    klx_jw_key(w, "names");
    klx_jw_begin_array(w);
    for (size_t i = 0; i < s->names_n; i++) {
        klx_jw_str(w, s->names[i]);
    }
    klx_jw_end_array(w);
    klx_jw_end_object(w);
    klx_jw_member_time(w, "since", s->since_us);
}

static void tell(struct klx_node_call *c, struct klx_node_spread *b, struct standing *s,
                 struct klx_news m) {
    struct klx_news_call call = {
        c->d->cluster, "node_repair", c->out, NULL, c->now_us, NULL, NULL
    };
    const struct klx_news_object about = {
        .kind = "Cluster",
        .api_version = "",
        .source = "nodes",
        .namespace = "",
        .name = c->d->cluster,
        .uid = "",
        .labels = "{}",
    };
    s->since_us = b->since_us;
    m.reason = klx_sv(s->spec->condition);
    m.time_us = c->now_us;
    m.episode = &b->episode;
    m.details = details;
    m.arg = s;
    klx_news_tell(&call, &about, &m);
}

static void save(struct klx_node_call *c, size_t spec) {
    struct klx_node_spread *b = &c->d->spreads[spec];
    struct klx_news_call call = {
        c->d->cluster, "node_repair", c->out, NULL, c->now_us, NULL, NULL
    };
    struct klx_buf value KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&value, RECORD_BYTES_MAX);
    klx_jw_init(&w, &value);
    klx_jw_begin_object(&w);
    klx_jw_member_int(&w, "version", VERSION);
    klx_episode_write(&b->episode, "incident", &w);
    klx_jw_member_time(&w, "since", b->since_us);
    klx_jw_member_int(&w, "toldNodes", b->told_n);
    klx_jw_member_time(&w, "told", b->told_us);
    klx_jw_end_object(&w);
    klx_news_save(&call,
                  klx_arena_printf(c->out->arena, KLX_NODE_SPREAD_RECORD "%s",
                                   klx_node_problem_specs[spec].condition)
                      .p,
                  klx_buf_sv(&value), b->written);
}

void klx_node_spreads_init(struct klx_nodes *d) {
    for (size_t i = 0; i < klx_node_problem_specs_n; i++) {
        d->spreads[i] =
            (struct klx_node_spread){ .since_us = KLX_TIME_NONE, .told_us = KLX_TIME_NONE };
        klx_episode_init(&d->spreads[i].episode);
    }
}

int klx_node_spread_restore(struct klx_nodes *d, struct klx_sv condition, struct klx_sv value) {
    struct klx_arena arena KLX_CLEANUP(klx_arena_release);
    const struct klx_json *v = NULL;
    size_t spec = klx_node_problem_spec_of(condition);
    klx_arena_init(&arena, RECORD_BYTES_MAX, 1 << 20);
    if (spec == klx_node_problem_specs_n || klx_json_parse(&arena, value, NULL, &v, NULL) != 0 ||
        klx_json_int(v, "version", 0) != VERSION) {
        return -EBADMSG;
    }
    struct klx_node_spread *b = &d->spreads[spec];
    klx_episode_read(&b->episode, klx_json_get(v, "incident"));
    b->since_us = klx_news_time(v, "since");
    b->told_n = klx_json_int(v, "toldNodes", 0);
    b->told_us = klx_news_time(v, "told");
    b->moved = klx_episode_is_open(&b->episode);
    d->restored = true;
    klx_hash_parts(&value, 1, b->written);
    return 0;
}

static void tell_spread(struct klx_node_call *c, size_t spec, struct standing *s) {
    struct klx_node_spread *b = &c->d->spreads[spec];
    struct klx_arena *a = c->out->arena;
    struct klx_sv at = klx_arena_printf(a, "%" PRId64, c->now_us);
    const struct klx_sv parts[] = { KLX_SV("spread"), klx_sv(s->spec->condition), at };
    b->since_us = klx_episode_is_open(&b->episode) ? b->since_us : s->since_us;
    b->told_n = s->affected;
    b->told_us = c->now_us;
    tell(c, b, s,
         (struct klx_news){
             .kind = KLX_KIND_NODE_PROBLEM_SPREAD,
             .severity = s->spec->severity,
             .phase = klx_episode_open(&b->episode, c->now_us, KLX_NODE_REOPEN_US,
                                       klx_incident_id(a, klx_sv(c->d->cluster), parts, 3)),
             .summary = klx_arena_printf(
                 a, "%" PRId64 " of %" PRId64 " nodes have the same problem, %s: each of them %s",
                 s->affected, s->known, s->spec->condition, s->spec->words),
             .hint = klx_sv(s->spec->hint),
         });
    save(c, spec);
}

bool klx_node_spread_takes(struct klx_node_call *c, size_t spec) {
    struct klx_node_spread *b = &c->d->spreads[spec];
    bool open = klx_episode_is_open(&b->episode);
    if (open && c->now_us - b->told_us < UPDATE_US) {
        return true;
    }
    struct standing s = look(c->d, spec);
    if (!open && s.affected < klx_node_burst_threshold(c->d)) {
        return false;
    }
    if (!open || s.affected * 2 >= b->told_n * 3) {
        tell_spread(c, spec, &s);
    }
    return true;
}

/* What is left of it has an alarm of its own. */
static void release(struct klx_node_call *c, size_t spec) {
    struct klx_node_entry *e = NULL, *next = NULL;
    HASH_ITER(hh, c->d->nodes, e, next) {
        struct klx_node_problem *p = klx_node_problem_find(&e->n, spec);
        if (p != NULL && p->folded && p->on) {
            p->folded = false;
            p->due_us = c->now_us;
            klx_node_table_save(c, e);
        }
    }
}

static void check(struct klx_node_call *c, size_t spec) {
    struct klx_node_spread *b = &c->d->spreads[spec];
    struct standing s = look(c->d, spec);
    if (s.affected * 2 >= klx_node_burst_threshold(c->d)) {
        return;
    }
    struct klx_sv left =
        s.affected == 0 ? KLX_SV("no node has it any more")
                        : klx_arena_printf(c->out->arena, "%" PRId64 " of %" PRId64 " still %s it",
                                           s.affected, s.known, s.affected == 1 ? "has" : "have");
    tell(c, b, &s,
         (struct klx_news){
             .kind = KLX_KIND_NODE_PROBLEM_SPREAD_OVER,
             .severity = KLX_SEVERITY_INFO,
             .phase = KLX_PHASE_RESOLVED,
             .summary = klx_arena_printf(
                 c->out->arena, "%s on many nodes is over after %s: %.*s", s.spec->condition,
                 klx_node_words(c, b->since_us, c->now_us), KLX_SV_FMT(left)),
         });
    klx_episode_close(&b->episode, c->now_us);
    save(c, spec);
    release(c, spec);
}

void klx_node_spread_moved(struct klx_node_call *c, size_t spec) {
    struct klx_node_spread *b = &c->d->spreads[spec];
    if (klx_episode_is_open(&b->episode)) {
        b->moved = true;
        c->d->next_us = klx_news_earlier(c->d->next_us, c->now_us);
    }
}

void klx_node_spreads_moved(struct klx_node_call *c) {
    for (size_t i = 0; i < klx_node_problem_specs_n; i++) {
        klx_node_spread_moved(c, i);
    }
}

void klx_node_spreads_due(struct klx_node_call *c) {
    for (size_t i = 0; i < klx_node_problem_specs_n; i++) {
        bool moved = c->d->spreads[i].moved;
        c->d->spreads[i].moved = false;
        if (moved) {
            check(c, i);
        }
    }
}

int64_t klx_node_spreads_next(const struct klx_nodes *d) {
    int64_t next_us = KLX_TIME_NONE;
    for (size_t i = 0; i < klx_node_problem_specs_n; i++) {
        next_us = d->spreads[i].moved ? 0 : next_us;
    }
    return next_us;
}
