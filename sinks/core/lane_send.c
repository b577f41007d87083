#include <assert.h>
#include <stdlib.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "sinks/core/lane_internal.h"
#include "sinks/core/wording.h"

#define PROBES_BEFORE_A_MESSAGE 3
#define WORDS_LOG_EVERY_US (60 * KLX_US_PER_S)
#define TRIES_IN_PLACE 4 /* then a delivery lets others that wait go first */

void klx_lane_slots_init(struct klx_lane *l) {
    static const struct klx_sv nobody_in_particular = { "", 0 };
    const struct klx_sink_ops *ops = l->o.ops;
    l->names = &nobody_in_particular;
    l->names_n = ops->recipients != NULL ? ops->recipients(l->o.channel, &l->names) : 1;
    assert(l->names_n > 0 && (l->names_n == 1 || !klx_lane_is_batch(l)));
    l->slots_n = ops->concurrency > 0 ? ops->concurrency : 1;
    if (ops->concurrency_of != NULL) {
        l->slots_n = ops->concurrency_of(l->o.channel);
        assert(l->slots_n > 0 && l->slots_n <= ops->concurrency);
    }
    l->slots = klx_alloc_n(struct klx_lane_slot, l->slots_n);
    klx_buf_init(&l->scratch, ops->payload_bytes_max);
    for (size_t i = 0; i < l->slots_n; i++) {
        struct klx_lane_slot *s = &l->slots[i];
        s->lane = l;
        klx_buf_init(&s->payload,
                     klx_lane_is_batch(l) ? ops->batch_bytes_max : ops->payload_bytes_max);
        s->names = klx_alloc_n(struct klx_sv, l->names_n);
        s->sent_to = klx_alloc_n(size_t, l->names_n);
    }
}

void klx_lane_slots_release(struct klx_lane *l) {
    for (size_t i = 0; i < l->slots_n; i++) {
        struct klx_lane_slot *s = &l->slots[i];
        klx_buf_release(&s->payload);
        free(s->deliveries);
        free(s->ends);
        free(s->payloads);
        free(s->names);
        free(s->sent_to);
    }
    klx_buf_release(&l->scratch);
    free(l->slots);
}

static struct klx_sv find_handle(const struct klx_lane *l, const struct klx_delivery *d,
                                 bool *ret_is_old) {
    *ret_is_old = false;
    return l->cb.find_handle != NULL ? l->cb.find_handle(l->cb.arg, d, ret_is_old) : klx_sv("");
}

/* Nobody's words may cost a message: it went out in ours. */
static void note_words(struct klx_lane *l, const struct klx_delivery *d,
                       const struct klx_wording_use *words) {
    int64_t now_us = klx_lane_mono_us(l);
    if (words->failed == 0) {
        return;
    }
    klx_counter_add(l->metrics.words_failed, words->failed);
    if (now_us - l->words_logged_us >= WORDS_LOG_EVERY_US) {
        l->words_logged_us = now_us;
        klx_log_warn("a template of `message:` cannot be filled in: told in klaxon's own words",
                     KLX_F_STR("channel", l->o.name), KLX_F_SV("event", d->message->event.id),
                     KLX_F_STR("template", words->why.text),
                     KLX_F_INT("parts", (int64_t)words->failed));
    }
}

bool klx_lane_render(struct klx_lane *l, struct klx_delivery *d, struct klx_buf *out) {
    struct klx_event event = d->message->event;
    char id[KLX_HASH_TEXT_BYTES];
    bool is_old = false; /* a matter of the place, not of the words */
    struct klx_wording_use words; /* `why` is large, and only set when something failed */
    words.of_subscription = d->subscription->wording;
    words.of_channel = l->o.wording;
    words.failed = 0;
    bool has_words = words.of_subscription != NULL || words.of_channel != NULL;
    event.severity = d->severity;
    klx_delivery_id(d, klx_sv(l->o.name), id);
    const struct klx_notice notice = { .event = &event,
                                       .data = d->message->data,
                                       .team = d->subscription->team,
                                       .channel = klx_sv(l->o.name),
                                       .id = klx_sv(id),
                                       .reason = d->reason,
                                       .digest = d->digest,
                                       .handle = find_handle(l, d, &is_old),
                                       .links = l->o.links,
                                       .wording = has_words ? &words : NULL };
    struct klx_error error = { .text = "" };
    klx_buf_reset(out);
    int rc = l->o.ops->render(l->o.channel, &notice, out, &error);
    note_words(l, d, &words);
    if (rc == 0 && klx_buf_check(out) != 0) {
        rc = klx_fail(&error, -EMSGSIZE, "the message is larger than %zu bytes", out->max);
    }
    if (rc != 0) {
        struct klx_verdict v;
        klx_verdict_set(&v, KLX_VERDICT_REJECT_MESSAGE, "render_failed", klx_sv(error.text));
        klx_counter_add(l->metrics.verdicts[v.class], 1);
        klx_lane_end(l, d, &v, false);
    }
    return rc == 0;
}

