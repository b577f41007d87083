#include "tests/unit/support/fake_app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/time.h"
#include "tests/unit/support/support.h"

#define OBJECT_BYTES_MAX (1u << 20)
#define COMMIT_DIGITS 40

static void merge_members(struct klx_jw *w, const struct klx_json *target,
                          const struct klx_json *patch) {
    const struct klx_json *m = klx_json_is_object(target) ? klx_json_first(target) : NULL;
    for (; m != NULL; m = klx_json_next(m)) {
        const struct klx_json *p = klx_json_member(patch, klx_json_key(m));
        if (p != NULL && klx_json_is_null(p)) {
            continue;
        }
        klx_jw_key_sv(w, klx_json_key(m));
        if (p == NULL) {
            klx_jw_node(w, m);
        } else {
            fake_merge(w, m, p);
        }
    }
    for (m = klx_json_first(patch); m != NULL; m = klx_json_next(m)) {
        bool known = klx_json_is_object(target) && klx_json_member(target, klx_json_key(m)) != NULL;
        if (!known && !klx_json_is_null(m)) {
            klx_jw_key_sv(w, klx_json_key(m));
            fake_merge(w, NULL, m);
        }
    }
}

void fake_merge(struct klx_jw *w, const struct klx_json *target, const struct klx_json *patch) {
    if (!klx_json_is_object(patch)) {
        klx_jw_node(w, patch);
        return;
    }
    klx_jw_begin_object(w);
    merge_members(w, target, patch);
    klx_jw_end_object(w);
}

/* "@01:30" and "#a" in full. */
static struct klx_sv expand(struct transcript *t, struct klx_sv patch) {
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, OBJECT_BYTES_MAX);
    for (size_t i = 0; i < patch.n; i++) {
        char c = patch.p[i];
        bool quoted = i > 0 && patch.p[i - 1] == '"';
        if (quoted && c == '@') {
            struct klx_sv rest = klx_sv_n(patch.p + i + 1, patch.n - i - 1);
            struct klx_sv text = klx_sv_cut(&rest, '"');
            char at[KLX_TIME_TEXT_BYTES];
            klx_time_format(transcript_time(text), KLX_TIME_SECONDS, at);
            klx_buf_add_str(&out, at);
            i += text.n;
        } else if (quoted && c == '#' && i + 2 < patch.n && patch.p[i + 2] == '"') {
            for (size_t k = 0; k < COMMIT_DIGITS; k++) {
                klx_buf_add_char(&out, patch.p[i + 1]);
            }
            i++;
        } else {
            klx_buf_add_char(&out, c);
        }
    }
    return klx_arena_dup(&t->arena, klx_buf_sv(&out));
}

static const struct klx_json *parse(struct transcript *t, struct klx_sv text) {
    const struct klx_json *object = NULL;
    struct klx_error e = { 0 };
    if (klx_json_parse(&t->arena, text, NULL, &object, &e) != 0) {
        fail_msg("%s: %.*s", e.text, KLX_SV_FMT(text));
    }
    return object;
}

static struct fake_app *find_or_add(struct fake_apps *all, struct klx_sv name) {
    for (size_t i = 0; i < all->n; i++) {
        if (klx_sv_eq(name, klx_sv(all->items[i].name))) {
            return &all->items[i];
        }
    }
    assert_true(all->n < FAKE_APPS_MAX);
    struct fake_app *app = &all->items[all->n++];
    snprintf(app->name, sizeof(app->name), "%.*s", KLX_SV_FMT(name));
    klx_buf_init(&app->object, OBJECT_BYTES_MAX);
    return app;
}

static void apply(struct transcript *t, struct fake_app *app, struct klx_sv patch) {
    struct klx_buf next;
    struct klx_jw w;
    klx_buf_init(&next, OBJECT_BYTES_MAX);
    klx_jw_init(&w, &next);
    fake_merge(&w, parse(t, klx_buf_sv(&app->object)), parse(t, patch));
    assert_false(next.failed);
    klx_buf_release(&app->object);
    app->object = next;
}

static void begin(const struct fake_apps *all, struct transcript *t, struct fake_app *app) {
    char *text = test_read_file(all->base != NULL ? all->base : "golden/gitops/application.json");
    snprintf(app->uid, sizeof(app->uid), "%s-%u", app->name, t->version);
    klx_buf_reset(&app->object);
    klx_buf_add_str(&app->object, text);
    free(text);
    apply(t, app,
          klx_arena_printf(&t->arena, "{\"metadata\":{\"name\":\"%s\",\"uid\":\"%s\"}}", app->name,
                           app->uid));
}

const struct klx_json *fake_app(struct fake_apps *all, struct transcript *t, struct klx_sv name,
                                struct klx_sv patch, bool fresh) {
    struct fake_app *app = find_or_add(all, name);
    if (fresh || app->object.len == 0) {
        begin(all, t, app);
    }
    apply(t, app,
          klx_arena_printf(&t->arena, "{\"metadata\":{\"resourceVersion\":\"%u\"}}", ++t->version));
    if (patch.n > 0) {
        apply(t, app, expand(t, patch));
    }
    return parse(t, klx_arena_dup(&t->arena, klx_buf_sv(&app->object)));
}

void fake_apps_run_line(struct transcript *t, const char *line, struct klx_sv verb,
                        struct klx_sv rest) {
    struct fake_apps *all = t->arg;
    const struct {
        const char *verb, *origin;
        enum klx_change change;
    } verbs[] = {
        { all->verb, "", KLX_CHANGE_MODIFIED },      { "list", " baseline", KLX_CHANGE_ADDED },
        { "relisted", " resync", KLX_CHANGE_ADDED }, { "add", "", KLX_CHANGE_ADDED },
        { "delete", "", KLX_CHANGE_DELETED },
    };
    struct klx_sv patch = rest, name = klx_sv_cut(&patch, ' ');
    if (klx_sv_eq(verb, KLX_SV("relist"))) {
        t->ops->relisted(t->detector, all->source->observed, transcript_is_listed,
                         (void *)(uintptr_t)line, t->now_us, &t->out);
        return;
    }
    if (klx_sv_eq(verb, KLX_SV("restart"))) {
        bool before = t->restarting;
        t->restarting = true;
        transcript_end_step(t);
        t->restarting = before;
        return;
    }
    if (klx_sv_eq(verb, KLX_SV("bookmark"))) {
        t->ops->caught_up(t->detector, all->source->observed, name, t->now_us, &t->out);
        return;
    }
    for (size_t i = 0; i < KLX_COUNT(verbs); i++) {
        if (klx_sv_eq(verb, klx_sv(verbs[i].verb))) {
            const struct klx_json *object =
                fake_app(all, t, name, patch, klx_sv_eq(verb, KLX_SV("add")));
            transcript_observe(t, verbs[i].origin, all->source, verbs[i].change, object);
            return;
        }
    }
    fail_msg("no verb %.*s", KLX_SV_FMT(verb));
}

void fake_apps_release(struct fake_apps *all) {
    for (size_t i = 0; i < all->n; i++) {
        klx_buf_release(&all->items[i].object);
    }
}
