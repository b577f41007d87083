#include "collector/detectors/scaling/scaling.h"

#include <stdio.h>

#include "lib/base/cleanup.h"

void klx_scaling_save(struct klx_news_call *c, const char *part, const char *namespace,
                      const char *name, struct klx_sv value,
                      char written[static KLX_HASH_TEXT_BYTES]) {
    klx_news_save(c, klx_arena_printf(c->out->arena, "%s/%s/%s", part, namespace, name).p, value,
                  written);
}

void klx_scaling_wake(struct klx_scaling *d, int64_t at_us) {
    d->next_us = klx_news_earlier(d->next_us, at_us);
}

void klx_scaling_labels(const struct klx_json *labels, char out[static KLX_LABELS_BYTES]) {
    static const char *const kept[] = { "app",
                                        "k8s-app",
                                        "app.kubernetes.io/name",
                                        "app.kubernetes.io/instance",
                                        "app.kubernetes.io/component",
                                        "app.kubernetes.io/part-of",
                                        "kubernetes.azure.com/managedby",
                                        "rsName",
                                        "dsName",
                                        "team" };
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&text, KLX_LABELS_BYTES - 1);
    struct klx_jw w;
    klx_jw_init(&w, &text);
    klx_jw_begin_object(&w);
    for (size_t i = 0; i < KLX_COUNT(kept); i++) {
        klx_jw_member_sv_opt(&w, kept[i],
                             klx_json_str(klx_json_member(labels, klx_sv(kept[i])), ""));
    }
    klx_jw_end_object(&w);
    snprintf(out, KLX_LABELS_BYTES, "%s", text.failed ? "{}" : klx_buf_str(&text));
}
