#include <string.h>

#include "lib/base/arena.h"
#include "lib/base/cleanup.h"
#include "lib/base/log.h"
#include "sinks/core/noise/noise_internal.h"
#include "sinks/core/noise/reminders.h"
#include "sinks/core/noise/snapshot.h"

#define ARENA_BYTES_MAX (4u << 20)
#define AT_ONCE_MAX 500 /* of one look: the rest has its turn right after */

/* The event that was kept, as a message that no record waits for; NULL: it cannot be read any more. */
static struct klx_message *message_of(struct klx_noise *n, const struct klx_incident *i) {
    struct klx_arena a;
    struct klx_record r;
    struct klx_error e = { .text = "" };
    struct klx_message *m = NULL;
    klx_arena_init(&a, 16384, ARENA_BYTES_MAX);
    int rc = klx_snapshot_read(&a, klx_sv_n(i->event, i->event_bytes), n->o.topics->name[i->topic],
                               &r, &e);
    if (rc == 0) {
        m = klx_message_new(n->o.pool, &r);
        rc = klx_message_decode(m, &e);
        rc = rc == 0 ? klx_message_keep(m, &e) : rc;
        klx_message_use(m, n->o.use.edition);
    }
    if (rc != 0) {
        klx_log_warn("an incident is not told again: its state cannot be read",
                     KLX_F_STR("incident", i->id), KLX_F_STR("why", e.text));
        if (m != NULL) {
            klx_message_unref(m);
        }
        m = NULL;
    }
    klx_arena_release(&a);
    return m;
}

static size_t channel_of(const struct klx_noise *n, const struct klx_incident *i) {
    size_t c = 0;
    while (c < n->channels_n && strcmp(n->channels[c].name, i->channel) != 0) {
        c++;
    }
    return c;
}

/* Which subscription asks for it now: the configuration may have changed since. */
static void look_up(struct klx_noise *n, struct klx_incident *i, const struct klx_message *m) {
    const struct klx_target *targets = NULL;
    size_t count = klx_route_match(n->o.use.route, i->topic, &m->event, m->data, &targets);
    i->looked_up = true;
    i->subscription = NULL;
    for (size_t t = 0; t < count; t++) {
        if (strcmp(n->channels[targets[t].channel].name, i->channel) == 0) {
            i->subscription = targets[t].subscription;
            i->escalates = targets[t].escalation;
        }
    }
}

static void see_to_subscription(struct klx_noise *n, struct klx_incident *i) {
    if (i->looked_up || i->event == NULL) {
        return;
    }
    struct klx_message *m = message_of(n, i);
    if (m == NULL) {
        klx_incidents_set_event(n->incidents, i, NULL, 0);
        return;
    }
    look_up(n, i, m);
    klx_message_unref(m);
}

static struct klx_reminder_rules rules_of(const struct klx_noise *n, const struct klx_incident *i) {
    const struct klx_subscription_settings *s = i->subscription;
    if (s == NULL) {
        return (struct klx_reminder_rules){ 0 };
    }
    return (struct klx_reminder_rules){
        .repeat_us = s->repeat_ms * KLX_US_PER_MS,
        .escalate_after_us = i->escalates ? s->escalate_after_ms * KLX_US_PER_MS : 0,
        .acknowledged = klx_acks_has(n->acks, klx_sv(i->id)),
        .quiet = s->quiet,
    };
}

static enum klx_due next_of(struct klx_noise *n, struct klx_incident *i, int64_t *ret_at_us) {
    *ret_at_us = INT64_MAX;
    if (!klx_noise_is_given(n, i->topic, i->partition)) {
        return KLX_DUE_NOTHING;
    }
    see_to_subscription(n, i);
    const struct klx_reminder_rules rules = rules_of(n, i);
    enum klx_due due = klx_reminders_next(i, &rules, klx_noise_wall_us(n), ret_at_us);
    /* Nobody subscribes to it any more. */
    return i->subscription == NULL && due != KLX_DUE_FORGET ? KLX_DUE_NOTHING : due;
}