struct klx_lane_slot *klx_lane_free_slot(struct klx_lane *l) {
    struct klx_lane_slot *s = l->slots;
    while (s->busy || s == l->gathering) {
        s++;
        assert(s < l->slots + l->slots_n);
    }
    return s;
}

void klx_lane_add(struct klx_lane_slot *s, struct klx_delivery *d) {
    if (s->n == s->room) {
        size_t room = s->room > 0 ? 2 * s->room : 1;
        s->deliveries = klx_grow_array(s->deliveries, s->room, room, sizeof(struct klx_delivery *));
        s->ends = klx_grow_array(s->ends, s->room, room, sizeof(size_t));
        s->payloads = klx_grow_array(s->payloads, s->room, room, sizeof(struct klx_sv));
        s->room = room;
    }
    s->deliveries[s->n] = d;
    s->ends[s->n++] = s->payload.len;
}

/* Whose refusal of a credential is told to others, and theirs to it. */
static bool shares_credential(const struct klx_lane *l) {
    return klx_circuit_is_shared(l->circuit) || klx_circuit_is_open(l->circuit);
}

static bool is_refused(const struct klx_verdict *verdicts, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (verdicts[i].class == KLX_VERDICT_CREDENTIAL_BROKEN) {
            return true;
        }
    }
    return false;
}

/* When what is open of it may be tried again. A credential that is shared is its circuit's to judge. */
static int64_t judge(struct klx_lane *l, const struct klx_health_send *send) {
    if (shares_credential(l)) {
        klx_circuit_judge(l->circuit, send->verdicts, send->n, send->began_us);
        if (is_refused(send->verdicts, send->n)) {
            return INT64_MIN;
        }
    }
    int64_t rest_us = klx_health_judge(&l->health, send);
    klx_gauge_set(l->metrics.broken, klx_lane_is_broken(l));
    return rest_us;
}

static void note_verdict(struct klx_lane *l, struct klx_delivery *d, size_t recipient,
                         const struct klx_verdict *v) {
    struct klx_delivery_recipient *r = &d->recipients[recipient];
    r->last = *v;
    if (v->class == KLX_VERDICT_DELIVERED || v->class == KLX_VERDICT_ACCEPTED) {
        l->probed_wall_us = KLX_TIME_NONE; /* a message tells more */
        l->probes_failed = 0;
    }
    r->ambiguous += v->class == KLX_VERDICT_AMBIGUOUS;
    klx_counter_add(l->metrics.verdicts[v->class], 1);
    if (klx_verdict_is_final(v->class)) {
        l->taken_us = klx_lane_mono_us(l);
        klx_lane_tell(l, d, recipient, false);
    }
}

static unsigned attempts_of(const struct klx_delivery *d) {
    unsigned most = 0;
    for (size_t i = 0; i < d->recipients_n; i++) {
        most = d->recipients[i].attempts > most ? d->recipients[i].attempts : most;
    }
    return most;
}

static void finish(struct klx_lane *l, struct klx_delivery *d, int64_t rest_us) {
    if (d->recipients_left == 0) {
        klx_lane_unlink(l, d);
        klx_delivery_done(d);
    } else if (klx_delivery_is_revoked(d)) {
        klx_lane_unlink(l, d);
        klx_delivery_abandon(d);
    } else {
        klx_queue_put_back(l->queue, d, rest_us, attempts_of(d) >= TRIES_IN_PLACE);
    }
}

static void on_sent(void *arg, const struct klx_verdict *verdicts, size_t n) {
    struct klx_lane_slot *s = arg;
    struct klx_lane *l = s->lane;
    assert(s->busy && n == s->sent_n);
    bool batch = klx_lane_is_batch(l);
    const struct klx_health_send send = { .verdicts = verdicts,
                                          .n = n,
                                          .whole = batch || n == l->names_n,
                                          .began_us = s->began_us,
                                          .attempt = attempts_of(s->deliveries[0]) };
    s->busy = false;
    l->busy--;
    l->half_open = false;
    l->sent_us = l->slots_n == 1 ? klx_lane_mono_us(l) : l->sent_us;
    klx_gauge_set(l->metrics.in_flight, (double)l->busy);
    int64_t rest_us = judge(l, &send);
    for (size_t i = 0; i < n; i++) {
        note_verdict(l, s->deliveries[batch ? i : 0], batch ? 0 : s->sent_to[i], &verdicts[i]);
    }
    for (size_t i = 0; i < s->n; i++) {
        finish(l, s->deliveries[i], rest_us);
    }
    s->n = 0;
    klx_buf_reset(&s->payload);
    l->cb.on_change(l->cb.arg);
    klx_lane_plan(l); /* nothing is sent from here: the channel is still on the stack below us */
}

