/* What the readers of polled sources make of answers, however they come. */
#include "tests/unit/support/support.h"

#include <errno.h>
#include <stdio.h>

#include "collector/source_settings.h"
#include "lib/base/cleanup.h"
#include "lib/base/time.h"

#define ASKED_US INT64_C(1773212400000000)

/* A sink that writes down what it is given. */
struct recorder {
    struct klx_poll_sink sink; /* first */
    struct klx_outbox outbox;
    struct klx_arena arena;
    struct klx_buf text; /* a line for each sample or event */
    size_t events, observed, states, largest;
};

static struct recorder r;

static void on_event(struct klx_outbox *o, const struct klx_event *e) {
    (void)o;
    const struct klx_json *data = NULL;
    assert_int_equal(klx_json_parse(&r.arena, e->data, NULL, &data, NULL), 0);
    r.events++;
    r.largest = e->data.n > r.largest ? e->data.n : r.largest;
    klx_buf_printf(&r.text, "%.*s part %d%s\n", KLX_SV_FMT(e->key),
                   (int)klx_json_int(data, "scrape.part", 0),
                   klx_json_bool(data, "scrape.last", false) ? " last" : "");
    const struct klx_json *s = klx_json_first(klx_json_get(data, "samples"));
    for (; s != NULL; s = klx_json_next(s)) {
        struct klx_jw w;
        klx_jw_init(&w, &r.text);
        klx_jw_node(&w, s);
        klx_buf_add_char(&r.text, '\n');
    }
}

static void on_observed(struct klx_poll_sink *s, const struct klx_observation *o) {
    (void)s;
    r.observed++;
    klx_buf_printf(&r.text, "%.*s/%.*s %.*s\n", KLX_SV_FMT(o->namespace), KLX_SV_FMT(o->name),
                   KLX_SV_FMT(o->resource_version));
}

static void on_state(struct klx_poll_sink *s, const char *name, struct klx_sv value) {
    (void)s;
    (void)name;
    (void)value;
    r.states++;
}

static int begin(void **state) {
    (void)state;
    r = (struct recorder){
        .sink = { .cluster = KLX_SV("prod"), .observe = on_observed, .state = on_state }
    };
    klx_arena_init(&r.arena, 65536, 64u << 20);
    klx_buf_init(&r.text, 64u << 20);
    r.outbox = (struct klx_outbox){ .event = on_event, .arena = &r.arena };
    r.sink.out = &r.outbox;
    return 0;
}

static int end(void **state) {
    (void)state;
    klx_arena_release(&r.arena);
    klx_buf_release(&r.text);
    return 0;
}

/* One answer, in pieces; the result of its end. */
static int answer(const struct klx_poll_ops *ops, void *reader, struct klx_sv body, size_t step) {
    struct klx_error e = { 0 };
    struct klx_sv more = { 0 };
    int rc = 0;
    ops->begin(reader, ASKED_US, false);
    for (size_t i = 0; i < body.n && rc == 0; i += step) {
        struct klx_sv chunk = klx_sv_n(body.p + i, body.n - i < step ? body.n - i : step);
        rc = ops->take(reader, chunk, &r.sink, &e);
    }
    return rc != 0 ? rc : ops->end(reader, &r.sink, &more, &e);
}

static void scrape(const char *metrics, const char *labels, int64_t samples_max, struct klx_sv body,
                   size_t step, int wanted_rc) {
    struct klx_sv names[] = { klx_sv(metrics) }, kept[] = { klx_sv(labels) };
    struct klx_endpoint_settings endpoint = { .name = (char[]){ "ksm" },
                                              .metrics = { names, 1 },
                                              .labels = { kept, labels != NULL ? 1 : 0 },
                                              .samples_max = samples_max };
    assert_int_equal(klx_match_new(names, 1, &endpoint.match, NULL), 0);
    const struct klx_source_settings s = { .ops = &klx_source_prometheus,
                                           .endpoints = &endpoint,
                                           .endpoints_n = 1 };
    const struct klx_poll_ops *ops = klx_source_prometheus.poll;
    void *reader = ops->open(&s, 0);
    assert_int_equal(answer(ops, reader, body, step), wanted_rc);
    ops->close(reader);
    klx_match_free(endpoint.match);
}

