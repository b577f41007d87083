#include <stdint.h>
#include <stdlib.h>

#include "collector/detectors/detector.h"
#include "collector/sources/source.h"
#include "lib/base/cleanup.h"
#include "lib/base/time.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW_US INT64_C(1773212400000000)

struct world {
    struct klx_outbox out; /* first */
    struct klx_arena arena;
    void *again; /* a detector that is given every state that is written */
};

static void must(bool holds) {
    if (!holds) {
        abort();
    }
}

static void on_event(struct klx_outbox *o, const struct klx_event *e) {
    struct klx_arena arena KLX_CLEANUP(klx_arena_release);
    const struct klx_json *data = NULL;
    (void)o;
    klx_arena_init(&arena, 4096, 16 << 20);
    must(klx_json_parse(&arena, e->data, NULL, &data, NULL) == 0);
    must(klx_json_str(data, "summary").n > 0 && e->id.n == 32);
    must(e->incident.n == 0 || e->incident_seq > 0);
}

static void on_state(struct klx_outbox *o, struct klx_sv key, struct klx_sv value) {
    struct world *w = (struct world *)o;
    struct klx_sv object = key;
    klx_sv_cut(&object, '/');
    klx_sv_cut(&object, '/');
    must(value.n == 0 || klx_detector_autoscaling.restore(w->again, object, value) == 0);
}

static const struct klx_source_ops *source_of(struct klx_sv verb) {
    switch (verb.n > 0 ? verb.p[0] : '\0') {
    case 'h':
        return &klx_source_hpa;
    case 'p':
        return &klx_source_pods;
    case 'm':
        return &klx_source_podmetrics;
    default:
        return &klx_source_events;
    }
}

static void observe(struct world *w, void *detector, struct klx_sv line, int64_t now_us) {
    struct klx_sv object = line, verb = klx_sv_cut(&object, ' ');
    const struct klx_source_ops *source = source_of(verb);
    struct klx_observation o = {
        .kind = source->observed,
        .change = verb.n > 1 && verb.p[1] == 'd' ? KLX_CHANGE_DELETED : KLX_CHANGE_MODIFIED,
        .origin = verb.n > 1 && verb.p[1] == 'b' ? KLX_ORIGIN_BASELINE : KLX_ORIGIN_LIVE,
        .cluster = KLX_SV("fuzz"),
    };
    if (klx_json_parse(&w->arena, object, NULL, &o.object, NULL) == 0 &&
        source->observe(o.object, &o) == 0) {
        klx_detector_autoscaling.observe(detector, &o, now_us, &w->out);
    }
}

/* Lines of "VERB JSON": h, p, m or e for an HPA, a Pod, PodMetrics or an Event, then b for the first list or d for deleted. Five minutes lie between two.
   What is told is JSON, and what is remembered can be read again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct world w = { .out = { .event = on_event, .state = on_state } };
    void *detector = klx_detector_autoscaling.create(KLX_SV("fuzz"), NULL);
    struct klx_sv rest = klx_sv_n((const char *)data, size);
    int64_t now_us = NOW_US;
    klx_detector_autoscaling.expect(detector, 1u << KLX_OBSERVED_POD_METRICS);
    klx_arena_init(&w.arena, 65536, 64 << 20);
    w.out.arena = &w.arena;
    w.again = klx_detector_autoscaling.create(KLX_SV("fuzz"), NULL);
    for (size_t i = 0; rest.n > 0 && i < 64; i++) {
        klx_arena_reset(&w.arena);
        klx_detector_autoscaling.tick(detector, now_us, &w.out);
        observe(&w, detector, klx_sv_cut(&rest, '\n'), now_us);
        now_us += 300 * KLX_US_PER_S;
    }
    klx_arena_reset(&w.arena);
    klx_detector_autoscaling.tick(detector, now_us, &w.out);
    klx_detector_autoscaling.destroy(detector);
    klx_detector_autoscaling.destroy(w.again);
    klx_arena_release(&w.arena);
    return 0;
}
