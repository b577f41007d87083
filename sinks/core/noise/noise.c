#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "sinks/core/noise/noise_internal.h"
#include "sinks/core/noise/snapshot.h"

#define STATE_BYTES_MAX (512u << 10)
#define KEY_BYTES_MAX 2048
#define FORGOTTEN_AT_ONCE 50

int64_t klx_noise_wall_us(const struct klx_noise *n) {
    return n->o.clock->wall_us(n->o.clock);
}

int64_t klx_noise_mono_us(const struct klx_noise *n) {
    return n->o.clock->mono_us(n->o.clock);
}

static void make_channel_metrics(struct klx_noise *n) {
    for (size_t i = 0; i < n->channels_n; i++) {
        struct klx_noise_channel *c = &n->channels[i];
        c->held = klx_gauge("klaxon_sink_held_deliveries",
                            "Deliveries that wait for the channel's throttle.",
                            KLX_LABELS({ "sink", n->o.ops->name }, { "channel", c->name }));
        c->digests = klx_counter("klaxon_sink_digests_total", "Digests that were made.",
                                 KLX_LABELS({ "sink", n->o.ops->name }, { "channel", c->name }));
    }
}

static void make_metrics(struct klx_noise *n) {
    const char *sink = n->o.ops->name;
    for (int s = 0; s < KLX_SUPPRESSIONS_N; s++) {
        n->metrics.suppressed[s] = klx_counter(
            "klaxon_sink_suppressed_total", "Deliveries that were not made, each with a receipt.",
            KLX_LABELS({ "sink", sink },
                       { "reason", klx_suppression_name((enum klx_suppression)s) }));
    }
    n->metrics.reminders =
        klx_counter("klaxon_sink_reminders_total", "Incidents that were told again.", NULL);
    n->metrics.escalations = klx_counter("klaxon_sink_escalations_total",
                                         "Incidents that were told to another channel.", NULL);
    n->metrics.late =
        klx_counter("klaxon_sink_late_news_total",
                    "Incidents that were told after the end of a silence or of quiet hours.", NULL);
    n->metrics.silences = klx_gauge("klaxon_sink_silences_active", "Silences in force.", NULL);
    n->metrics.incidents = klx_gauge("klaxon_sink_incidents", "Incidents that are kept.", NULL);
    make_channel_metrics(n);
}

static struct klx_noise_channel *find_channel(struct klx_noise_channel *channels, size_t n,
                                              const char *name) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(channels[i].name, name) == 0) {
            return &channels[i];
        }
    }
    return NULL;
}

static bool same_limits(const struct klx_throttle_settings *a,
                        const struct klx_throttle_settings *b) {
    return a->messages == b->messages && a->per_ms == b->per_ms && a->burst == b->burst;
}

/* Those of the settings, with what is held and counted of channels that were there before. */
static void make_channels(struct klx_noise *n) {
    struct klx_noise_channel *before = n->channels;
    size_t before_n = n->channels_n;
    n->channels_n = n->o.use.settings->channels_n;
    n->channels = klx_alloc_n(struct klx_noise_channel, n->channels_n);
    for (size_t i = 0; i < n->channels_n; i++) {
        const struct klx_channel_settings *s = &n->o.use.settings->channels[i];
        struct klx_noise_channel *c = &n->channels[i],
                                 *old = find_channel(before, before_n, s->name);
        if (old != NULL) {
            *c = *old;
        }
        if (old == NULL || !same_limits(&old->limits, &s->throttle)) {
            klx_throttle_init(&c->throttle, s->throttle.messages,
                              s->throttle.per_ms * KLX_US_PER_MS, s->throttle.burst);
        }
        c->name = s->name;
        c->limits = s->throttle;
    }
    free(before);
}

struct klx_noise *klx_noise_new(const struct klx_noise_options *o) {
    struct klx_noise *n = klx_alloc(struct klx_noise);
    n->o = *o;
    n->silences = klx_silences_new();
    n->incidents = klx_incidents_new();
    n->acks = klx_acks_new();
    n->look_us = INT64_MAX;
    n->looked_us = INT64_MIN / 2;
    make_channels(n);
    make_metrics(n);
    return n;
}

