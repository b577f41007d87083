#include "schema/event.h"

#include <errno.h>

#include "lib/base/cleanup.h"

const struct klx_kind_spec klx_kind_specs[KLX_KINDS_N] = {
#define KLX_KIND(NAME, type, TOPIC, SEVERITY, title, advice)                                       \
    [KLX_KIND_##NAME] = { type, KLX_TOPIC_##TOPIC, KLX_SEVERITY_##SEVERITY, title, advice },
#include "schema/kinds.def"
#undef KLX_KIND
};

struct klx_sv klx_event_short_type(struct klx_sv type) {
    const struct klx_sv prefix = KLX_SV("io.klaxon.");
    return klx_sv_starts(type, prefix) ? klx_sv_n(type.p + prefix.n, type.n - prefix.n) : type;
}

static const char *const severities[] = { "info", "warning", "critical" };

const char *klx_severity_name(enum klx_severity s) {
    return severities[s];
}

int klx_severity_parse(struct klx_sv name, enum klx_severity *ret) {
    for (size_t i = 0; i < KLX_COUNT(severities); i++) {
        if (klx_sv_eq(name, klx_sv(severities[i]))) {
            *ret = (enum klx_severity)i;
            return 0;
        }
    }
    return -EINVAL;
}

const char *klx_phase_name(enum klx_phase p) {
    static const char *const names[] = { "", "open", "update", "resolved" };
    return names[p];
}
