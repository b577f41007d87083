#include <stdint.h>

#include "lib/base/json.h"
#include "lib/base/json_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is compact stays as it is. */
static int check_compact(const uint8_t *data, size_t size) {
    struct klx_buf once, twice;
    klx_buf_init(&once, 8 << 20);
    klx_buf_init(&twice, 8 << 20);
    int rc = klx_json_compact(&once, klx_sv_n((const char *)data, size)) == 0 &&
             (klx_json_compact(&twice, klx_buf_sv(&once)) != 0 ||
              !klx_sv_eq(klx_buf_sv(&once), klx_buf_sv(&twice)));
    klx_buf_release(&once);
    klx_buf_release(&twice);
    return rc;
}

/* What parses is written, and what was written parses again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct klx_arena a;
    struct klx_buf out;
    const struct klx_json *node = NULL;
    klx_arena_init(&a, 4096, 1 << 20);
    klx_buf_init(&out, 8 << 20);
    int rc = 0;
    if (klx_json_parse(&a, klx_sv_n((const char *)data, size), NULL, &node, NULL) == 0) {
        struct klx_jw w;
        klx_jw_init(&w, &out);
        klx_jw_node(&w, node);
        klx_arena_reset(&a);
        rc = !out.failed && klx_json_parse(&a, klx_buf_sv(&out), NULL, &node, NULL) == -EINVAL;
    }
    klx_buf_release(&out);
    klx_arena_release(&a);
    rc = rc != 0 || check_compact(data, size);
    if (rc != 0) {
        __builtin_trap();
    }
    return 0;
}
