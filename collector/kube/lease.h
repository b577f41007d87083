/*
 * Leader election by a Lease of the API server: one of several collectors works, the others stand by. The decisions are lease_state.h.
 *
 * It says who leads, and does not make sure of it: a leader that was stopped in its tracks may believe for a moment that it still leads.
 * What it writes then is refused by Kafka, where the next one has taken over its transactional id.
 */
#pragma once

#include <stdbool.h>

#include "collector/kube/client.h"
#include "collector/kube/lease_state.h"
#include "lib/base/clock.h"

struct klx_lease;

struct klx_lease_callbacks {
    /* It was acquired (true), or is lost or may be another's by now (false): whoever led stops at once. */
    void (*on_leading)(void *arg, bool leading);
    /* Who holds it, when that has changed; "" when nobody does. */
    void (*on_holder)(void *arg, const char *holder);
    /* For the log; said when it changes. `detail` are the server's words. */
    void (*on_trouble)(void *arg, const char *what, const char *detail);
    void *arg;
};

/* `namespace` and `name` are copied. `identity`: unique to this process. */
struct klx_lease *klx_lease_new(struct klx_kube_client *client, struct klx_clock *clock,
                                const char *namespace, const char *name, const char *identity,
                                const struct klx_lease_times *times,
                                const struct klx_lease_callbacks *cb);
void klx_lease_start(struct klx_lease *l);
/* Gives it back when it is held, so that another may begin at once; then on_released, always. on_leading is not called any more. */
void klx_lease_release(struct klx_lease *l, void (*on_released)(void *arg), void *arg);
void klx_lease_free(struct klx_lease *l);
