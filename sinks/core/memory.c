#include "sinks/core/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "sinks/core/follow.h"

struct klx_memory {
    struct klx_loop *loop;
    struct klx_memory_callbacks cb;
    char *topic;
    struct klx_follow *follow;
    struct klx_timer *timer; /* on_read is not called from within */
    bool asked;
    char without[256]; /* why it cannot be read; "" */
    struct klx_log_lasting lasting;
};

static void on_timer(void *arg) {
    struct klx_memory *m = arg;
    if (m->asked) {
        m->asked = false;
        m->cb.on_read(m->cb.arg);
    }
}

static void on_record(void *arg, struct klx_sv key, struct klx_sv value) {
    struct klx_memory *m = arg;
    m->without[0] = '\0';
    m->cb.on_state(m->cb.arg, key, value);
}

static void on_synced(void *arg) {
    struct klx_memory *m = arg;
    m->without[0] = '\0';
    klx_timer_start(m->timer, 0);
}

/* That Kafka is away, or moves the topic, is waited for: whoever is not patient tells twice. */
static void on_trouble(void *arg, const char *what) {
    (void)arg;
    klx_log_debug("waiting to know what was told of incidents", KLX_F_STR("why", what));
}

static void on_denied(void *arg, const char *why) {
    struct klx_memory *m = arg;
    snprintf(m->without, sizeof(m->without), "%s", why);
    if (klx_log_lasting_due(&m->lasting, why, klx_loop_now_us(m->loop))) {
        klx_log_warn("what was told of incidents is not known: all is told, and asked for again",
                     KLX_F_STR("why", why));
    }
    klx_timer_start(m->timer, 0);
}

int klx_memory_new(struct klx_loop *l, const struct klx_kafka_config *kafka,
                   const struct klx_topic_names *topics, const struct klx_memory_callbacks *cb,
                   struct klx_memory **ret, struct klx_error *e) {
    struct klx_memory *m = klx_alloc(struct klx_memory);
    const struct klx_follow_callbacks follow = {
        .on_record = on_record, .on_trouble = on_trouble, .on_denied = on_denied, .arg = m
    };
    m->loop = l;
    m->cb = *cb;
    m->topic = klx_strdup(topics->name[KLX_TOPIC_STATE]);
    m->timer = klx_timer_new(l, on_timer, m);
    int rc = klx_follow_new(l, kafka, m->topic, &follow, &m->follow, e);
    if (rc != 0) {
        klx_memory_free(m);
        return rc;
    }
    *ret = m;
    return 0;
}

void klx_memory_read(struct klx_memory *m) {
    m->asked = true;
    klx_timer_stop(m->timer);
    klx_follow_forget(m->follow, m);
    klx_follow_sync(m->follow, on_synced, m);
    if (m->without[0] != '\0') {
        klx_timer_start(m->timer,
                        0); /* as before: whoever asks does not wait for the next trouble */
    }
}

void klx_memory_describe(const struct klx_memory *m, struct klx_buf *out) {
    if (m->without[0] != '\0') {
        klx_buf_printf(out, "what was told is not known: %s\n", m->without);
    } else if (m->asked) {
        klx_buf_add_str(out, "waits until it knows what others have told\n");
    }
}

void klx_memory_free(struct klx_memory *m) {
    if (m != NULL) {
        klx_follow_free(m->follow);
        klx_timer_free(m->timer);
        free(m->topic);
        free(m);
    }
}
