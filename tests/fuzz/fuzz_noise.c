/* What others may write to klaxon.control and klaxon.state, and matchers as somebody types them. */
#include <stdint.h>

#include "lib/base/buf.h"
#include "sinks/core/noise/incidents.h"
#include "sinks/core/noise/silence.h"
#include "sinks/core/noise/snapshot.h"

#define NOW INT64_C(1773216000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read can be written, and is read again. */
static void try_matchers(struct klx_sv text) {
    struct klx_matchers m = { 0 }, again = { 0 };
    struct klx_error e;
    struct klx_buf out;
    if (klx_matchers_parse(&m, text, &e) != 0) {
        return;
    }
    klx_buf_init(&out, 4u << 20);
    klx_matchers_write(&m, &out);
    if (klx_buf_check(&out) == 0 &&
        (klx_matchers_parse(&again, klx_buf_sv(&out), &e) != 0 || again.n != m.n)) {
        __builtin_trap();
    }
    klx_matchers_release(&again);
    klx_matchers_release(&m);
    klx_buf_release(&out);
}

static void try_silence(struct klx_sv text) {
    struct klx_silences *s = klx_silences_new();
    struct klx_error e;
    (void)!klx_silences_put(s, KLX_SV("silence/x"), text, NOW, &e);
    klx_silences_free(s);
}

static void try_state(struct klx_sv text) {
    struct klx_incidents *t = klx_incidents_new();
    struct klx_error e;
    int rc = 0;
    struct klx_incident *i = klx_incidents_put(t, KLX_SV("sink/c/i"), text, &rc, &e);
    if (i != NULL && i->event != NULL) {
        struct klx_arena a;
        struct klx_record r;
        klx_arena_init(&a, 8192, 8u << 20);
        (void)!klx_snapshot_read(&a, klx_sv_n(i->event, i->event_bytes), "t", &r, &e);
        klx_arena_release(&a);
    }
    klx_incidents_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct klx_sv text = klx_sv_n((const char *)data, size);
    try_matchers(text);
    try_silence(text);
    try_state(text);
    return 0;
}
