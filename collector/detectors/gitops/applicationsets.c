/*
 * ApplicationSets of Argo CD: nothing of Argo CD's own tells when one does not work, and then none of its Applications follows git
 * (facts: argocd.md 3). The rules:
 *
 *   error          ErrorOccurred is True for error_after. Opens an incident, or goes on with one that ended less than 10 min ago. Another
 *                  reason updates it at once, other words of the same one after half an hour, for many of them hold a time or an address.
 *   recovered      it is not True any more: ends the incident.
 *   applications   it made Applications, or removed some: which, as far as its status names all of them.
 *   removed        it was deleted: ends what was open.
 *
 * State records are "<namespace>/<name>". The one timer is error_after.
 *
 *     detectors: { applicationsets: { error_after: 1m } }
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/detectors/detector.h"
#include "collector/detectors/gitops/app_news.h"
#include "collector/detectors/gitops/appset_state.h"
#include "collector/detectors/object_table.h"
#include "collector/redact.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#define STATE_BYTES_MAX 32768
#define ERROR_AFTER_MS (60 * 1000)
#define ERROR_AFTER_MAX_MS (24 * 60 * 60 * 1000)
#define REOPEN_US (10 * KLX_MINUTE_US)
#define OTHER_WORDS_US (30 * KLX_MINUTE_US)
#define NAMES_IN_SUMMARY 5
#define NAMES_IN_DATA 50
#define NAME_BYTES_MAX 253

struct settings {
    int64_t error_after_ms;
};

static const struct klx_config_field fields[] = {
    { .key = "error_after",
      .kind = KLX_CFG_DURATION,
      .offset = offsetof(struct settings, error_after_ms),
      .min = 1000,
      .max = ERROR_AFTER_MAX_MS,
      .help = "an ApplicationSet that has an error is told after this; default 1m" },
    { .key = NULL },
};

struct detector {
    char *cluster;
    int64_t error_after_us;
    struct klx_object_table *sets;
};

/* One ApplicationSet in one call. */
struct work {
    struct detector *d;
    struct klx_news_call *c;
    struct klx_appset_state *h;
    const struct klx_json *was,
        *is; /* names, of the Applications before and now; NULL: not all are known */
    int64_t was_n;
};

static void init_state(void *state, struct klx_sv namespace, struct klx_sv name) {
    klx_appset_state_init(state, namespace, name);
}

static void write_state(const void *state, struct klx_buf *out) {
    klx_appset_state_write(state, out);
}

static int read_state(void *state, struct klx_sv namespace, struct klx_sv name,
                      struct klx_sv value) {
    return klx_appset_state_read(state, namespace, name, value);
}

static const struct klx_object_kind states = {
    .state_bytes = sizeof(struct klx_appset_state),
    .record_bytes_max = STATE_BYTES_MAX,
    .init = init_state,
    .write = write_state,
    .read = read_state,
};

static void *create(struct klx_sv cluster, const void *settings) {
    const struct settings *s = settings;
    struct detector *d = klx_alloc(struct detector);
    bool set = s != NULL && s->error_after_ms > 0;
    d->cluster = klx_sv_dup(cluster);
    d->sets = klx_object_table_new(&states);
    d->error_after_us = (set ? s->error_after_ms : ERROR_AFTER_MS) * KLX_US_PER_MS;
    return d;
}

static void destroy(void *detector) {
    struct detector *d = detector;
    klx_object_table_free(d->sets);
    free(d->cluster);
    free(d);
}

static int restore(void *detector, struct klx_sv object, struct klx_sv value) {
    return klx_object_table_restore(((struct detector *)detector)->sets, object, value);
}

static bool has_name(const struct klx_json *names, struct klx_sv name) {
    const struct klx_json *n = klx_json_first(names);
    while (n != NULL && !klx_sv_eq(klx_json_str(n, ""), name)) {
        n = klx_json_next(n);
    }
    return n != NULL;
}

/* How many of `names` are not in `others`; the first `most` of them are handed to `fn`. */
static size_t each_missing(const struct klx_json *names, const struct klx_json *others, size_t most,
                           void (*fn)(void *arg, struct klx_sv name), void *arg) {
    size_t n = 0;
    for (const struct klx_json *i = klx_json_first(names); i != NULL; i = klx_json_next(i)) {
        if (!has_name(others, klx_json_str(i, ""))) {
            if (n < most) {
                fn(arg, klx_json_str(i, ""));
            }
            n++;
        }
    }
    return n;
}

static void write_name(void *arg, struct klx_sv name) {
    klx_jw_sv(arg, name);
}