void klx_noise_free(struct klx_noise *n) {
    if (n == NULL) {
        return;
    }
    for (size_t i = 0; i < n->channels_n; i++) {
        klx_surplus_release(&n->channels[i].surplus);
    }
    free(n->channels);
    free(n->given);
    klx_silences_free(n->silences);
    klx_incidents_free(n->incidents);
    klx_acks_free(n->acks);
    free(n);
}

/* The timer: the next token of a channel that has a surplus, or the next look at the incidents. */
void klx_noise_schedule(struct klx_noise *n) {
    int64_t now_us = klx_noise_mono_us(n), next_us = INT64_MAX;
    for (size_t i = 0; i < n->channels_n; i++) {
        const struct klx_noise_channel *c = &n->channels[i];
        if (c->surplus.n > 0) {
            int64_t at_us = klx_throttle_next_us(&c->throttle, now_us);
            next_us = at_us < next_us ? at_us : next_us;
        }
    }
    int64_t delay_us = next_us == INT64_MAX ? INT64_MAX : next_us - now_us;
    if (n->ready && n->look_us != INT64_MAX) {
        int64_t until_us = n->look_us - klx_noise_wall_us(n);
        delay_us = until_us < delay_us ? until_us : delay_us;
    }
    if (n->stopped || delay_us == INT64_MAX) {
        n->o.schedule(n->o.arg, -1);
    } else {
        n->o.schedule(n->o.arg, delay_us <= 0 ? 0 : (delay_us + KLX_US_PER_MS - 1) / KLX_US_PER_MS);
    }
}

/* A digest of many thousands costs a moment, and their number does not matter to people: once a second is enough. */
void klx_noise_look_at(struct klx_noise *n, int64_t at_us) {
    int64_t soonest_us = n->looked_us + KLX_US_PER_S;
    at_us = at_us > soonest_us ? at_us : soonest_us;
    if (at_us < n->look_us) {
        n->look_us = at_us;
        klx_noise_schedule(n);
    }
}

bool klx_noise_is_given(const struct klx_noise *n, enum klx_topic topic, int32_t partition) {
    for (size_t i = 0; i < n->given_n; i++) {
        if (n->given[i].topic == topic && n->given[i].partition == partition) {
            return true;
        }
    }
    return false;
}

void klx_noise_given(struct klx_noise *n, enum klx_topic topic, int32_t partition) {
    n->ready = false; /* until it is said again */
    if (!klx_noise_is_given(n, topic, partition)) {
        n->given = klx_grow_array(n->given, n->given_n, n->given_n + 1, sizeof(*n->given));
        n->given[n->given_n++] = (struct klx_noise_place){ topic, partition };
    }
}

/* What was on its way comes again to whoever has the partition now, perhaps to us: the state is what was written of it. */
static void disown(struct klx_incident *i) {
    i->own = false;
    i->pushed = i->told;
    if (i->waited != KLX_WAITS_FOR_NOTHING && i->waits == KLX_WAITS_FOR_NOTHING) {
        i->waits = i->waited;
    }
    i->waited = KLX_WAITS_FOR_NOTHING;
}

void klx_noise_revoked(struct klx_noise *n, enum klx_topic topic, int32_t partition) {
    for (size_t i = 0; i < n->given_n; i++) {
        if (n->given[i].topic == topic && n->given[i].partition == partition) {
            n->given[i] = n->given[--n->given_n];
        }
    }
    struct klx_incident *i = klx_incidents_first(n->incidents);
    for (; i != NULL; i = klx_incidents_next(i)) {
        if (i->topic == topic && i->partition == partition) {
            disown(i);
        }
    }
    for (size_t c = 0; c < n->channels_n; c++) {
        klx_surplus_drop_revoked(&n->channels[c].surplus);
    }
}

void klx_noise_ready(struct klx_noise *n) {
    n->ready = true;
    klx_noise_look_at(n, klx_noise_wall_us(n));
    klx_noise_schedule(n);
}

