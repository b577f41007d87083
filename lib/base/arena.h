/*
 * Memory that is freed all at once: what one message needs from its decoding until it is settled.
 *
 * Chunks grow up to a mandatory maximum in total; past it klx_arena_alloc returns NULL. klx_arena_reset keeps the first chunk, so an
 * arena that is reused stops allocating. Memory has the alignment of max_align_t, texts have none. Not thread-safe; may move between
 * threads when idle.
 */
#pragma once

#include <stddef.h>

#include "lib/base/error.h"
#include "lib/base/sv.h"

struct klx_arena_chunk;

struct klx_arena {
    struct klx_arena_chunk *first;
    struct klx_arena_chunk *last;
    size_t used_bytes; /* handed out since the last reset */
    size_t held_bytes; /* taken from the system */
    size_t max_bytes;
    size_t chunk_bytes;
};

/* chunk_bytes: size of the first chunk; an object larger than a chunk gets one of its own. */
void klx_arena_init(struct klx_arena *a, size_t chunk_bytes, size_t max_bytes);
void klx_arena_release(struct klx_arena *a);
void klx_arena_reset(struct klx_arena *a);
/* Not zeroed. NULL when the maximum would be passed. */
void *klx_arena_alloc(struct klx_arena *a, size_t bytes) __attribute__((malloc));
/* A copy with a NUL behind it that does not count; {NULL, 0} when the arena is full. */
struct klx_sv klx_arena_dup(struct klx_arena *a, struct klx_sv s);
/* The parts one after the other. */
struct klx_sv klx_arena_concat(struct klx_arena *a, const struct klx_sv *parts, size_t n);
#define KLX_CONCAT(a, ...)                                                                         \
    klx_arena_concat((a), (const struct klx_sv[]){ __VA_ARGS__ },                                  \
                     sizeof((const struct klx_sv[]){ __VA_ARGS__ }) / sizeof(struct klx_sv))
struct klx_sv klx_arena_printf(struct klx_arena *a, const char *fmt, ...) KLX_PRINTF(2, 3);
