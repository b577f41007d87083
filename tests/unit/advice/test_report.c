/*
 * What advice looks like: tests/golden/advice.
 */
#include "tests/unit/support/support.h"

#include <math.h>

#include "advice/report.h"
#include "lib/base/cleanup.h"
#include "tests/unit/support/hpa_evidence.h"

#define GI ((double)TEST_GI)
#define HOUR 3600

static double waves(double second) {
    return GI * (36 - 34 * cos(second / HOUR * 3.14159));
}

struct world {
    struct klx_evidence h;
    struct klx_load load;
    struct klx_search_options options;
    struct klx_advice advice;
    struct klx_report report;
    struct klx_buf out;
};

static void begin(struct world *w, bool managed, double giant) {
    const struct klx_load_options options = { .base = -1 };
    const struct test_load l = { .load = waves,
                                 .base = 0.5 * GI,
                                 .giant = giant,
                                 .scrape_s = 15,
                                 .start_s = 20,
                                 .seconds = 6 * HOUR,
                                 .min = 2,
                                 .max = 4,
                                 .began_us = TEST_START_US };
    struct test_sequence unused;
    test_evidence(&w->h, &l, &unused);
    w->h.subject.managed = managed;
    if (!managed) {
        snprintf(w->h.subject.left_out, sizeof(w->h.subject.left_out), "cpu");
        w->h.subject.behavior_known = true;
        w->h.subject.spec.up.tolerance = 0.05;
    }
    assert_int_equal(klx_load_init(&w->load, &w->h, &options, NULL), 0);
    w->options = (struct klx_search_options){ .load = &w->load,
                                              .subject = &w->h.subject,
                                              .flags = klx_scaler_flags_default,
                                              .growth = KLX_SEARCH_GROWTH,
                                              .max_cap = KLX_MANAGED_MAX,
                                              .min_cap = KLX_MANAGED_MIN };
    klx_search(&w->options, &w->advice);
    w->report = (struct klx_report){
        .history = &w->h, .load = &w->load, .options = &w->options, .advice = &w->advice
    };
    klx_buf_init(&w->out, KLX_REPORT_BYTES_MAX);
}

static void end(struct world *w, const char *golden) {
    assert_int_equal(klx_buf_check(&w->out), 0);
    golden_check(golden, klx_buf_sv(&w->out));
    klx_buf_release(&w->out);
    klx_load_release(&w->load);
    klx_evidence_release(&w->h);
}

static const struct klx_report_style utf8 = {
    .utf8 = true, .strong = "", .weak = "", .plain = "", .width = 80
};
static const struct klx_report_style ascii = {
    .strong = "<b>", .weak = "<i>", .plain = "<>", .width = 30
};

static void a_report(void **state) {
    (void)state;
    struct world w;
    begin(&w, true, 0);
    klx_report_text(&w.report, &utf8, &w.out);
    end(&w, "advice/managed.txt");
}

static void one_for_ascii_of_an_hpa_of_ones_own(void **state) {
    (void)state;
    struct world w;
    begin(&w, false, 0);
    klx_report_text(&w.report, &ascii, &w.out);
    end(&w, "advice/own.txt");
}

static void one_where_no_bounds_help(void **state) {
    (void)state;
    struct world w;
    begin(&w, true, 0.9);
    klx_report_text(&w.report, &utf8, &w.out);
    end(&w, "advice/giant.txt");
}

static void for_programs(void **state) {
    (void)state;
    struct world w;
    begin(&w, false, 0);
    klx_report_json(&w.report, &w.out);
    end(&w, "advice/own.json");
}

static void a_picture(void **state) {
    (void)state;
    struct world w;
    begin(&w, true, 0);
    klx_report_svg(&w.report, &w.out);
    end(&w, "advice/managed.svg");
}

static void what_is_applied(void **state) {
    (void)state;
    for (int managed = 0; managed < 2; managed++) {
        struct world w;
        begin(&w, managed == 1, 0);
        klx_report_patch(&w.report, &w.out);
        klx_report_manifest(&w.report, &w.out);
        klx_report_values(&w.report, &w.out);
        end(&w, managed == 1 ? "advice/managed.apply" : "advice/own.apply");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report),
        cmocka_unit_test(one_for_ascii_of_an_hpa_of_ones_own),
        cmocka_unit_test(one_where_no_bounds_help),
        cmocka_unit_test(for_programs),
        cmocka_unit_test(a_picture),
        cmocka_unit_test(what_is_applied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
