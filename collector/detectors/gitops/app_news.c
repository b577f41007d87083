#include "collector/detectors/gitops/app_news.h"

#include <inttypes.h>
#include <stdio.h>

#include "collector/detectors/gitops/app_rules.h"
#include "collector/redact.h"
#include "lib/base/cleanup.h"
#include "lib/base/url.h"

#define MESSAGE_BYTES_MAX 400
#define RESOURCE_MESSAGE_BYTES_MAX 200
#define WORDS_RESOURCES_MAX 3

/* As the object says, where there is one: the state follows it rule by rule. */
static void write_status(struct klx_jw *w, const struct klx_app_news *n) {
    const struct klx_app_state *h = n->h;
    const struct klx_app_view *v = n->v;
    klx_jw_member_sv_opt(w, "sync", klx_sv(klx_app_sync_name(v != NULL ? v->sync : h->sync)));
    klx_jw_member_sv_opt(w, "comparedRevision", v != NULL ? v->revision : klx_sv(h->revision));
    klx_jw_member_sv_opt(w, "deployedRevision", klx_sv(h->deployed_revision));
    klx_jw_member_sv_opt(w, "health",
                         klx_sv(klx_app_health_name(v != NULL ? v->health : h->health)));
    klx_jw_member_bool(w, "autoSync", h->automated);
}

static void write_operation(struct klx_jw *w, const struct klx_app_operation *op) {
    klx_jw_key(w, "operation");
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "kind",
                      op->heals > 0    ? "self-heal"
                      : !op->automated ? "manual"
                      : op->user.n > 0 ? "progressive"
                                       : "auto-sync");
    klx_jw_member_sv_opt(w, "by", klx_app_actor(op->user, op->automated, op->heals > 0));
    klx_jw_member_bool(w, "partial", op->partial);
    klx_jw_member_sv_opt(w, "revision", op->revision);
    klx_jw_member_time(w, "started", op->started_us);
    if (op->finished_us != KLX_TIME_NONE) {
        klx_jw_member_time(w, "finished", op->finished_us);
    }
    klx_jw_member_int(w, "retries", op->retries);
    klx_jw_end_object(w);
}

static void write_revisions(struct klx_jw *w, const struct klx_app_news *n) {
    if (n->from.n > 0 || n->to.n > 0) {
        klx_jw_key(w, "revision");
        klx_jw_begin_object(w);
        klx_jw_member_sv_opt(w, "from", n->from);
        klx_jw_member_sv_opt(w, "to", n->to);
        klx_jw_end_object(w);
    }
}

static void write_links(struct klx_jw *w, struct klx_sv link) {
    if (link.n > 0) {
        klx_jw_key(w, "links");
        klx_jw_begin_array(w);
        klx_jw_begin_object(w);
        klx_jw_member_str(w, "title", "Argo CD");
        klx_jw_member_sv(w, "url", link);
        klx_jw_end_object(w);
        klx_jw_end_array(w);
    }
}

static void details(struct klx_jw *w, const void *arg) {
    const struct klx_app_news *n = arg;
    klx_jw_key(w, "app");
    klx_jw_raw(w, klx_sv(n->h->about));
    klx_jw_key(w, "status");
    klx_jw_begin_object(w);
    write_status(w, n);
    klx_jw_end_object(w);
    klx_jw_member_sv_opt(w, "by", n->by);
    write_revisions(w, n);
    if (n->op != NULL) {
        write_operation(w, n->op);
    }
    if (n->resources_n > 0) {
        klx_jw_key(w, "resources");
        klx_jw_raw(w, n->resources);
        klx_jw_member_int(w, "resourcesTotal", n->resources_n);
    }
    klx_jw_member_sv_opt(w, "detail", n->detail);
    write_links(w, n->link);
    if (n->since_us != KLX_TIME_NONE) {
        klx_jw_member_time(w, "since", n->since_us);
    }
}

/* Its page of Argo CD: "https://argocd.example.com/applications/argocd/shop". Of what was deleted there is none. */
static struct klx_sv link_of(struct klx_news_call *c, const struct klx_app_state *h,
                             enum klx_kind kind) {
    const struct klx_app_settings *settings = c->settings;
    struct klx_sv base = klx_sv(settings->argocd_url);
    struct klx_buf url KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&url, KLX_URL_LINK_BYTES_MAX);
    if (base.n == 0 || kind == KLX_KIND_APP_DELETED) {
        return klx_sv("");
    }
    base.n -= klx_sv_ends(base, KLX_SV("/"));
    klx_buf_printf(&url, "%.*s/applications/", KLX_SV_FMT(base));
    klx_url_add_encoded(&url, klx_sv(h->namespace));
    klx_buf_add_char(&url, '/');
    klx_url_add_encoded(&url, klx_sv(h->name));
    return url.failed ? klx_sv("") : klx_arena_dup(c->out->arena, klx_buf_sv(&url));
}

