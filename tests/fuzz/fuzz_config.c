#include <stdint.h>

#include "lib/base/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct target {
    char *name;
    struct klx_config_strings list;
    int64_t every_ms;
    struct klx_secret *secret;
};

static const struct klx_config_field fields[] = {
    { .key = "name", .kind = KLX_CFG_STR, .offset = offsetof(struct target, name) },
    { .key = "list", .kind = KLX_CFG_STR_LIST, .offset = offsetof(struct target, list) },
    { .key = "every", .kind = KLX_CFG_DURATION, .offset = offsetof(struct target, every_ms) },
    { .key = "secret", .kind = KLX_CFG_SECRET, .offset = offsetof(struct target, secret) },
    { .key = NULL },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct klx_config *c = NULL;
    struct klx_error e;
    struct target t = { 0 };
    if (klx_config_parse(klx_sv_n((const char *)data, size), "fuzz.yaml", &c, &e) == 0) {
        if (klx_config_bind(klx_config_root(c), fields, &t, &e) == 0) {
            klx_config_unbind(fields, &t);
        }
        klx_config_free(c);
    }
    return 0;
}
