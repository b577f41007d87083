#include "lib/base/mem.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *p) {
    if (p == NULL) {
        fputs("klaxon: out of memory\n", stderr);
        abort();
    }
    return p;
}

void klx_share_heap(void) {
    mallopt(M_ARENA_MAX, 1);
}

void klx_trim_heap(void) {
    malloc_trim(0);
}

void *klx_new_bytes(size_t bytes) {
    return checked(calloc(1, bytes > 0 ? bytes : 1));
}

void *klx_grow_array(void *old, size_t old_n, size_t n, size_t size) {
    char *p = checked(reallocarray(old, n > 0 ? n : 1, size));
    if (n > old_n) {
        memset(p + old_n * size, 0, (n - old_n) * size);
    }
    return p;
}

char *klx_strdup(const char *s) {
    return checked(strdup(s));
}

char *klx_sv_dup(struct klx_sv s) {
    char *p = klx_new_bytes(s.n + 1);
    if (s.n > 0) {
        memcpy(p, s.p, s.n);
    }
    return p;
}

char *klx_asprintf(const char *fmt, ...) {
    char *text = NULL;
    va_list args;
    va_start(args, fmt);
    int n = vasprintf(&text, fmt, args);
    va_end(args);
    return checked(n >= 0 ? text : NULL);
}

void klx_wipe(char *secret) {
    if (secret != NULL) {
        explicit_bzero(secret, strlen(secret));
        free(secret);
    }
}

void klx_free_p(void *pointer_to_pointer) {
    free(*(void **)pointer_to_pointer);
}
