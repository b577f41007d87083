#include "collector/kube/lease_state.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/time.h"

static void keep(char *to, size_t bytes, struct klx_sv text) {
    snprintf(to, bytes, "%.*s", KLX_SV_FMT(text));
}

static void then(struct klx_lease_state *s, enum klx_lease_next next, int64_t at_us) {
    s->next = next;
    s->at_us = at_us;
}

/* Not all candidates at once: in a half to one of the time. */
static int64_t jittered_us(int64_t ms, struct klx_clock *clock) {
    int64_t us = ms * KLX_US_PER_MS;
    return us / 2 + (int64_t)(clock->random(clock) % (uint64_t)(us / 2 + 1));
}

void klx_lease_begin(struct klx_lease_state *s, const char *me, const struct klx_lease_times *t,
                     int64_t now_us) {
    *s = (struct klx_lease_state){ .times = *t };
    keep(s->me, sizeof(s->me), klx_sv(me));
    then(s, KLX_LEASE_GET, now_us);
}

int64_t klx_lease_deadline_us(const struct klx_lease_state *s) {
    return s->renewed_us + s->times.renew_deadline_ms * KLX_US_PER_MS;
}

enum klx_lease_next klx_lease_due(struct klx_lease_state *s, int64_t now_us) {
    if (s->leading && now_us >= klx_lease_deadline_us(s)) {
        s->leading = false;
        then(s, KLX_LEASE_GET, now_us);
    }
    return now_us >= s->at_us ? s->next : KLX_LEASE_WAIT;
}

void klx_lease_sent(struct klx_lease_state *s, int64_t now_us) {
    s->sent_us = now_us;
}

/* As the API has them, whoever answers. */
static int64_t int32_of(const struct klx_json *lease, const char *path, int64_t otherwise) {
    int64_t n = klx_json_int(lease, path, otherwise);
    return n < 0 ? 0 : n > INT32_MAX ? INT32_MAX : n;
}

static void observe(struct klx_lease_state *s, const struct klx_json *lease, int64_t now_us) {
    struct klx_sv version = klx_json_str(lease, "metadata.resourceVersion");
    if (!klx_sv_eq(version, klx_sv(s->version))) {
        s->changed_us = now_us;
    }
    keep(s->version, sizeof(s->version), version);
    keep(s->holder, sizeof(s->holder), klx_json_str(lease, "spec.holderIdentity"));
    keep(s->acquired, sizeof(s->acquired), klx_json_str(lease, "spec.acquireTime"));
    s->transitions = int32_of(lease, "spec.leaseTransitions", 0);
    s->holder_duration_ms =
        int32_of(lease, "spec.leaseDurationSeconds", s->times.duration_ms / 1000) * 1000;
}

static bool is_mine(const struct klx_lease_state *s) {
    return strcmp(s->holder, s->me) == 0;
}

static void led(struct klx_lease_state *s) {
    s->leading = true;
    s->renewed_us = s->sent_us;
    then(s, KLX_LEASE_UPDATE, s->sent_us + s->times.retry_ms * KLX_US_PER_MS);
}

/* After a GET: it is free, or ours (an answer was lost), or has run out; else it is looked at again, at the latest when it would. */
static void seen(struct klx_lease_state *s, int64_t now_us, struct klx_clock *clock) {
    s->leading = s->leading && is_mine(s);
    int64_t runs_out_us = s->changed_us + s->holder_duration_ms * KLX_US_PER_MS;
    if (s->holder[0] == '\0' || is_mine(s) || now_us >= runs_out_us) {
        then(s, KLX_LEASE_UPDATE, now_us);
        return;
    }
    int64_t again_us = now_us + jittered_us(s->times.retry_ms / 2, clock);
    then(s, KLX_LEASE_GET, again_us < runs_out_us ? again_us : runs_out_us);
}

void klx_lease_answered(struct klx_lease_state *s, int status, const struct klx_json *lease,
                        int64_t now_us, struct klx_clock *clock) {
    bool wrote = s->next != KLX_LEASE_GET;
    if (lease != NULL) {
        observe(s, lease, now_us);
    }
    if (lease != NULL && wrote) {
        led(s);
    } else if (lease != NULL) {
        seen(s, now_us, clock);
    } else if (status == 404 && !wrote) {
        s->version[0] = '\0';
        s->holder[0] = '\0';
        then(s, KLX_LEASE_CREATE, now_us);
    } else if (status == 409 ||
               (status == 404 &&
                s->next == KLX_LEASE_UPDATE)) { /* it changed, or is gone: whose is it? */
        then(s, KLX_LEASE_GET, now_us);
    } else {
        then(s, s->leading ? KLX_LEASE_UPDATE : KLX_LEASE_GET,
             now_us + jittered_us(s->times.retry_ms, clock));
    }
}

void klx_lease_body(const struct klx_lease_state *s, const char *namespace, const char *name,
                    int64_t wall_us, bool release, struct klx_buf *out) {
    bool again = is_mine(s);
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "apiVersion", "coordination.k8s.io/v1");
    klx_jw_member_str(&w, "kind", "Lease");
    klx_jw_key(&w, "metadata");
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "name", name);
    klx_jw_member_str(&w, "namespace", namespace);
    if (s->version[0] != '\0') {
        klx_jw_member_str(&w, "resourceVersion", s->version);
    }
    klx_jw_end_object(&w);
    klx_jw_key(&w, "spec");
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "holderIdentity", release ? "" : s->me);
    klx_jw_member_int(&w, "leaseDurationSeconds", release ? 1 : s->times.duration_ms / 1000);
    if (again && s->acquired[0] != '\0') {
        klx_jw_member_str(&w, "acquireTime", s->acquired);
    } else {
        klx_jw_member_time(&w, "acquireTime", wall_us);
    }
    klx_jw_member_time(&w, "renewTime", wall_us);
    klx_jw_member_int(&w, "leaseTransitions",
                      s->version[0] == '\0' ? 0 : s->transitions + (again ? 0 : 1));
    klx_jw_end_object(&w);
    klx_jw_end_object(&w);
}
