/*
 * A table for a terminal: a head, rows, columns as wide as their widest cell. Cells are copied.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/sv.h"

struct klx_table {
    char **cells; /* the head first */
    size_t n, allocated;
    size_t columns;
};

void klx_table_init(struct klx_table *t, const char *const *heads, size_t columns);
void klx_table_release(struct klx_table *t);
/* The next cell, row by row; an empty one is written as "<none>". */
void klx_table_add(struct klx_table *t, struct klx_sv cell);
/* Text of a channel or a cluster, made harmless for the terminal. */
void klx_table_add_text(struct klx_table *t, struct klx_sv text);
/* To the second. */
void klx_table_add_time(struct klx_table *t, int64_t us);
void klx_table_add_count(struct klx_table *t, size_t n);
void klx_table_write(const struct klx_table *t, struct klx_buf *out);
