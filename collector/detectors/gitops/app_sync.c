/*
 * Operations and deployments of an Application: app_rules.h.
 */
#include <inttypes.h>
#include <stdio.h>

#include "collector/detectors/gitops/app_rules.h"
#include "collector/redact.h"
#include "lib/base/cleanup.h"

#define RESOURCES_BYTES_MAX 6000
#define SOURCE_BYTES_MAX (256u << 10)
#define RETRIES_TOLD_AGAIN 8

static bool is_terminal(enum klx_app_phase p) {
    return p == KLX_APP_OP_FAILED || p == KLX_APP_OP_ERROR || p == KLX_APP_OP_SUCCEEDED;
}

static bool is_power_of_two(int64_t n) {
    return n > 0 && (n & (n - 1)) == 0;
}

/* "argocd/shop" */
#define NAME(h) (h)->namespace, (h)->name

/* " to 4f1d0c9", or nothing. */
static const char *to_words(struct klx_arena *a, struct klx_sv revision) {
    struct klx_sv text = klx_app_short(a, revision);
    return text.n > 0 ? klx_arena_printf(a, " to %.*s", KLX_SV_FMT(text)).p : "";
}

static const char *by_words(struct klx_arena *a, struct klx_sv by) {
    return by.n > 0 ? klx_arena_printf(a, " by %.*s", KLX_SV_FMT(by)).p : "";
}

/* "one or more objects failed to apply. Retrying attempt #1 at 3:04PM." without its end: retries are told as a number. */
static struct klx_sv without_retry(struct klx_sv message) {
    message.n = klx_sv_find_sv(message, KLX_SV(". Retrying attempt"));
    message.n -= klx_sv_ends(message, KLX_SV("."));
    return message;
}

static struct klx_app_news news_of(struct klx_news_call *c, const struct klx_app_state *h,
                                   const struct klx_app_view *v) {
    struct klx_app_news n = KLX_APP_NEWS(h, v);
    n.op = &v->op;
    n.by = klx_app_actor(v->op.user, v->op.automated, v->op.heals > 0);
    n.to = v->op.revision;
    n.detail = klx_redact(c->out->arena, without_retry(v->op.message), 400);
    return n;
}

/* An event of an operation has the same id however it is seen. */
static struct klx_sv id_of(struct klx_news_call *c, const struct klx_app_operation *op) {
    return klx_arena_printf(c->out->arena, "%" PRId64 "/%" PRId64 "/%" PRId64 "/%d", op->started_us,
                            op->heals, op->retries, (int)op->phase);
}

static int64_t time_of(const struct klx_news_call *c, int64_t us) {
    return us != KLX_TIME_NONE ? us : c->now_us;
}

static void on_started(struct klx_news_call *c, struct klx_app_state *h,
                       const struct klx_app_view *v) {
    struct klx_arena *a = c->out->arena;
    const struct klx_app_operation *op = &v->op;
    struct klx_app_news n = news_of(c, h, v);
    n.detail = klx_sv("");
    n.from = klx_sv(h->deployed_revision);
    struct klx_episode *e = &h->troubles[KLX_APP_SYNC].episode;
    bool goes_on = klx_episode_is_open(e);
    n.resources =
        klx_app_resources(a, op->resources, KLX_APP_ALL, RESOURCES_BYTES_MAX, &n.resources_n);
    klx_app_tell(c, &n,
                 (struct klx_news){
                     .kind = KLX_KIND_APP_SYNC_STARTED,
                     .time_us = time_of(c, op->started_us),
                     .reason = KLX_SV("OperationStarted"),
                     .summary = klx_arena_printf(a, "Application %s/%s: %ssync%s was started%s",
                                                 NAME(h), op->partial ? "partial " : "",
                                                 to_words(a, op->revision), by_words(a, n.by)),
                     .episode = goes_on ? e : NULL,
                     .phase = goes_on ? KLX_PHASE_UPDATE : KLX_PHASE_NONE,
                     .id = id_of(c, op),
                 });
}

/* Sets what is remembered of a trouble of the sync; its beginning is that of the operation, unless it has one. */
static struct klx_app_trouble *trouble_begins(struct klx_app_state *h, const char *reason,
                                              struct klx_sv detail, int64_t since_us) {
    struct klx_app_trouble *t = &h->troubles[KLX_APP_SYNC];
    t->since_us = t->since_us != KLX_TIME_NONE ? t->since_us : since_us;
    t->due_us = KLX_TIME_NONE;
    snprintf(t->reason, sizeof(t->reason), "%s", reason);
    klx_news_copy(t->detail, sizeof(t->detail), detail);
    return t;
}

