#include "collector/detectors/gitops/app_view.h"

#include "collector/detectors/news.h"
#include "lib/base/cleanup.h"

#define COMPARED_BYTES_MAX (256u << 10)
#define SHORT_COMMIT 7
#define SHORT_OTHER 40
#define COMMIT_DIGITS 40

static const char *const sync_names[] = { "", "Unknown", "Synced", "OutOfSync" };
static const char *const health_names[] = { "",        "Healthy",  "Suspended", "Progressing",
                                            "Missing", "Degraded", "Unknown" };
static const char *const phase_names[] = { "",       "Running", "Terminating",
                                           "Failed", "Error",   "Succeeded" };

static size_t index_of(struct klx_sv word, const char *const names[], size_t n) {
    for (size_t i = 1; i < n; i++) {
        if (klx_sv_eq(word, klx_sv(names[i]))) {
            return i;
        }
    }
    return 0;
}

const char *klx_app_sync_name(enum klx_app_sync s) {
    return sync_names[s];
}

const char *klx_app_health_name(enum klx_app_health h) {
    return health_names[h];
}

struct klx_sv klx_app_revision(struct klx_arena *a, const struct klx_json *node) {
    struct klx_sv one = klx_json_str(node, "revision");
    const struct klx_json *r = klx_json_first(klx_json_get(node, "revisions"));
    if (r == NULL) {
        return klx_sv_utf8_prefix(one, KLX_APP_REVISION_BYTES - 1);
    }
    struct klx_buf all KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&all, 65536);
    for (; r != NULL; r = klx_json_next(r)) {
        klx_buf_printf(&all, "%s%.*s", all.len > 0 ? "," : "", KLX_SV_FMT(klx_json_str(r, "")));
    }
    return klx_arena_dup(a, klx_sv_utf8_prefix(klx_buf_sv(&all), KLX_APP_REVISION_BYTES - 1));
}

static bool is_commit(struct klx_sv s) {
    for (size_t i = 0; i < s.n; i++) {
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f'))) {
            return false;
        }
    }
    return s.n == COMMIT_DIGITS;
}

struct klx_sv klx_app_short(struct klx_arena *a, struct klx_sv revision) {
    struct klx_buf all KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&all, 1024);
    while (revision.n > 0) {
        struct klx_sv one = klx_sv_cut(&revision, ',');
        one = klx_sv_utf8_prefix(one, is_commit(one) ? SHORT_COMMIT : SHORT_OTHER);
        klx_buf_printf(&all, "%s%.*s", all.len > 0 ? ", " : "", KLX_SV_FMT(one));
    }
    return klx_arena_dup(a, klx_buf_sv(&all));
}

struct klx_sv klx_app_actor(struct klx_sv user, bool automated, bool healing) {
    return user.n > 0  ? user
           : healing   ? KLX_SV("self-heal")
           : automated ? KLX_SV("auto-sync")
                       : klx_sv("");
}

const struct klx_json *klx_app_condition(const struct klx_json *object, struct klx_sv type) {
    const struct klx_json *c = klx_json_first(klx_json_get(object, "status.conditions"));
    while (c != NULL && !klx_sv_eq(klx_json_str(c, "type"), type)) {
        c = klx_json_next(c);
    }
    return c;
}

struct klx_sv klx_app_writer(const struct klx_json *object, const char *path, int64_t since_us) {
    const struct klx_json *m = klx_json_first(klx_json_get(object, "metadata.managedFields"));
    struct klx_sv manager = klx_sv("");
    for (; m != NULL; m = klx_json_next(m)) {
        int64_t at_us = klx_news_time(m, "time");
        bool owns = klx_json_get(klx_json_get(m, "fieldsV1"), path) != NULL;
        if (owns && at_us != KLX_TIME_NONE && at_us >= since_us) {
            manager = klx_json_str(m, "manager");
            since_us = at_us;
        }
    }
    return manager;
}

/* The request comes first: the result is there only when something was compared. */
static void read_operation(struct klx_arena *a, const struct klx_json *state,
                           struct klx_app_operation *op) {
    const struct klx_json *request = klx_json_get(state, "operation");
    const struct klx_json *sync = klx_json_get(request, "sync");
    struct klx_sv synced = klx_app_revision(a, klx_json_get(state, "syncResult"));
    *op = (struct klx_app_operation){
        .phase = (enum klx_app_phase)index_of(klx_json_str(state, "phase"), phase_names,
                                              KLX_COUNT(phase_names)),
        .started_us = klx_news_time(state, "startedAt"),
        .finished_us = klx_news_time(state, "finishedAt"),
        .retries = klx_json_int(state, "retryCount", 0),
        .heals = klx_json_int(sync, "autoHealAttemptsCount", 0),
        .message = klx_json_str(state, "message"),
        .revision = synced.n > 0 ? synced : klx_app_revision(a, sync),
        .user = klx_json_str(request, "initiatedBy.username"),
        .automated = klx_json_bool(request, "initiatedBy.automated", false),
        .dry_run = klx_json_bool(sync, "dryRun", false),
        .resources = klx_json_get(sync, "resources"),
        .result = klx_json_get(state, "syncResult.resources"),
    };
    op->partial = klx_json_first(op->resources) != NULL;
}

static int64_t last_deployment(const struct klx_json *object) {
    int64_t last = -1;
    const struct klx_json *h = klx_json_first(klx_json_get(object, "status.history"));
    for (; h != NULL; h = klx_json_next(h)) {
        int64_t id = klx_json_int(h, "id", -1);
        last = id > last ? id : last;
    }
    return last;
}

static bool is_automated(const struct klx_json *object) {
    const struct klx_json *automated = klx_json_get(object, "spec.syncPolicy.automated");
    return klx_json_is_object(automated) && klx_json_bool(automated, "enabled", true);
}

/* Only a digest of it is kept: a source holds Helm's values. */
static void read_compared_to(const struct klx_json *object, struct klx_app_view *v) {
    const struct klx_json *compared = klx_json_get(object, "status.sync.comparedTo");
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&text, COMPARED_BYTES_MAX);
    klx_jw_init(&w, &text);
    v->compared_to[0] = '\0';
    if (compared != NULL) {
        klx_jw_node(&w, compared);
        const struct klx_sv part = klx_buf_sv(&text);
        klx_hash_parts(&part, 1, v->compared_to);
    }
}

void klx_app_view_read(struct klx_arena *a, const struct klx_json *object, struct klx_app_view *v) {
    *v = (struct klx_app_view){
        .object = object,
        .sync = (enum klx_app_sync)index_of(klx_json_str(object, "status.sync.status"), sync_names,
                                            KLX_COUNT(sync_names)),
        .revision = klx_app_revision(a, klx_json_get(object, "status.sync")),
        .health = (enum klx_app_health)index_of(klx_json_str(object, "status.health.status"),
                                                health_names, KLX_COUNT(health_names)),
        .health_since_us = klx_news_time(object, "status.health.lastTransitionTime"),
        .health_message = klx_json_str(object, "status.health.message"),
        .automated = is_automated(object),
        .operating = klx_json_is_object(klx_json_get(object, "operation")),
        .deployments = last_deployment(object),
        .reconciled_us = klx_news_time(object, "status.reconciledAt"),
        .deleting_us = klx_news_time(object, "metadata.deletionTimestamp"),
    };
    read_operation(a, klx_json_get(object, "status.operationState"), &v->op);
    read_compared_to(object, v);
}