/* What was silenced may not be any more: look at all of it. */
static void look_at_all(struct klx_noise *n) {
    struct klx_incident *i = klx_incidents_first(n->incidents);
    for (; i != NULL; i = klx_incidents_next(i)) {
        i->look_us = 0;
    }
    klx_noise_look_at(n, klx_noise_wall_us(n));
}

void klx_noise_control(struct klx_noise *n, struct klx_sv key, struct klx_sv value) {
    struct klx_error e = { .text = "" };
    int rc = klx_silences_put(n->silences, key, value, klx_noise_wall_us(n), &e);
    if (rc == 0) {
        look_at_all(n);
    } else if (rc != -ENOENT) {
        klx_log_warn("a silence on klaxon.control has no effect", KLX_F_STR("why", e.text));
    } else if (klx_acks_put(n->acks, key, value)) {
        klx_noise_look_at(n, klx_noise_wall_us(n));
    }
}

void klx_noise_state(struct klx_noise *n, struct klx_sv key, struct klx_sv value) {
    struct klx_error e = { .text = "" };
    int rc = 0;
    struct klx_incident *i = klx_incidents_put(n->incidents, key, value, &rc, &e);
    if (rc != 0) {
        klx_log_debug("a record of klaxon.state is passed over", KLX_F_STR("why", e.text));
    }
    if (i != NULL) {
        klx_noise_look_at(n, klx_noise_wall_us(n));
    }
}

void klx_noise_save(struct klx_noise *n, struct klx_incident *i, struct klx_message *m) {
    struct klx_buf key KLX_CLEANUP(klx_buf_release), value KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&key, KEY_BYTES_MAX);
    klx_buf_init(&value, STATE_BYTES_MAX);
    klx_incidents_changed(n->incidents, i, klx_noise_wall_us(n));
    klx_incident_key(i, &key);
    klx_incident_encode(i, &value);
    if (klx_buf_check(&key) == 0 && klx_buf_check(&value) == 0) {
        n->o.write(n->o.arg, KLX_TOPIC_STATE, m, klx_buf_sv(&key), klx_buf_sv(&value));
    }
}

static void suppress(struct klx_noise *n, const struct klx_suppressed *s) {
    klx_counter_add(n->metrics.suppressed[s->why], 1);
    n->o.suppressed(n->o.arg, s);
}

static void on_digested(void *arg, const struct klx_delivery *member,
                        const struct klx_delivery *digest) {
    struct klx_noise *n = ((void **)arg)[0];
    const struct klx_noise_channel *c = ((void **)arg)[1];
    char id[KLX_HASH_TEXT_BYTES];
    klx_delivery_id(digest, klx_sv(c->name), id);
    suppress(n, &(struct klx_suppressed){ .message = member->message,
                                          .subscription = member->subscription,
                                          .channel = c->name,
                                          .why = KLX_SUPPRESSION_DIGESTED,
                                          .detail = klx_sv(id) });
}

static void flush(struct klx_noise *n, size_t channel) {
    struct klx_noise_channel *c = &n->channels[channel];
    void *both[] = { n, c };
    struct klx_delivery *d =
        klx_surplus_flush(&c->surplus, klx_noise_mono_us(n), on_digested, both);
    if (d != NULL) {
        klx_counter_add(c->digests, d->digest != NULL);
        n->o.deliver(n->o.arg, channel, d);
    }
}

void klx_noise_reload(struct klx_noise *n, const struct klx_noise_use *use) {
    for (size_t i = 0; i < n->channels_n; i++) {
        bool stays = false;
        for (size_t j = 0; j < use->settings->channels_n; j++) {
            bool named = klx_route_names(use->route, j);
            stays = stays ||
                    (named && strcmp(use->settings->channels[j].name, n->channels[i].name) == 0);
        }
        if (!stays) {
            flush(n, i);
        }
    }
    n->o.use = *use;
    make_channels(n);
    make_channel_metrics(n);
    struct klx_incident *i = klx_incidents_first(n->incidents);
    for (; i != NULL; i = klx_incidents_next(i)) {
        i->subscription = NULL; /* it is looked up when it is needed */
        i->looked_up = false;
    }
    klx_noise_look_at(n, klx_noise_wall_us(n));
    klx_noise_schedule(n);
}

