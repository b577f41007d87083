#include <stdint.h>

#include "collector/kube/frame.h"
#include "collector/kube/list_place.h"
#include "collector/sources/source.h"
#include "lib/base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore_event(struct klx_outbox *o, const struct klx_event *e) {
    (void)o;
    (void)e;
}

/* The way of a frame's bytes: framer, JSON, both sources. The first byte says how the stream is cut into chunks. */
static void take(struct klx_sv frame, struct klx_arena *arena) {
    const struct klx_json *root = NULL;
    struct klx_outbox out = { .event = ignore_event, .arena = arena };
    klx_arena_reset(arena);
    if (klx_frame_parse(arena, frame, NULL, &root) != 0) {
        return;
    }
    const struct klx_json *object = klx_json_get(root, "object");
    struct klx_observation o = { .change = KLX_CHANGE_ADDED, .cluster = KLX_SV("fuzz") };
    if (klx_source_events.observe(object, &o) == 0) {
        klx_source_events.publish(&o, object, &out);
    }
    char key[KLX_LIST_KEY_BYTES];
    struct klx_list_place place;
    klx_list_key(object, key);
    if (klx_list_place_read(&place, frame) == 0) {
        klx_list_place_advance(&place, key, KLX_SV("1"));
    }
    if (klx_source_nodes.observe(object, &o) == 0 && o.name.n == 0) {
        __builtin_trap();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct klx_framer f;
    struct klx_arena arena;
    klx_framer_init(&f);
    klx_arena_init(&arena, 4096, 4 << 20);
    size_t step = size > 0 && data[0] > 0 ? data[0] : 1;
    for (size_t i = 1; i < size; i += step) {
        struct klx_sv frame;
        klx_framer_feed(&f, klx_sv_n((const char *)data + i, size - i < step ? size - i : step));
        while (klx_framer_next(&f, &frame) > 0) {
            take(frame, &arena);
        }
    }
    klx_arena_release(&arena);
    klx_framer_release(&f);
    return 0;
}
