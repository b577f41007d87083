#include "collector/detectors/gitops/app_stall.h"

#include <errno.h>
#include <inttypes.h>

#include "collector/detectors/gitops/app_rules.h"
#include "lib/base/cleanup.h"

#define VERSION 1
#define NAMES_SHOWN_MAX 10
#define NAMES_IN_WORDS_MAX 3
#define RECORD_BYTES_MAX 4096

/* How they stand: made of all of them at each bookmark. */
struct standing {
    int64_t known, stalled;
    const char *names[NAMES_SHOWN_MAX]; /* of the stalled ones */
    size_t names_n;
    int64_t since_us;
};

void klx_app_stall_init(struct klx_app_stall *s) {
    *s = (struct klx_app_stall){ .since_us = KLX_TIME_NONE };
    klx_episode_init(&s->episode);
}

static void save(struct klx_news_call *c, struct klx_app_stall *s) {
    struct klx_buf value KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&value, RECORD_BYTES_MAX);
    klx_jw_init(&w, &value);
    klx_jw_begin_object(&w);
    klx_jw_member_int(&w, "version", VERSION);
    klx_episode_write(&s->episode, "incident", &w);
    klx_jw_member_time(&w, "since", s->since_us);
    klx_jw_member_int(&w, "told", s->told_n);
    klx_jw_end_object(&w);
    klx_news_save(c, KLX_APP_STALL_RECORD, klx_buf_sv(&value), s->written);
}

int klx_app_stall_restore(struct klx_app_stall *s, struct klx_sv value) {
    struct klx_arena arena KLX_CLEANUP(klx_arena_release);
    const struct klx_json *v = NULL;
    klx_arena_init(&arena, RECORD_BYTES_MAX, 1 << 20);
    if (klx_json_parse(&arena, value, NULL, &v, NULL) != 0 ||
        klx_json_int(v, "version", 0) != VERSION) {
        return -EBADMSG;
    }
    klx_episode_read(&s->episode, klx_json_get(v, "incident"));
    s->since_us = klx_news_time(v, "since");
    s->told_n = klx_json_int(v, "told", 0);
    klx_hash_parts(&value, 1, s->written);
    return 0;
}

/* Nobody expects it to be refreshed (again). */
static bool is_left_alone(const struct klx_app_view *v) {
    const struct klx_json *skip = klx_json_member(klx_json_get(v->object, "metadata.annotations"),
                                                  KLX_SV("argocd.argoproj.io/skip-reconcile"));
    return v->deleting_us != KLX_TIME_NONE || v->reconciled_us == KLX_TIME_NONE ||
           klx_sv_eq(klx_json_str(skip, ""), KLX_SV("true"));
}

/* What moves before our eyes moved now, whatever the cluster's clock says; what a list shows moved when it says. */
void klx_app_stall_observe(struct klx_news_call *c, struct klx_app_state *h,
                           const struct klx_app_view *v) {
    bool unknown = h->reconciled_us == KLX_TIME_NONE, live = c->o->origin == KLX_ORIGIN_LIVE;
    bool moved = !unknown && live && v->reconciled_us != h->reconciled_us;
    bool shown = v->reconciled_us != KLX_TIME_NONE && (unknown || !live);
    h->left_alone = is_left_alone(v);
    h->reconciled_us = v->reconciled_us;
    if (moved) {
        h->refreshed_us = c->now_us;
    } else if (shown || h->refreshed_us == KLX_TIME_NONE) {
        h->refreshed_us = klx_news_begun(v->reconciled_us, c->now_us);
    }
}

static int64_t after_us(const struct klx_news_call *c) {
    return klx_app_hold(((const struct klx_app_settings *)c->settings)->stalled_after_ms,
                        KLX_APP_STALLED_US);
}

static bool is_stalled(const struct klx_news_call *c, const struct klx_app_state *h) {
    return !h->left_alone &&
           (h->refreshed_us == KLX_TIME_NONE ? h->stalled
                                             : c->now_us - h->refreshed_us >= after_us(c));
}

static struct standing look(struct klx_news_call *c, struct klx_object_table *apps,
                            struct klx_sv namespace) {
    struct standing s = { .since_us = KLX_TIME_NONE };
    for (struct klx_app_state *h = klx_object_table_first(apps); h != NULL;
         h = klx_object_table_next(h)) {
        bool shown = namespace.n == 0 || klx_sv_eq(namespace, klx_sv(h->namespace));
        if (shown && is_stalled(c, h) != h->stalled) {
            h->stalled = !h->stalled;
            klx_object_table_save(apps, c, h);
        }
        if (shown && h->refreshed_us == KLX_TIME_NONE && !h->stalled) {
            h->refreshed_us = c->now_us; /* since the restart */
        }
        s.known++;
        s.stalled += h->stalled;
        s.since_us = h->stalled ? klx_news_earlier(s.since_us, h->refreshed_us) : s.since_us;
        if (h->stalled && s.names_n < NAMES_SHOWN_MAX) {
            s.names[s.names_n++] = klx_object_table_key(h);
        }
    }
    return s;
}

