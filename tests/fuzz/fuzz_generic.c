/* A path, and in the lines behind it an object: what is kept of it is JSON again, and never longer than it may be. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "collector/detectors/generic/object_values.h"
#include "lib/base/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds) {
    if (!holds) {
        abort();
    }
}

static void project(const struct klx_generic *g, struct klx_sv text) {
    struct klx_arena arena KLX_CLEANUP(klx_arena_release);
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    const struct klx_json *object = NULL, *again = NULL;
    klx_arena_init(&arena, 65536, 64u << 20);
    klx_buf_init(&out, KLX_OBJECT_VALUES_BYTES_MAX);
    if (klx_json_parse(&arena, text, NULL, &object, NULL) == 0) {
        klx_object_values_write(&arena, g, object, &out);
        must(!out.failed);
        must(klx_json_parse(&arena, klx_buf_sv(&out), NULL, &again, NULL) == 0);
        must(klx_json_is_object(again) && klx_json_first(again) != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct klx_sv rest = klx_sv_n((const char *)data, size);
    struct klx_sv path = klx_sv_cut(&rest, '\n');
    struct klx_generic g = { .fields_n = 1 };
    if (klx_json_path_parse(path, &g.fields[0].path, NULL) == 0) {
        char text[KLX_JSON_PATH_BYTES_MAX + 1];
        memcpy(text, path.p, path.n);
        text[path.n] = '\0';
        g.fields[0].text = text;
        project(&g, rest);
        klx_json_path_free(g.fields[0].path);
    }
    return 0;
}
