/*
 * Inside lib/io only: what goes wrong and is tried again, said at most every 5 s. What came in between is said then, together.
 */
#pragma once

#include "lib/io/loop.h"

#define KLX_TROUBLE_TEXT 1024

struct klx_trouble {
    struct klx_timer *timer; /* active: something was said just now */
    int64_t every_ms;        /* 5000; a test may be in a hurry */
    void (*say)(void *arg, const char *what);
    void *arg;
    char waiting[KLX_TROUBLE_TEXT];
};

void klx_trouble_init(struct klx_trouble *t, struct klx_loop *l,
                      void (*say)(void *arg, const char *what), void *arg);
/* Calls say at once or later. */
void klx_trouble_add(struct klx_trouble *t, const char *what);
/* Says nothing more until the next klx_trouble_add. */
void klx_trouble_clear(struct klx_trouble *t);
void klx_trouble_release(struct klx_trouble *t);
