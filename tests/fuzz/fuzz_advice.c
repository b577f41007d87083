/*
 * An HPA's object in the first line, and in the others values of events and samples of it: whatever is read of them is played, searched and
 * reported, and what is shown holds nothing that could command a terminal.
 */
#include <stdint.h>
#include <stdlib.h>

#include "advice/report.h"
#include "lib/base/cleanup.h"

#define TREE_BYTES_MAX (64u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds) {
    if (!holds) {
        abort();
    }
}

static void feed(struct klx_evidence *h, struct klx_sv value, const char *type, const char *key,
                 void (*take)(struct klx_evidence *h, const struct klx_record *r)) {
    const struct klx_record_header headers[] = {
        { KLX_SV("ce_specversion"), KLX_SV("1.0") },
        { KLX_SV("ce_id"), KLX_SV("1") },
        { KLX_SV("ce_source"), KLX_SV("/clusters/c/hpa") },
        { KLX_SV("ce_type"), klx_sv(type) },
        { KLX_SV("ce_time"), KLX_SV("2026-03-11T07:00:00Z") },
        { KLX_SV("ce_cluster"), KLX_SV("c") },
        { KLX_SV("ce_severity"), KLX_SV("info") },
        { KLX_SV("content-type"), KLX_SV("application/json") },
    };
    const struct klx_record r = { .topic = "t",
                                  .key = klx_sv(key),
                                  .value = value,
                                  .headers = headers,
                                  .headers_n = KLX_COUNT(headers) };
    take(h, &r);
}

static void check_text(const struct klx_buf *out) {
    for (size_t i = 0; i < out->len; i++) {
        unsigned char c = (unsigned char)out->data[i];
        must(c == '\n' || (c >= 0x20 && c != 0x7f));
    }
}

static void report(const struct klx_report *r) {
    static void (*const forms[])(const struct klx_report *r, struct klx_buf *out) = {
        klx_report_json, klx_report_svg, klx_report_patch, klx_report_manifest, klx_report_values
    };
    static const struct klx_report_style style = {
        .strong = "", .weak = "", .plain = "", .width = 80
    };
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, KLX_REPORT_BYTES_MAX);
    klx_report_text(r, &style, &out);
    check_text(&out);
    for (size_t i = 0; i < KLX_COUNT(forms); i++) {
        klx_buf_reset(&out);
        forms[i](r, &out);
        check_text(&out);
    }
}

static void advise(const struct klx_evidence *h) {
    struct klx_load load;
    struct klx_advice advice;
    const struct klx_load_options options = { .base = -1 };
    if (klx_load_init(&load, h, &options, NULL) != 0) {
        return;
    }
    struct klx_search_options search = { .load = &load,
                                         .subject = &h->subject,
                                         .flags = klx_scaler_flags_default,
                                         .growth = KLX_SEARCH_GROWTH,
                                         .max_cap = 12,
                                         .min_cap = 1 };
    search.max_cap = h->subject.spec.max > search.max_cap ? h->subject.spec.max : search.max_cap;
    klx_search(&search, &advice);
    const struct klx_report r = {
        .history = h, .load = &load, .options = &search, .advice = &advice
    };
    must(advice.proposed.spec.min <= advice.proposed.spec.max);
    report(&r);
    klx_load_release(&load);
}

static void read_object(struct klx_evidence *h, struct klx_sv text) {
    struct klx_arena arena KLX_CLEANUP(klx_arena_release);
    const struct klx_json *object = NULL;
    klx_arena_init(&arena, 65536, TREE_BYTES_MAX);
    if (klx_json_parse(&arena, text, NULL, &object, NULL) == 0) {
        (void)!klx_evidence_object(h, object, NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct klx_sv rest = klx_sv_n((const char *)data, size);
    struct klx_evidence h;
    klx_evidence_init(&h, NULL, NULL, "web");
    read_object(&h, klx_sv_cut(&rest, '\n'));
    struct klx_sv samples = rest;
    while (rest.n > 0) {
        struct klx_sv line = klx_sv_cut(&rest, '\n');
        feed(&h, line, "io.klaxon.hpa.scaled.up", "c/shop/web", klx_evidence_scaling);
        feed(&h, line, "io.klaxon.hpa.relieved", "c/shop/web", klx_evidence_scaling);
        feed(&h, line, "io.klaxon.pod.oomkilled", "c/shop/web-1", klx_evidence_scaling);
    }
    if (klx_evidence_choose(&h, NULL) == 0) {
        static const char *const keys[] = { "c/shop/web-1", "c/shop/web-2", "c/shop/web-3" };
        for (size_t i = 0; samples.n > 0; i++) {
            feed(&h, klx_sv_cut(&samples, '\n'), "io.klaxon.pod.sample", keys[i % KLX_COUNT(keys)],
                 klx_evidence_metrics);
        }
        klx_evidence_sort(&h);
        advise(&h);
    }
    klx_evidence_release(&h);
    return 0;
}
