#include "tests/unit/support/support.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "lib/base/cleanup.h"
#include "lib/base/exposition.h"
#include "lib/base/time.h"

static void write_sample(struct klx_buf *out, const struct klx_exposition_sample *s) {
    klx_buf_add_sv(out, s->name);
    for (size_t i = 0; i < s->labels_n; i++) {
        klx_buf_printf(out, " %.*s=<%.*s>", KLX_SV_FMT(s->labels[i].name),
                       KLX_SV_FMT(s->labels[i].value));
    }
    klx_buf_printf(out, " %g", s->value);
    if (s->time_us != KLX_TIME_NONE) {
        klx_buf_printf(out, " @%lld", (long long)(s->time_us / KLX_US_PER_MS));
    }
    klx_buf_add_char(out, '\n');
}

/* What is read of a body that comes in pieces of `step` bytes; a bad line is "?", a cut one "...". */
static void read_all(struct klx_sv body, size_t step, struct klx_buf *out) {
    struct klx_exposition x;
    struct klx_exposition_sample s;
    klx_exposition_init(&x);
    for (size_t i = 0; i < body.n; i += step) {
        klx_exposition_feed(&x, klx_sv_n(body.p + i, body.n - i < step ? body.n - i : step));
        int rc = 0;
        while ((rc = klx_exposition_next(&x, &s)) != 0) {
            if (rc > 0) {
                write_sample(out, &s);
            } else {
                klx_buf_add_str(out, "?\n");
            }
        }
    }
    if (klx_exposition_end(&x) != 0) {
        klx_buf_add_str(out, "...\n");
    }
    klx_exposition_release(&x);
}

static void check(const char *body, const char *wanted) {
    for (size_t step = 1; step <= strlen(body) + 1; step++) {
        struct klx_buf out KLX_CLEANUP(klx_buf_release);
        klx_buf_init(&out, 1u << 20);
        read_all(klx_sv(body), step, &out);
        assert_string_equal(klx_buf_str(&out), wanted);
    }
}

static void a_line_is_a_sample(void **state) {
    (void)state;
    check("up 1\n", "up 1\n");
    check("# HELP up Is it?\n# TYPE up gauge\n\n  \nup 1\n# EOF\n", "up 1\n");
    check("a:b_c9{x=\"1\",y_2=\"\"} 2.5e-3 1773212400000\n",
          "a:b_c9 x=<1> y_2=<> 0.0025 @1773212400000\n");
    check("a{x=\"1\",} 1\na{} 2\na {x = \"1\" , y=\"2\" }\t3\n",
          "a x=<1> 1\na 2\na x=<1> y=<2> 3\n");
    check("up 1\r\ndown 0\r\n", "up 1\ndown 0\n");
    check("a 1 -1\n", "a 1 @-1\n");
}

static void values_are_those_of_go(void **state) {
    (void)state;
    check("a NaN\nb +Inf\nc -Inf\nd Inf\ne 0x1p-2\nf +3\ng .5\nh 1e400\n",
          "a nan\nb inf\nc -inf\nd inf\ne 0.25\nf 3\ng 0.5\nh inf\n");
    check("a 1,5\na 1_000\na nan(1)\na one\na\na \n", "?\n?\n?\n?\n?\n?\n");
}

static void escapes_are_undone(void **state) {
    (void)state;
    check("a{x=\"q\\\"b\\\\n\\nl\\d\"} 1\n", "a x=<q\"b\\n\nl\\d> 1\n");
    check("a{x=\"}# 1\",y=\"\\\\\"} 1\n", "a x=<}# 1> y=<\\> 1\n");
}

static void histograms_are_plain_series(void **state) {
    (void)state;
    check(
        "# TYPE h histogram\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"+Inf\"} 2 # {trace_id=\"a b\"} "
        "0.3 1.2\nh_sum 0.7\nh_count 2\n",
        "h_bucket le=<0.5> 1\nh_bucket le=<+Inf> 2\nh_sum 0.7\nh_count 2\n");
}

static void what_is_no_sample_is_passed_over(void **state) {
    (void)state;
    check("1a 1\nok 1\n{x=\"1\"} 1\nok 2\na{x=1} 1\na{x=\"1} 1\nok 3\na{x=\"1\" y=\"2\"} "
          "1\na{=\"1\"} "
          "1\na 1 2 3\na 1 x\na{x=\"1\"\nok 4\n",
          "?\nok 1\n?\nok 2\n?\n?\nok 3\n?\n?\n?\n?\n?\nok 4\n");
    check("a 1 99999999999999999999\na 1 9223372036854775807\n", "?\n?\n");
}

/* A body that ends inside of a line: 12 may have been 1234. */
static void a_line_that_is_cut_is_not_read(void **state) {
    (void)state;
    check("a 1\nb 12", "a 1\n...\n");
    check("a 1\n# EOF", "a 1\n");
    check("", "");
}

static void lines_and_labels_are_bounded(void **state) {
    (void)state;
    struct klx_buf body KLX_CLEANUP(klx_buf_release), out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&body, 1u << 20);
    klx_buf_add_str(&body, "a{x=\"");
    for (int i = 0; i < KLX_EXPOSITION_LINE_BYTES_MAX; i++) {
        klx_buf_add_char(&body, 'x');
    }
    klx_buf_add_str(&body, "\"} 1\nok 1\nmany{");
    for (int i = 0; i <= KLX_EXPOSITION_LABELS_MAX; i++) {
        klx_buf_printf(&body, "l%d=\"1\",", i);
    }
    klx_buf_add_str(&body, "} 1\nok 2\n");
    for (size_t step = 1000; step < 100000; step += 33000) {
        klx_buf_init(&out, 1000);
        read_all(klx_buf_sv(&body), step, &out);
        assert_string_equal(klx_buf_str(&out), "?\nok 1\n?\nok 2\n");
        klx_buf_release(&out);
    }
    klx_buf_init(&out, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_a_sample),
        cmocka_unit_test(values_are_those_of_go),
        cmocka_unit_test(escapes_are_undone),
        cmocka_unit_test(histograms_are_plain_series),
        cmocka_unit_test(what_is_no_sample_is_passed_over),
        cmocka_unit_test(a_line_that_is_cut_is_not_read),
        cmocka_unit_test(lines_and_labels_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
