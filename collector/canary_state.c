#include "collector/canary_state.h"

#include "lib/base/time.h"

#define LATE_US                                                                                    \
    KLX_US_PER_S /* we did not run for so long: what has come meanwhile is not read yet */
#define REFUSED_PERIODS 10

void klx_canary_state_init(struct klx_canary_state *s, int64_t every_us) {
    *s = (struct klx_canary_state){ .every_us = every_us,
                                    .heard_us = KLX_TIME_NONE,
                                    .seen_us = KLX_TIME_NONE,
                                    .accepted_us = KLX_TIME_NONE,
                                    .round_trip_us = KLX_TIME_NONE };
}

static void hear(struct klx_canary_state *s, int64_t now_us) {
    s->heard_us = now_us;
    s->accepted_us = KLX_TIME_NONE;
}

/* Silence is judged when something should have been heard. */
static bool expects(const struct klx_canary_state *s) {
    return s->connected && !s->paused && (s->accepted_us != KLX_TIME_NONE || s->unanswered);
}

static int64_t death_us(const struct klx_canary_state *s) {
    int64_t silent_us = s->heard_us + KLX_CANARY_PERIODS * s->every_us;
    int64_t fair_us =
        s->accepted_us != KLX_TIME_NONE && !s->unanswered ? s->accepted_us + s->every_us : 0;
    return silent_us > fair_us ? silent_us : fair_us;
}

static enum klx_canary_action write_it(struct klx_canary_state *s, bool create, int64_t now_us) {
    s->writing = true;
    s->creating = create;
    s->sent_us = now_us;
    s->seq++;
    s->write_us = now_us + s->every_us;
    return create ? KLX_CANARY_CREATE : KLX_CANARY_PATCH;
}

static enum klx_canary_action on_time(struct klx_canary_state *s, int64_t now_us) {
    if (expects(s) && now_us >= death_us(s)) {
        bool late = now_us - death_us(s) > LATE_US;
        s->heard_us = now_us - (late ? KLX_CANARY_PERIODS * s->every_us - LATE_US : 0);
        if (!late) {
            s->accepted_us = KLX_TIME_NONE;
            return KLX_CANARY_DEAD;
        }
    }
    if (s->connected && !s->paused && !s->writing && now_us >= s->write_us) {
        return write_it(s, false, now_us);
    }
    return KLX_CANARY_NOTHING;
}

static enum klx_canary_action on_connected(struct klx_canary_state *s, int64_t now_us) {
    if (!s->connected) {
        s->write_us = now_us;
        s->excused_us = now_us;
    }
    s->connected = true;
    s->unanswered = false;
    s->seen_us = s->seen_us == KLX_TIME_NONE ? now_us : s->seen_us;
    hear(s, now_us);
    return KLX_CANARY_NOTHING;
}

static void on_seen(struct klx_canary_state *s, uint64_t seq, int64_t now_us) {
    s->seen_us = now_us;
    s->unanswered = false;
    if (seq == s->seq) {
        s->round_trip_us = now_us - s->sent_us;
    }
    hear(s, now_us);
}

static enum klx_canary_action on_answer(struct klx_canary_state *s, enum klx_canary_input_kind kind,
                                        int64_t now_us) {
    s->writing = false;
    s->refused = kind == KLX_CANARY_IN_REFUSED;
    s->unanswered = kind == KLX_CANARY_IN_UNANSWERED;
    s->failing = kind == KLX_CANARY_IN_FAILED || kind == KLX_CANARY_IN_ABSENT;
    if (kind == KLX_CANARY_IN_ABSENT && !s->creating) {
        return write_it(s, true, now_us);
    }
    if (kind == KLX_CANARY_IN_ACCEPTED && s->accepted_us == KLX_TIME_NONE &&
        s->heard_us <= s->sent_us) {
        s->accepted_us = now_us; /* it may have been seen before the answer came */
    }
    if (s->refused) {
        s->write_us = now_us + REFUSED_PERIODS * s->every_us;
    }
    return KLX_CANARY_NOTHING;
}

enum klx_canary_action klx_canary_step(struct klx_canary_state *s,
                                       const struct klx_canary_input *in, int64_t now_us) {
    switch (in->kind) {
    case KLX_CANARY_IN_TIME:
        return on_time(s, now_us);
    case KLX_CANARY_IN_CONNECTED:
        return on_connected(s, now_us);
    case KLX_CANARY_IN_DISCONNECTED:
        s->connected = false;
        return KLX_CANARY_NOTHING;
    case KLX_CANARY_IN_PAUSED:
        s->paused = true;
        return KLX_CANARY_NOTHING;
    case KLX_CANARY_IN_RESUMED:
        s->paused = false;
        s->excused_us = now_us;
        hear(s, now_us);
        return KLX_CANARY_NOTHING;
    case KLX_CANARY_IN_HEARD:
        hear(s, now_us);
        return KLX_CANARY_NOTHING;
    case KLX_CANARY_IN_SEEN:
        on_seen(s, in->seq, now_us);
        return KLX_CANARY_NOTHING;
    case KLX_CANARY_IN_ACCEPTED:
    case KLX_CANARY_IN_ABSENT:
    case KLX_CANARY_IN_REFUSED:
    case KLX_CANARY_IN_FAILED:
    case KLX_CANARY_IN_UNANSWERED:
        return on_answer(s, in->kind, now_us);
    }
    return KLX_CANARY_NOTHING;
}

int64_t klx_canary_due_us(const struct klx_canary_state *s) {
    if (!s->connected || s->paused) {
        return INT64_MAX;
    }
    int64_t due_us = s->writing ? INT64_MAX : s->write_us;
    return expects(s) && death_us(s) < due_us ? death_us(s) : due_us;
}

int64_t klx_canary_age_us(const struct klx_canary_state *s, int64_t now_us) {
    return s->seen_us == KLX_TIME_NONE ? KLX_TIME_NONE : now_us - s->seen_us;
}

bool klx_canary_is_missing(const struct klx_canary_state *s, int64_t now_us) {
    int64_t since_us = s->seen_us > s->excused_us ? s->seen_us : s->excused_us;
    return s->connected && !s->paused && !s->refused &&
           now_us - since_us > KLX_CANARY_PERIODS * s->every_us;
}
