#include "sinks/core/parking/marks.h"

#include <errno.h>

#include "lib/base/json.h"
#include "lib/base/time.h"

#define KEY_BYTES_MAX 1024
#define VALUE_BYTES_MAX 8192 /* also with every byte of reason and answer escaped */

struct klx_sv klx_circuit_channel(struct klx_sv key) {
    const struct klx_sv prefix = KLX_SV(KLX_CIRCUIT_KEY_PREFIX);
    return klx_sv_starts(key, prefix) ? klx_sv_n(key.p + prefix.n, key.n - prefix.n) : klx_sv("");
}

static void encode(const struct klx_circuit_mark *m, struct klx_buf *out) {
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "state", m->closed ? "closed" : "open");
    klx_jw_member_sv(&w, "sink", m->sink);
    if (m->drained.partition >= 0) {
        klx_jw_key(&w, "drainedTo");
        klx_jw_begin_object(&w);
        klx_jw_member_int(&w, "partition", m->drained.partition);
        klx_jw_member_int(&w, "offset", m->drained.offset);
        klx_jw_end_object(&w);
    }
    if (m->since_us != KLX_TIME_NONE) {
        klx_jw_member_time(&w, "since", m->since_us);
    }
    klx_jw_member_sv_opt(&w, "reason", m->reason);
    klx_jw_member_sv_opt(&w, "answer", m->answer);
    klx_jw_member_time(&w, "updated", m->updated_us);
    klx_jw_end_object(&w);
}

int klx_circuit_record_init(struct klx_circuit_record *r, const char *control_topic,
                            struct klx_sv channel, const struct klx_circuit_mark *m) {
    static const struct klx_record_header json = { KLX_SV("content-type"),
                                                   KLX_SV("application/json") };
    klx_buf_init(&r->key, KEY_BYTES_MAX);
    klx_buf_init(&r->value, VALUE_BYTES_MAX);
    klx_buf_add_str(&r->key, KLX_CIRCUIT_KEY_PREFIX);
    klx_buf_add_sv(&r->key, channel);
    encode(m, &r->value);
    r->record = (struct klx_record){ .topic = control_topic,
                                     .partition = -1,
                                     .timestamp_ms = m->updated_us / KLX_US_PER_MS,
                                     .key = klx_buf_sv(&r->key),
                                     .value = klx_buf_sv(&r->value),
                                     .headers = &json,
                                     .headers_n = 1 };
    int rc = klx_buf_check(&r->key);
    return rc == 0 ? klx_buf_check(&r->value) : rc;
}

void klx_circuit_record_release(struct klx_circuit_record *r) {
    klx_buf_release(&r->key);
    klx_buf_release(&r->value);
}

static int64_t time_in(const struct klx_json *node, const char *path) {
    int64_t us = 0;
    return klx_time_parse(klx_json_str(node, path), &us) == 0 ? us : KLX_TIME_NONE;
}

int klx_circuit_decode(struct klx_arena *a, struct klx_sv value, struct klx_circuit_mark *ret,
                       struct klx_error *e) {
    const struct klx_json *json = NULL;
    if (klx_json_parse(a, value, NULL, &json, e) != 0) {
        return -EBADMSG;
    }
    struct klx_sv state = klx_json_str(json, "state");
    bool closed = klx_sv_eq(state, KLX_SV("closed"));
    if (!closed && !klx_sv_eq(state, KLX_SV("open"))) {
        return klx_fail(e, -EBADMSG, "the state is neither open nor closed");
    }
    int64_t partition = klx_json_int(json, "drainedTo.partition", -1);
    int64_t offset = klx_json_int(json, "drainedTo.offset", -1);
    bool known = partition >= 0 && partition <= INT32_MAX && offset >= 0 && offset < INT64_MAX;
    *ret = (struct klx_circuit_mark){
        .closed = closed,
        .sink = klx_json_str(json, "sink"),
        .drained = { known ? (int32_t)partition : -1, known ? offset : -1 },
        .since_us = time_in(json, "since"),
        .updated_us = time_in(json, "updated"),
        .reason = klx_json_str(json, "reason"),
        .answer = klx_json_str(json, "answer"),
    };
    return 0;
}
