#include "collector/fleet.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"

#define LEAVE_MS 4000 /* for the last commit of a cluster that is removed or changed */

/* One reading of the configuration, kept while a member lives by it. */
struct edition {
    struct klx_settings settings;
    struct klx_collector_settings collector;
    size_t users; /* the fleet for the newest, and each member */
};

/* A cluster, and who follows when it has stopped. */
struct place {
    struct klx_fleet *fleet;
    struct klx_member *member;
    struct edition *edition;
    struct klx_member *successor; /* NULL: nobody does */
    struct edition *successor_edition;
    bool leaving;
    struct place *next;
};

struct klx_fleet {
    struct klx_member_env env;
    struct edition *first; /* Kafka and the topics are its */
    struct edition *newest;
    struct place *places;
    bool stopping, clean;
    size_t stuck; /* of them; they stopped, but not cleanly */
    void (*on_stopped)(void *arg, bool clean);
    void *stop_arg;
};

static struct edition *edition_of(struct klx_settings *s, struct klx_collector_settings *c) {
    struct edition *e = klx_alloc(struct edition);
    e->settings = *s;
    e->collector = *c;
    e->users = 1;
    *s = (struct klx_settings){ 0 };
    *c = (struct klx_collector_settings){ 0 };
    return e;
}

static struct edition *use(struct edition *e) {
    e->users++;
    return e;
}

static void put_down(struct edition *e) {
    if (e != NULL && --e->users == 0) {
        klx_collector_settings_release(&e->collector);
        klx_settings_release(&e->settings);
        free(e);
    }
}

static struct place *add(struct klx_fleet *f, struct klx_member *m, struct edition *e) {
    struct place *p = klx_alloc(struct place);
    struct place **end = &f->places;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *p = (struct place){ .fleet = f, .member = m, .edition = use(e) };
    *end = p;
    return p;
}

static void drop(struct place *p) {
    struct place **at = &p->fleet->places;
    while (*at != p) {
        at = &(*at)->next;
    }
    *at = p->next;
    klx_member_free(p->member);
    klx_member_free(p->successor);
    put_down(p->edition);
    put_down(p->successor_edition);
    free(p);
}

static const char *name_of(const struct place *p) {
    return klx_member_settings(p->member)->name;
}

static struct place *find(const struct klx_fleet *f, const char *name) {
    struct place *p = f->places;
    while (p != NULL && strcmp(name_of(p), name) != 0) {
        p = p->next;
    }
    return p;
}

static size_t count(const struct klx_fleet *f) {
    size_t n = 0;
    for (const struct place *p = f->places; p != NULL; p = p->next) {
        n++;
    }
    return n;
}

static const struct klx_cluster_settings *settings_of(const struct edition *e, const char *name) {
    for (size_t i = 0; i < e->collector.clusters_n; i++) {
        if (strcmp(e->collector.clusters[i].name, name) == 0) {
            return &e->collector.clusters[i];
        }
    }
    return NULL;
}

int klx_fleet_new(const struct klx_member_env *env, struct klx_settings *settings,
                  struct klx_collector_settings *c, struct klx_fleet **ret, struct klx_error *e) {
    struct klx_fleet *f = klx_alloc(struct klx_fleet);
    f->env = *env;
    f->clean = true;
    f->first = edition_of(settings, c);
    f->newest = use(f->first);
    f->env.kafka = f->first->collector.kafka;
    f->env.topics = &f->first->settings.topics;
    f->env.transactions = f->first->collector.transactions;
    for (size_t i = 0; i < f->newest->collector.clusters_n; i++) {
        struct klx_member *m = NULL;
        int rc = klx_member_new(&f->env, &f->newest->collector.clusters[i], &m, e);
        if (rc != 0) {
            klx_fleet_free(f);
            return rc;
        }
        add(f, m, f->newest);
    }
    *ret = f;
    return 0;
}

void klx_fleet_start(struct klx_fleet *f) {
    for (struct place *p = f->places; p != NULL; p = p->next) {
        klx_member_start(p->member);
    }
}

bool klx_fleet_ready(const struct klx_fleet *f, struct klx_buf *why) {
    bool ready = !f->stopping;
    for (const struct place *p = f->places; p != NULL; p = p->next) {
        ready = klx_member_ready(p->member, why) && ready;
    }
    return ready;
}

static void start_successor(struct place *p) {
    klx_member_free(p->member);
    put_down(p->edition);
    p->member = p->successor;
    p->edition = p->successor_edition;
    p->successor = NULL;
    p->successor_edition = NULL;
    p->leaving = false;
    klx_member_start(p->member);
}

static void say_end(void *arg) {
    struct klx_fleet *f = arg;
    f->on_stopped(f->stop_arg, f->clean);
}