/* True: it was tried before. */
static bool begin_attempt(struct klx_lane *l, struct klx_delivery *d, int64_t now_us) {
    bool again = d->first_us != KLX_TIME_NONE;
    klx_delivery_begin(d, l->names, l->names_n);
    d->last_us = klx_lane_wall_us(l);
    if (!again) {
        d->first_us = d->last_us;
        d->first_mono_us = now_us;
    }
    for (size_t i = 0; i < l->names_n; i++) {
        d->recipients[i].attempts += !d->recipients[i].final;
    }
    return again;
}

static void choose_recipients(const struct klx_lane *l, struct klx_lane_slot *s) {
    s->sent_n = 0;
    for (size_t i = 0; i < l->names_n; i++) {
        if (!s->deliveries[0]->recipients[i].final) {
            s->names[s->sent_n] = l->names[i];
            s->sent_to[s->sent_n++] = i;
        }
    }
}

static void cut_payloads(struct klx_lane_slot *s) {
    for (size_t i = 0, from = 0; i < s->n; from = s->ends[i++]) {
        s->payloads[i] = klx_sv_n(s->payload.data + from, s->ends[i] - from);
    }
}

void klx_lane_send(struct klx_lane *l, struct klx_lane_slot *s) {
    bool batch = klx_lane_is_batch(l);
    s->began_us = l->sent_us = klx_lane_mono_us(l);
    for (size_t i = 0; i < s->n; i++) {
        bool again = begin_attempt(l, s->deliveries[i], s->began_us);
        klx_counter_add(l->metrics.retries, again);
        klx_queue_seal(l->queue, s->deliveries[i]);
    }
    choose_recipients(l, s);
    cut_payloads(s);
    klx_delivery_id(s->deliveries[0], klx_sv(l->o.name), s->id);
    l->gathering = l->gathering == s ? NULL : l->gathering;
    s->busy = true;
    l->busy++;
    klx_gauge_set(l->metrics.in_flight, (double)l->busy);
    if (shares_credential(l)) {
        klx_circuit_try(l->circuit);
    }
    bool is_old = false;
    struct klx_sv handle = find_handle(l, s->deliveries[0], &is_old);
    const struct klx_send send = { .payloads = s->payloads,
                                   .payloads_n = s->n,
                                   .recipients = s->names,
                                   .recipients_n = s->sent_n,
                                   .id = klx_sv(s->id),
                                   .handle = handle,
                                   .is_old = is_old };
    if (batch) {
        s->sent_n = s->n; /* as many verdicts */
        klx_counter_add(l->metrics.batches, 1);
    }
    l->o.ops->send(l->o.channel, &send, on_sent, s);
}

/* At the start, nothing is decided by it: the first message will tell. */
static void say_probe(const struct klx_lane *l) {
    char advice[KLX_ADVICE_BYTES];
    klx_health_advise(&l->probed, l->o.ops->name, advice);
    klx_log_warn("the channel was probed, and would not take a message now",
                 KLX_F_STR("channel", l->o.name),
                 KLX_F_STR("verdict", klx_verdict_name(l->probed.class)),
                 KLX_F_STR("reason", l->probed.reason), KLX_F_STR("answer", l->probed.answer),
                 KLX_F_STR("do", advice));
}

/* What was broken is mended when a message went through; without one, when the probe did. */
static void on_probe_well(struct klx_lane *l, const struct klx_health_send *send) {
    if (klx_queue_n(l->queue) > 0) {
        l->half_open = true;
        klx_lane_retry_now(l);
    } else {
        judge(l, send);
    }
}

/* A probe may be wrong, and then only a message shows it. */
static void on_probe_failed(struct klx_lane *l, const struct klx_health_send *send) {
    judge(l, send);
    l->probes_failed++;
    l->half_open = l->probes_failed % PROBES_BEFORE_A_MESSAGE == 0;
}

static void on_probed(void *arg, const struct klx_verdict *verdicts, size_t n) {
    struct klx_lane *l = arg;
    assert(l->probing && n == 1);
    const struct klx_health_send send = {
        .verdicts = verdicts, .n = n, .whole = true, .began_us = l->probe_began_us, .attempt = 1
    };
    bool well = klx_verdict_is_final(verdicts[0].class);
    l->probing = false;
    l->probed = verdicts[0];
    l->probed_wall_us = klx_lane_wall_us(l);
    l->sent_us = klx_lane_mono_us(l);
    klx_gauge_set(l->metrics.probe, well);
    if (klx_lane_is_broken(l)) {
        (well ? on_probe_well : on_probe_failed)(l, &send);
    } else if (!well) {
        say_probe(l);
    }
    l->cb.on_change(l->cb.arg);
    klx_lane_plan(l);
}

void klx_lane_probe(struct klx_lane *l) {
    l->probing = true;
    l->probe_at_start = false;
    l->probe_began_us = klx_lane_mono_us(l);
    if (shares_credential(l)) {
        klx_circuit_try(l->circuit);
    }
    l->o.ops->probe(l->o.channel, on_probed, l);
}
