/*
 * Leader election by a Lease, as decisions (client-go's leaderelection; facts: kubernetes.md 2.5). Pure: it is told what the API server
 * said and what time it is, and says what to do next. The transport is lease.c.
 *
 * The clocks of others are never compared with ours: another's Lease has run out when it has not changed, as seen from here, for as long
 * as it says. All times here are monotonic microseconds, but renewTime and acquireTime, which are written for people.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/json.h"

#define KLX_LEASE_HOLDER_BYTES 256
#define KLX_LEASE_VERSION_BYTES 64

struct klx_lease_times {
    int64_t
        duration_ms; /* for how long others stand back after the last renewal; at least a second */
    int64_t renew_deadline_ms; /* without a renewal for so long, the leader stands back itself */
    int64_t retry_ms;          /* between renewals; a candidate looks twice as often */
};

enum klx_lease_next {
    KLX_LEASE_WAIT,   /* until `at_us` */
    KLX_LEASE_GET,    /* read it */
    KLX_LEASE_CREATE, /* POST what klx_lease_body writes */
    KLX_LEASE_UPDATE, /* PATCH it: labels and annotations are somebody else's */
};

struct klx_lease_state {
    struct klx_lease_times times;
    char me[KLX_LEASE_HOLDER_BYTES];

    bool leading;
    enum klx_lease_next next;
    int64_t at_us;      /* when */
    int64_t sent_us;    /* when the request under way began: what it achieves counts from there */
    int64_t renewed_us; /* leading: since when it is ours for certain */

    /* The Lease as it was last seen. */
    char holder[KLX_LEASE_HOLDER_BYTES];
    char version[KLX_LEASE_VERSION_BYTES];
    char acquired[40]; /* acquireTime */
    int64_t transitions;
    int64_t holder_duration_ms;
    int64_t changed_us; /* when it was seen to change */
};

void klx_lease_begin(struct klx_lease_state *s, const char *me, const struct klx_lease_times *t,
                     int64_t now_us);
/* What to do now: s->next when it is due, WAIT otherwise. A leader whose deadline has passed leads no more. */
enum klx_lease_next klx_lease_due(struct klx_lease_state *s, int64_t now_us);
/* A request that klx_lease_due asked for is sent. */
void klx_lease_sent(struct klx_lease_state *s, int64_t now_us);
/* Its answer: `lease` is the object of a 200 or 201, else NULL; `status` 0: none came. */
void klx_lease_answered(struct klx_lease_state *s, int status, const struct klx_json *lease,
                        int64_t now_us, struct klx_clock *clock);
/* When the leader must stop unless it is renewed before. */
int64_t klx_lease_deadline_us(const struct klx_lease_state *s);
/* The object to send for CREATE and UPDATE; `release`: the holder gives it back. */
void klx_lease_body(const struct klx_lease_state *s, const char *namespace, const char *name,
                    int64_t wall_us, bool release, struct klx_buf *out);
