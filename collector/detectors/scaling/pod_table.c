#include "collector/detectors/scaling/pod_table.h"

#include <stdio.h>
#include <stdlib.h>

#include "collector/detectors/scaling/pod_rules.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#define STATE_BYTES_MAX (256 * 1024)

struct klx_pod_entry *klx_pod_table_find(const struct klx_scaling *d, struct klx_sv namespace,
                                         struct klx_sv name) {
    char key[KLX_NAMESPACE_BYTES + KLX_NAME_BYTES];
    struct klx_pod_entry *e = NULL;
    snprintf(key, sizeof(key), "%.*s/%.*s", KLX_SV_FMT(namespace), KLX_SV_FMT(name));
    HASH_FIND_STR(d->pods, key, e);
    return e;
}

struct klx_pod_entry *klx_pod_table_add(struct klx_scaling *d, struct klx_sv namespace,
                                        struct klx_sv name) {
    struct klx_pod_entry *e = klx_alloc(struct klx_pod_entry);
    klx_pod_state_init(&e->p, namespace, name);
    e->recheck_us = KLX_TIME_NONE;
    snprintf(e->key, sizeof(e->key), "%s/%s", e->p.namespace, e->p.name);
    HASH_ADD_STR(d->pods, key, e);
    return e;
}

void klx_pod_table_forget(struct klx_scaling *d, struct klx_pod_entry *e) {
    HASH_DEL(d->pods, e);
    klx_pod_state_release(&e->p);
    free(e);
}

int64_t klx_pod_table_next(const struct klx_pod_entry *e) {
    int64_t next_us = KLX_TIME_NONE;
    for (size_t i = 0; i < e->p.containers_n; i++) {
        const struct klx_pod_container *k = &e->p.containers[i];
        if (k->held_us != KLX_TIME_NONE) {
            int64_t alone_us = k->held_us + KLX_POD_WAVE_US;
            next_us =
                klx_news_earlier(next_us, alone_us > e->recheck_us ? alone_us : e->recheck_us);
        }
        next_us = klx_news_earlier(next_us, klx_news_earlier(k->stable_us, k->forget_us));
    }
    return next_us;
}

void klx_pod_table_save(struct klx_news_call *c, struct klx_pod_entry *e) {
    struct klx_buf value KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&value, STATE_BYTES_MAX);
    if (e->p.containers_n > 0) {
        klx_pod_state_write(&e->p, &value);
    }
    bool never_written = e->written[0] == '\0';
    if (value.len > 0 || !never_written) {
        klx_scaling_save(c, "pod", e->p.namespace, e->p.name, klx_buf_sv(&value), e->written);
    }
    klx_scaling_wake(klx_scaling_of(c), klx_pod_table_next(e));
    if (e->p.containers_n == 0) {
        klx_pod_table_forget(klx_scaling_of(c), e);
    }
}
