/*
 * What the detector remembers of one Application, and its form in `klaxon.state`. Plain data; no I/O. Nothing here moves when an idle
 * Application is refreshed.
 */
#pragma once

#include "collector/detectors/episode.h"
#include "collector/detectors/gitops/app_view.h"
#include "lib/base/buf.h"
#include "lib/base/error.h"

#define KLX_APP_NAME_BYTES 254
#define KLX_APP_NAMESPACE_BYTES 64
#define KLX_APP_HEALS 4 /* self-heals within the window that make a loop */

enum klx_app_trouble_kind {
    KLX_APP_OUT,      /* out of sync: drifted, or a change waits */
    KLX_APP_SYNC,     /* the operation fails, waits for somebody, or takes long */
    KLX_APP_HEALTH,   /* Degraded, Missing, Unknown */
    KLX_APP_ERROR,    /* cannot be compared: manifests, repository, project */
    KLX_APP_DELETION, /* does not end */
    KLX_APP_TROUBLES_N
};

struct klx_app_trouble {
    int64_t since_us; /* KLX_TIME_NONE: it is not so */
    int64_t due_us;   /* when it is told, or told again; KLX_TIME_NONE: nothing to wait for */
    bool told;        /* with the reason that it has now */
    char reason[64];
    char detail[400];
    struct klx_episode episode;
};

struct klx_app_state {
    char namespace[KLX_APP_NAMESPACE_BYTES];
    char name[KLX_APP_NAME_BYTES];
    char uid[64];
    char labels[512]; /* JSON object */
    char about[1536]; /* JSON object: project, source, destination, who made it */
    enum klx_app_sync sync;
    char revision[KLX_APP_REVISION_BYTES]; /* compared last */
    char synced_revision[KLX_APP_REVISION_BYTES],
        synced_to[KLX_HASH_TEXT_BYTES]; /* when it was last
                                                                                     Synced */
    enum klx_app_health health;
    bool automated;
    int64_t deployments; /* the greatest id of status.history that was told; -1: none */
    char deployed_revision[KLX_APP_REVISION_BYTES];
    bool settling; /* deployed, and not seen healthy for long enough */
    int64_t settles_us;
    /* The last operation that was seen; gone: its operationState was removed, so that the next one is another. */
    int64_t op_started_us, op_heals, op_retries;
    int64_t op_succeeded_us; /* when it did; KLX_TIME_NONE: it did not */
    enum klx_app_phase op_phase;
    bool op_gone, op_misnamed;
    /* The sync status was Unknown since it was Synced last: klx_app_name_operation. */
    bool was_unknown;
    /* It was Synced since the last operation began that is no self-heal: what a self-heal mends then is a drift. */
    bool was_synced;
    char op_by[64];
    char failed_revision[KLX_APP_REVISION_BYTES];
    int64_t failures; /* in a row, of the open incident */
    bool gave_up;     /* SyncError is there */
    bool out_too_long;
    int64_t heals[KLX_APP_HEALS]; /* when the last self-heals began */
    int64_t loop_us;              /* the last heal of a loop; KLX_TIME_NONE: no loop */
    int64_t suspended_us;         /* when that was told last */
    int64_t warned;               /* a bit for each warning that is there */
    char out_resources[1536];     /* JSON array of what is out of sync */
    int64_t out_resources_n;
    /* app_stall.h. The times are in no record: they move when an idle one is refreshed. */
    int64_t reconciled_us; /* as it was seen last */
    int64_t refreshed_us;  /* when that moved; KLX_TIME_NONE: not known */
    bool left_alone, stalled;
    struct klx_app_trouble troubles[KLX_APP_TROUBLES_N];
};

void klx_app_state_init(struct klx_app_state *h, struct klx_sv namespace, struct klx_sv name);
void klx_app_trouble_clear(struct klx_app_trouble *t);
void klx_app_state_write(const struct klx_app_state *h, struct klx_buf *out);
/* -EBADMSG when it is not what _write wrote. */
int klx_app_state_read(struct klx_app_state *h, struct klx_sv namespace, struct klx_sv name,
                       struct klx_sv value) KLX_MUST_CHECK;
