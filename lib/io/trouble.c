#include "lib/io/trouble.h"

#include <stdio.h>
#include <string.h>

#define SAY_EVERY_MS 5000

static void say(struct klx_trouble *t, const char *what) {
    klx_timer_start(t->timer, t->every_ms);
    t->say(t->arg, what);
}

static void on_timer(void *arg) {
    struct klx_trouble *t = arg;
    char what[KLX_TROUBLE_TEXT];
    if (t->waiting[0] != '\0') {
        memcpy(what, t->waiting, sizeof(what));
        t->waiting[0] = '\0';
        say(t, what);
    }
}

void klx_trouble_init(struct klx_trouble *t, struct klx_loop *l,
                      void (*say_it)(void *arg, const char *what), void *arg) {
    t->timer = klx_timer_new(l, on_timer, t);
    t->every_ms = SAY_EVERY_MS;
    t->say = say_it;
    t->arg = arg;
    t->waiting[0] = '\0';
}

void klx_trouble_add(struct klx_trouble *t, const char *what) {
    if (!klx_timer_active(t->timer)) {
        say(t, what);
        return;
    }
    size_t n = strlen(t->waiting);
    bool fits = n + strlen(what) + sizeof("; ") <= sizeof(t->waiting);
    if (fits && strstr(t->waiting, what) == NULL) {
        snprintf(t->waiting + n, sizeof(t->waiting) - n, "%s%s", n > 0 ? "; " : "", what);
    }
}

void klx_trouble_clear(struct klx_trouble *t) {
    t->waiting[0] = '\0';
}

void klx_trouble_release(struct klx_trouble *t) {
    klx_timer_free(t->timer);
    t->timer = NULL;
}
