#include "tests/unit/support/support.h"

#include "cli/findings.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"

static const struct klx_check_counts counts = { 1, 2, 0 };

static void a_text_falls_into_its_parts(void **state) {
    (void)state;
    static const struct {
        const char *text, *file, *path, *message;
        unsigned line, column;
    } cases[] = {
        { "a.yaml:3:14: channels.ops: expected x: y", "a.yaml", "channels.ops", "expected x: y", 3,
          14 },
        { "/etc/a:1:b.yaml:12:1: unknown key \"x\"", "/etc/a:1:b.yaml", "", "unknown key \"x\"", 12,
          1 },
        { "a.yaml:2:1: \"kafka\" is missing: a map", "a.yaml", "", "\"kafka\" is missing: a map", 2,
          1 },
        { "cannot read a.yaml: No such file", "", "", "cannot read a.yaml: No such file", 0, 0 },
        { "a.yaml:0:99999999999: x: y", "", "", "a.yaml:0:99999999999: x: y", 0, 0 },
        { "", "", "", "", 0, 0 },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_findings f;
        klx_findings_init(&f);
        klx_findings_add(&f, false, cases[i].text);
        assert_sv(f.items[0].file, cases[i].file);
        assert_sv(f.items[0].path, cases[i].path);
        assert_sv(f.items[0].message, cases[i].message);
        assert_int_equal(f.items[0].line, cases[i].line);
        assert_int_equal(f.items[0].column, cases[i].column);
        klx_findings_release(&f);
    }
}

static void fill(struct klx_findings *f) {
    klx_findings_init(f);
    klx_findings_add(f, false, "k.yaml:9:1: log: first the file, then the line");
    klx_findings_add(f, true, "d/a.yaml:1:1: channels.x: hostile \x1b[2J \"quoted\", 100%");
    klx_findings_add(f, false, "k.yaml:2:10: kafka: b");
    klx_findings_add(f, false, "k.yaml:2:4: a");
    klx_findings_add(f, false, "cannot read z");
    klx_findings_sort(f);
}

static void each_form_is_as_its_golden_file(void **state) {
    (void)state;
    struct klx_findings f;
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    struct klx_terminal terminal = { .utf8 = true };
    klx_buf_init(&out, 65536);
    fill(&f);
    klx_findings_text(&f, "k.yaml", &counts, &terminal, &out);
    klx_buf_add_str(&out, "\n");
    klx_findings_json(&f, "k.yaml", &counts, &out);
    klx_buf_add_str(&out, "\n");
    klx_findings_github(&f, &out);
    golden_check("check/forms.txt", klx_buf_sv(&out));
    klx_findings_release(&f);
}

static void nothing_found_is_said_too(void **state) {
    (void)state;
    struct klx_findings f;
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    struct klx_terminal terminal = { 0 };
    klx_buf_init(&out, 65536);
    klx_findings_init(&f);
    klx_findings_sort(&f);
    klx_findings_text(&f, "k.yaml", &counts, &terminal, &out);
    assert_sv(klx_buf_sv(&out), "k.yaml: 1 cluster, 2 channels, 0 subscriptions: valid\n");
    klx_buf_reset(&out);
    klx_findings_github(&f, &out);
    assert_int_equal(out.len, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_falls_into_its_parts),
        cmocka_unit_test(each_form_is_as_its_golden_file),
        cmocka_unit_test(nothing_found_is_said_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
