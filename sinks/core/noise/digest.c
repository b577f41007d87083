#include "sinks/core/noise/digest.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "lib/base/arena.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/utf8.h"

#define ARENA_BYTES_MAX (1u << 20)

void klx_surplus_add(struct klx_surplus *s, struct klx_delivery *d) {
    d->next = NULL;
    *(s->last != NULL ? &s->last->next : &s->first) = d;
    s->last = d;
    s->n++;
}

static struct klx_delivery *take_first(struct klx_surplus *s) {
    struct klx_delivery *d = s->first;
    if (d != NULL) {
        s->first = d->next;
        s->last = s->first != NULL ? s->last : NULL;
        s->n--;
        d->next = NULL;
    }
    return d;
}

void klx_surplus_drop_revoked(struct klx_surplus *s) {
    struct klx_surplus kept = { 0 };
    for (struct klx_delivery *d = take_first(s); d != NULL; d = take_first(s)) {
        if (klx_delivery_is_revoked(d)) {
            klx_delivery_abandon(d);
        } else {
            klx_surplus_add(&kept, d);
        }
    }
    *s = kept;
}

void klx_surplus_release(struct klx_surplus *s) {
    for (struct klx_delivery *d = take_first(s); d != NULL; d = take_first(s)) {
        klx_delivery_abandon(d);
    }
}

/* What one line is about. */
struct group {
    char key[KLX_HASH_TEXT_BYTES];
    const struct klx_delivery *last; /* what is said of it */
    enum klx_severity worst;
    size_t events;
    UT_hash_handle hh;
};

struct maker {
    struct klx_arena arena;
    struct group *groups;
    struct klx_digest digest;
};

/* The incident, or else the object and the kind of event. */
static void key_of(const struct klx_delivery *d, char out[static KLX_HASH_TEXT_BYTES]) {
    const struct klx_event *e = &d->message->event;
    const struct klx_sv incident[] = { e->incident };
    const struct klx_sv object[] = { e->cluster, e->subject, e->type };
    if (e->incident.n > 0) {
        klx_hash_parts(incident, KLX_COUNT(incident), out);
    } else {
        klx_hash_parts(object, KLX_COUNT(object), out);
    }
}

static struct group *group_of(struct maker *m, const struct klx_delivery *d) {
    struct group *g = NULL;
    char key[KLX_HASH_TEXT_BYTES];
    key_of(d, key);
    HASH_FIND_STR(m->groups, key, g);
    if (g == NULL) {
        g = klx_alloc(struct group);
        memcpy(g->key, key, sizeof(key));
        HASH_ADD_STR(m->groups, key, g);
        m->digest.incidents += d->message->event.incident.n > 0;
    }
    return g;
}

/* Of two updates the newer one, whatever came last: numbers tell. */
static bool is_newer(const struct klx_delivery *a, const struct klx_delivery *b) {
    return b == NULL || a->message->event.incident_seq >= b->message->event.incident_seq;
}

static void count(struct maker *m, const struct klx_delivery *d) {
    struct group *g = group_of(m, d);
    int64_t at_us = d->message->event.time_us;
    bool first = m->digest.events == 0;
    g->last = is_newer(d, g->last) ? d : g->last;
    g->worst = d->severity > g->worst ? d->severity : g->worst;
    g->events++;
    m->digest.since_us = first || at_us < m->digest.since_us ? at_us : m->digest.since_us;
    m->digest.until_us = first || at_us > m->digest.until_us ? at_us : m->digest.until_us;
    m->digest.events++;
}

static bool is_over(const struct group *g) {
    return g->last->message->event.phase == KLX_PHASE_RESOLVED;
}

/* The worst first; of those what is still open, what has the most events, what came first. */
static int by_weight(const struct group *a, const struct group *b) {
    if (a->worst != b->worst) {
        return a->worst > b->worst ? -1 : 1;
    }
    if (is_over(a) != is_over(b)) {
        return is_over(a) ? 1 : -1;
    }
    return a->events != b->events ? (a->events > b->events ? -1 : 1) : 0;
}

