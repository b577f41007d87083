#include <stdint.h>

#include "schema/event.h"

#define HEADERS_MAX 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input as a record: lines "name: value" (`timestamp` is the record's own), an empty line, the value. */
static void read_record(struct klx_sv rest, struct klx_record_header *headers,
                        struct klx_record *r) {
    struct klx_sv line = klx_sv_cut(&rest, '\n');
    while (line.n > 0 && r->headers_n < HEADERS_MAX) {
        struct klx_sv name = klx_sv_cut(&line, ':');
        struct klx_sv value = klx_sv_trim(line);
        int64_t number = 0;
        if (klx_sv_eq(name, KLX_SV("timestamp")) && klx_sv_int(value, &number) == 0) {
            r->timestamp_ms = number;
        } else {
            headers[r->headers_n++] = (struct klx_record_header){ name, value };
        }
        line = klx_sv_cut(&rest, '\n');
    }
    r->headers = headers;
    r->value = rest;
}

/* What decodes, encodes; and that decodes to the same event. */
static bool survives(struct klx_arena *a, const struct klx_event *e) {
    struct klx_topic_names topics;
    struct klx_record again;
    struct klx_event back;
    int rc = klx_topic_names_init(&topics, KLX_SV("klaxon."), NULL);
    rc = rc == 0 ? klx_event_encode(a, &topics, e, e->time_us, &again) : rc;
    if (rc == -ENOMEM) {
        return true;
    }
    rc = rc == 0 ? klx_event_decode(a, &again, &back, NULL) : rc;
    return rc == 0 && klx_sv_eq(back.id, e->id) && back.kind == e->kind &&
           klx_sv_eq(back.data, e->data) && back.severity == e->severity;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct klx_record_header headers[HEADERS_MAX];
    struct klx_record r = { .topic = "klaxon.nodes" };
    struct klx_arena a;
    struct klx_event e;
    klx_arena_init(&a, 4096, 1 << 20);
    read_record(klx_sv_n((const char *)data, size), headers, &r);
    bool good =
        klx_event_decode(&a, &r, &e, NULL) != 0 || e.kind == KLX_KIND_UNKNOWN || survives(&a, &e);
    klx_arena_release(&a);
    if (!good) {
        __builtin_trap();
    }
    return 0;
}
