#include "collector/kube/watch_state.h"

#include "lib/base/time.h"

#define HEALTHY_US (120 * KLX_US_PER_S)
#define INTERNAL_US (60 * KLX_US_PER_S)
#define REFUSED_WAIT_MS 60000
#define ABSENT_WAIT_MS 30000
#define EXPIRED_TRIES 5 /* of a watch that is served from memory; a balancer may choose the same server several times */
#define EXPIRED_WAIT_MS 100

static const struct klx_watch_action go_on = { .none = true };

struct klx_watch_action klx_watch_begin(struct klx_watch_state *s, const struct klx_rv *resume,
                                        const struct klx_list_place *list) {
    *s = (struct klx_watch_state){ .rv = *resume,
                                   .internal_since_us = KLX_TIME_NONE,
                                   .relisted_us = KLX_TIME_NONE };
    klx_backoff_init(&s->backoff, 200, 800, 30000);
    bool fresh = resume->text[0] == '\0';
    s->phase = fresh || list != NULL ? KLX_WATCH_LIST : KLX_WATCH_PROBE;
    s->list.origin = fresh ? KLX_ORIGIN_BASELINE : KLX_ORIGIN_LIVE;
    if (list != NULL) {
        s->list = *list;
    }
    return (struct klx_watch_action){ .next = s->phase, .from_start = true };
}

void klx_watch_began(struct klx_watch_state *s, int64_t now_us) {
    s->began_us = now_us;
    s->any_frame = false;
}

static struct klx_watch_action go(struct klx_watch_state *s, enum klx_watch_phase next) {
    s->phase = next;
    return (struct klx_watch_action){ .next = next };
}

/* The same again, later. */
static struct klx_watch_action again(struct klx_watch_state *s, int64_t wait_ms,
                                     const char *trouble) {
    return (struct klx_watch_action){ .next = s->phase, .wait_ms = wait_ms, .trouble = trouble };
}

/* Something may have happened to the server: its version is asked for before a stream is trusted again. */
static struct klx_watch_action in_doubt(struct klx_watch_state *s, struct klx_watch_action a) {
    if (s->phase == KLX_WATCH_STREAM) {
        s->phase = KLX_WATCH_PROBE;
        a.next = KLX_WATCH_PROBE;
    }
    return a;
}

static struct klx_watch_action back_off(struct klx_watch_state *s, int64_t retry_after_ms,
                                        int64_t now_us, struct klx_clock *clock,
                                        const char *trouble) {
    if (now_us - s->began_us >= HEALTHY_US) {
        klx_backoff_reset(&s->backoff);
    }
    return again(s, klx_backoff_next_after(&s->backoff, clock, retry_after_ms), trouble);
}

/* What lies between s->rv and the list that follows may be incomplete. When our version is ahead of the server's, versions do not compare
   any more, and everything in the list is news. */
static struct klx_watch_action relist(struct klx_watch_state *s, const char *why, int64_t now_us,
                                      struct klx_clock *clock) {
    bool again_soon = s->relisted_us != KLX_TIME_NONE && now_us - s->relisted_us < HEALTHY_US;
    s->list = (struct klx_list_place){ .origin = KLX_ORIGIN_RESYNC };
    if (!klx_sv_eq(klx_sv(why), KLX_SV("ahead"))) {
        s->list.filter = s->rv;
    }
    s->unreadable = false;
    s->expired_n = 0;
    s->internal_since_us = KLX_TIME_NONE;
    s->relisted_us = now_us;
    struct klx_watch_action a = go(s, KLX_WATCH_LIST);
    a.wait_ms = again_soon ? klx_backoff_next(&s->backoff, clock) : 0;
    a.gap = why;
    a.from_start = true;
    return a;
}

/* An API server that has just started has an empty watch cache and says 410 of everything before, though etcd still has it; another one
   behind the same balancer serves it from its own. So somebody else is asked before history is given up. */
static struct klx_watch_action expired(struct klx_watch_state *s, int64_t now_us,
                                       struct klx_clock *clock) {
    if (s->cached && ++s->expired_n < EXPIRED_TRIES) {
        return again(s, EXPIRED_WAIT_MS + (int64_t)(clock->random(clock) % EXPIRED_WAIT_MS), NULL);
    }
    return relist(s, "expired", now_us, clock);
}

/* A list's continuation has expired: the list begins again. Not at once, or an answer that is always 410 would make a storm. */
static struct klx_watch_action list_again(struct klx_watch_state *s, int64_t now_us,
                                          struct klx_clock *clock) {
    struct klx_watch_action a =
        back_off(s, -1, now_us, clock, "410: the list has expired on the way, and begins again");
    a.from_start = true;
    return a;
}