static void write_applications(struct klx_jw *w, const struct work *x) {
    klx_jw_key(w, "applications");
    klx_jw_begin_object(w);
    klx_jw_member_int(w, "count", x->h->apps_n);
    if (x->was_n >= 0) {
        klx_jw_member_int(w, "before", x->was_n);
    }
    if (x->was != NULL && x->is != NULL) {
        klx_jw_key(w, "created");
        klx_jw_begin_array(w);
        each_missing(x->is, x->was, NAMES_IN_DATA, write_name, w);
        klx_jw_end_array(w);
        klx_jw_key(w, "removed");
        klx_jw_begin_array(w);
        each_missing(x->was, x->is, NAMES_IN_DATA, write_name, w);
        klx_jw_end_array(w);
    }
    klx_jw_end_object(w);
}

static void details(struct klx_jw *w, const void *arg) {
    const struct work *x = arg;
    if (x->h->apps_n >= 0) {
        write_applications(w, x);
    }
    if (x->h->error_since_us != KLX_TIME_NONE) {
        klx_jw_member_time(w, "since", x->h->error_since_us);
        klx_jw_member_sv_opt(w, "detail", klx_sv(x->h->message));
    }
}

static void tell(const struct work *x, struct klx_news m) {
    const struct klx_news_object about = {
        .kind = "ApplicationSet",
        .api_version = "argoproj.io/v1alpha1",
        .source = "applicationsets",
        .namespace = x->h->namespace,
        .name = x->h->name,
        .uid = x->h->uid,
        .labels = x->h->labels,
    };
    m.severity = klx_kind_specs[m.kind].severity;
    m.time_us = x->c->now_us;
    m.details = details;
    m.arg = x;
    klx_news_tell(x->c, &about, &m);
}

static struct klx_sv words(const struct work *x, const char *what) {
    return klx_arena_printf(x->c->out->arena, "ApplicationSet %s/%s %s", x->h->namespace,
                            x->h->name, what);
}

static void tell_error(const struct work *x) {
    struct klx_appset_state *h = x->h;
    struct klx_arena *a = x->c->out->arena;
    struct klx_sv at = klx_arena_printf(a, "%" PRId64, h->error_since_us);
    const struct klx_sv parts[] = { KLX_SV("ApplicationSet"), klx_sv(h->namespace), klx_sv(h->name),
                                    klx_sv(h->uid),           KLX_SV("error"),      at };
    struct klx_sv id = klx_incident_id(a, klx_sv(x->c->cluster), parts, KLX_COUNT(parts));
    h->told_us = x->c->now_us;
    enum klx_phase phase = klx_episode_open(&h->error, h->error_since_us, REOPEN_US, id);
    tell(x, (struct klx_news){ .kind = KLX_KIND_APPSET_ERROR,
                               .reason = klx_sv(h->reason),
                               .summary =
                                   KLX_CONCAT(a, words(x, "has an error: "), klx_sv(h->message)),
                               .episode = &h->error,
                               .phase = phase });
}

/* As the end of the incident; without one only when `always`. */
static void tell_end(const struct work *x, enum klx_kind kind, const char *reason, const char *what,
                     bool always) {
    bool open = klx_episode_is_open(&x->h->error);
    if (open || always) {
        tell(x, (struct klx_news){ .kind = kind,
                                   .reason = klx_sv(reason),
                                   .summary = words(x, what),
                                   .episode = open ? &x->h->error : NULL,
                                   .phase = open ? KLX_PHASE_RESOLVED : KLX_PHASE_NONE });
    }
    if (open) {
        klx_episode_close(&x->h->error, x->c->now_us);
    }
}

static void add_name(void *arg, struct klx_sv name) {
    struct klx_buf *b = arg;
    klx_buf_printf(b, "%s%.*s", b->len > 0 ? ", " : "", KLX_SV_FMT(name));
}

/* "made 2 Applications (a, b)"; nothing when there are none. */
static void add_side(struct klx_buf *out, const char *did, const struct klx_json *names,
                     const struct klx_json *others) {
    struct klx_buf list KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&list, (NAME_BYTES_MAX + 2) * NAMES_IN_SUMMARY);
    size_t n = each_missing(names, others, NAMES_IN_SUMMARY, add_name, &list);
    if (n > 0) {
        klx_buf_printf(out, "%s %s %zu Application%s (%s%s)", out->len > 0 ? " and" : "", did, n,
                       n == 1 ? "" : "s", klx_buf_str(&list), n > NAMES_IN_SUMMARY ? ", …" : "");
    }
}

