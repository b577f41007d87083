/*
 * Endpoints of Prometheus' text format: what their settings name of it is published on klaxon.metrics, in parts of a bounded size. The
 * samples of one scrape have its instant, and it is in their ids: a scrape happens once, so there is nothing to remember between two.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "collector/source_settings.h"
#include "collector/sources/source.h"
#include "lib/base/cleanup.h"
#include "lib/base/exposition.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"

#define PART_BYTES_MAX 65536  /* of a record's data … */
#define PART_BYTES_FULL 49152 /* … and when no more is put into it */
#define SAMPLE_BYTES_MAX 8192
#define LABELS_SHOWN_BYTES_MAX 1024 /* of one value */
#define BODY_BYTES_MAX (64u << 20)
#define DATA_BYTES_MAX (PART_BYTES_MAX + SAMPLE_BYTES_MAX)

struct reader {
    const struct klx_endpoint_settings *s;
    struct klx_exposition text;
    int64_t asked_us;
    size_t bytes;
    struct klx_buf samples; /* of the part that is being filled: objects, with commas */
    int64_t samples_n, part, total, left_out;
    int64_t read; /* samples, also those that nobody wants */
    bool strange; /* a line was no sample */
};

static void *open_reader(const struct klx_source_settings *s, size_t i) {
    struct reader *r = klx_alloc(struct reader);
    r->s = &s->endpoints[i];
    klx_exposition_init(&r->text);
    klx_buf_init(&r->samples, PART_BYTES_MAX);
    return r;
}

static void close_reader(void *reader) {
    struct reader *r = reader;
    klx_exposition_release(&r->text);
    klx_buf_release(&r->samples);
    free(r);
}

static void begin(void *reader, int64_t asked_us, bool more) {
    (void)more;
    struct reader *r = reader;
    klx_exposition_reset(&r->text);
    klx_buf_reset(&r->samples);
    r->asked_us = asked_us;
    r->bytes = 0;
    r->samples_n = r->part = r->total = r->left_out = r->read = 0;
    r->strange = false;
}

static bool keeps(const struct klx_endpoint_settings *s, struct klx_sv label) {
    for (size_t i = 0; i < s->labels.n; i++) {
        if (klx_sv_eq(s->labels.items[i], label)) {
            return true;
        }
    }
    /* What tells the series of one histogram or summary apart. */
    return klx_sv_eq(label, KLX_SV("le")) || klx_sv_eq(label, KLX_SV("quantile"));
}

/* JSON has no numbers for these. */
static void write_value(struct klx_jw *w, double value) {
    klx_jw_key(w, "value");
    if (isfinite(value)) {
        klx_jw_double(w, value);
    } else {
        klx_jw_str(w, isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
    }
}

static void write_sample(const struct reader *r, const struct klx_exposition_sample *s,
                         struct klx_buf *out) {
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_sv(&w, "name", s->name);
    klx_jw_key(&w, "labels");
    klx_jw_begin_object(&w);
    for (size_t i = 0; i < s->labels_n; i++) {
        if (keeps(r->s, s->labels[i].name)) {
            klx_jw_key_sv(&w, s->labels[i].name);
            klx_jw_sv(&w, klx_sv_utf8_prefix(s->labels[i].value, LABELS_SHOWN_BYTES_MAX));
        }
    }
    klx_jw_end_object(&w);
    write_value(&w, s->value);
    if (s->time_us != KLX_TIME_NONE) {
        klx_jw_member_time(&w, "time", s->time_us);
    }
    klx_jw_end_object(&w);
}

static void write_data(const struct reader *r, struct klx_sv summary, bool last,
                       struct klx_buf *out) {
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_sv(&w, "summary", summary);
    klx_jw_key(&w, "object");
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "kind", "Endpoint");
    klx_jw_member_str(&w, "name", r->s->name);
    klx_jw_end_object(&w);
    klx_jw_member_str(&w, "reason", "Scraped");
    klx_jw_key(&w, "labels");
    klx_jw_begin_object(&w);
    klx_jw_end_object(&w);
    klx_jw_key(&w, "scrape");
    klx_jw_begin_object(&w);
    klx_jw_member_time(&w, "time", r->asked_us);
    klx_jw_member_int(&w, "part", r->part);
    klx_jw_member_bool(&w, "last", last);
    if (last) {
        klx_jw_member_int(&w, "samples", r->total);
        klx_jw_member_int(&w, "leftOut", r->left_out);
    }
    klx_jw_end_object(&w);
    klx_jw_key(&w, "samples");
    klx_jw_begin_array(&w);
    if (r->samples.len > 0) {
        klx_jw_raw(&w, klx_buf_sv(&r->samples));
    }
    klx_jw_end_array(&w);
    klx_jw_end_object(&w);
}