static void on_retry(struct klx_news_call *c, struct klx_app_state *h,
                     const struct klx_app_view *v) {
    struct klx_arena *a = c->out->arena;
    const struct klx_app_operation *op = &v->op;
    struct klx_app_news n = news_of(c, h, v);
    bool again = op->retries >= RETRIES_TOLD_AGAIN && is_power_of_two(op->retries);
    if (h->op_retries > 0 && !again) {
        return;
    }
    n.resources =
        klx_app_resources(a, op->result, KLX_APP_FAILED_ONLY, RESOURCES_BYTES_MAX, &n.resources_n);
    trouble_begins(h, "SyncRetrying", n.detail, time_of(c, op->started_us));
    klx_app_alarm(
        c, &n, h, KLX_APP_SYNC,
        (struct klx_news){
            .kind = KLX_KIND_APP_SYNC_RETRYING,
            .time_us = time_of(c, op->finished_us),
            .reason = KLX_SV("SyncRetrying"),
            .summary = klx_arena_printf(
                a, "Application %s/%s: sync%s%s fails and is tried again (retry %" PRId64 "): %.*s",
                NAME(h), to_words(a, op->revision), by_words(a, n.by), op->retries,
                KLX_SV_FMT(n.detail)),
            .id = id_of(c, op),
        });
}

/* What the operation waits for, by its message; NULL: nothing that a person must know of. */
static const char *waits_for(const struct klx_app_operation *op) {
    if (op->phase != KLX_APP_OP_RUNNING) {
        return NULL;
    }
    bool confirm = klx_sv_find_sv(op->message, KLX_SV("pruning confirmation of")) < op->message.n;
    bool window = klx_sv_find_sv(op->message, KLX_SV("blocked by sync window")) < op->message.n;
    return confirm ? "AwaitsConfirmation" : window ? "BlockedByWindow" : "RunsLong";
}

/* While an incident of the sync is open nothing more is waited for. */
static void on_waiting(struct klx_news_call *c, struct klx_app_state *h,
                       const struct klx_app_view *v) {
    struct klx_app_trouble *t = &h->troubles[KLX_APP_SYNC];
    const char *reason = waits_for(&v->op);
    if (reason == NULL || klx_episode_is_open(&t->episode) ||
        klx_sv_eq(klx_sv(t->reason), klx_sv(reason))) {
        return;
    }
    bool is_long = klx_sv_eq(klx_sv(reason), KLX_SV("RunsLong"));
    klx_app_trouble_clear(t);
    snprintf(t->reason, sizeof(t->reason), "%s", reason);
    t->since_us = is_long ? klx_news_begun(v->op.started_us, c->now_us) : c->now_us;
    t->due_us = t->since_us + (is_long ? KLX_APP_LONG_US : KLX_APP_WAIT_US);
    klx_news_copy(t->detail, sizeof(t->detail),
                  klx_redact(c->out->arena, v->op.message, sizeof(t->detail) - 1));
}

static void on_failed(struct klx_news_call *c, struct klx_app_state *h,
                      const struct klx_app_view *v) {
    struct klx_arena *a = c->out->arena;
    const struct klx_app_operation *op = &v->op;
    struct klx_app_news n = news_of(c, h, v);
    bool stopped = klx_sv_find_sv(op->message, KLX_SV("Operation terminated")) < op->message.n;
    const char *reason = stopped                         ? "SyncTerminated"
                         : op->phase == KLX_APP_OP_ERROR ? "SyncCouldNotRun"
                                                         : "SyncFailed";
    h->failures++;
    klx_news_copy(h->failed_revision, sizeof(h->failed_revision), op->revision);
    trouble_begins(h, reason, n.detail, time_of(c, op->started_us));
    if (op->automated && !is_power_of_two(h->failures)) {
        return;
    }
    n.resources =
        klx_app_resources(a, op->result, KLX_APP_FAILED_ONLY, RESOURCES_BYTES_MAX, &n.resources_n);
    klx_app_alarm(c, &n, h, KLX_APP_SYNC,
                  (struct klx_news){
                      .kind = KLX_KIND_APP_SYNC_FAILED,
                      .time_us = c->o->origin == KLX_ORIGIN_BASELINE ? c->now_us
                                                                     : time_of(c, op->finished_us),
                      .reason = klx_sv(reason),
                      .summary = klx_arena_printf(
                          a, "Application %s/%s: sync%s%s %s: %.*s%.*s", NAME(h),
                          to_words(a, op->revision), by_words(a, n.by),
                          stopped                         ? "was terminated"
                          : op->phase == KLX_APP_OP_ERROR ? "could not run"
                                                          : "failed",
                          KLX_SV_FMT(n.detail),
                          KLX_SV_FMT(klx_app_resource_words(a, n.resources, n.resources_n))),
                      .id = id_of(c, op),
                  });
}

