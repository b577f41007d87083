#include "sinks/loganalytics/batch.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

struct range {
    size_t from, to;
};

struct klx_batch {
    struct klx_buf text; /* the rows, one after the other */
    size_t *ends;        /* of each row in it */
    size_t n, body_bytes_max;

    struct range *
        queue; /* a ring is not needed: each row is in at most log2(n) + 1 ranges, so 2n are made */
    size_t first, last;
    struct range now;
    bool under_way;

    struct klx_verdict *verdicts;
    bool *refused; /* for its content: it may not be the row's fault */
    size_t taken_n, refused_n;
    size_t refusals; /* requests that were refused for their content while none was taken */
};

static size_t begin_of(const struct klx_batch *b, size_t row) {
    return row > 0 ? b->ends[row - 1] : 0;
}

/* '[' and ',' before each, ']' at the end. */
static size_t body_bytes(const struct klx_batch *b, struct range r) {
    return b->ends[r.to - 1] - begin_of(b, r.from) + (r.to - r.from) + 1;
}

static void push(struct klx_batch *b, size_t from, size_t to) {
    b->queue[b->last++] = (struct range){ from, to };
}

static void push_what_fits(struct klx_batch *b) {
    size_t from = 0;
    for (size_t to = 1; to <= b->n; to++) {
        if (to == b->n || body_bytes(b, (struct range){ from, to + 1 }) > b->body_bytes_max) {
            push(b, from, to);
            from = to;
        }
    }
}

struct klx_batch *klx_batch_new(const struct klx_sv *rows, size_t n, size_t body_bytes_max) {
    struct klx_batch *b = klx_alloc(struct klx_batch);
    size_t bytes = 0;
    assert(n > 0);
    for (size_t i = 0; i < n; i++) {
        bytes += rows[i].n;
    }
    b->n = n;
    b->body_bytes_max = body_bytes_max;
    b->ends = klx_alloc_n(size_t, n);
    b->queue = klx_alloc_n(struct range, 2 * n);
    b->verdicts = klx_alloc_n(struct klx_verdict, n);
    b->refused = klx_alloc_n(bool, n);
    klx_buf_init(&b->text, bytes);
    klx_buf_reserve(&b->text, bytes);
    for (size_t i = 0; i < n; i++) {
        klx_buf_add_sv(&b->text, rows[i]);
        b->ends[i] = b->text.len;
    }
    push_what_fits(b);
    return b;
}

void klx_batch_free(struct klx_batch *b) {
    if (b == NULL) {
        return;
    }
    klx_buf_release(&b->text);
    free(b->ends);
    free(b->queue);
    free(b->verdicts);
    free(b->refused);
    free(b);
}

static void give(struct klx_batch *b, struct range r, const struct klx_verdict *v) {
    for (size_t i = r.from; i < r.to; i++) {
        b->verdicts[i] = *v;
    }
}

static void give_to_rest(struct klx_batch *b, const struct klx_verdict *v) {
    for (; b->first < b->last; b->first++) {
        give(b, b->queue[b->first], v);
    }
}

bool klx_batch_next(struct klx_batch *b) {
    assert(!b->under_way);
    if (b->first == b->last) {
        return false;
    }
    b->now = b->queue[b->first++];
    b->under_way = true;
    return true;
}

void klx_batch_body(const struct klx_batch *b, struct klx_buf *out) {
    for (size_t i = b->now.from; i < b->now.to; i++) {
        size_t begin = begin_of(b, i);
        klx_buf_add_char(out, i == b->now.from ? '[' : ',');
        klx_buf_add(out, b->text.data + begin, b->ends[i] - begin);
    }
    klx_buf_add_char(out, ']');
}

size_t klx_batch_rows(const struct klx_batch *b, size_t *ret_first) {
    *ret_first = b->now.from;
    return b->now.to - b->now.from;
}

void klx_batch_taken(struct klx_batch *b, const struct klx_verdict *v) {
    b->under_way = false;
    b->taken_n += b->now.to - b->now.from;
    give(b, b->now, v);
}

/* All that was refused or not sent yet: nothing of it is the rows' fault. */
static void blame_destination(struct klx_batch *b, struct klx_sv answer) {
    struct klx_verdict broken;
    klx_verdict_set(&broken, KLX_VERDICT_DESTINATION_BROKEN, "all_refused", answer);
    for (size_t i = 0; i < b->n; i++) {
        if (b->refused[i]) {
            b->verdicts[i] = broken;
        }
    }
    give_to_rest(b, &broken);
}

void klx_batch_refused(struct klx_batch *b, const struct klx_verdict *v, bool too_large) {
    struct range r = b->now;
    b->under_way = false;
    b->refusals += !too_large && b->taken_n == 0;
    if (r.to - r.from == 1) {
        give(b, r, v);
        b->refused[r.from] = !too_large;
        b->refused_n += !too_large;
    } else {
        size_t middle = r.from + (r.to - r.from) / 2;
        push(b, r.from, middle);
        push(b, middle, r.to);
    }
    if (b->taken_n == 0 && b->refusals >= KLX_BATCH_REFUSALS_MAX) {
        blame_destination(b, klx_sv(v->answer));
    }
}

void klx_batch_again(struct klx_batch *b) {
    b->under_way = false;
    b->queue[--b->first] = b->now;
}

void klx_batch_end(struct klx_batch *b, const struct klx_verdict *now,
                   const struct klx_verdict *rest) {
    b->under_way = false;
    give(b, b->now, now);
    give_to_rest(b, rest);
}

static bool all_is_refused(const struct klx_batch *b) {
    return b->taken_n == 0 && b->refused_n >= KLX_BATCH_ALL_BAD;
}

const struct klx_verdict *klx_batch_verdicts(struct klx_batch *b, size_t *ret_n) {
    assert(!b->under_way && b->first == b->last);
    for (size_t i = 0; i < b->n && all_is_refused(b); i++) {
        if (b->refused[i]) {
            char answer[sizeof(b->verdicts[i].answer)];
            snprintf(answer, sizeof(answer), "%s", b->verdicts[i].answer);
            blame_destination(b, klx_sv(answer));
            break;
        }
    }
    *ret_n = b->n;
    return b->verdicts;
}