static void publish_part(struct reader *r, struct klx_poll_sink *sink, bool last) {
    struct klx_arena *a = sink->out->arena;
    struct klx_buf data KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&data, DATA_BYTES_MAX);
    r->part++;
    struct klx_sv name = klx_sv(r->s->name);
    struct klx_sv number = klx_arena_printf(a, "%" PRId64, r->part);
    struct klx_sv at = klx_arena_printf(a, "%" PRId64, r->asked_us);
    struct klx_sv summary = klx_arena_printf(a, "%" PRId64 " sample%s of %s", r->samples_n,
                                             r->samples_n == 1 ? "" : "s", r->s->name);
    write_data(r, summary, last, &data);
    const struct klx_sv parts[] = { name, at, number };
    const struct klx_event e = {
        .kind = KLX_KIND_METRICS_SCRAPED,
        .id = klx_event_id(a, sink->cluster, KLX_KIND_METRICS_SCRAPED, parts, KLX_COUNT(parts)),
        .source = KLX_CONCAT(a, KLX_SV("/clusters/"), sink->cluster, KLX_SV("/prometheus")),
        .subject = KLX_CONCAT(a, KLX_SV("Endpoint/"), name),
        .key = KLX_CONCAT(a, sink->cluster, KLX_SV("/-/Endpoint/"), name),
        .cluster = sink->cluster,
        .time_us = r->asked_us,
        .data = klx_buf_sv(&data),
    };
    sink->out->event(sink->out, &e);
    klx_buf_reset(&r->samples);
    r->samples_n = 0;
}

static void add_sample(struct reader *r, const struct klx_exposition_sample *s,
                       struct klx_poll_sink *sink) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&text, SAMPLE_BYTES_MAX);
    write_sample(r, s, &text);
    if (r->total >= r->s->samples_max || klx_buf_check(&text) != 0) {
        r->left_out++;
        sink->skipped++;
        return;
    }
    klx_buf_add_str(&r->samples, r->samples_n > 0 ? "," : "");
    klx_buf_add_sv(&r->samples, klx_buf_sv(&text));
    r->samples_n++;
    r->total++;
    sink->samples++;
    if (r->samples.len >= PART_BYTES_FULL) {
        publish_part(r, sink, false);
    }
}

static int take(void *reader, struct klx_sv chunk, struct klx_poll_sink *sink,
                struct klx_error *e) {
    struct reader *r = reader;
    struct klx_exposition_sample s;
    int rc = 0;
    r->bytes += chunk.n;
    if (r->bytes > BODY_BYTES_MAX) {
        return klx_fail(e, -EMSGSIZE, "it is larger than %u bytes", BODY_BYTES_MAX);
    }
    klx_exposition_feed(&r->text, chunk);
    while ((rc = klx_exposition_next(&r->text, &s)) != 0) {
        r->strange = r->strange || rc < 0;
        r->read += rc > 0;
        sink->skipped += rc < 0;
        if (rc > 0 && klx_match_test(r->s->match, s.name)) {
            add_sample(r, &s, sink);
        }
    }
    return 0;
}

static int end(void *reader, struct klx_poll_sink *sink, struct klx_sv *ret_more,
               struct klx_error *e) {
    struct reader *r = reader;
    bool cut = klx_exposition_end(&r->text) != 0;
    sink->skipped += cut;
    *ret_more = klx_sv(NULL);
    if (r->read == 0 && (r->strange || cut)) {
        return klx_fail(e, -EBADMSG, "no line of it is a sample of Prometheus' text format");
    }
    publish_part(r, sink, !cut);
    return cut ? klx_fail(e, -EBADMSG, "the last line is cut off") : 0;
}

static const struct klx_poll_ops poll = {
    .accept = "text/plain;version=0.0.4",
    .open = open_reader,
    .close = close_reader,
    .begin = begin,
    .take = take,
    .end = end,
};

static int observe(const struct klx_json *object, struct klx_observation *ret) {
    (void)object;
    (void)ret;
    return -ENOENT; /* samples are no objects */
}

const struct klx_source_ops klx_source_prometheus = {
    .name = "prometheus",
    .endpoints = true,
    .topic = KLX_TOPIC_METRICS,
    .observe = observe,
    .poll = &poll,
};
