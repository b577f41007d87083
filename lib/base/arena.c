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

/* `align` is a power of two. */
static void *take(struct klx_arena *a, size_t bytes, size_t align) {
    if (bytes > a->max_bytes) {
        return NULL;
    }
    struct klx_arena_chunk *c = a->last;
    size_t at = c != NULL ? (c->used + align - 1) & ~(align - 1) : 0;
    if (c == NULL || at > c->size || bytes > c->size - at) {
        c = add_chunk(a, bytes);
        at = 0;
        if (c == NULL) {
            return NULL;
        }
    }
    a->used_bytes += at + bytes - c->used;
    c->used = at + bytes;
    return c->bytes + at;
}

void *klx_arena_alloc(struct klx_arena *a, size_t bytes) {
    return take(a, bytes, _Alignof(max_align_t));
}

struct klx_sv klx_arena_dup(struct klx_arena *a, struct klx_sv s) {
    char *p = take(a, s.n + 1, 1);
    if (p == NULL) {
        return klx_sv(NULL);
    }
    if (s.n > 0) {
        memcpy(p, s.p, s.n);
    }
    p[s.n] = '\0';
    return klx_sv_n(p, s.n);
}

struct klx_sv klx_arena_concat(struct klx_arena *a, const struct klx_sv *parts, size_t n) {
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        bytes += parts[i].n;
    }
    char *text = take(a, bytes + 1, 1), *p = text;
    if (text == NULL) {
        return klx_sv(NULL);
    }
    for (size_t i = 0; i < n; i++) {
        if (parts[i].n > 0) {
            memcpy(p, parts[i].p, parts[i].n);
        }
        p += parts[i].n;
    }
    *p = '\0';
    return klx_sv_n(text, bytes);
}

struct klx_sv klx_arena_printf(struct klx_arena *a, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *p = n >= 0 ? take(a, (size_t)n + 1, 1) : NULL;
    if (p != NULL) {
        vsnprintf(p, (size_t)n + 1, fmt, again);
    }
    va_end(again);
    return klx_sv_n(p, p != NULL ? (size_t)n : 0);
}
