/* Tables: columns as wide as their widest cell, however many rows there are. */
#include <stdio.h>

#include "cli/table.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "tests/unit/support/support.h"

static void columns_are_as_wide_as_they_must(void **state) {
    (void)state;
    static const char *const heads[] = { "ID", "COUNT", "TEXT" };
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    struct klx_table t;
    klx_buf_init(&out, 4096);
    klx_table_init(&t, heads, KLX_COUNT(heads));
    klx_table_add(&t, KLX_SV("b25f05a3"));
    klx_table_add_count(&t, 7);
    klx_table_add_text(&t, KLX_SV("red \x1b[31m"));
    klx_table_add(&t, KLX_SV(""));
    klx_table_add_count(&t, 1234567);
    klx_table_add_text(&t, KLX_SV(""));
    klx_table_write(&t, &out);
    klx_table_release(&t);
    assert_string_equal(klx_buf_str(&out), "ID         COUNT     TEXT\n"
                                           "b25f05a3   7         red \\x1b[31m\n"
                                           "<none>     1234567   <none>\n");
}

/* Each cell was measured for each cell: it would take minutes. */
static void many_rows_take_no_longer_each(void **state) {
    (void)state;
    static const char *const heads[] = { "A", "B", "C", "D" };
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    struct klx_table t;
    const size_t rows = 50000;
    klx_buf_init(&out, 16 << 20);
    klx_table_init(&t, heads, KLX_COUNT(heads));
    for (size_t i = 0; i < rows * KLX_COUNT(heads); i++) {
        klx_table_add_count(&t, i);
    }
    klx_table_write(&t, &out);
    klx_table_release(&t);
    assert_int_equal(klx_buf_check(&out), 0);
    size_t lines = 0;
    for (size_t i = 0; i < out.len; i++) {
        lines += out.data[i] == '\n';
    }
    assert_int_equal(lines, rows + 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_they_must),
        cmocka_unit_test(many_rows_take_no_longer_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
