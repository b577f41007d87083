#include "collector/source_polls.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"

#define RETIRED_MAX 100000 /* more of them are removed at the next start */

/* The key of a record of a poll that is not configured any more. */
struct retired {
    char *key;
    UT_hash_handle hh;
};

struct klx_source_polls {
    struct klx_source_poll_env env;
    struct klx_source_poll *items[KLX_WATCHES_MAX];
    size_t n;
    struct retired *retired;
    bool restored;
};

struct klx_source_polls *klx_source_polls_new(const struct klx_source_poll_env *env,
                                              const struct klx_cluster_settings *s) {
    struct klx_source_polls *p = klx_alloc(struct klx_source_polls);
    p->env = *env;
    for (size_t i = 0; i < s->sources_n; i++) {
        const struct klx_source_settings *source = &s->sources[i];
        for (size_t k = 0; source->ops->poll != NULL && k < klx_source_watches(source); k++) {
            p->items[p->n++] = klx_source_poll_new(env, source, k);
        }
    }
    return p;
}

/* "podmetrics@kube-system~1f2e3d4c" → "podmetrics" */
static struct klx_sv source_of(struct klx_sv key) {
    struct klx_sv rest = key;
    rest = klx_sv_cut(&rest, '~');
    return klx_sv_cut(&rest, '@');
}

static void retire(struct klx_source_polls *p, struct klx_sv key) {
    struct retired *r = NULL;
    HASH_FIND(hh, p->retired, key.p, key.n, r);
    if (r == NULL && HASH_COUNT(p->retired) < RETIRED_MAX) {
        r = klx_alloc(struct retired);
        r->key = klx_sv_dup(key);
        HASH_ADD_KEYPTR(hh, p->retired, r->key, key.n, r);
    }
}

static void drop(struct klx_source_polls *p, struct retired *r) {
    HASH_DEL(p->retired, r);
    free(r->key);
    free(r);
}

static void unretire(struct klx_source_polls *p, struct klx_sv key) {
    struct retired *r = NULL;
    HASH_FIND(hh, p->retired, key.p, key.n, r);
    if (r != NULL) {
        drop(p, r);
    }
}

bool klx_source_polls_restore(struct klx_source_polls *p, struct klx_sv key, struct klx_sv value) {
    struct klx_sv name = key, owner = klx_sv_cut(&name, '/');
    bool any = false, configured = false;
    for (size_t i = 0; i < p->n; i++) {
        struct klx_source_poll *poll = p->items[i];
        if (!klx_sv_eq(source_of(owner), klx_sv(klx_source_poll_ops(poll)->name))) {
            continue;
        }
        any = true;
        configured = configured || klx_sv_eq(owner, klx_sv(klx_source_poll_key(poll)));
        if (klx_source_poll_restore(poll, name, value) != 0) {
            klx_log_warn("a stored state cannot be read, skipped",
                         KLX_F_STR("cluster", p->env.cluster), KLX_F_SV("key", key));
        }
    }
    p->restored = p->restored || any;
    if (any && !configured && value.n > 0) {
        retire(p, key);
    } else if (any && value.n == 0) {
        unretire(p, key);
    }
    return any;
}

bool klx_source_polls_are_new(const struct klx_source_polls *p) {
    bool remembers = false;
    for (size_t i = 0; i < p->n; i++) {
        remembers = remembers || klx_source_poll_ops(p->items[i])->poll->restore != NULL;
    }
    return remembers && !p->restored;
}

void klx_source_polls_start(struct klx_source_polls *p) {
    struct retired *r = NULL, *next = NULL;
    HASH_ITER(hh, p->retired, r, next) {
        klx_publisher_put_state(p->env.publisher, r->key, "", klx_sv(NULL));
        drop(p, r);
    }
    klx_publisher_end_turn(p->env.publisher);
    for (size_t i = 0; i < p->n; i++) {
        klx_source_poll_start(p->items[i]);
    }
}

void klx_source_polls_pause(struct klx_source_polls *p, bool pause) {
    for (size_t i = 0; i < p->n; i++) {
        klx_source_poll_pause(p->items[i], pause);
    }
}

void klx_source_polls_describe(const struct klx_source_polls *p, struct klx_buf *out) {
    for (size_t i = 0; i < p->n; i++) {
        klx_source_poll_describe(p->items[i], out);
    }
}

void klx_source_polls_stop(struct klx_source_polls *p) {
    for (size_t i = 0; i < p->n; i++) {
        klx_source_poll_stop(p->items[i]);
    }
}

void klx_source_polls_free(struct klx_source_polls *p) {
    struct retired *r = NULL, *next = NULL;
    if (p == NULL) {
        return;
    }
    HASH_ITER(hh, p->retired, r, next) {
        drop(p, r);
    }
    for (size_t i = 0; i < p->n; i++) {
        klx_source_poll_free(p->items[i]);
    }
    free(p);
}
