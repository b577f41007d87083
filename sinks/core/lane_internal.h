/*
 * Inside of the lane only: lane.c decides what happens when, lane_send.c sends, lane_batch.c gathers.
 */
#pragma once

#include "lib/base/hash.h"
#include "lib/base/time.h"
#include "lib/io/metrics.h"
#include "sinks/core/health.h"
#include "sinks/core/lane.h"
#include "sinks/core/queue.h"

/* A send: what is under way, or a batch that is gathered. */
struct klx_lane_slot {
    struct klx_lane *lane;
    bool busy; /* it is under way */
    int64_t began_us;
    char id[KLX_HASH_TEXT_BYTES];
    struct klx_buf payload; /* of a batch: one after the other */

    /* More than one only in a batch. */
    struct klx_delivery **deliveries;
    size_t *ends; /* of each payload */
    struct klx_sv *payloads;
    size_t n, room;

    struct klx_sv *names;
    size_t *sent_to; /* indexes of recipients */
    size_t sent_n;
};

struct klx_lane {
    struct klx_lane_options o;
    struct klx_lane_callbacks cb;
    bool stopped, held;
    bool replaced; /* another lane has the channel, and its metrics */
    struct klx_health health;
    struct klx_circuit_member *circuit; /* NULL: nobody else has the credential */
    struct klx_queue *queue;
    int64_t wake_at_us; /* the wake-up that was asked for; INT64_MAX: none */

    const struct klx_sv *names; /* of the recipients */
    size_t names_n;
    struct klx_lane_slot *slots;
    size_t slots_n, busy;
    struct klx_lane_slot *gathering;
    struct klx_buf scratch; /* one payload of a batch */
    int64_t sent_us;        /* when the last send began; of a single slot: or ended */
    int64_t taken_us;       /* when a recipient last had a final verdict */

    bool probing, probe_at_start;
    bool half_open;         /* one message tells: the probe went well, or may be wrong */
    unsigned probes_failed; /* since a message went through */
    int64_t probe_began_us, probed_wall_us;
    struct klx_verdict probed; /* of the last probe, when probed_wall_us is one */

    int64_t lost_logged_us; /* dead letters are logged one in five seconds */
    int64_t lost_silent;
    int64_t words_logged_us; /* templates that fail are logged once a minute */

    struct {
        struct klx_counter *verdicts[KLX_VERDICTS_N];
        struct klx_counter *retries, *dead_letters, *batches, *words_failed;
        struct klx_gauge *queue, *in_flight, *broken, *lag, *probe;
        struct klx_histogram *seconds;
    } metrics;
};

int64_t klx_lane_mono_us(const struct klx_lane *l);
int64_t klx_lane_wall_us(const struct klx_lane *l);
bool klx_lane_is_batch(const struct klx_lane *l);

/* lane_metrics.c */
void klx_lane_make_metrics(struct klx_lane *l);

/* lane.c: when anything has changed, the owner is asked for the next wake-up. */
void klx_lane_plan(struct klx_lane *l);
bool klx_lane_may_send(const struct klx_lane *l, int64_t now_us);
/* What may be sent now; NULL: nothing. Gives up on the way what has had its time. */
struct klx_delivery *klx_lane_next(struct klx_lane *l, int64_t now_us);
/* Out of the queue, not of the world. */
void klx_lane_unlink(struct klx_lane *l, struct klx_delivery *d);
/* All recipients that have none get the same verdict; NULL: that of their last attempt, or of the channel's trouble. */
void klx_lane_end(struct klx_lane *l, struct klx_delivery *d, const struct klx_verdict *verdict,
                  bool gave_up);
void klx_lane_tell(struct klx_lane *l, struct klx_delivery *d, size_t recipient, bool gave_up);

/* lane_send.c */
void klx_lane_slots_init(struct klx_lane *l);
void klx_lane_slots_release(struct klx_lane *l);
/* False: the message cannot be laid out, and has been ended. */
bool klx_lane_render(struct klx_lane *l, struct klx_delivery *d, struct klx_buf *out);
struct klx_lane_slot *klx_lane_free_slot(struct klx_lane *l);
void klx_lane_add(struct klx_lane_slot *s, struct klx_delivery *d);
/* Sends what is in the slot. */
void klx_lane_send(struct klx_lane *l, struct klx_lane_slot *s);
void klx_lane_probe(struct klx_lane *l);

/* lane_batch.c */
/* Adds what may be taken, and sends what is full or old enough. */
void klx_lane_gather(struct klx_lane *l, int64_t now_us);
/* What is gathered waits again. */
void klx_lane_ungather(struct klx_lane *l);
/* When what is gathered is old enough; INT64_MAX: nothing is. */
int64_t klx_lane_batch_due_us(const struct klx_lane *l);
