#include "collector/detection.h"

#include <errno.h>
#include <stdlib.h>

#include "collector/detectors/detector.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"

struct klx_detection {
    struct klx_clock *clock;
    struct klx_publisher *publisher;
    void *detectors[KLX_DETECTORS_N];
    struct klx_timer *timer;
    bool soon; /* the timer fires in a moment: frames that come meanwhile do not put it off */
};

static int64_t now_us(const struct klx_detection *d) {
    return d->clock->wall_us(d->clock);
}

static void tick(void *arg) {
    struct klx_detection *d = arg;
    int64_t next_us = KLX_TIME_NONE;
    d->soon = false;
    for (size_t i = 0; i < KLX_DETECTORS_N; i++) {
        int64_t due_us =
            klx_detectors[i]->tick(d->detectors[i], now_us(d), klx_publisher_outbox(d->publisher));
        next_us = next_us == KLX_TIME_NONE || (due_us != KLX_TIME_NONE && due_us < next_us)
                      ? due_us
                      : next_us;
    }
    klx_publisher_end_turn(d->publisher);
    if (next_us != KLX_TIME_NONE) {
        int64_t wait_ms = (next_us - now_us(d)) / KLX_US_PER_MS + 1;
        klx_timer_start(d->timer, wait_ms > 1 ? wait_ms : 1);
    }
}

struct klx_detection *klx_detection_new(struct klx_loop *l, struct klx_clock *clock,
                                        struct klx_publisher *publisher, struct klx_sv cluster,
                                        const struct klx_detector_settings *s) {
    struct klx_detection *d = klx_alloc(struct klx_detection);
    d->clock = clock;
    d->publisher = publisher;
    for (size_t i = 0; i < KLX_DETECTORS_N; i++) {
        d->detectors[i] = klx_detectors[i]->create(cluster, s->of[i]);
    }
    d->timer = klx_timer_new(l, tick, d);
    return d;
}

void klx_detection_expect(struct klx_detection *d, uint32_t observed) {
    for (size_t i = 0; i < KLX_DETECTORS_N; i++) {
        if (klx_detectors[i]->expect != NULL) {
            klx_detectors[i]->expect(d->detectors[i], observed);
        }
    }
}

int klx_detection_restore(struct klx_detection *d, struct klx_sv key, struct klx_sv value) {
    struct klx_sv object = key, owner = klx_sv_cut(&object, '/');
    for (size_t i = 0; i < KLX_DETECTORS_N && object.n > 0; i++) {
        if (klx_sv_eq(owner, klx_sv(klx_detectors[i]->name))) {
            return klx_detectors[i]->restore(d->detectors[i], object, value);
        }
    }
    return -ENOENT;
}

void klx_detection_observe(struct klx_detection *d, const struct klx_observation *o) {
    struct klx_outbox *out = klx_publisher_outbox(d->publisher);
    int64_t at_us = now_us(d);
    for (size_t i = 0; i < KLX_DETECTORS_N; i++) {
        klx_detectors[i]->observe(d->detectors[i], o, at_us, out);
    }
}

void klx_detection_relisted(struct klx_detection *d, enum klx_observation_kind kind,
                            bool (*listed)(void *arg, struct klx_sv name), void *arg) {
    for (size_t i = 0; i < KLX_DETECTORS_N; i++) {
        if (klx_detectors[i]->relisted != NULL) {
            klx_detectors[i]->relisted(d->detectors[i], kind, listed, arg, now_us(d),
                                       klx_publisher_outbox(d->publisher));
        }
    }
}

void klx_detection_caught_up(struct klx_detection *d, enum klx_observation_kind kind,
                             struct klx_sv namespace) {
    for (size_t i = 0; i < KLX_DETECTORS_N; i++) {
        if (klx_detectors[i]->caught_up != NULL) {
            klx_detectors[i]->caught_up(d->detectors[i], kind, namespace, now_us(d),
                                        klx_publisher_outbox(d->publisher));
        }
    }
}

void klx_detection_look_soon(struct klx_detection *d) {
    if (!d->soon) {
        d->soon = true;
        klx_timer_start(d->timer, 1);
    }
}

void klx_detection_stop(struct klx_detection *d) {
    klx_timer_stop(d->timer);
}

void klx_detection_free(struct klx_detection *d) {
    if (d == NULL) {
        return;
    }
    klx_timer_free(d->timer);
    for (size_t i = 0; i < KLX_DETECTORS_N; i++) {
        klx_detectors[i]->destroy(d->detectors[i]);
    }
    free(d);
}
