#include "sinks/core/reload.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/hash.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "lib/io/reload_metrics.h"
#include "lib/io/watch_files.h"
#include "schema/config_event.h"

#define AGAIN_MS 30000
#define ARENA_BYTES_MAX (1u << 20)

/* The first of them, and how many there are. */
struct mistakes {
    struct klx_sv texts[KLX_CONFIG_EVENT_MISTAKES_MAX]; /* owned */
    size_t n, total;
};

struct klx_reload {
    struct klx_reload_options o;
    struct klx_edition *first;   /* of it is what a reload cannot change */
    struct klx_edition *edition; /* in use */
    struct klx_watch_files *watch;
    struct klx_timer *again;
    uint32_t seq; /* of the last event of the incident; 0: there is none */
    int64_t opened_us;
    size_t mistakes;                   /* of what is refused */
    char refused[KLX_HASH_TEXT_BYTES]; /* the mistakes that were told last */
    char in_use[KLX_HASH_TEXT_BYTES];  /* the configuration of the incident */
};

static void keep_mistake(void *arg, const char *text) {
    struct mistakes *m = arg;
    if (m->n < KLX_CONFIG_EVENT_MISTAKES_MAX) {
        m->texts[m->n++] = klx_sv(klx_strdup(text));
    }
    m->total++;
}

static void forget_mistakes(struct mistakes *m) {
    for (size_t i = 0; i < m->n; i++) {
        free((char *)(uintptr_t)m->texts[i].p);
    }
    *m = (struct mistakes){ 0 };
}

static void tell(struct klx_reload *r, const struct mistakes *m) {
    struct klx_arena arena;
    struct klx_record record;
    r->seq++;
    const struct klx_config_event event = {
        .accepted = m == NULL,
        .process = klx_sv(r->o.process),
        .file = klx_settings_path(r->o.config),
        .hash = r->in_use,
        .seq = r->seq,
        .mistakes = m != NULL ? m->texts : NULL,
        .mistakes_n = m != NULL ? m->n : 0,
        .mistakes_total = m != NULL ? m->total : 0,
        .opened_us = r->opened_us,
        .now_us = r->o.clock->wall_us(r->o.clock),
    };
    klx_arena_init(&arena, 8192, ARENA_BYTES_MAX);
    if (klx_config_event_encode(&arena, &r->first->settings.topics, &event, &record) == 0) {
        r->o.publish(r->o.arg, &record);
    }
    klx_arena_release(&arena);
}

static void refuse(struct klx_reload *r, const struct mistakes *m) {
    char now[KLX_HASH_TEXT_BYTES];
    klx_hash_parts(m->texts, m->n, now);
    klx_reload_metrics_bad();
    klx_timer_start(r->again, AGAIN_MS);
    if (r->mistakes == m->total && strcmp(r->refused, now) == 0) {
        return;
    }
    klx_log_error("the configuration cannot be used, going on with the one before",
                  KLX_F_STR("file", klx_settings_path(r->o.config)),
                  KLX_F_INT("mistakes", m->total), KLX_F_SV("first", m->texts[0]));
    for (size_t i = 1; i < m->n; i++) {
        klx_log_error("a mistake in the configuration", KLX_F_SV("what", m->texts[i]));
    }
    if (r->seq == 0) {
        r->opened_us = r->o.clock->wall_us(r->o.clock);
        memcpy(r->in_use, r->edition->settings.hash, sizeof(r->in_use));
    }
    r->mistakes = m->total;
    memcpy(r->refused, now, sizeof(now));
    tell(r, m);
}

static void end_refusal(struct klx_reload *r) {
    klx_timer_stop(r->again);
    if (r->seq > 0) {
        tell(r, NULL);
    }
    r->seq = 0;
    r->mistakes = 0;
    r->refused[0] = '\0';
}

