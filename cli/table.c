#include "cli/table.h"

#include <stdlib.h>

#include "lib/base/mem.h"

#define CELLS_STEP 64
#define GAP 3

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

static size_t width_of(const struct klx_table *t, size_t column) {
    size_t widest = 0;
    for (size_t i = column; i < t->n; i += t->columns) {
        size_t n = strlen(t->cells[i]);
        widest = n > widest ? n : widest;
    }
    return widest;
}

void klx_table_write(const struct klx_table *t, struct klx_buf *out) {
    for (size_t i = 0; i < t->n; i++) {
        bool last = i % t->columns == t->columns - 1;
        int width = last ? 0 : (int)width_of(t, i % t->columns) + GAP;
        klx_buf_printf(out, "%-*s%s", width, t->cells[i], last ? "\n" : "");
    }
}