void klx_noise_push(struct klx_noise *n, size_t channel, struct klx_delivery *d) {
    struct klx_noise_channel *c = &n->channels[channel];
    if (c->surplus.n == 0 && klx_throttle_take(&c->throttle, klx_noise_mono_us(n))) {
        n->o.deliver(n->o.arg, channel, d);
        return;
    }
    klx_surplus_add(&c->surplus, d);
    if (c->surplus.n == 1) {
        klx_noise_schedule(n);
    }
}

void klx_noise_wake(struct klx_noise *n) {
    if (n->stopped) {
        return;
    }
    for (size_t i = 0; i < n->channels_n; i++) {
        struct klx_noise_channel *c = &n->channels[i];
        if (c->surplus.n > 0 && klx_throttle_take(&c->throttle, klx_noise_mono_us(n))) {
            flush(n, i);
        }
    }
    if (n->ready && n->look_us <= klx_noise_wall_us(n)) {
        n->looked_us = klx_noise_wall_us(n);
        n->look_us = INT64_MAX;
        klx_noise_do_due(n);
    }
    klx_noise_schedule(n);
}

struct klx_matched klx_noise_matched(const struct klx_message *m, enum klx_topic topic,
                                     const struct klx_subscription_settings *s,
                                     enum klx_severity severity, const char *channel) {
    return (struct klx_matched){ .event = &m->event,
                                 .data = m->data,
                                 .severity = severity,
                                 .topic = klx_sv(klx_topic_specs[topic].short_name),
                                 .team = s->team,
                                 .channel = klx_sv(channel) };
}

/* One event on its way to one channel. */
struct passage {
    struct klx_noise *n;
    enum klx_topic topic;
    struct klx_message *m;
    const struct klx_target *to;
    struct klx_noise_channel *channel;
    struct klx_incident *incident; /* NULL: it belongs to none */
    bool known;                    /* something of the incident came before */
    char detail[256];              /* of a suppression */
};

static void remember(struct passage *p) {
    struct klx_incident *i = p->incident;
    const struct klx_event *e = &p->m->event;
    i->topic = p->topic;
    i->partition = p->m->record.partition;
    i->number = e->incident_seq > i->number ? e->incident_seq : i->number;
    i->severity = p->to->severity;
    i->opened_us = i->opened_us == KLX_TIME_NONE ? e->time_us : i->opened_us;
    i->resolved = e->phase == KLX_PHASE_RESOLVED;
    i->subscription = p->to->subscription;
    i->looked_up = true;
    i->escalates = p->to->escalation;
    klx_incident_set_team(i, p->to->subscription->team);
}

/* What may have to be told later, without the record. */
static void keep_event(struct passage *p, bool needed) {
    size_t bytes = 0;
    char *text = needed && !p->incident->resolved ? klx_snapshot_make(p->m, &bytes) : NULL;
    klx_incidents_set_event(p->n->incidents, p->incident, text, bytes);
}

static void write_suppressed(struct passage *p, enum klx_suppression why) {
    suppress(p->n, &(struct klx_suppressed){ .message = p->m,
                                             .subscription = p->to->subscription,
                                             .channel = p->channel->name,
                                             .why = why,
                                             .detail = klx_sv(p->detail) });
}

/* It is not told; `waits` says for what, when it may be told later. */
static void hold_back(struct passage *p, enum klx_suppression why, enum klx_incident_wait waits) {
    write_suppressed(p, why);
    if (p->incident == NULL) {
        return;
    }
    remember(p);
    p->incident->waits = waits;
    p->incident->look_us = 0;
    keep_event(p, waits != KLX_WAITS_FOR_NOTHING);
    klx_noise_save(p->n, p->incident, p->m);
    klx_noise_expect(p->n, p->incident);
}

