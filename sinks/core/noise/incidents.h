/*
 * What each channel was told of each incident, kept on klaxon.state so that it survives restarts and rebalances.
 *
 *     key    sink/<channel>/<incident>          a tombstone some time after the end
 *     value  {"rev":7,"topic":"nodes","partition":2,"number":5,"told":4,"severity":"critical","resolved":false,"hushed":false,
 *             "opened":"2026-…","toldAt":"2026-…","team":"operations","handle":"1773216…","reminders":1,"waits":"quiet_hours",
 *             "event":{…}}
 *
 * Every replica follows all records; whoever reads the partition of the incident's events is its owner, and the only one who changes it.
 * `rev` rises with each change, so that the owner knows the echo of its own writing, and a new owner goes on from what it has read. The
 * owner of a partition of klaxon.retry tells what was parked, and writes of it too: when both have changed an incident at the same time, the
 * owner's state holds, with what the channel was told added to it.
 *
 * Bounded: KLX_INCIDENTS_MAX of them and KLX_INCIDENTS_BYTES_MAX of events; past that those that nothing was heard of for the longest time
 * are forgotten, and told as something new when something comes after all.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/base/sv.h"
#include "schema/event.h"
#include "sinks/core/settings.h"

#define KLX_INCIDENTS_MAX 50000
#define KLX_INCIDENTS_BYTES_MAX (48u << 20)
#define KLX_INCIDENT_KEY_PREFIX "sink/"

/* Why nobody was told yet, although there is something to tell. */
enum klx_incident_wait {
    KLX_WAITS_FOR_NOTHING,
    KLX_WAITS_FOR_SILENCE, /* its end */
    KLX_WAITS_FOR_HOURS,   /* the end of the quiet hours */
    KLX_WAITS_TO_ESCALATE,
};

const char *klx_incident_wait_name(enum klx_incident_wait w); /* "" for nothing */

struct klx_incident {
    /* On klaxon.state. Texts are never NULL. */
    uint64_t rev;
    char *channel, *id;
    enum klx_topic topic; /* of its last event */
    int32_t partition;
    uint32_t number; /* of the last event that came for the channel */
    uint32_t
        told; /* of the last event that the channel was told of; it may have been without a number */
    bool was_told;
    bool hushed;                /* everything so far was suppressed: so will be its end */
    bool resolved;              /* the last event ended it */
    enum klx_severity severity; /* of the last event, as it is told here */
    int64_t opened_us;          /* the time of the first event that came for the channel */
    int64_t told_us;    /* when the channel was told last, reminders too; KLX_TIME_NONE: never */
    int64_t changed_us; /* when something came last */
    enum klx_incident_wait waits;
    uint32_t reminders;
    char *team, *handle;
    char *event; /* the last one, for what is told later (snapshot.h); NULL: it is not needed */
    size_t event_bytes;

    /* Of this process. */
    bool own;                      /* changed here: what is read of it is an echo */
    bool looked_up;                /* `subscription` is what there is */
    bool escalates;                /* the channel is one of the subscription's `escalate:` */
    enum klx_incident_wait waited; /* what it waited for before that what is on its way */
    uint32_t pushed; /* of the last event that is on its way to the channel; refused: `told` */
    int64_t look_us; /* not before that: it was silenced when it was looked at */
    const struct klx_subscription_settings *subscription; /* that asks for it; NULL: not known */
    char *key;                                            /* "channel/incident" */
    UT_hash_handle hh;                                    /* in the order of age */
};

struct klx_incidents;

struct klx_incidents *klx_incidents_new(void);
void klx_incidents_free(struct klx_incidents *t);
size_t klx_incidents_n(const struct klx_incidents *t);
/* How many were forgotten because there are too many. */
size_t klx_incidents_forgotten(const struct klx_incidents *t);
struct klx_incident *klx_incidents_find(const struct klx_incidents *t, struct klx_sv channel,
                                        struct klx_sv id);
/* Makes it when it is not there: with nothing told, hushed. */
struct klx_incident *klx_incidents_get(struct klx_incidents *t, struct klx_sv channel,
                                       struct klx_sv id);
/* Something was changed by this process: the next rev, and the youngest. May forget others. */
void klx_incidents_changed(struct klx_incidents *t, struct klx_incident *i, int64_t now_us);
void klx_incidents_remove(struct klx_incidents *t, struct klx_incident *i);
/* From the oldest; NULL ends. Ask for the next one before i is removed. */
struct klx_incident *klx_incidents_first(const struct klx_incidents *t);
struct klx_incident *klx_incidents_next(const struct klx_incident *i);

void klx_incident_set_handle(struct klx_incident *i, struct klx_sv handle);
void klx_incident_set_team(struct klx_incident *i, struct klx_sv team);
/* Takes a text of malloc, or NULL. */
void klx_incidents_set_event(struct klx_incidents *t, struct klx_incident *i, char *event,
                             size_t bytes);

void klx_incident_key(const struct klx_incident *i, struct klx_buf *out);
void klx_incident_encode(const struct klx_incident *i, struct klx_buf *out);
/* A record of klaxon.state; value.p NULL: a tombstone. The result is the incident that changed, NULL when none did: another's key, an
   echo, a removal. -EBADMSG in *ret_rc: it is no state of an incident. */
struct klx_incident *klx_incidents_put(struct klx_incidents *t, struct klx_sv key,
                                       struct klx_sv value, int *ret_rc, struct klx_error *e);
