#include "cli/table.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/terminal.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"

#define CELLS_STEP 64
#define GAP 3
#define TEXT_BYTES_MAX 65536

void klx_table_init(struct klx_table *t, const char *const *heads, size_t columns) {
    *t = (struct klx_table){ .columns = columns };
    for (size_t i = 0; i < columns; i++) {
        klx_table_add(t, klx_sv(heads[i]));
    }
}

void klx_table_release(struct klx_table *t) {
    for (size_t i = 0; i < t->n; i++) {
        free(t->cells[i]);
    }
    free(t->cells);
    *t = (struct klx_table){ 0 };
}

void klx_table_add(struct klx_table *t, struct klx_sv cell) {
    if (t->n == t->allocated) {
        t->cells =
            klx_grow_array(t->cells, t->allocated, t->allocated + CELLS_STEP, sizeof(*t->cells));
        t->allocated += CELLS_STEP;
    }
    t->cells[t->n++] = klx_sv_dup(cell.n > 0 ? cell : KLX_SV("<none>"));
}

void klx_table_add_text(struct klx_table *t, struct klx_sv text) {
    struct klx_buf cell KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&cell, TEXT_BYTES_MAX);
    klx_terminal_text_plain(&cell, text);
    klx_table_add(t, klx_buf_sv(&cell));
}

void klx_table_add_time(struct klx_table *t, int64_t us) {
    char text[KLX_TIME_TEXT_BYTES];
    klx_time_format(us, KLX_TIME_SECONDS, text);
    klx_table_add(t, klx_sv(text));
}

void klx_table_add_count(struct klx_table *t, size_t n) {
    char text[24];
    snprintf(text, sizeof(text), "%zu", n);
    klx_table_add(t, klx_sv(text));
}

static size_t width_of(const struct klx_table *t, size_t column) {
    size_t widest = 0;
    for (size_t i = column; i < t->n; i += t->columns) {
        size_t n = strlen(t->cells[i]);
        widest = n > widest ? n : widest;
    }
    return widest;
}

void klx_table_write(const struct klx_table *t, struct klx_buf *out) {
    int *widths = klx_alloc_n(int, t->columns + 1);
    for (size_t c = 0; c + 1 < t->columns; c++) {
        widths[c] = (int)width_of(t, c) + GAP; /* the last has none */
    }
    for (size_t i = 0; i < t->n; i++) {
        size_t c = i % t->columns;
        klx_buf_printf(out, "%-*s%s", widths[c], t->cells[i], c + 1 == t->columns ? "\n" : "");
    }
    free(widths);
}
