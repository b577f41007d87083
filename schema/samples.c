#include "schema/samples.h"

#include <stdio.h>

#include "lib/base/cleanup.h"
#include "schema/samples_bytes.h"

#define HEADERS_MAX 32

static struct klx_sv text_of(struct klx_arena *a, const struct klx_json *node) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&text, 1 << 20);
    klx_jw_init(&w, &text);
    klx_jw_node(&w, node);
    return klx_buf_check(&text) == 0 ? klx_arena_dup(a, klx_buf_sv(&text)) : klx_sv(NULL);
}

/* The files are objects one behind the other, each of which ends with the only "}" at the beginning of a line. */
static struct klx_sv cut_file(struct klx_sv *rest) {
    size_t end = klx_sv_find_sv(*rest, KLX_SV("\n}"));
    size_t n = end < rest->n ? end + 2 : rest->n;
    struct klx_sv file = klx_sv_n(rest->p, n);
    *rest = klx_sv_n(rest->p + n, rest->n - n);
    return file;
}

static struct klx_sv find_file(enum klx_kind kind) {
    char mark[128];
    int n = snprintf(mark, sizeof(mark), "\"ce_type\": \"%s\"", klx_kind_specs[kind].type);
    struct klx_sv rest = klx_sv_n(klx_samples, klx_samples_bytes);
    while (rest.n > 0) {
        struct klx_sv file = cut_file(&rest);
        if (klx_sv_find_sv(file, klx_sv_n(mark, (size_t)n)) < file.n) {
            return file;
        }
    }
    return klx_sv(NULL);
}

int klx_sample_event(struct klx_arena *a, enum klx_kind kind, struct klx_event *ret,
                     const struct klx_json **ret_data) {
    const struct klx_json *sample = NULL;
    struct klx_record_header headers[HEADERS_MAX];
    size_t n = 0;
    int rc = klx_json_parse(a, find_file(kind), NULL, &sample, NULL);
    if (rc != 0) {
        return rc;
    }
    const struct klx_json *h = klx_json_first(klx_json_get(sample, "headers"));
    for (; h != NULL && n < HEADERS_MAX; h = klx_json_next(h)) {
        headers[n++] = (struct klx_record_header){ klx_json_key(h), klx_json_str(h, "") };
    }
    *ret_data = klx_json_get(sample, "value");
    const struct klx_record r = { .topic = klx_json_str(sample, "topic").p,
                                  .timestamp_ms = klx_json_int(sample, "timestamp", -1),
                                  .key = klx_json_str(sample, "key"),
                                  .value = text_of(a, *ret_data),
                                  .headers = headers,
                                  .headers_n = n };
    return r.value.p == NULL ? -ENOMEM : klx_event_decode(a, &r, ret, NULL);
}