static void hand_on(struct passage *p) {
    struct klx_delivery *d = klx_delivery_new(p->m, p->to->subscription, klx_noise_mono_us(p->n));
    struct klx_incident *i = p->incident;
    d->severity = p->to->severity;
    if (i != NULL) {
        remember(p);
        i->waited = i->waits != KLX_WAITS_FOR_NOTHING ? i->waits : i->waited;
        i->waits = KLX_WAITS_FOR_NOTHING;
        i->hushed = false;
        i->pushed = i->number;
        keep_event(p, p->to->subscription->repeat_ms > 0);
    }
    klx_noise_push(p->n, p->to->channel, d);
}

static uint32_t newest_of(const struct klx_incident *i) {
    return i->told > i->pushed ? i->told : i->pushed;
}

/* Older than what the channel was told, or is about to be told. */
static bool is_late(struct passage *p, enum klx_suppression *ret_why) {
    const struct klx_incident *i = p->incident;
    uint32_t number = p->m->event.incident_seq;
    if (i == NULL || number == 0) {
        return false;
    }
    uint32_t newest = newest_of(i);
    snprintf(p->detail, sizeof(p->detail), "by number %u of the incident", (unsigned)newest);
    *ret_why = number < newest ? KLX_SUPPRESSION_SUPERSEDED : KLX_SUPPRESSION_REPEATED;
    return number < newest || (i->was_told && number == i->told);
}

static bool is_silenced(struct passage *p) {
    struct klx_matched what =
        klx_noise_matched(p->m, p->topic, p->to->subscription, p->to->severity, p->channel->name);
    int64_t now_us = klx_noise_wall_us(p->n);
    const struct klx_silence *s = klx_silences_find(p->n->silences, &what, now_us);
    if (s != NULL) {
        snprintf(p->detail, sizeof(p->detail), "silence %s", s->id);
    }
    return s != NULL;
}

static bool is_quiet(const struct passage *p) {
    return klx_hours_are_quiet(p->to->subscription->quiet, p->to->severity,
                               klx_noise_wall_us(p->n));
}

/* A first message on the channel of an escalation waits for its time. */
static bool waits_to_escalate(const struct passage *p) {
    return p->to->escalation &&
           (p->incident == NULL || (!p->incident->was_told && p->incident->hushed));
}

static void pass(struct passage *p) {
    enum klx_suppression late = KLX_SUPPRESSION_SUPERSEDED;
    if (is_late(p, &late)) {
        write_suppressed(p, late);
    } else if (p->m->event.phase == KLX_PHASE_RESOLVED && p->known && p->incident->hushed) {
        p->detail[0] = '\0';
        hold_back(p, KLX_SUPPRESSION_NOT_TOLD, KLX_WAITS_FOR_NOTHING);
    } else if (p->m->event.phase == KLX_PHASE_RESOLVED && p->incident != NULL) {
        hand_on(p);
    } else if (waits_to_escalate(p)) {
        p->detail[0] = '\0';
        hold_back(p, KLX_SUPPRESSION_ESCALATION, KLX_WAITS_TO_ESCALATE);
    } else if (is_silenced(p)) {
        hold_back(p, KLX_SUPPRESSION_SILENCED, KLX_WAITS_FOR_SILENCE);
    } else if (is_quiet(p)) {
        p->detail[0] = '\0';
        hold_back(p, KLX_SUPPRESSION_QUIET_HOURS, KLX_WAITS_FOR_HOURS);
    } else {
        hand_on(p);
    }
}

/* A store is told everything, as it comes. */
static bool is_store(const struct klx_noise *n) {
    return n->o.ops->batch_bytes_max > 0;
}

void klx_noise_take(struct klx_noise *n, enum klx_topic topic, struct klx_message *m,
                    const struct klx_target *targets, size_t targets_n) {
    for (size_t i = 0; i < targets_n; i++) {
        struct passage p = { .n = n,
                             .topic = topic,
                             .m = m,
                             .to = &targets[i],
                             .channel = &n->channels[targets[i].channel] };
        struct klx_sv incident = m->event.incident, channel = klx_sv(p.channel->name);
        if (targets[i].end_only &&
            (is_store(n) || klx_incidents_find(n->incidents, channel, incident) == NULL)) {
            continue; /* nothing of it was told here */
        }
        if (incident.n > 0 && !is_store(n)) {
            p.known = klx_incidents_find(n->incidents, channel, incident) != NULL;
            p.incident = klx_incidents_get(n->incidents, channel, incident);
        }
        if (is_store(n)) {
            hand_on(&p);
        } else {
            pass(&p);
        }
    }
}