static bool same_text(const char *a, const char *b) {
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void say_what_stays(const struct klx_reload *r, const struct klx_edition *e) {
    const struct klx_edition *f = r->first;
    bool same = klx_config_equal(f->settings.kafka, e->settings.kafka) &&
                same_text(f->sinks.process.listen, e->sinks.process.listen);
    for (size_t i = 0; i < KLX_TOPICS_N; i++) {
        same = same && same_text(f->settings.topics.name[i], e->settings.topics.name[i]);
    }
    if (!same) {
        klx_log_warn("`kafka`, `topics` or `listen` changed: this takes effect when the process is "
                     "started again");
    }
}

static void accept(struct klx_reload *r, struct klx_edition *e) {
    klx_log_init(r->o.component, e->settings.log_format, e->settings.log_level);
    say_what_stays(r, e);
    klx_log_info("the configuration was read again",
                 KLX_F_STR("file", klx_settings_path(r->o.config)),
                 KLX_F_INT("channels", e->sinks.channels_n),
                 KLX_F_INT("subscriptions", e->sinks.subscriptions_n));
    klx_edition_unref(r->edition);
    r->edition = klx_edition_ref(e);
}

static bool has_work(const struct klx_reload *r, const struct klx_edition *e, struct mistakes *m) {
    if (klx_edition_count(e, r->o.ops).subscribed > 0) {
        return true;
    }
    char *text = klx_asprintf("%s: no subscription names a channel of the kind %s: end the process "
                              "if there is to be none",
                              klx_settings_path(r->o.config), r->o.ops->name);
    keep_mistake(m, text);
    free(text);
    return false;
}

static void use(struct klx_reload *r, struct klx_edition *e, struct mistakes *m) {
    struct klx_error why = { 0 };
    if (!has_work(r, e, m)) {
        return;
    }
    if (r->o.apply(r->o.arg, e, &why) != 0) {
        keep_mistake(m, why.text);
        return;
    }
    accept(r, e);
}

/* Takes over the contents of the settings. */
static void bind(struct klx_reload *r, struct klx_settings *s, struct mistakes *m) {
    struct klx_edition *e = NULL;
    if (s->unread > 0) { /* what is missing would make mistakes elsewhere that are none */
        klx_settings_release(s);
        return;
    }
    klx_edition_new(s, r->o.ops, keep_mistake, m, &e);
    if (m->total == 0) {
        use(r, e, m);
    }
    klx_edition_unref(e);
}

static void read_again(struct klx_reload *r, bool asked) {
    struct mistakes m = { 0 };
    struct klx_settings s;
    klx_watch_files_seen(r->watch);
    if (klx_settings_load_all(r->o.config, &s, keep_mistake, &m) == 0 &&
        strcmp(s.hash, r->edition->settings.hash) == 0) {
        klx_settings_release(&s);
        if (asked || r->seq > 0) {
            klx_log_info("the configuration is the one that is in use");
        }
    } else {
        bind(r, &s, &m);
    }
    if (m.total > 0) {
        refuse(r, &m);
    } else {
        end_refusal(r);
        klx_reload_metrics_good(r->edition->settings.hash, r->o.clock);
    }
    forget_mistakes(&m);
}

static void on_files(void *arg) {
    read_again(arg, false);
}

struct klx_reload *klx_reload_new(const struct klx_reload_options *o) {
    struct klx_reload *r = klx_alloc(struct klx_reload);
    const char *file = klx_settings_path(o->config);
    char *folders[KLX_SETTINGS_FOLDERS_N];
    r->o = *o;
    r->first = klx_edition_ref(o->edition);
    r->edition = klx_edition_ref(o->edition);
    r->again = klx_timer_new(o->loop, on_files, r);
    klx_settings_folders(file, folders);
    r->watch = klx_watch_files_new(o->loop, file, (const char *const *)folders,
                                   KLX_SETTINGS_FOLDERS_N, on_files, r);
    for (size_t i = 0; i < KLX_SETTINGS_FOLDERS_N; i++) {
        free(folders[i]);
    }
    klx_reload_metrics_good(r->edition->settings.hash, o->clock);
    return r;
}

void klx_reload_now(struct klx_reload *r) {
    read_again(r, true);
}

void klx_reload_describe(const struct klx_reload *r, struct klx_buf *out) {
    char at[KLX_TIME_TEXT_BYTES];
    if (r->seq > 0) {
        klx_time_format(r->opened_us, KLX_TIME_SECONDS, at);
        klx_buf_printf(out,
                       "configuration: refused since %s, %zu mistake%s; going on with the one "
                       "before\n",
                       at, r->mistakes, r->mistakes == 1 ? "" : "s");
    }
}

void klx_reload_free(struct klx_reload *r) {
    if (r == NULL) {
        return;
    }
    klx_watch_files_free(r->watch);
    klx_timer_free(r->again);
    klx_edition_unref(r->edition);
    klx_edition_unref(r->first);
    free(r);
}