void klx_noise_expect(struct klx_noise *n, struct klx_incident *i) {
    int64_t at_us = INT64_MAX;
    if (next_of(n, i, &at_us) != KLX_DUE_NOTHING && at_us != INT64_MAX) {
        klx_noise_look_at(n, at_us);
    }
}

static bool is_silenced(struct klx_noise *n, struct klx_incident *i, const struct klx_message *m) {
    struct klx_matched what =
        klx_noise_matched(m, i->topic, i->subscription, i->severity, i->channel);
    const struct klx_silence *s = klx_silences_find(n->silences, &what, klx_noise_wall_us(n));
    if (s != NULL) {
        i->look_us = s->ends_us;
    }
    return s != NULL;
}

static enum klx_notice_reason notice_of(struct klx_noise *n, enum klx_due due) {
    if (due == KLX_DUE_REMINDER) {
        klx_counter_add(n->metrics.reminders, 1);
        return KLX_NOTICE_REMINDER;
    }
    klx_counter_add(due == KLX_DUE_ESCALATION ? n->metrics.escalations : n->metrics.late, 1);
    return due == KLX_DUE_ESCALATION ? KLX_NOTICE_ESCALATION : KLX_NOTICE_NEWS;
}

/* Kept as told when it was: a crash before that tells it from the state again. */
static void tell(struct klx_noise *n, struct klx_incident *i, enum klx_due due, size_t channel,
                 struct klx_message *m) {
    struct klx_delivery *d = klx_delivery_new(m, i->subscription, klx_noise_mono_us(n));
    d->severity = i->severity;
    d->reason = notice_of(n, due);
    d->repeat = due == KLX_DUE_REMINDER ? i->reminders + 1 : 0;
    i->waited = i->waits;
    i->waits = KLX_WAITS_FOR_NOTHING;
    i->hushed = false;
    i->pushed = i->number;
    i->told_us = klx_noise_wall_us(n);
    klx_noise_push(n, channel, d);
}

static void forget(struct klx_noise *n, struct klx_incident *i) {
    struct klx_buf key KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&key, 2048);
    klx_incident_key(i, &key);
    n->o.write(n->o.arg, KLX_TOPIC_STATE, NULL, klx_buf_sv(&key), klx_sv(NULL));
    if (i->resolved && klx_acks_has(n->acks, klx_sv(i->id))) {
        klx_buf_reset(&key);
        klx_buf_printf(&key, KLX_ACK_KEY_PREFIX "%s", i->id);
        n->o.write(n->o.arg, KLX_TOPIC_CONTROL, NULL, klx_buf_sv(&key), klx_sv(NULL));
    }
    klx_incidents_remove(n->incidents, i);
}

/* i may be gone after it. */
static void do_one(struct klx_noise *n, struct klx_incident *i, enum klx_due due) {
    size_t channel = channel_of(n, i);
    if (due == KLX_DUE_FORGET) {
        forget(n, i);
        return;
    }
    struct klx_message *m = channel < n->channels_n ? message_of(n, i) : NULL;
    if (m == NULL) {
        klx_incidents_set_event(n->incidents, i, NULL, 0);
        return;
    }
    if (!is_silenced(n, i, m)) {
        tell(n, i, due, channel, m);
    }
    klx_noise_expect(n, i);
    klx_message_unref(m);
}

void klx_noise_do_due(struct klx_noise *n) {
    int64_t now_us = klx_noise_wall_us(n);
    size_t done = 0;
    struct klx_incident *i = klx_incidents_first(n->incidents), *next = NULL;
    for (; i != NULL && done < AT_ONCE_MAX; i = next) {
        int64_t at_us = INT64_MAX;
        next = klx_incidents_next(i);
        done += !i->looked_up && i->event != NULL; /* that is work as well */
        enum klx_due due = next_of(n, i, &at_us);
        if (due == KLX_DUE_NOTHING) {
            continue;
        }
        if (at_us > now_us) {
            klx_noise_look_at(n, at_us);
            continue;
        }
        done++;
        do_one(n, i, due);
    }
    if (i != NULL) {
        klx_noise_look_at(n, now_us);
    }
}
