#include <stdint.h>

#include "collector/kube/list_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte says how the body is cut into chunks. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct klx_list_stream s;
    struct klx_arena arena;
    struct klx_sv item;
    const struct klx_json *list = NULL, *read = NULL;
    size_t step = size > 0 && data[0] > 0 ? data[0] : 1;
    int rc = 0;
    klx_list_stream_init(&s);
    klx_arena_init(&arena, 4096, 4 << 20);
    for (size_t i = 1; i < size && rc >= 0; i += step) {
        klx_list_stream_feed(&s,
                             klx_sv_n((const char *)data + i, size - i < step ? size - i : step));
        while ((rc = klx_list_stream_next(&s, &item)) > 0) {
            klx_arena_reset(&arena);
            if (item.n < 2 || item.p[0] != '{') {
                __builtin_trap();
            }
            if (klx_json_parse(&arena, item, NULL, &read, NULL) == 0 && !klx_json_is_object(read)) {
                __builtin_trap();
            }
        }
    }
    klx_arena_reset(&arena);
    if (rc == 0 && klx_list_stream_end(&s, &arena, &list) == 0 && list == NULL) {
        __builtin_trap();
    }
    klx_arena_release(&arena);
    klx_list_stream_release(&s);
    return 0;
}
