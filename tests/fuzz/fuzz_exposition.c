#include <stdint.h>

#include "lib/base/exposition.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads all of it, so that a view past its end is seen. */
static size_t weigh(struct klx_sv s) {
    size_t sum = 0;
    for (size_t i = 0; i < s.n; i++) {
        sum += (unsigned char)s.p[i];
    }
    return sum;
}

/* The first byte says how the body is cut into chunks. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct klx_exposition x;
    struct klx_exposition_sample s;
    size_t sum = 0, step = size > 0 && data[0] > 0 ? data[0] : 1;
    klx_exposition_init(&x);
    for (size_t i = 1; i < size; i += step) {
        klx_exposition_feed(&x,
                            klx_sv_n((const char *)data + i, size - i < step ? size - i : step));
        int rc = 0;
        while ((rc = klx_exposition_next(&x, &s)) != 0) {
            for (size_t k = 0; rc > 0 && k < s.labels_n; k++) {
                sum += weigh(s.labels[k].name) + weigh(s.labels[k].value);
            }
            if (rc > 0 && weigh(s.name) == 0) {
                __builtin_trap();
            }
        }
    }
    if (klx_exposition_end(&x) == 0 && sum == SIZE_MAX) {
        __builtin_trap();
    }
    klx_exposition_release(&x);
    return 0;
}