static struct klx_sv cut(struct klx_sv text) {
    return klx_sv_utf8_prefix(text, KLX_DIGEST_TEXT_BYTES_MAX);
}

/* "Node aks-1 (prod-weu): Node not ready", plain and untrusted. */
static struct klx_sv text_of(struct maker *m, const struct group *g) {
    const struct klx_event *e = &g->last->message->event;
    const struct klx_json *object = klx_json_get(g->last->message->data, "object");
    struct klx_sv ns = klx_json_str(object, "namespace"), kind = klx_json_str(object, "kind");
    struct klx_sv title = e->kind < KLX_KINDS_N ? klx_sv(klx_kind_specs[e->kind].title) : e->type;
    struct klx_sv whole = klx_arena_printf(
        &m->arena, "%.*s %.*s%s%.*s (%.*s): %.*s%s", KLX_SV_FMT(cut(kind)), KLX_SV_FMT(cut(ns)),
        ns.n > 0 ? "/" : "", KLX_SV_FMT(cut(klx_json_str(object, "name"))),
        KLX_SV_FMT(cut(e->cluster)), KLX_SV_FMT(cut(title)), is_over(g) ? ", resolved" : "");
    struct klx_buf line KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&line, KLX_DIGEST_TEXT_BYTES_MAX + 1);
    klx_utf8_line(&line, whole, KLX_DIGEST_TEXT_BYTES_MAX);
    return klx_arena_dup(&m->arena, klx_buf_sv(&line));
}

/* The groups are sorted. */
static void write_lines(struct maker *m) {
    size_t room = HASH_COUNT(m->groups);
    room = room < KLX_DIGEST_LINES_MAX ? room : KLX_DIGEST_LINES_MAX;
    struct klx_digest_line *lines = klx_arena_alloc(&m->arena, room * sizeof(*lines));
    size_t n = 0;
    for (const struct group *g = m->groups; g != NULL && n < room; g = g->hh.next) {
        lines[n++] = (struct klx_digest_line){ .text = text_of(m, g),
                                               .severity = g->worst,
                                               .events = g->events };
    }
    m->digest.lines = lines;
    m->digest.lines_n = n;
}

/* The digest stands in the place of the worst event, of several the last. */
static const struct klx_delivery *main_of(const struct klx_surplus *s) {
    const struct klx_delivery *found = s->first;
    for (const struct klx_delivery *d = s->first; d != NULL; d = d->next) {
        found = d->severity >= found->severity ? d : found;
    }
    return found;
}

static void free_groups(struct maker *m) {
    while (m->groups != NULL) {
        struct group *g = m->groups;
        HASH_DEL(m->groups, g);
        free(g);
    }
}

static struct klx_delivery *make(struct klx_surplus *s, int64_t mono_us) {
    const struct klx_delivery *of = main_of(s);
    struct klx_delivery *digest = klx_delivery_new(of->message, of->subscription, mono_us);
    struct maker m = { 0 };
    klx_arena_init(&m.arena, 32768, ARENA_BYTES_MAX);
    for (const struct klx_delivery *d = s->first; d != NULL; d = d->next) {
        count(&m, d);
        klx_delivery_cover(digest, d->message);
    }
    HASH_SORT(m.groups, by_weight);
    write_lines(&m);
    klx_delivery_set_digest(digest, &m.digest);
    digest->severity = of->severity;
    digest->repeat = (uint32_t)m.digest.events; /* with other events it is another message */
    free_groups(&m);
    klx_arena_release(&m.arena);
    return digest;
}

struct klx_delivery *klx_surplus_flush(struct klx_surplus *s, int64_t mono_us, klx_digested_fn fn,
                                       void *arg) {
    if (s->n < 2) {
        return take_first(s);
    }
    struct klx_delivery *digest = make(s, mono_us);
    for (struct klx_delivery *d = take_first(s); d != NULL; d = take_first(s)) {
        fn(arg, d, digest);
        klx_delivery_done(d);
    }
    return digest;
}
