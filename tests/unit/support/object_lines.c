#include "tests/unit/support/object_lines.h"

#include "lib/base/cleanup.h"
#include "tests/unit/support/support.h"

static void observe(struct transcript *t, enum klx_origin origin, enum klx_change change,
                    const struct klx_json *object) {
    const struct object_lines *l = t->arg;
    struct klx_observation o = transcript_observation(t, "");
    o.kind = l->source->observed;
    o.origin = origin;
    o.change = change;
    o.object = object;
    o.generic = l->generic;
    o.object_kind = klx_sv(l->kind);
    assert_int_equal(l->source->observe(object, &o), 0);
    t->ops->observe(t->detector, &o, t->now_us, &t->out);
}

void object_lines_run(struct transcript *t, const char *line, struct klx_sv verb,
                      struct klx_sv rest) {
    static const struct {
        const char *verb;
        enum klx_origin origin;
        enum klx_change change;
    } verbs[] = { { "change", KLX_ORIGIN_LIVE, KLX_CHANGE_MODIFIED },
                  { "list", KLX_ORIGIN_BASELINE, KLX_CHANGE_ADDED },
                  { "relisted", KLX_ORIGIN_RESYNC, KLX_CHANGE_ADDED },
                  { "add", KLX_ORIGIN_LIVE, KLX_CHANGE_ADDED },
                  { "delete", KLX_ORIGIN_LIVE, KLX_CHANGE_DELETED } };
    struct object_lines *l = t->arg;
    struct klx_sv patch = rest, name = klx_sv_cut(&patch, ' ');
    if (klx_sv_eq(verb, KLX_SV("relist"))) {
        t->ops->relisted(t->detector, l->source->observed, transcript_is_listed,
                         (void *)(uintptr_t)line, t->now_us, &t->out);
        return;
    }
    for (size_t i = 0; i < KLX_COUNT(verbs); i++) {
        if (klx_sv_eq(verb, klx_sv(verbs[i].verb))) {
            bool fresh = klx_sv_eq(verb, KLX_SV("add"));
            observe(t, verbs[i].origin, verbs[i].change,
                    fake_app(&l->objects, t, name, patch, fresh));
            return;
        }
    }
    fail_msg("no verb %.*s", KLX_SV_FMT(verb));
}
