/*
 * Inside sinks/core/noise only: what noise.c (events, outcomes) and noise_time.c (what time makes due) share.
 */
#pragma once

#include "lib/io/metrics.h"
#include "sinks/core/noise/acks.h"
#include "sinks/core/noise/digest.h"
#include "sinks/core/noise/hours.h"
#include "sinks/core/noise/incidents.h"
#include "sinks/core/noise/noise.h"
#include "sinks/core/noise/silence.h"
#include "sinks/core/noise/throttle.h"

/* Of each channel of the settings. */
struct klx_noise_channel {
    const char *name;
    struct klx_throttle_settings limits; /* of the throttle */
    struct klx_throttle throttle;
    struct klx_surplus surplus;
    struct klx_gauge *held;
    struct klx_counter *digests;
};

struct klx_noise_place {
    enum klx_topic topic;
    int32_t partition;
};

struct klx_noise {
    struct klx_noise_options o;
    struct klx_noise_channel *channels;
    size_t channels_n;
    struct klx_silences *silences;
    struct klx_incidents *incidents;
    struct klx_acks *acks;
    struct klx_noise_place *given;
    size_t given_n;
    bool ready, stopped;
    int64_t
        look_us; /* wall: when the incidents are to be looked through; INT64_MAX: nothing will be due */
    int64_t looked_us; /* when that was done last */
    struct {
        struct klx_counter *suppressed[KLX_SUPPRESSIONS_N];
        struct klx_counter *reminders, *escalations, *late;
        struct klx_gauge *silences, *incidents;
    } metrics;
};

int64_t klx_noise_wall_us(const struct klx_noise *n);
int64_t klx_noise_mono_us(const struct klx_noise *n);
/* Through the throttle. Takes the delivery. */
void klx_noise_push(struct klx_noise *n, size_t channel, struct klx_delivery *d);
/* Writes the incident's state; m may be NULL. */
void klx_noise_save(struct klx_noise *n, struct klx_incident *i, struct klx_message *m);
/* Sees to it that the incidents are looked through at that time. */
void klx_noise_look_at(struct klx_noise *n, int64_t at_us);
/* Sets the timer for what comes next. */
void klx_noise_schedule(struct klx_noise *n);
struct klx_matched klx_noise_matched(const struct klx_message *m, enum klx_topic topic,
                                     const struct klx_subscription_settings *s,
                                     enum klx_severity severity, const char *channel);
bool klx_noise_is_given(const struct klx_noise *n, enum klx_topic topic, int32_t partition);

/* noise_time.c: does what is due; klx_noise.look_us is set for the rest. */
void klx_noise_do_due(struct klx_noise *n);
/* When the incident is to be looked at. */
void klx_noise_expect(struct klx_noise *n, struct klx_incident *i);