static void details(struct klx_jw *w, const void *arg) {
    const struct standing *s = arg;
    klx_jw_key(w, "refresh");
    klx_jw_begin_object(w);
    klx_jw_member_int(w, "stalled", s->stalled);
    klx_jw_member_int(w, "known", s->known);
    klx_jw_key(w, "names");
    klx_jw_begin_array(w);
    for (size_t i = 0; i < s->names_n; i++) {
        klx_jw_str(w, s->names[i]);
    }
    klx_jw_end_array(w);
    klx_jw_end_object(w);
    if (s->since_us != KLX_TIME_NONE) {
        klx_jw_member_time(w, "since", s->since_us);
    }
}

static void tell(struct klx_news_call *c, struct klx_app_stall *s, const struct standing *now,
                 struct klx_news m) {
    const struct klx_news_object about = {
        .kind = "Cluster",
        .api_version = "",
        .source = "applications",
        .namespace = "",
        .name = c->cluster,
        .uid = "",
        .labels = "{}",
    };
    m.severity = klx_kind_specs[m.kind].severity;
    m.time_us = c->now_us;
    m.episode = &s->episode;
    m.details = details;
    m.arg = now;
    klx_news_tell(c, &about, &m);
}

/* ": argocd/shop, argocd/web and 3 more" */
static struct klx_sv names_words(struct klx_news_call *c, const struct standing *s) {
    struct klx_buf b KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&b, 4096);
    for (size_t i = 0; i < s->names_n && i < NAMES_IN_WORDS_MAX; i++) {
        klx_buf_printf(&b, "%s%s", i == 0 ? ": " : ", ", s->names[i]);
    }
    if (s->stalled > NAMES_IN_WORDS_MAX) {
        klx_buf_printf(&b, " and %" PRId64 " more", s->stalled - NAMES_IN_WORDS_MAX);
    }
    return klx_arena_dup(c->out->arena, klx_buf_sv(&b));
}

static void tell_stalled(struct klx_news_call *c, struct klx_app_stall *s, struct standing *now) {
    struct klx_arena *a = c->out->arena;
    struct klx_sv at = klx_arena_printf(a, "%" PRId64, c->now_us);
    const struct klx_sv parts[] = { KLX_SV("stalled"), at };
    if (s->since_us == KLX_TIME_NONE) {
        s->since_us = now->since_us;
    }
    now->since_us = s->since_us;
    s->told_n = now->stalled;
    bool all = now->stalled == now->known;
    tell(
        c, s, now,
        (struct klx_news){
            .kind = KLX_KIND_APP_STALLED,
            .phase = klx_episode_open(&s->episode, c->now_us, KLX_APP_REOPEN_US,
                                      klx_incident_id(a, klx_sv(c->cluster), parts, 2)),
            .reason = all ? KLX_SV("NoneRefreshed") : KLX_SV("NotRefreshed"),
            .summary = klx_arena_printf(
                a, "Argo CD has not refreshed %" PRId64 " of %" PRId64 " %s for %s%.*s",
                now->stalled, now->known, now->known == 1 ? "Application" : "Applications",
                klx_news_words(c, s->since_us, c->now_us), KLX_SV_FMT(names_words(c, now))),
            .hint = all ? KLX_SV("None is refreshed: mostly argocd-application-controller does not "
                                 "run, or does not reach its Redis or its repo-server.")
                        : KLX_SV("Others are refreshed: look at what these have in common, mostly "
                                 "their shard of the controller or their destination cluster."),
        });
}

static void tell_refreshed(struct klx_news_call *c, struct klx_app_stall *s, struct standing *now) {
    now->since_us = s->since_us;
    tell(c, s, now,
         (struct klx_news){
             .kind = KLX_KIND_APP_REFRESHED,
             .phase = KLX_PHASE_RESOLVED,
             .reason = KLX_SV("Refreshed"),
             .summary = klx_arena_printf(c->out->arena,
                                         "Argo CD refreshes all Applications again after %s",
                                         klx_news_words(c, s->since_us, c->now_us)),
         });
    klx_episode_close(&s->episode, c->now_us);
    s->since_us = KLX_TIME_NONE;
    s->told_n = 0;
}

void klx_app_stall_check(struct klx_news_call *c, struct klx_app_stall *s,
                         struct klx_object_table *apps, struct klx_sv namespace) {
    struct standing now = look(c, apps, namespace);
    bool open = klx_episode_is_open(&s->episode), grows = now.stalled > s->seen_n;
    bool late = now.since_us != KLX_TIME_NONE &&
                c->now_us - now.since_us >= after_us(c) + KLX_APP_STALL_GROWS_US;
    bool more = !open || now.stalled * 2 >= s->told_n * 3;
    s->seen_n = now.stalled;
    if (now.stalled > 0 && more && (!grows || late)) {
        tell_stalled(c, s, &now);
    } else if (now.stalled == 0 && open) {
        tell_refreshed(c, s, &now);
    } else {
        return;
    }
    save(c, s);
}