/* The channel has been told of the message. True: there is something new to keep. */
static bool note_told(struct klx_incident *i, const struct klx_message *m,
                      const struct klx_outcome *o) {
    const struct klx_event *e = &m->event;
    const struct klx_delivery *d = o->delivery;
    bool is_new = !i->was_told || e->incident_seq > i->told || d->reason != KLX_NOTICE_NEWS ||
                  i->waited != KLX_WAITS_FOR_NOTHING;
    i->was_told = true;
    i->hushed = false;
    i->waited = KLX_WAITS_FOR_NOTHING;
    i->told = e->incident_seq > i->told ? e->incident_seq : i->told;
    if (e->incident_seq >= i->number) {
        i->number = e->incident_seq;
        i->resolved = e->phase == KLX_PHASE_RESOLVED;
    }
    if (d->reason == KLX_NOTICE_REMINDER && d->repeat > i->reminders) {
        i->reminders = d->repeat;
    }
    if (d->digest == NULL && o->verdict->handle[0] != '\0' &&
        (i->handle[0] == '\0' || o->verdict->handle_replaces)) {
        klx_incident_set_handle(i, klx_sv(o->verdict->handle));
        is_new = true;
    }
    return is_new;
}

static void told(struct klx_noise *n, struct klx_message *m, const struct klx_outcome *o) {
    if (m->event.incident.n == 0) {
        return;
    }
    struct klx_incident *i = klx_incidents_get(n->incidents, klx_sv(o->channel), m->event.incident);
    if (i->partition < 0) { /* it was parked, by another replica perhaps */
        i->partition = m->record.partition;
        i->opened_us = m->event.time_us;
        i->severity = o->delivery->severity;
    }
    if (note_told(i, m, o)) {
        i->told_us = klx_noise_wall_us(n);
        klx_noise_save(n, i, m);
        klx_noise_expect(n, i);
    }
}

/* The channel was not told of it after all: what was before it, and is redriven, is not older than anything that it was told. */
static void lost(struct klx_noise *n, struct klx_message *m, const struct klx_outcome *o) {
    struct klx_incident *i =
        m->event.incident.n > 0
            ? klx_incidents_find(n->incidents, klx_sv(o->channel), m->event.incident)
            : NULL;
    if (i != NULL && i->pushed == m->event.incident_seq) {
        i->pushed = i->told;
    }
}

void klx_noise_outcome(struct klx_noise *n, const struct klx_outcome *o) {
    const struct klx_delivery *d = o->delivery;
    void (*note)(struct klx_noise *, struct klx_message *, const struct klx_outcome *) =
        klx_outcome_is_lost(o) ? lost : told;
    if (is_store(n)) {
        return;
    }
    for (size_t i = 0; i < d->covered_n; i++) {
        note(n, d->covered[i], o);
    }
    if (d->digest == NULL) {
        note(n, d->message, o);
    }
}

void klx_noise_parked(struct klx_noise *n, const char *channel, const struct klx_delivery *d) {
    static const struct klx_verdict accepted = { .class = KLX_VERDICT_ACCEPTED };
    const struct klx_outcome o = { .delivery = d, .channel = channel, .verdict = &accepted };
    for (size_t i = 0; i < d->covered_n && !is_store(n); i++) {
        told(n, d->covered[i], &o);
    }
}

