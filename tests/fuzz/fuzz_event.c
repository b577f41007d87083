#include <stdint.h>

#include "schema/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A record of "name=value" lines as headers, and what follows an empty line as its value. What decodes is encoded and decodes again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct klx_record_header headers[16];
    struct klx_record r = { .headers = headers };
    struct klx_sv rest = klx_sv_n((const char *)data, size);
    while (rest.n > 0 && r.headers_n < 16) {
        struct klx_sv value = klx_sv_cut(&rest, '\n');
        if (value.n == 0) {
            break;
        }
        struct klx_sv name = klx_sv_cut(&value, '=');
        headers[r.headers_n++] = (struct klx_record_header){ name, value };
    }
    r.value = rest;
    struct klx_arena a;
    struct klx_topic_names topics;
    struct klx_event e, again;
    struct klx_record written;
    klx_arena_init(&a, 4096, 16 << 20);
    int rc = klx_topic_names_init(&topics, KLX_SV("fuzz."), NULL);
    if (rc == 0 && klx_event_decode(&a, &r, &e, NULL) == 0 && e.kind != KLX_KIND_UNKNOWN &&
        klx_event_encode(&a, &topics, &e, 0, &written) == 0) {
        rc = klx_event_decode(&a, &written, &again, NULL);
    }
    klx_arena_release(&a);
    if (rc != 0) {
        __builtin_trap();
    }
    return 0;
}