static void on_place_stopped(void *arg, bool clean) {
    struct place *p = arg;
    struct klx_fleet *f = p->fleet;
    f->clean = f->clean && clean;
    if (!clean && !f->stopping) {
        f->env.on_stuck(f->env.arg);
        return;
    }
    if (clean && !f->stopping && p->successor != NULL) {
        start_successor(p);
        return;
    }
    if (clean) {
        drop(p);
    } else {
        f->stuck++;
    }
    if (f->stopping && f->stuck == count(f)) {
        say_end(f);
    }
}

static void leave(struct place *p, int64_t wait_ms) {
    if (!p->leaving) {
        p->leaving = true;
        klx_member_stop(p->member, wait_ms, on_place_stopped, p);
    }
}

static void succeed(struct place *p, struct klx_member *m, struct edition *e) {
    klx_member_free(p->successor);
    put_down(p->successor_edition);
    p->successor = m;
    p->successor_edition = m != NULL ? use(e) : NULL;
    leave(p, LEAVE_MS);
}

/* A new member for each cluster that is new or different; NULL for those that go on. */
static int make_members(struct klx_fleet *f, const struct edition *ed, struct klx_member **ret,
                        struct klx_error *e) {
    for (size_t i = 0; i < ed->collector.clusters_n; i++) {
        const struct klx_cluster_settings *s = &ed->collector.clusters[i];
        const struct place *p = find(f, s->name);
        bool goes_on =
            p != NULL && !p->leaving && klx_config_equal(klx_member_settings(p->member)->at, s->at);
        int rc = goes_on ? 0 : klx_member_new(&f->env, s, &ret[i], e);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static void say(const char *what, const char *cluster) {
    klx_log_info(what, KLX_F_STR("cluster", cluster));
}

static void apply(struct klx_fleet *f, struct edition *ed, struct klx_member **members) {
    for (struct place *p = f->places; p != NULL; p = p->next) {
        if (settings_of(ed, name_of(p)) == NULL) {
            say("the cluster is not configured any more, ending it", name_of(p));
            succeed(p, NULL, NULL);
        }
    }
    for (size_t i = 0; i < ed->collector.clusters_n; i++) {
        struct place *p = find(f, ed->collector.clusters[i].name);
        if (members[i] == NULL) {
            continue;
        }
        if (p != NULL) {
            say("the cluster is configured differently, beginning it anew", name_of(p));
            succeed(p, members[i], ed);
        } else {
            say("the cluster is new", klx_member_settings(members[i])->name);
            klx_member_start(add(f, members[i], ed)->member);
        }
    }
}

static bool same_text(const char *a, const char *b) {
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void say_what_stays(const struct edition *first, const struct edition *ed) {
    bool same = klx_config_equal(first->settings.kafka, ed->settings.kafka) &&
                same_text(first->collector.listen, ed->collector.listen) &&
                first->collector.transactions == ed->collector.transactions;
    for (size_t i = 0; i < KLX_TOPICS_N; i++) {
        same = same && same_text(first->settings.topics.name[i], ed->settings.topics.name[i]);
    }
    if (!same) {
        klx_log_warn("`kafka`, `topics` or `collector` changed: this takes effect when the "
                     "process is started again");
    }
}

int klx_fleet_reload(struct klx_fleet *f, struct klx_settings *settings,
                     struct klx_collector_settings *c, struct klx_error *e) {
    struct edition *ed = edition_of(settings, c);
    size_t n = ed->collector.clusters_n;
    struct klx_member **members = klx_alloc_n(struct klx_member *, n);
    int rc = make_members(f, ed, members, e);
    if (rc == 0) {
        say_what_stays(f->first, ed);
        apply(f, ed, members);
        put_down(f->newest);
        f->newest = ed;
    } else {
        for (size_t i = 0; i < n; i++) {
            klx_member_free(members[i]);
        }
        put_down(ed);
    }
    free(members);
    return rc;
}

void klx_fleet_stop(struct klx_fleet *f, int64_t wait_ms, void (*on_stopped)(void *arg, bool clean),
                    void *arg) {
    f->stopping = true;
    f->on_stopped = on_stopped;
    f->stop_arg = arg;
    if (f->places == NULL) {
        klx_loop_defer(f->env.loop, say_end, f);
    }
    for (struct place *p = f->places; p != NULL; p = p->next) {
        leave(p, wait_ms);
    }
}

void klx_fleet_free(struct klx_fleet *f) {
    if (f == NULL) {
        return;
    }
    while (f->places != NULL) {
        drop(f->places);
    }
    put_down(f->newest);
    put_down(f->first);
    free(f);
}