bool klx_noise_passes_over(struct klx_noise *n, const char *channel, const struct klx_delivery *d) {
    const struct klx_event *e = &d->message->event;
    if (d->reason != KLX_NOTICE_NEWS || e->phase != KLX_PHASE_UPDATE || e->incident_seq == 0 ||
        is_store(n)) {
        return false;
    }
    const struct klx_incident *i = klx_incidents_find(n->incidents, klx_sv(channel), e->incident);
    if (i == NULL || e->incident_seq >= newest_of(i)) {
        return false;
    }
    char detail[64];
    snprintf(detail, sizeof(detail), "by number %u of the incident", (unsigned)newest_of(i));
    suppress(n, &(struct klx_suppressed){ .message = d->message,
                                          .subscription = d->subscription,
                                          .channel = channel,
                                          .why = KLX_SUPPRESSION_SUPERSEDED,
                                          .detail = klx_sv(detail) });
    return true;
}

struct klx_sv klx_noise_handle(const struct klx_noise *n, const char *channel,
                               const struct klx_delivery *d, bool *ret_is_old) {
    const uint32_t number = d->message->event.incident_seq;
    const struct klx_incident *i =
        d->digest == NULL && d->message->event.incident.n > 0
            ? klx_incidents_find(n->incidents, klx_sv(channel), d->message->event.incident)
            : NULL;
    *ret_is_old = i != NULL && number > 0 && number < i->told;
    return i != NULL ? klx_sv(i->handle) : klx_sv("");
}

void klx_noise_stop(struct klx_noise *n) {
    n->stopped = true;
    klx_noise_schedule(n);
}

bool klx_noise_full(const struct klx_noise *n) {
    for (size_t i = 0; i < n->channels_n; i++) {
        if (n->channels[i].surplus.n >= KLX_SURPLUS_MAX) {
            return true;
        }
    }
    return false;
}

bool klx_noise_has_room(const struct klx_noise *n) {
    for (size_t i = 0; i < n->channels_n; i++) {
        if (n->channels[i].surplus.n > KLX_SURPLUS_MAX / 4 * 3) {
            return false;
        }
    }
    return true;
}

/* One replica of each kind of sink is enough: the one that has a first partition. */
static bool tidies(const struct klx_noise *n) {
    for (size_t i = 0; n->ready && i < n->given_n; i++) {
        if (n->given[i].partition == 0) {
            return true;
        }
    }
    return false;
}

/* What has ended long ago goes from klaxon.control. One that is not written goes after the next start. */
static void forget_silences(struct klx_noise *n) {
    int64_t now_us = klx_noise_wall_us(n);
    for (int i = 0; i < FORGOTTEN_AT_ONCE && tidies(n); i++) {
        struct klx_buf key KLX_CLEANUP(klx_buf_release);
        const struct klx_silence *s = klx_silences_find_old(n->silences, now_us);
        klx_buf_init(&key, KEY_BYTES_MAX);
        if (s == NULL) {
            return;
        }
        klx_silence_key(s, &key);
        n->o.write(n->o.arg, KLX_TOPIC_CONTROL, NULL, klx_buf_sv(&key), klx_sv(NULL));
        int rc = klx_silences_put(n->silences, klx_buf_sv(&key), klx_sv(NULL), now_us, NULL);
        assert(rc == 0);
    }
}

void klx_noise_look(struct klx_noise *n) {
    forget_silences(n);
    klx_gauge_set(n->metrics.silences,
                  (double)klx_silences_active(n->silences, klx_noise_wall_us(n)));
    klx_gauge_set(n->metrics.incidents, (double)klx_incidents_n(n->incidents));
    for (size_t i = 0; i < n->channels_n; i++) {
        klx_gauge_set(n->channels[i].held, (double)n->channels[i].surplus.n);
    }
}

void klx_noise_describe(const struct klx_noise *n, struct klx_buf *out) {
    size_t active = klx_silences_active(n->silences, klx_noise_wall_us(n));
    if (active > 0) {
        klx_buf_printf(out, "silences: %zu in force\n", active);
    }
    for (size_t i = 0; i < n->channels_n; i++) {
        if (n->channels[i].surplus.n > 0) {
            klx_buf_printf(out, "channel %s: %zu held for a digest\n", n->channels[i].name,
                           n->channels[i].surplus.n);
        }
    }
}