static void tell_applications(const struct work *x) {
    struct klx_buf what KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&what, 4 * NAMES_IN_SUMMARY * NAME_BYTES_MAX);
    if (x->was != NULL && x->is != NULL) {
        add_side(&what, "made", x->is, x->was);
        add_side(&what, "removed", x->was, x->is);
    } else if (x->h->apps_n != x->was_n) {
        klx_buf_printf(&what, " has %" PRId64 " Applications, had %" PRId64, x->h->apps_n,
                       x->was_n);
    }
    if (what.len > 0) {
        tell(x, (struct klx_news){ .kind = KLX_KIND_APPSET_APPLICATIONS,
                                   .reason = KLX_SV("ApplicationsChanged"),
                                   .summary = words(x, klx_buf_str(&what) + 1) });
    }
}

/* The names that the status holds, as JSON; false: there are more than it holds, or than are kept. */
static bool read_names(const struct klx_json *object, char to[static KLX_APPSET_APPS_BYTES],
                       int64_t *ret_n) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    int64_t n = 0;
    klx_buf_init(&text, KLX_APPSET_APPS_BYTES - 1);
    klx_jw_init(&w, &text);
    klx_jw_begin_array(&w);
    for (const struct klx_json *r = klx_json_first(klx_json_get(object, "status.resources"));
         r != NULL; r = klx_json_next(r)) {
        n++;
        klx_jw_sv(&w, klx_news_cut(klx_json_str(r, "name"), NAME_BYTES_MAX));
    }
    klx_jw_end_array(&w);
    int64_t all = klx_json_int(object, "status.resourcesCount", n);
    *ret_n = all > n ? all : n;
    bool whole = !text.failed && *ret_n == n;
    snprintf(to, KLX_APPSET_APPS_BYTES, "%s", whole ? klx_buf_str(&text) : "");
    return whole;
}

static const struct klx_json *parse_names(struct klx_arena *a, const char *names) {
    const struct klx_json *list = NULL;
    return names[0] != '\0' && klx_json_parse(a, klx_sv(names), NULL, &list, NULL) == 0 ? list
                                                                                        : NULL;
}

/* The health of its Applications is in the same list, and changes all the time. */
static void on_applications(struct work *x, const struct klx_json *object) {
    struct klx_appset_state *h = x->h;
    struct klx_arena *a = x->c->out->arena;
    char now[KLX_APPSET_APPS_BYTES];
    int64_t n = 0;
    if (!klx_json_is_object(klx_json_get(object, "status"))) {
        return; /* its controller has not seen it yet */
    }
    bool whole = read_names(object, now, &n);
    if (n == h->apps_n && strcmp(now, h->apps) == 0) {
        return;
    }
    x->was_n = h->apps_n;
    x->was = parse_names(a, h->apps);
    x->is = whole ? parse_names(a, now) : NULL;
    memcpy(h->apps, now, sizeof(h->apps));
    h->apps_n = n;
    if (x->was_n >= 0) {
        tell_applications(x);
    }
    x->was = x->is = NULL;
    x->was_n = -1;
}

static void due(const struct work *x) {
    const struct klx_appset_state *h = x->h;
    if (h->error_since_us != KLX_TIME_NONE && !klx_episode_is_open(&h->error) &&
        x->c->now_us >= h->error_since_us + x->d->error_after_us) {
        tell_error(x);
    }
}

static const struct klx_json *error_condition(const struct klx_json *object) {
    const struct klx_json *c = klx_json_first(klx_json_get(object, "status.conditions"));
    while (c != NULL && !klx_sv_eq(klx_json_str(c, "type"), KLX_SV("ErrorOccurred"))) {
        c = klx_json_next(c);
    }
    return klx_sv_eq(klx_json_str(c, "status"), KLX_SV("True")) ? c : NULL;
}

static void on_error(const struct work *x, const struct klx_json *condition) {
    struct klx_appset_state *h = x->h;
    char reason[sizeof(h->reason)], message[sizeof(h->message)];
    klx_news_copy(reason, sizeof(reason), klx_json_str(condition, "reason"));
    klx_news_copy(
        message, sizeof(message),
        klx_redact(x->c->out->arena, klx_json_str(condition, "message"), sizeof(message) - 1));
    bool open = klx_episode_is_open(&h->error);
    bool other_reason = strcmp(reason, h->reason) != 0;
    bool other_words = strcmp(message, h->message) != 0 && h->told_us != KLX_TIME_NONE &&
                       x->c->now_us - h->told_us >= OTHER_WORDS_US;
    if (h->error_since_us == KLX_TIME_NONE) {
        int64_t since_us = klx_news_time(condition, "lastTransitionTime");
        h->error_since_us =
            since_us != KLX_TIME_NONE && since_us < x->c->now_us ? since_us : x->c->now_us;
    } else if (open && !other_reason && !other_words) {
        return;
    }
    memcpy(h->reason, reason, sizeof(reason));
    memcpy(h->message, message, sizeof(message));
    if (open) {
        tell_error(x);
    }
}