static void tell_deployed(struct klx_news_call *c, struct klx_app_state *h, struct klx_app_news *n,
                          struct klx_news m) {
    struct klx_arena *a = c->out->arena;
    bool back = m.kind == KLX_KIND_APP_ROLLED_BACK, first = n->from.n == 0;
    bool same = !first && klx_sv_eq(n->from, n->to);
    struct klx_sv from = klx_app_short(a, n->from), to = klx_app_short(a, n->to);
    m.reason = back ? KLX_SV("RolledBack") : KLX_SV("Deployed");
    m.summary = same
                    ? klx_arena_printf(a, "Application %s/%s was deployed again at %.*s%s", NAME(h),
                                       KLX_SV_FMT(to), by_words(a, n->by))
                    : klx_arena_printf(a, "Application %s/%s was %s to %.*s%s%.*s%s", NAME(h),
                                       back ? "rolled back" : "deployed", KLX_SV_FMT(to),
                                       first ? "" : " from ", KLX_SV_FMT(from), by_words(a, n->by));
    if (n->resources_n > 0) {
        m.summary =
            klx_arena_printf(a, "%.*s; pruned%.*s", KLX_SV_FMT(m.summary),
                             KLX_SV_FMT(klx_app_resource_words(a, n->resources, n->resources_n)));
    }
    klx_app_tell(c, n, m);
    klx_news_copy(h->deployed_revision, sizeof(h->deployed_revision), n->to);
    /* What is deployed is what the cluster should be: another revision that is compared is a change that waits. */
    klx_news_copy(h->synced_revision, sizeof(h->synced_revision), n->to);
    if (klx_sv_eq(n->to, n->v->revision)) {
        klx_news_copy(h->synced_to, sizeof(h->synced_to), klx_sv(n->v->compared_to));
    }
    if (!klx_episode_is_open(&h->troubles[KLX_APP_OUT].episode)) {
        klx_app_trouble_clear(&h->troubles[KLX_APP_OUT]); /* what waited is there */
    }
    h->settling = true;
    h->settles_us = c->now_us + KLX_APP_HOLD(c, settled, SETTLE);
}

static void add_pruned(struct klx_news_call *c, struct klx_app_news *n,
                       const struct klx_app_operation *op) {
    n->resources = klx_app_resources(c->out->arena, op->result, KLX_APP_PRUNED_ONLY,
                                     RESOURCES_BYTES_MAX, &n->resources_n);
}

/* Not every deployment is in the ledger: with revisionHistoryLimit 0 there is none. */
static void on_deployed_unrecorded(struct klx_news_call *c, struct klx_app_state *h,
                                   const struct klx_app_view *v) {
    struct klx_app_news n = news_of(c, h, v);
    n.detail = klx_sv("");
    n.from = klx_arena_dup(c->out->arena, klx_sv(h->deployed_revision));
    add_pruned(c, &n, &v->op);
    tell_deployed(c, h, &n,
                  (struct klx_news){ .kind = KLX_KIND_APP_DEPLOYED,
                                     .time_us = time_of(c, v->op.finished_us),
                                     .id = id_of(c, &v->op) });
}

static void on_succeeded(struct klx_news_call *c, struct klx_app_state *h,
                         const struct klx_app_view *v) {
    struct klx_arena *a = c->out->arena;
    const struct klx_app_operation *op = &v->op;
    struct klx_app_news n = news_of(c, h, v);
    const struct klx_news m = {
        .kind = KLX_KIND_APP_SYNC_SUCCEEDED,
        .time_us = time_of(c, op->finished_us),
        .reason = KLX_SV("SyncSucceeded"),
        .summary = klx_arena_printf(a, "Application %s/%s: %ssync%s%s succeeded", NAME(h),
                                    op->partial ? "partial " : "", to_words(a, op->revision),
                                    by_words(a, n.by)),
        .id = id_of(c, op),
    };
    bool ended = klx_app_relieve(c, &n, h, KLX_APP_SYNC, m);
    bool unrecorded = op->misnamed || (v->deployments < 0 && !op->partial && op->revision.n > 0 &&
                                       !klx_sv_eq(op->revision, klx_sv(h->deployed_revision)));
    h->failures = 0;
    if (!ended && op->partial && op->heals == 0 && !unrecorded) {
        klx_app_tell(c, &n, m);
    }
    if (unrecorded) {
        on_deployed_unrecorded(c, h, v);
    }
}

