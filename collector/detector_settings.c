#include "collector/detector_settings.h"

#include <stdlib.h>

#include "lib/base/mem.h"

const struct klx_detector_ops *const klx_detectors[KLX_DETECTORS_N] = {
#define KLX_DETECTOR(name) &klx_detector_##name,
#include "collector/detectors/list.def"
#undef KLX_DETECTOR
};

static const struct klx_config_field none[] = { { .key = NULL } };

static const struct klx_config_field *fields_of(const struct klx_detector_ops *ops) {
    return ops->settings != NULL ? ops->settings : none;
}

static void bind_one(const struct klx_config_node *n, struct klx_detector_settings *ret,
                     klx_config_report_fn report, void *arg) {
    const char *names[KLX_DETECTORS_N];
    struct klx_error e;
    for (size_t i = 0; i < KLX_DETECTORS_N; i++) {
        const struct klx_detector_ops *ops = klx_detectors[i];
        names[i] = ops->name;
        if (klx_sv_eq(klx_config_key(n), klx_sv(ops->name))) {
            ret->of[i] = klx_new_bytes(ops->settings_bytes > 0 ? ops->settings_bytes : 1);
            klx_config_bind_all(n, fields_of(ops), ret->of[i], report, arg);
            if (ops->check != NULL && klx_config_type(n) == KLX_CONFIG_MAP) {
                ops->check(n, ret->of[i], report, arg);
            }
            return;
        }
    }
    klx_config_fail_key(n, &e, "there is no detector \"%.*s\"%s", KLX_SV_FMT(klx_config_key(n)),
                        klx_config_hint(klx_config_key(n), names, KLX_DETECTORS_N).text);
    report(arg, e.text);
}

void klx_detector_settings_bind(const struct klx_config_node *map,
                                struct klx_detector_settings *ret, klx_config_report_fn report,
                                void *arg) {
    struct klx_error e;
    *ret = (struct klx_detector_settings){ 0 };
    if (map != NULL && klx_config_type(map) != KLX_CONFIG_MAP) {
        klx_config_fail(map, &e, "expected a map, for example {autoscaling: {at_max_after: 5m}}");
        report(arg, e.text);
        return;
    }
    for (const struct klx_config_node *n = map != NULL ? klx_config_first(map) : NULL; n != NULL;
         n = klx_config_next(n)) {
        bind_one(n, ret, report, arg);
    }
}

void klx_detector_settings_release(struct klx_detector_settings *s) {
    for (size_t i = 0; i < KLX_DETECTORS_N; i++) {
        if (s->of[i] != NULL) {
            klx_config_unbind(fields_of(klx_detectors[i]), s->of[i]);
            free(s->of[i]);
            s->of[i] = NULL;
        }
    }
}
