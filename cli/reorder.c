#include "cli/reorder.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"

#define LINES_STEP 64

struct klx_reorder_line {
    int64_t time_us;
    char *topic;
    int32_t partition;
    int64_t offset;
    char *text;
    size_t bytes;
};

void klx_reorder_init(struct klx_reorder *r) {
    *r = (struct klx_reorder){ 0 };
}

static void clear(struct klx_reorder *r) {
    for (size_t i = 0; i < r->n; i++) {
        free(r->lines[i].topic);
        free(r->lines[i].text);
    }
    r->n = 0;
    r->bytes = 0;
}

void klx_reorder_release(struct klx_reorder *r) {
    clear(r);
    free(r->lines);
    klx_reorder_init(r);
}

void klx_reorder_add(struct klx_reorder *r, int64_t time_us, const struct klx_record *record,
                     struct klx_sv line) {
    if (r->n == r->allocated) {
        size_t more = r->allocated < LINES_STEP ? LINES_STEP : 2 * r->allocated;
        r->lines = klx_grow_array(r->lines, r->allocated, more, sizeof(*r->lines));
        r->allocated = more;
    }
    r->lines[r->n++] = (struct klx_reorder_line){
        .time_us = time_us,
        .topic = klx_strdup(record->topic),
        .partition = record->partition,
        .offset = record->offset,
        .text = klx_sv_dup(line),
        .bytes = line.n,
    };
    r->bytes += line.n;
}

bool klx_reorder_full(const struct klx_reorder *r) {
    return r->n >= KLX_REORDER_LINES_MAX || r->bytes >= KLX_REORDER_BYTES_MAX;
}

static int compare(const void *left, const void *right) {
    const struct klx_reorder_line *a = left, *b = right;
    if (a->time_us != b->time_us) {
        return a->time_us < b->time_us ? -1 : 1;
    }
    int topics = strcmp(a->topic, b->topic);
    if (topics != 0) {
        return topics;
    }
    if (a->partition != b->partition) {
        return a->partition < b->partition ? -1 : 1;
    }
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

static void sort(struct klx_reorder *r) {
    if (r->n > 0) {
        qsort(r->lines, r->n, sizeof(*r->lines), compare);
    }
}

void klx_reorder_keep_newest(struct klx_reorder *r, size_t n) {
    if (r->n <= n) {
        return;
    }
    size_t drop = r->n - n;
    sort(r);
    for (size_t i = 0; i < drop; i++) {
        r->bytes -= r->lines[i].bytes;
        free(r->lines[i].topic);
        free(r->lines[i].text);
    }
    r->n -= drop;
    memmove(r->lines, r->lines + drop, r->n * sizeof(*r->lines));
}

void klx_reorder_drain(struct klx_reorder *r, bool (*fn)(void *arg, struct klx_sv line),
                       void *arg) {
    bool more = true;
    sort(r);
    for (size_t i = 0; more && i < r->n; i++) {
        more = fn(arg, klx_sv_n(r->lines[i].text, r->lines[i].bytes));
    }
    clear(r);
}
