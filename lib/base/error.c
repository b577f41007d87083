#include "lib/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int klx_fail(struct klx_error *e, int code, const char *fmt, ...) {
    if (e != NULL) {
        va_list args;
        va_start(args, fmt);
        e->code = code;
        vsnprintf(e->text, sizeof(e->text), fmt, args);
        va_end(args);
    }
    return code;
}

int klx_fail_in(struct klx_error *e, int code, const char *fmt, ...) {
    if (e != NULL) {
        char inner[sizeof(e->text)];
        memcpy(inner, e->text, sizeof(inner));
        va_list args;
        va_start(args, fmt);
        int n = vsnprintf(e->text, sizeof(e->text), fmt, args);
        va_end(args);
        if (n >= 0 && (size_t)n + 2 < sizeof(e->text)) {
            int room = (int)(sizeof(e->text) - (size_t)n - 3);
            snprintf(e->text + n, sizeof(e->text) - (size_t)n, ": %.*s", room, inner);
        }
        e->code = code;
    }
    return code;
}