static void on_finished(struct klx_news_call *c, struct klx_app_state *h,
                        const struct klx_app_view *v) {
    struct klx_app_trouble *t = &h->troubles[KLX_APP_SYNC];
    if (!klx_episode_is_open(&t->episode)) {
        klx_app_trouble_clear(t); /* what it waited for */
    }
    if (v->op.phase == KLX_APP_OP_SUCCEEDED) {
        on_succeeded(c, h, v);
    } else {
        on_failed(c, h, v);
    }
}

static bool is_another(const struct klx_app_state *h, const struct klx_app_operation *op) {
    return op->started_us != h->op_started_us || op->heals != h->op_heals || h->op_gone;
}

static void take(struct klx_app_state *h, const struct klx_app_operation *op) {
    h->op_started_us = op->started_us;
    h->op_heals = op->heals;
    h->op_succeeded_us = op->phase == KLX_APP_OP_SUCCEEDED ? op->finished_us : KLX_TIME_NONE;
    h->op_retries = op->retries;
    h->op_phase = op->phase;
    h->op_gone = false;
    h->op_misnamed = op->misnamed;
    klx_news_copy(h->op_by, sizeof(h->op_by),
                  klx_app_actor(op->user, op->automated, op->heals > 0));
}

void klx_app_name_operation(const struct klx_app_state *h, struct klx_app_view *v) {
    struct klx_app_operation *op = &v->op;
    bool known = op->started_us == h->op_started_us && !h->op_gone;
    bool after_error = h->was_unknown && !klx_sv_eq(op->revision, klx_sv(h->synced_revision)) &&
                       !klx_sv_eq(op->revision, klx_sv(h->deployed_revision));
    if (op->heals > 0 && (known ? h->op_misnamed : after_error)) {
        op->misnamed = true;
        op->heals = 0;
    }
}

static void on_another(struct klx_news_call *c, struct klx_app_state *h,
                       const struct klx_app_view *v) {
    h->op_retries = 0;
    h->op_phase = KLX_APP_OP_NONE;
    h->was_synced = v->op.heals > 0 && h->was_synced;
    if (v->op.heals > 0) {
        klx_app_heals(c, h, v);
    } else if (!is_terminal(v->op.phase)) {
        on_started(c, h, v);
    }
}

/* What is seen first has happened before; only what is wrong now is told. */
static void on_first(struct klx_news_call *c, struct klx_app_state *h,
                     const struct klx_app_view *v) {
    const struct klx_app_operation *op = &v->op;
    bool fails = op->phase == KLX_APP_OP_FAILED || op->phase == KLX_APP_OP_ERROR;
    if (op->phase == KLX_APP_OP_NONE) {
        return;
    }
    if (!op->dry_run && fails && v->sync != KLX_APP_SYNCED) {
        on_failed(c, h, v);
    }
    take(h, op);
}

void klx_app_operation(struct klx_news_call *c, struct klx_app_state *h,
                       const struct klx_app_view *v, bool first) {
    const struct klx_app_operation *op = &v->op;
    if (first || op->phase == KLX_APP_OP_NONE) {
        h->op_gone = h->op_started_us != KLX_TIME_NONE;
        klx_app_history(c, h, v, first);
        on_first(c, h, v);
        return;
    }
    bool another = is_another(h, op);
    if (another && !op->dry_run) {
        on_another(c, h, v);
    }
    if (!op->dry_run && op->phase == KLX_APP_OP_RUNNING && op->retries > h->op_retries) {
        on_retry(c, h, v);
    }
    klx_app_history(c, h, v, false);
    bool ended = is_terminal(op->phase) && (another || op->phase != h->op_phase);
    if (!op->dry_run && ended) {
        on_finished(c, h, v);
    } else if (!op->dry_run) {
        on_waiting(c, h, v);
    }
    take(h, op);
}

