#include "sinks/core/noise/desk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "sinks/core/receipt.h"

struct klx_noise_desk {
    struct klx_noise_desk_options o;
    struct klx_noise *noise;
    struct klx_timer *timer;
};

static void deliver(void *arg, size_t channel, struct klx_delivery *d) {
    struct klx_noise_desk *k = arg;
    k->o.deliver(k->o.arg, channel, d);
}

/* rc of the encoding. Its limits are such that it does not fail; if it does, the record settles without. */
static void write_entry(struct klx_noise_desk *k, struct klx_ledger_entry *entry, int rc,
                        struct klx_message *m) {
    if (rc == 0) {
        klx_ledger_write(k->o.ledger, entry, m);
        return;
    }
    klx_log_error("a receipt or a state could not be made", KLX_F_STR("of", m->record.topic),
                  KLX_F_INT("partition", m->record.partition),
                  KLX_F_INT("offset", m->record.offset), KLX_F_INT("code", rc));
    klx_ledger_drop_entry(entry);
}

static void suppressed(void *arg, const struct klx_suppressed *s) {
    struct klx_noise_desk *k = arg;
    const struct klx_receipt_env env = { .topics = k->o.topics,
                                         .sink = k->o.ops->name,
                                         .now_us = k->o.clock->wall_us(k->o.clock) };
    struct klx_ledger_entry *entry = klx_ledger_new_entry(k->o.ledger);
    write_entry(k, entry, klx_suppressed_encode(&entry->arena, &env, s, &entry->record),
                (struct klx_message *)(uintptr_t)s->message);
}

static struct klx_record record_of(const struct klx_noise_desk *k, enum klx_topic topic,
                                   struct klx_sv key, struct klx_sv value) {
    return (struct klx_record){ .topic = k->o.topics->name[topic],
                                .partition = -1,
                                .timestamp_ms = k->o.clock->wall_us(k->o.clock) / KLX_US_PER_MS,
                                .key = key,
                                .value = value };
}

/* What nobody waits for is written as well as it can be: it comes again when it is due again. */
static void write_alone(struct klx_noise_desk *k, const struct klx_record *r) {
    struct klx_error e = { .text = "" };
    if (k->o.produce(k->o.arg, r, NULL, NULL, &e) != 0) {
        klx_log_debug("not written", KLX_F_STR("topic", r->topic), KLX_F_STR("why", e.text));
    }
}

static void write_record(void *arg, enum klx_topic topic, struct klx_message *m, struct klx_sv key,
                         struct klx_sv value) {
    struct klx_noise_desk *k = arg;
    if (m == NULL) {
        const struct klx_record r = record_of(k, topic, key, value);
        write_alone(k, &r);
        return;
    }
    struct klx_ledger_entry *entry = klx_ledger_new_entry(k->o.ledger);
    struct klx_sv own_key = klx_arena_dup(&entry->arena, key);
    struct klx_sv own_value = klx_arena_dup(&entry->arena, value);
    entry->record = record_of(k, topic, own_key, own_value);
    entry->latest = true;
    write_entry(k, entry, own_key.p != NULL && own_value.p != NULL ? 0 : -ENOMEM, m);
}

static void schedule(void *arg, int64_t delay_ms) {
    struct klx_noise_desk *k = arg;
    if (delay_ms < 0) {
        klx_timer_stop(k->timer);
    } else {
        klx_timer_start(k->timer, delay_ms);
    }
}

static void on_timer(void *arg) {
    struct klx_noise_desk *k = arg;
    klx_noise_wake(k->noise);
    k->o.on_change(k->o.arg);
}

struct klx_noise_desk *klx_noise_desk_new(const struct klx_noise_desk_options *o) {
    struct klx_noise_desk *k = klx_alloc(struct klx_noise_desk);
    k->o = *o;
    k->timer = klx_timer_new(o->loop, on_timer, k);
    const struct klx_noise_options noise = { .clock = o->clock,
                                             .ops = o->ops,
                                             .topics = o->topics,
                                             .use = o->use,
                                             .pool = o->pool,
                                             .deliver = deliver,
                                             .suppressed = suppressed,
                                             .write = write_record,
                                             .schedule = schedule,
                                             .arg = k };
    k->noise = klx_noise_new(&noise);
    return k;
}

void klx_noise_desk_free(struct klx_noise_desk *k) {
    if (k != NULL) {
        klx_noise_free(k->noise);
        klx_timer_free(k->timer);
        free(k);
    }
}

struct klx_noise *klx_noise_desk_noise(const struct klx_noise_desk *k) {
    return k->noise;
}