static void only_what_is_named_is_kept(void **state) {
    (void)state;
    scrape("kube_*", "namespace", 100,
           KLX_SV("# TYPE kube_x gauge\nkube_x{namespace=\"a\",token=\"secret\"} 1.5\nother 2\n"
                  "kube_h_bucket{le=\"+Inf\",pod=\"p\"} NaN 1773212399000\n"),
           7, 0);
    assert_string_equal(
        klx_buf_str(&r.text),
        "prod/-/Endpoint/ksm part 1 last\n"
        "{\"name\":\"kube_x\",\"labels\":{\"namespace\":\"a\"},\"value\":1.5}\n"
        "{\"name\":\"kube_h_bucket\",\"labels\":{\"le\":\"+Inf\"},\"value\":\"NaN\","
        "\"time\":\"2026-03-11T06:59:59.000000Z\"}\n");
}

static void a_scrape_has_a_limit(void **state) {
    (void)state;
    scrape("a", NULL, 2, KLX_SV("a 1\na 2\na 3\na 4\n"), 100, 0);
    assert_int_equal(r.sink.samples, 2);
    assert_int_equal(r.sink.skipped, 2);
}

static void what_is_cut_or_no_text_is_said(void **state) {
    (void)state;
    scrape("*", NULL, 10, KLX_SV("a 1\nb 2"), 3, -EBADMSG);
    assert_null(strstr(klx_buf_str(&r.text), "last"));
    assert_null(strstr(klx_buf_str(&r.text), "\"b\""));
    size_t events = r.events;
    scrape("*", NULL, 10, KLX_SV("<html>\nno\n</html>\n"), 100, -EBADMSG);
    assert_int_equal(r.sink.skipped, 4);
    assert_int_equal(r.events, events);
    scrape("*", NULL, 10, KLX_SV("<html>\na 1\n"), 100, 0); /* a line that is odd among others */
    scrape("*", NULL, 10, KLX_SV(""), 100, 0);
}

/* Ten megabytes, of which a part is wanted: records stay small, and memory does. */
static void a_large_body_comes_in_parts(void **state) {
    (void)state;
    struct klx_buf body KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&body, 16u << 20);
    for (int i = 0; body.len < (10u << 20); i++) {
        klx_buf_printf(&body, "%s_total{pod=\"pod-number-%06d\",namespace=\"default\"} %d\n",
                       i % 10 == 0 ? "wanted" : "unwanted", i, i);
    }
    scrape("wanted_*", "pod", 50000, klx_buf_sv(&body), 16384, 0);
    assert_true(r.events > 10);
    assert_true(r.largest < (1u << 16) + 1024);
    assert_true(r.sink.samples > 15000);
    assert_int_equal(r.sink.skipped, 0);
}

static const char pods[] =
    "{\"kind\":\"PodMetricsList\",\"items\":[{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\"},"
    "\"timestamp\":\"2026-03-11T07:00:00Z\",\"containers\":[]},{\"metadata\":{\"name\":\"b\"}},"
    "{\"metadata\":{\"name\":\"c\",\"namespace\":\"n\"},\"timestamp\":\"2026-03-11T07:00:01Z\"}]}";

static void pod_metrics_are_handed_up_once(void **state) {
    (void)state;
    const struct klx_source_settings s = { .ops = &klx_source_podmetrics };
    const struct klx_poll_ops *ops = klx_source_podmetrics.poll;
    void *reader = ops->open(&s, 0);
    assert_int_equal(answer(ops, reader, klx_sv(pods), 10), 0);
    assert_string_equal(klx_buf_str(&r.text),
                        "n/a 2026-03-11T07:00:00Z\nn/c 2026-03-11T07:00:01Z\n");
    assert_int_equal(r.sink.skipped, 1); /* without a namespace */
    size_t states = r.states;
    assert_true(states > 0);
    assert_int_equal(answer(ops, reader, klx_sv(pods), 1000), 0);
    assert_int_equal(r.observed, 2);
    assert_int_equal(r.states, states);
    ops->close(reader);
}

static void no_list_is_said(void **state) {
    (void)state;
    const struct klx_source_settings s = { .ops = &klx_source_podmetrics };
    const struct klx_poll_ops *ops = klx_source_podmetrics.poll;
    void *reader = ops->open(&s, 0);
    assert_int_equal(answer(ops, reader, klx_sv_n(pods, sizeof(pods) - 3), 10), -EBADMSG);
    assert_int_equal(answer(ops, reader, KLX_SV("upstream connect error"), 10), -EBADMSG);
    ops->close(reader);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_what_is_named_is_kept, begin, end),
        cmocka_unit_test_setup_teardown(a_scrape_has_a_limit, begin, end),
        cmocka_unit_test_setup_teardown(what_is_cut_or_no_text_is_said, begin, end),
        cmocka_unit_test_setup_teardown(a_large_body_comes_in_parts, begin, end),
        cmocka_unit_test_setup_teardown(pod_metrics_are_handed_up_once, begin, end),
        cmocka_unit_test_setup_teardown(no_list_is_said, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