static void on_no_error(const struct work *x) {
    struct klx_appset_state *h = x->h;
    if (h->error_since_us == KLX_TIME_NONE) {
        return;
    }
    h->error_since_us = h->told_us = KLX_TIME_NONE;
    tell_end(x, KLX_KIND_APPSET_RECOVERED, "ApplicationSetUpToDate", "works again", false);
    h->reason[0] = h->message[0] = '\0';
}

static void on_removed(struct work *x, struct klx_appset_state *h, const char *reason) {
    x->h = h;
    h->error_since_us = KLX_TIME_NONE;
    tell_end(x, KLX_KIND_APPSET_REMOVED, reason, "was removed", true);
    klx_object_table_forget(x->d->sets, x->c, h);
}

static void observe(void *detector, const struct klx_observation *o, int64_t now_us,
                    struct klx_outbox *out) {
    struct detector *d = detector;
    struct klx_news_call c = { d->cluster, "applicationsets", out, o, now_us, NULL, NULL };
    struct work x = { .d = d, .c = &c, .was_n = -1 };
    if (o->kind != KLX_OBSERVED_APPLICATION_SET) {
        return;
    }
    struct klx_appset_state *h = klx_object_table_find(d->sets, o->namespace, o->name);
    if (h != NULL && o->uid.n > 0 && !klx_sv_eq(klx_sv(h->uid), klx_news_cut(o->uid, 79)) &&
        o->change != KLX_CHANGE_DELETED) {
        on_removed(&x, h, "Replaced");
        h = NULL;
    }
    if (o->change == KLX_CHANGE_DELETED) {
        if (h != NULL) {
            on_removed(&x, h, "Deleted");
        }
        return;
    }
    bool made_now = h == NULL && o->change == KLX_CHANGE_ADDED && o->origin != KLX_ORIGIN_BASELINE;
    h = h != NULL ? h : klx_object_table_add(d->sets, o->namespace, o->name);
    x.h = h;
    if (made_now) { /* it has none yet, and all that it makes is news */
        h->apps_n = 0;
        klx_news_copy(h->apps, sizeof(h->apps), KLX_SV("[]"));
    }
    klx_news_copy(h->uid, sizeof(h->uid), o->uid);
    klx_app_labels(o->labels, h->labels, sizeof(h->labels));
    const struct klx_json *error = error_condition(o->object);
    if (error != NULL) {
        on_error(&x, error);
    } else {
        on_no_error(&x);
    }
    on_applications(&x, o->object);
    due(&x);
    klx_object_table_save(d->sets, &c, h);
}

static void relisted(void *detector, enum klx_observation_kind kind,
                     bool (*listed)(void *arg, struct klx_sv name), void *arg, int64_t now_us,
                     struct klx_outbox *out) {
    struct detector *d = detector;
    struct klx_news_call c = { d->cluster, "applicationsets", out, NULL, now_us, NULL, NULL };
    struct work x = { .d = d, .c = &c, .was_n = -1 };
    struct klx_appset_state *h = klx_object_table_first(d->sets), *next = NULL;
    for (; kind == KLX_OBSERVED_APPLICATION_SET && h != NULL; h = next) {
        next = klx_object_table_next(h);
        if (!listed(arg, klx_sv(klx_object_table_key(h)))) {
            klx_outbox_next_object(out);
            on_removed(&x, h, "GoneWhileAway");
        }
    }
}

/* There are few of them: all are looked at. */
static int64_t tick(void *detector, int64_t now_us, struct klx_outbox *out) {
    struct detector *d = detector;
    struct klx_news_call c = { d->cluster, "applicationsets", out, NULL, now_us, NULL, NULL };
    int64_t next_us = KLX_TIME_NONE;
    for (struct klx_appset_state *h = klx_object_table_first(d->sets); h != NULL;
         h = klx_object_table_next(h)) {
        const struct work x = { .d = d, .c = &c, .h = h, .was_n = -1 };
        klx_outbox_next_object(out);
        due(&x);
        klx_object_table_save(d->sets, &c, h);
        if (h->error_since_us != KLX_TIME_NONE && !klx_episode_is_open(&h->error)) {
            next_us = klx_news_earlier(next_us, h->error_since_us + d->error_after_us);
        }
    }
    return next_us;
}

const struct klx_detector_ops klx_detector_applicationsets = {
    .name = "applicationsets",
    .settings = fields,
    .settings_bytes = sizeof(struct settings),
    .create = create,
    .destroy = destroy,
    .restore = restore,
    .observe = observe,
    .relisted = relisted,
    .tick = tick,
};
