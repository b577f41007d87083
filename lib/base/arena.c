#include "lib/base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct klx_arena_chunk {
    struct klx_arena_chunk *next;
    size_t size;
    size_t used;
    _Alignas(max_align_t) char bytes[];
};

void klx_arena_init(struct klx_arena *a, size_t chunk_bytes, size_t max_bytes) {
    *a = (struct klx_arena){ .max_bytes = max_bytes, .chunk_bytes = chunk_bytes };
}

static void free_chunks(struct klx_arena *a, struct klx_arena_chunk *c) {
    while (c != NULL) {
        struct klx_arena_chunk *next = c->next;
        a->held_bytes -= c->size;
        free(c);
        c = next;
    }
}

void klx_arena_release(struct klx_arena *a) {
    free_chunks(a, a->first);
    klx_arena_init(a, a->chunk_bytes, a->max_bytes);
}

void klx_arena_reset(struct klx_arena *a) {
    if (a->first != NULL) {
        free_chunks(a, a->first->next);
        a->first->next = NULL;
        a->first->used = 0;
        a->last = a->first;
    }
    a->used_bytes = 0;
}

static struct klx_arena_chunk *add_chunk(struct klx_arena *a, size_t bytes) {
    size_t size = bytes > a->chunk_bytes ? bytes : a->chunk_bytes;
    if (size > a->max_bytes - a->held_bytes) {
        size = bytes;
    }
    if (size > a->max_bytes - a->held_bytes) {
        return NULL;
    }
    struct klx_arena_chunk *c = malloc(sizeof(*c) + size);
    if (c == NULL) {
        return NULL;
    }
    *c = (struct klx_arena_chunk){ .size = size };
    if (a->last != NULL) {
        a->last->next = c;
    } else {
        a->first = c;
    }
    a->last = c;
    a->held_bytes += size;
    return c;
}

void *klx_arena_alloc(struct klx_arena *a, size_t bytes) {
    const size_t align = _Alignof(max_align_t);
    if (bytes > a->max_bytes) {
        return NULL;
    }
    size_t need = (bytes + align - 1) / align * align;
    struct klx_arena_chunk *c = a->last;
    if (c == NULL || need > c->size - c->used) {
        c = add_chunk(a, need);
        if (c == NULL) {
            return NULL;
        }
    }
    void *p = c->bytes + c->used;
    c->used += need;
    a->used_bytes += need;
    return p;
}

struct klx_sv klx_arena_dup(struct klx_arena *a, struct klx_sv s) {
    char *p = klx_arena_alloc(a, s.n + 1);
    if (p == NULL) {
        return klx_sv(NULL);
    }
    if (s.n > 0) {
        memcpy(p, s.p, s.n);
    }
    p[s.n] = '\0';
    return klx_sv_n(p, s.n);
}

struct klx_sv klx_arena_printf(struct klx_arena *a, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *p = n >= 0 ? klx_arena_alloc(a, (size_t)n + 1) : NULL;
    if (p != NULL) {
        vsnprintf(p, (size_t)n + 1, fmt, again);
    }
    va_end(again);
    return klx_sv_n(p, p != NULL ? (size_t)n : 0);
}
