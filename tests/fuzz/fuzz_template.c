#include <stdint.h>

#include "lib/base/cleanup.h"
#include "lib/base/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
    if (!holds) {
        __builtin_trap();
    }
}

static int accept(void *arg, const struct klx_template_use *use, struct klx_error *e) {
    (void)arg;
    (void)e;
    require(use->name.n > 0);
    return 0;
}

/* What comes before the first 0xff is the template, what follows a partial, p, which the template and itself may take in. */
static void render(struct klx_sv all, const struct klx_json *context) {
    const klx_escape_fn escapes[] = { klx_escape_html, klx_escape_json, klx_escape_url,
                                      klx_escape_none };
    struct klx_sv partial = all, text = klx_sv_cut(&partial, (char)0xff);
    const struct klx_template_partial partials[] = { { KLX_SV("p"), partial } };
    struct klx_template *t = NULL;
    if (klx_template_new_with(text, partials, 1, &t, NULL) != 0) {
        return;
    }
    require(klx_template_check(t, accept, NULL, NULL) == 0);
    for (size_t i = 0; i < KLX_COUNT(escapes); i++) {
        struct klx_buf out;
        klx_buf_init(&out, 65536);
        int rc = klx_template_render(t, context, KLX_TEMPLATE_WORK_MAX, escapes[i], &out);
        require(rc == 0 || rc == -EMSGSIZE || rc == -ELOOP || rc == -ETIME);
        klx_buf_release(&out);
    }
    klx_template_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct klx_arena a;
    const struct klx_json *context = NULL;
    klx_arena_init(&a, 4096, 1 << 16);
    if (klx_json_parse(
            &a, KLX_SV("{\"a\":[1,{\"b\":\"<x>\"},[2,\"ä\"]],\"b\":true,\"c\":{\"d\":\"efgh\"}}"),
            NULL, &context, NULL) == 0) {
        render(klx_sv_n((const char *)data, size), context);
    }
    klx_arena_release(&a);
    return 0;
}