void klx_app_tell(struct klx_news_call *c, const struct klx_app_news *n, struct klx_news m) {
    struct klx_app_news linked = *n;
    linked.link = link_of(c, n->h, m.kind);
    const struct klx_news_object about = {
        .kind = "Application",
        .api_version = "argoproj.io/v1alpha1",
        .source = "applications",
        .namespace = n->h->namespace,
        .name = n->h->name,
        .uid = n->h->uid,
        .labels = n->h->labels,
    };
    m.severity = m.severity == 0 ? klx_kind_specs[m.kind].severity : m.severity;
    m.details = details;
    m.arg = &linked;
    klx_news_tell(c, &about, &m);
}

void klx_app_alarm(struct klx_news_call *c, const struct klx_app_news *n, struct klx_app_state *h,
                   enum klx_app_trouble_kind which, struct klx_news m) {
    static const char *const causes[KLX_APP_TROUBLES_N] = { "drift", "sync", "health", "error",
                                                            "deletion" };
    struct klx_app_trouble *t = &h->troubles[which];
    struct klx_sv since = klx_arena_printf(c->out->arena, "%" PRId64, t->since_us);
    const struct klx_sv parts[] = { KLX_SV("Application"), klx_sv(h->namespace),  klx_sv(h->name),
                                    klx_sv(h->uid),        klx_sv(causes[which]), since };
    m.episode = &t->episode;
    m.phase = klx_episode_open(
        &t->episode, t->since_us, KLX_APP_REOPEN_US,
        klx_incident_id(c->out->arena, klx_sv(c->cluster), parts, KLX_COUNT(parts)));
    t->told = true;
    klx_app_tell(c, n, m);
}

bool klx_app_relieve(struct klx_news_call *c, const struct klx_app_news *n, struct klx_app_state *h,
                     enum klx_app_trouble_kind which, struct klx_news m) {
    struct klx_app_trouble *t = &h->troubles[which];
    bool was_open = klx_episode_is_open(&t->episode);
    if (was_open) {
        m.episode = &t->episode;
        m.phase = KLX_PHASE_RESOLVED;
        klx_app_tell(c, n, m);
        klx_episode_close(&t->episode, m.time_us);
    }
    klx_app_trouble_clear(t);
    return was_open;
}

static bool passes(const struct klx_json *r, enum klx_app_filter filter) {
    struct klx_sv status = klx_json_str(r, "status"), hook = klx_json_str(r, "hookPhase");
    switch (filter) {
    case KLX_APP_OUT_OF_SYNC_ONLY:
        return klx_sv_eq(status, KLX_SV("OutOfSync"));
    case KLX_APP_FAILED_ONLY:
        return klx_sv_eq(status, KLX_SV("SyncFailed")) || klx_sv_eq(hook, KLX_SV("Failed")) ||
               klx_sv_eq(hook, KLX_SV("Error"));
    case KLX_APP_PRUNED_ONLY:
        return klx_sv_eq(status, KLX_SV("Pruned"));
    case KLX_APP_ALL:
        break;
    }
    return true;
}

static void write_resource(struct klx_arena *a, struct klx_buf *out, const struct klx_json *r,
                           bool first) {
    struct klx_jw w;
    klx_buf_add_str(out, first ? "" : ",");
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_sv_opt(&w, "group", klx_json_str(r, "group"));
    klx_jw_member_sv(&w, "kind", klx_json_str(r, "kind"));
    klx_jw_member_sv_opt(&w, "namespace", klx_json_str(r, "namespace"));
    klx_jw_member_sv(&w, "name", klx_json_str(r, "name"));
    klx_jw_member_sv_opt(&w, "status", klx_json_str(r, "status"));
    klx_jw_member_sv_opt(&w, "hook", klx_json_str(r, "hookType"));
    if (klx_json_bool(r, "requiresPruning", false)) {
        klx_jw_member_bool(&w, "requiresPruning", true);
    }
    klx_jw_member_sv_opt(&w, "message",
                         klx_redact(a, klx_json_str(r, "message"), RESOURCE_MESSAGE_BYTES_MAX));
    klx_jw_end_object(&w);
}

