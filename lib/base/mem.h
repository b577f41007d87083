/*
 * Allocation that does not fail, for sizes that do not come from input: on exhaustion it says so and aborts; the supervisor
 * restarts the process and Kafka redelivers. Sizes from input use klx_buf or klx_arena, which have a limit and can refuse.
 */
#pragma once

#include <stddef.h>

#include "lib/base/sv.h"

/* Before the first thread: all threads share one heap. glibc gives each its own, and keeps in each what was once needed there. */
void klx_share_heap(void);
/* What was freed goes back to the system. Takes milliseconds after a great deal of it. */
void klx_trim_heap(void);
void *klx_new_bytes(size_t bytes) __attribute__((returns_nonnull, malloc)); /* zeroed */
#define klx_alloc(type) ((type *)klx_new_bytes(sizeof(type)))
#define klx_alloc_n(type, n) ((type *)klx_grow_array(NULL, 0, (n), sizeof(type)))
/* realloc of an array to `n` elements of `size` bytes, the part past `old_n` zeroed. */
void *klx_grow_array(void *old, size_t old_n, size_t n, size_t size)
    __attribute__((returns_nonnull));
char *klx_strdup(const char *s) __attribute__((returns_nonnull, malloc));
/* A NUL-terminated copy. */
char *klx_sv_dup(struct klx_sv s) __attribute__((returns_nonnull, malloc));
char *klx_asprintf(const char *fmt, ...)
    __attribute__((returns_nonnull, malloc, format(printf, 1, 2)));
void klx_wipe(char *secret);               /* zeroes it before it is freed; NULL is accepted */
void klx_free_p(void *pointer_to_pointer); /* for KLX_CLEANUP: frees *(void **)p */
