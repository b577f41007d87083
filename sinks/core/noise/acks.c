#include "sinks/core/noise/acks.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "lib/base/mem.h"

#define INCIDENT_BYTES_MAX 1024

struct ack {
    char *incident;
    UT_hash_handle hh;
};

struct klx_acks {
    struct ack *by_incident;
};

struct klx_acks *klx_acks_new(void) {
    return klx_alloc(struct klx_acks);
}

static void take_out(struct klx_acks *a, struct ack *one) {
    HASH_DEL(a->by_incident, one);
    free(one->incident);
    free(one);
}

void klx_acks_free(struct klx_acks *a) {
    while (a != NULL && a->by_incident != NULL) {
        take_out(a, a->by_incident);
    }
    free(a);
}

static struct ack *find(const struct klx_acks *a, struct klx_sv incident) {
    struct ack *one = NULL;
    HASH_FIND(hh, a->by_incident, incident.p, incident.n, one);
    return one;
}

bool klx_acks_put(struct klx_acks *a, struct klx_sv key, struct klx_sv value) {
    size_t prefix = strlen(KLX_ACK_KEY_PREFIX);
    if (!klx_sv_starts(key, KLX_SV(KLX_ACK_KEY_PREFIX)) || key.n == prefix ||
        key.n > prefix + INCIDENT_BYTES_MAX) {
        return false;
    }
    struct klx_sv incident = klx_sv_n(key.p + prefix, key.n - prefix);
    struct ack *one = find(a, incident);
    if (one != NULL) {
        take_out(a, one);
    }
    if (value.p == NULL) {
        return true;
    }
    one = klx_alloc(struct ack);
    one->incident = klx_sv_dup(incident);
    HASH_ADD_KEYPTR(hh, a->by_incident, one->incident, incident.n, one);
    if (HASH_COUNT(a->by_incident) > KLX_ACKS_MAX) {
        take_out(a, a->by_incident); /* the oldest: uthash keeps the order */
    }
    return true;
}

bool klx_acks_has(const struct klx_acks *a, struct klx_sv incident) {
    return find(a, incident) != NULL;
}

size_t klx_acks_n(const struct klx_acks *a) {
    return HASH_COUNT(a->by_incident);
}