struct klx_sv klx_app_resources(struct klx_arena *a, const struct klx_json *list,
                                enum klx_app_filter filter, size_t bytes_max, int64_t *ret_n) {
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    int64_t n = 0;
    bool full = false;
    klx_buf_init(&out, bytes_max + 8192); /* one resource too many fits */
    klx_buf_add_char(&out, '[');
    for (const struct klx_json *r = klx_json_first(list); r != NULL; r = klx_json_next(r)) {
        if (!passes(r, filter)) {
            continue;
        }
        size_t before = out.len;
        full = full || n >= KLX_APP_RESOURCES_MAX;
        n++;
        if (full) {
            continue;
        }
        write_resource(a, &out, r, before == 1);
        full = out.len + 2 > bytes_max;
        if (full) {
            klx_buf_truncate(&out, before);
        }
    }
    klx_buf_add_char(&out, ']');
    *ret_n = n;
    return klx_arena_dup(a, klx_buf_sv(&out));
}

struct klx_sv klx_app_resource_words(struct klx_arena *a, struct klx_sv resources, int64_t n) {
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    const struct klx_json *list = NULL;
    int64_t shown = 0;
    klx_buf_init(&out, 4096);
    if (n == 0 || klx_json_parse(a, resources, NULL, &list, NULL) != 0) {
        return klx_sv("");
    }
    for (const struct klx_json *r = klx_json_first(list); r != NULL && shown < WORDS_RESOURCES_MAX;
         r = klx_json_next(r), shown++) {
        struct klx_sv ns = klx_json_str(r, "namespace");
        klx_buf_printf(&out, "%s%.*s %.*s%s%.*s", shown > 0 ? ", " : ": ",
                       KLX_SV_FMT(klx_json_str(r, "kind")), KLX_SV_FMT(ns), ns.n > 0 ? "/" : "",
                       KLX_SV_FMT(klx_json_str(r, "name")));
    }
    if (n > shown) {
        klx_buf_printf(&out, " and %" PRId64 " more", n - shown);
    }
    return klx_arena_dup(a, klx_buf_sv(&out));
}

static void write_source(struct klx_arena *a, struct klx_jw *w, const struct klx_json *source) {
    static const char *const kept[] = { "repoURL", "path", "chart", "targetRevision" };
    klx_jw_begin_object(w);
    for (size_t i = 0; i < KLX_COUNT(kept); i++) {
        klx_jw_member_sv_opt(w, kept[i], klx_redact(a, klx_json_str(source, kept[i]), 200));
    }
    klx_jw_end_object(w);
}

static struct klx_sv application_set(const struct klx_json *object) {
    const struct klx_json *o = klx_json_first(klx_json_get(object, "metadata.ownerReferences"));
    while (o != NULL && !klx_sv_eq(klx_json_str(o, "kind"), KLX_SV("ApplicationSet"))) {
        o = klx_json_next(o);
    }
    return klx_json_str(o, "name");
}

static void write_destination(struct klx_arena *a, struct klx_jw *w, const struct klx_json *to) {
    klx_jw_key(w, "destination");
    klx_jw_begin_object(w);
    klx_jw_member_sv_opt(w, "server", klx_redact(a, klx_json_str(to, "server"), 200));
    klx_jw_member_sv_opt(w, "name", klx_json_str(to, "name"));
    klx_jw_member_sv_opt(w, "namespace", klx_json_str(to, "namespace"));
    klx_jw_end_object(w);
}

void klx_app_about(struct klx_arena *a, const struct klx_json *object, char *out, size_t n) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    const struct klx_json *many = klx_json_first(klx_json_get(object, "spec.sources"));
    klx_buf_init(&text, n - 1);
    klx_jw_init(&w, &text);
    klx_jw_begin_object(&w);
    klx_jw_member_sv_opt(&w, "project", klx_json_str(object, "spec.project"));
    klx_jw_key(&w, "source");
    write_source(a, &w, many != NULL ? many : klx_json_get(object, "spec.source"));
    write_destination(a, &w, klx_json_get(object, "spec.destination"));
    klx_jw_member_sv_opt(&w, "controller", klx_json_str(object, "status.controllerNamespace"));
    klx_jw_member_sv_opt(&w, "applicationSet", application_set(object));
    klx_jw_end_object(&w);
    snprintf(out, n, "%s", text.failed ? "{}" : klx_buf_str(&text));
}

void klx_app_labels(const struct klx_json *labels, char *out, size_t n) {
    static const char *const kept[] = { "app.kubernetes.io/name",
                                        "app.kubernetes.io/instance",
                                        "app.kubernetes.io/part-of",
                                        "team",
                                        "environment",
                                        "env" };
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&text, n - 1);
    klx_jw_init(&w, &text);
    klx_jw_begin_object(&w);
    for (size_t i = 0; i < KLX_COUNT(kept); i++) {
        klx_jw_member_sv_opt(&w, kept[i],
                             klx_json_str(klx_json_member(labels, klx_sv(kept[i])), ""));
    }
    klx_jw_end_object(&w);
    snprintf(out, n, "%s", text.failed ? "{}" : klx_buf_str(&text));
}
