#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "sinks/core/dispatch_internal.h"

bool klx_dispatch_is_retry(const struct klx_dispatch *d, const char *topic) {
    return d->parking != NULL && strcmp(topic, d->o.topics->name[KLX_TOPIC_RETRY]) == 0;
}

static struct klx_outlet *find_outlet(const struct klx_dispatch *d, struct klx_sv channel) {
    for (size_t i = 0; i < d->outlets.n; i++) {
        if (d->outlets.items[i] != NULL &&
            klx_sv_eq(klx_sv(klx_outlet_name(d->outlets.items[i])), channel)) {
            return d->outlets.items[i];
        }
    }
    return NULL;
}

int klx_dispatch_place(void *arg, const struct klx_record *r, klx_placed_fn placed,
                       void *placed_arg, struct klx_error *e) {
    struct klx_dispatch *d = arg;
    return d->o.place(d->o.arg, r, placed, placed_arg, e);
}

static void seek_retry(void *arg, int32_t partition, int64_t offset) {
    struct klx_dispatch *d = arg;
    d->o.seek(d->o.arg, d->o.topics->name[KLX_TOPIC_RETRY], partition, offset);
}

static void store_retry(void *arg, int32_t partition, int64_t next_offset) {
    struct klx_dispatch *d = arg;
    d->o.store(d->o.arg, d->o.topics->name[KLX_TOPIC_RETRY], partition, next_offset);
}

static void on_unreadable_parked(void *arg, const struct klx_record *r, const char *why,
                                 struct klx_backlog_item *item) {
    struct klx_dispatch *d = arg;
    struct klx_message *m = klx_message_new(d->pool, r);
    m->parked = item;
    klx_dispatch_unreadable(d, m, r, why);
    klx_message_unref(m);
}

static void on_parked(void *arg, const struct klx_parked *parked, struct klx_backlog_item *item) {
    struct klx_dispatch *d = arg;
    struct klx_error e = { .text = "" };
    struct klx_message *m = klx_message_new(d->pool, &parked->original);
    m->parked = item;
    m->told = true;
    klx_message_use(m, d->o.edition);
    if (klx_message_decode(m, &e) != 0 || klx_message_keep(m, &e) != 0) {
        klx_dispatch_unreadable(d, m, &parked->original, e.text);
    } else {
        klx_returns_add(d->returns, m, parked);
    }
    klx_message_unref(m);
}

static size_t recipients_of(void *arg, struct klx_sv channel, const struct klx_sv **ret) {
    struct klx_outlet *outlet = find_outlet(arg, channel);
    return outlet != NULL ? klx_outlet_recipients(outlet, ret) : 0;
}

/* Nobody is there to be told, and nobody came back in time. */
static void give_up_parked(void *arg, struct klx_sv channel, struct klx_delivery *delivery) {
    struct klx_verdict v;
    klx_verdict_set(&v, KLX_VERDICT_DESTINATION_BROKEN, "no_channel",
                    klx_sv("the channel is not in the configuration any more"));
    char *name = klx_sv_dup(channel);
    const unsigned attempts = delivery->recipients != NULL ? delivery->recipients[0].attempts : 0;
    const struct klx_outcome o = { .delivery = delivery,
                                   .message = delivery->message,
                                   .subscription = delivery->subscription,
                                   .channel = name,
                                   .verdict = &v,
                                   .gave_up = true,
                                   .attempts = attempts,
                                   .first_us = delivery->first_us,
                                   .last_us = delivery->last_us };
    klx_dispatch_outcome(arg, &o);
    klx_delivery_done(delivery);
    free(name);
}

static void push_parked(void *arg, struct klx_sv channel, struct klx_delivery *delivery) {
    struct klx_outlet *outlet = find_outlet(arg, channel);
    if (outlet != NULL) {
        klx_outlet_push_parked(outlet, delivery);
    } else {
        give_up_parked(arg, channel, delivery);
    }
}

static void schedule_returns(void *arg, int64_t delay_ms) {
    klx_timer_start(((struct klx_dispatch *)arg)->returns_timer, delay_ms);
}

static void on_returns_timer(void *arg) {
    struct klx_dispatch *d = arg;
    if (d->returns != NULL) {
        klx_returns_wake(d->returns);
        klx_dispatch_check_brake(d);
    }
}

static size_t hold_max(const struct klx_dispatch *d) {
    size_t queue = (size_t)d->o.settings->process.queue;
    return queue / 4 > 0 ? queue / 4 : 1;
}

void klx_dispatch_open_parking(struct klx_dispatch *d) {
    const struct klx_parking_options o = {
        .clock = d->o.env.clock,
        .sink = d->o.ops->name,
        .retry_topic = d->o.topics->name[KLX_TOPIC_RETRY],
        .control_topic = d->o.topics->name[KLX_TOPIC_CONTROL],
        .hold_max = hold_max(d),
        .place = klx_dispatch_place,
        .seek = seek_retry,
        .store = store_retry,
        .deliver = on_parked,
        .unreadable = on_unreadable_parked,
        .arg = d,
    };
    const struct klx_returns_options returns = {
        .clock = d->o.env.clock,
        .settings = d->o.settings,
        .give_up_after_ms = d->o.settings->process.give_up_after_ms,
        .recipients = recipients_of,
        .push = push_parked,
        .give_up = give_up_parked,
        .schedule = schedule_returns,
        .arg = d,
    };
    d->returns_timer = klx_timer_new(d->o.env.loop, on_returns_timer, d);
    if (d->o.place != NULL) {
        d->parking = klx_parking_new(&o);
        d->returns = klx_returns_new(&returns);
    }
}

/* Records wait until it is known what is parked. */
static void ask(struct klx_dispatch *d) {
    if (!d->asked) {
        d->asked = true;
        d->o.pause(d->o.arg, true);
        d->o.ask_parked(d->o.arg);
    }
}

void klx_dispatch_assigned(struct klx_dispatch *d, const char *topic, int32_t partition) {
    if (d->parking == NULL) {
        return;
    }
    if (klx_dispatch_is_retry(d, topic)) {
        klx_parking_assigned(d->parking, partition);
    }
    if (!d->asked) {
        klx_parking_given(d->parking);
    }
    ask(d);
}

/* The gates of new channels know nothing; those of the others stay as they are, since what waits in their lanes must go first. */
void klx_dispatch_reloaded(struct klx_dispatch *d) {
    if (d->parking != NULL) {
        klx_returns_use(d->returns, d->o.settings);
        klx_parking_limit(d->parking, hold_max(d));
        ask(d);
    }
}

void klx_dispatch_parked_known(struct klx_dispatch *d, const int64_t *ends, size_t n) {
    d->asked = false;
    klx_parking_known(d->parking, ends, n);
    if (!d->paused) {
        d->o.pause(d->o.arg, false);
    }
    klx_dispatch_check_brake(d);
}

void klx_dispatch_control(struct klx_dispatch *d, struct klx_sv key, struct klx_sv value) {
    if (d->parking != NULL && !d->closed) {
        klx_parking_control(d->parking, key, value);
    }
    if (d->noise != NULL) {
        klx_noise_control(d->noise, key, value);
    }
}

void klx_dispatch_end(struct klx_dispatch *d, const char *topic, int32_t partition, int64_t next) {
    if (klx_dispatch_is_retry(d, topic)) {
        klx_parking_end(d->parking, partition, next);
    }
}