static struct klx_watch_action on_status(struct klx_watch_state *s,
                                         const struct klx_watch_input *in, int64_t now_us,
                                         struct klx_clock *clock) {
    switch (in->code) {
    case 401: {
        bool first = !s->unauthorized;
        s->unauthorized = true;
        struct klx_watch_action a =
            first ? again(s, 0, NULL)
                  : back_off(s, in->retry_after_ms, now_us, clock,
                             "401: the API server does not accept the credentials");
        a.refresh = true;
        return a;
    }
    case 403:
        return again(s, REFUSED_WAIT_MS,
                     "403: not allowed; `klaxon rbac` prints the rights that are needed");
    case 404: {
        struct klx_watch_action a =
            again(s, ABSENT_WAIT_MS, "404: the API server does not have this resource");
        a.absent = true;
        return a;
    }
    case 410:
        return s->phase == KLX_WATCH_STREAM ? expired(s, now_us, clock)
                                            : list_again(s, now_us, clock);
    case 429:
        return back_off(s, in->retry_after_ms, now_us, clock, "429: the API server is overloaded");
    default:
        if (in->code >= 500) {
            return in_doubt(s, back_off(s, in->retry_after_ms, now_us, clock,
                                        "5xx: the API server has an internal error"));
        }
        return again(s, REFUSED_WAIT_MS, "the API server refuses the request");
    }
}

static struct klx_watch_action on_error(struct klx_watch_state *s, const struct klx_watch_input *in,
                                        int64_t now_us, struct klx_clock *clock) {
    if (in->code == 410) {
        return expired(s, now_us, clock);
    }
    if (in->code == 504) {
        return relist(s, "ahead", now_us, clock);
    }
    if (in->code == 500) {
        if (s->internal_since_us == KLX_TIME_NONE) {
            s->internal_since_us = now_us;
        } else if (now_us - s->internal_since_us > INTERNAL_US) {
            return relist(s, "internal", now_us, clock);
        }
    }
    return back_off(s, in->retry_after_ms, now_us, clock, "the watch ended with an error");
}

static struct klx_watch_action on_ended(struct klx_watch_state *s, int64_t now_us,
                                        struct klx_clock *clock) {
    if (s->any_frame) {
        return go(s, KLX_WATCH_STREAM);
    }
    if (now_us - s->began_us >= KLX_US_PER_S) {
        return go(s, KLX_WATCH_PROBE);
    }
    return in_doubt(s, back_off(s, -1, now_us, clock, "the watch ends as soon as it begins"));
}

struct klx_watch_action klx_watch_step(struct klx_watch_state *s, const struct klx_watch_input *in,
                                       int64_t now_us, struct klx_clock *clock) {
    if (in->kind != KLX_WATCH_IN_STATUS || in->code != 401) {
        s->unauthorized = false;
    }
    switch (in->kind) {
    case KLX_WATCH_IN_PROBED:
        return klx_rv_cmp(klx_rv_sv(&s->rv), in->rv) > 0 ? relist(s, "ahead", now_us, clock)
                                                         : go(s, KLX_WATCH_STREAM);
    case KLX_WATCH_IN_LISTED:
        klx_rv_set(&s->rv, in->rv);
        s->list = (struct klx_list_place){ .origin = KLX_ORIGIN_LIVE };
        return go(s, KLX_WATCH_STREAM);
    case KLX_WATCH_IN_PROGRESS:
        klx_rv_set(&s->rv, in->rv);
        s->any_frame = true;
        s->expired_n = 0;
        s->unreadable = false;
        s->internal_since_us = KLX_TIME_NONE;
        return go_on;
    case KLX_WATCH_IN_STATUS:
        return on_status(s, in, now_us, clock);
    case KLX_WATCH_IN_ERROR:
        return on_error(s, in, now_us, clock);
    case KLX_WATCH_IN_ENDED:
        return on_ended(s, now_us, clock);
    case KLX_WATCH_IN_BROKEN:
        return in_doubt(s, back_off(s, -1, now_us, clock, in->what));
    case KLX_WATCH_IN_UNREADABLE:
        if (s->unreadable) {
            return relist(s, "unreadable", now_us, clock);
        }
        s->unreadable = true;
        return back_off(s, -1, now_us, clock, "a frame of the watch cannot be read");
    case KLX_WATCH_IN_OVERSIZE:
        return relist(s, "oversize", now_us, clock);
    }
    return go_on;
}
