/*
 * What an Application of Argo CD says of itself, read from its object (facts: argocd.md 1.2 to 1.5). Pure; the view borrows from the object
 * and the arena. Everything that goes out of here is named here: an Application holds secrets elsewhere.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/hash.h"
#include "lib/base/json.h"

#define KLX_APP_RESOURCES_MAX 10 /* shown of a list; the number of all is told */
#define KLX_APP_REVISION_BYTES 256

enum klx_app_sync {
    KLX_APP_SYNC_NONE, /* never compared */
    KLX_APP_SYNC_UNKNOWN,
    KLX_APP_SYNCED,
    KLX_APP_OUT_OF_SYNC,
};

enum klx_app_health {
    KLX_APP_HEALTH_NONE, /* never assessed */
    KLX_APP_HEALTHY,
    KLX_APP_SUSPENDED,
    KLX_APP_PROGRESSING,
    KLX_APP_MISSING,
    KLX_APP_DEGRADED,
    KLX_APP_HEALTH_UNKNOWN,
};

enum klx_app_phase {
    KLX_APP_OP_NONE, /* there is no operationState */
    KLX_APP_OP_RUNNING,
    KLX_APP_OP_TERMINATING,
    KLX_APP_OP_FAILED, /* ran, and failed */
    KLX_APP_OP_ERROR,  /* could not run */
    KLX_APP_OP_SUCCEEDED,
};

struct klx_app_operation {
    enum klx_app_phase phase;
    int64_t started_us, finished_us;
    int64_t retries;
    int64_t heals; /* autoHealAttemptsCount: above 0, a self-heal */
    struct klx_sv message;
    struct klx_sv
        revision; /* what was synced, of several sources joined by ','; empty: not known */
    struct klx_sv user;
    bool automated, partial, dry_run;
    bool misnamed;                    /* klx_app_name_operation */
    const struct klx_json *result;    /* syncResult.resources */
    const struct klx_json *resources; /* of the request, when partial */
};

struct klx_app_view {
    const struct klx_json *object;
    enum klx_app_sync sync;
    struct klx_sv revision;                /* last compared: not deployed */
    char compared_to[KLX_HASH_TEXT_BYTES]; /* changes when the spec's source or destination does */
    enum klx_app_health health;
    int64_t health_since_us;
    struct klx_sv health_message;
    bool automated; /* auto-sync is on */
    bool operating; /* an operation is requested or runs */
    struct klx_app_operation op;
    int64_t deployments;   /* the greatest id of status.history; -1: it is empty */
    int64_t reconciled_us; /* of the last comparison with git */
    int64_t deleting_us;
};

void klx_app_view_read(struct klx_arena *a, const struct klx_json *object,
                       struct klx_app_view *ret);
/* "revision", or "revisions" joined by ',', of a node. */
struct klx_sv klx_app_revision(struct klx_arena *a, const struct klx_json *node);
/* "4f1d0c9" of a commit; others as they are, cut. */
struct klx_sv klx_app_short(struct klx_arena *a, struct klx_sv revision);
/* "alice", "auto-sync", "self-heal", "applicationset-controller"; empty: not known. */
struct klx_sv klx_app_actor(struct klx_sv user, bool automated, bool healing);
/* A condition by its type; NULL: it is not there. */
const struct klx_json *klx_app_condition(const struct klx_json *object, struct klx_sv type);
/* Who wrote a field last: the manager since since_us whose managedFields have the path ("f:spec.f:paused"). Empty: not known. Who only removed
   something owns nothing, and the time of an entry moves with whatever its manager writes: a field's owner is the only evidence. */
struct klx_sv klx_app_writer(const struct klx_json *object, const char *path, int64_t since_us);
const char *klx_app_sync_name(enum klx_app_sync s);
const char *klx_app_health_name(enum klx_app_health h);