/* Of an entry of the history: a digest, since a source may hold secrets. */
static void source_mark(const struct klx_json *entry, char out[static KLX_HASH_TEXT_BYTES]) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    const struct klx_json *one = klx_json_get(entry, "source"),
                          *many = klx_json_get(entry, "sources");
    struct klx_jw w;
    klx_buf_init(&text, SOURCE_BYTES_MAX);
    klx_jw_init(&w, &text);
    if (one != NULL || many != NULL) {
        klx_jw_node(&w, many != NULL ? many : one);
    }
    const struct klx_sv part = klx_buf_sv(&text);
    klx_hash_parts(&part, 1, out);
}

/* The id of the first entry up to last_id that has what `entry` has; -1: none. */
static int64_t first_with(struct klx_arena *a, const struct klx_json *history,
                          const struct klx_json *entry, int64_t last_id) {
    char wanted[KLX_HASH_TEXT_BYTES], mark[KLX_HASH_TEXT_BYTES];
    struct klx_sv revision = klx_app_revision(a, entry);
    source_mark(entry, wanted);
    for (const struct klx_json *h = klx_json_first(history); h != NULL; h = klx_json_next(h)) {
        int64_t id = klx_json_int(h, "id", -1);
        if (id <= last_id && klx_sv_eq(klx_app_revision(a, h), revision)) {
            source_mark(h, mark);
            if (klx_sv_eq(klx_sv(mark), klx_sv(wanted))) {
                return id;
            }
        }
    }
    return -1;
}

static const struct klx_json *entry_with(const struct klx_json *history, int64_t id) {
    const struct klx_json *e = klx_json_first(history);
    while (e != NULL && klx_json_int(e, "id", -1) != id) {
        e = klx_json_next(e);
    }
    return e;
}

/* To what was there before that which it replaces was: to go on to the newer one again, after a rollback, is none. */
static bool is_rollback(struct klx_arena *a, const struct klx_json *history,
                        const struct klx_json *entry, int64_t last_id) {
    const struct klx_json *last = entry_with(history, last_id);
    int64_t to = first_with(a, history, entry, last_id);
    int64_t from = last != NULL ? first_with(a, history, last, last_id) : last_id;
    return to >= 0 && to < from;
}

static void on_entry(struct klx_news_call *c, struct klx_app_state *h, const struct klx_app_view *v,
                     const struct klx_json *entry, bool last) {
    struct klx_arena *a = c->out->arena;
    const struct klx_json *history = klx_json_get(v->object, "status.history");
    const struct klx_json *who = klx_json_get(entry, "initiatedBy");
    int64_t id = klx_json_int(entry, "id", -1), at_us = klx_news_time(entry, "deployedAt");
    struct klx_app_news n = KLX_APP_NEWS(h, v);
    n.from = klx_arena_dup(a, klx_sv(h->deployed_revision));
    n.to = klx_app_revision(a, entry);
    n.by =
        klx_app_actor(klx_json_str(who, "username"), klx_json_bool(who, "automated", false), false);
    if (last && v->op.phase != KLX_APP_OP_NONE) {
        n.op = &v->op;
        add_pruned(c, &n, &v->op);
    }
    bool back = !klx_sv_eq(n.from, n.to) && is_rollback(a, history, entry, h->deployments);
    h->deployments = id;
    tell_deployed(
        c, h, &n,
        (struct klx_news){ .kind = back ? KLX_KIND_APP_ROLLED_BACK : KLX_KIND_APP_DEPLOYED,
                           .time_us = time_of(c, at_us),
                           .id = klx_arena_printf(a, "history/%" PRId64, id) });
}

/* The entry is written a moment before its operation ends. */
static bool still_runs(const struct klx_json *entry, const struct klx_app_operation *op) {
    int64_t at_us = klx_news_time(entry, "deployStartedAt");
    return op->phase == KLX_APP_OP_RUNNING && op->started_us != KLX_TIME_NONE &&
           at_us != KLX_TIME_NONE && at_us >= op->started_us;
}

void klx_app_history(struct klx_news_call *c, struct klx_app_state *h, const struct klx_app_view *v,
                     bool first) {
    const struct klx_json *history = klx_json_get(v->object, "status.history");
    if (first) {
        h->deployments = v->deployments;
        klx_news_copy(h->deployed_revision, sizeof(h->deployed_revision),
                      klx_app_revision(c->out->arena, entry_with(history, v->deployments)));
        return;
    }
    for (const struct klx_json *e = klx_json_first(history); e != NULL; e = klx_json_next(e)) {
        int64_t id = klx_json_int(e, "id", -1);
        if (id > h->deployments && !still_runs(e, &v->op)) {
            on_entry(c, h, v, e, id == v->deployments);
        }
    }
}
