#include <stdint.h>

#include "lib/base/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct klx_arena a;
    struct klx_buf out;
    struct klx_template *t = NULL;
    const struct klx_json *context = NULL;
    klx_arena_init(&a, 4096, 1 << 16);
    klx_buf_init(&out, 65536);
    int rc =
        klx_json_parse(&a, KLX_SV("{\"a\":[1,{\"b\":\"<x>\"}],\"b\":true,\"c\":{\"d\":\"e\"}}"),
                       NULL, &context, NULL);
    if (rc == 0 && klx_template_new(klx_sv_n((const char *)data, size), &t, NULL) == 0) {
        rc = klx_template_render(t, context, klx_escape_html, &out);
        klx_template_free(t);
    }
    klx_buf_release(&out);
    klx_arena_release(&a);
    return 0;
}
