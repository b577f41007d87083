#include "collector/canary_settings.h"

#include "lib/base/mem.h"

#define EVERY_MIN_MS 1000
#define EVERY_MAX_MS (10 * 60 * 1000)
#define EVERY "60s" /* an API server keeps what happened for at least five minutes */

const struct klx_config_field klx_canary_fields[] = {
    { .key = "every",
      .kind = KLX_CFG_DURATION,
      .offset = offsetof(struct klx_canary_settings, every_ms),
      .otherwise = EVERY,
      .min = EVERY_MIN_MS,
      .max = EVERY_MAX_MS,
      .help = "how often the Event is written; a watch that does not show it for three times as "
              "long is dead" },
    { .key = "namespace",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_canary_settings, namespace),
      .help = "where the Event is; left out: the pod's or the context's namespace, else default" },
    { .key = NULL },
};

void klx_canary_settings_bind(const struct klx_config_node *n, struct klx_canary_settings *ret,
                              klx_config_report_fn report, void *arg) {
    *ret = (struct klx_canary_settings){ .every_ms = 60000 };
    struct klx_sv word = n != NULL ? klx_config_scalar(n) : klx_sv(NULL);
    if (n == NULL || klx_sv_eq(word, KLX_SV("true"))) {
        return;
    }
    if (klx_sv_eq(word, KLX_SV("false"))) {
        ret->off = true;
        return;
    }
    if (klx_config_type(n) != KLX_CONFIG_MAP) {
        struct klx_error e;
        klx_config_fail(n, &e, "expected false, or a map, for example {every: 30s}");
        report(arg, e.text);
        return;
    }
    klx_config_bind_all(n, klx_canary_fields, ret, report, arg);
    if (ret->namespace != NULL && !klx_source_is_namespace(klx_sv(ret->namespace))) {
        struct klx_error e;
        klx_config_fail(klx_config_get(n, "namespace"), &e,
                        "expected the name of a namespace, found \"%s\"", ret->namespace);
        report(arg, e.text);
    }
}

void klx_canary_settings_release(struct klx_canary_settings *s) {
    klx_config_unbind(klx_canary_fields, s);
}

static const struct klx_source_settings *events_of(const struct klx_source_settings *sources,
                                                   size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (sources[i].ops == &klx_source_events) {
            return &sources[i];
        }
    }
    return NULL;
}

static bool is_watched(const struct klx_source_settings *s, const char *namespace) {
    struct klx_sv name = klx_sv(namespace);
    bool named = s->namespaces.n == 0;
    for (size_t i = 0; i < s->namespaces.n; i++) {
        named = named || klx_sv_eq(s->namespaces.items[i], name);
    }
    for (size_t i = 0; i < s->exclude_namespaces.n; i++) {
        named = named && !klx_sv_eq(s->exclude_namespaces.items[i], name);
    }
    return named;
}

const char *klx_canary_obstacle(const struct klx_canary_settings *s,
                                const struct klx_source_settings *sources, size_t sources_n,
                                const char *namespace) {
    const struct klx_source_settings *events = events_of(sources, sources_n);
    if (s->off) {
        return "switched off";
    }
    if (events == NULL) {
        return "no source events is watched";
    }
    if (events->label_selector != NULL || events->field_selector != NULL) {
        return "the source events has a selector, which may leave it out";
    }
    return is_watched(events, namespace) ? NULL
                                         : "its namespace is not watched by the source events";
}

bool klx_canary_is_blind(const struct klx_canary_settings *s,
                         const struct klx_source_settings *sources, size_t sources_n,
                         const char *namespace) {
    return !s->off && events_of(sources, sources_n) != NULL &&
           klx_canary_obstacle(s, sources, sources_n, namespace) != NULL;
}
