/*
 * The detector of Argo CD's Applications, by transcripts (tests/unit/support/transcript.h) in tests/golden/gitops/<name>.txt. Every object
 * is JSON, made by merge patches (tests/unit/support/fake_app.h), and goes through its source.
 *
 *     > 00:00 app NAME {patch}           MODIFIED
 *     > 00:00 list NAME {patch}          in the first list
 *     > 00:00 relisted NAME {patch}      in a list after a gap
 *     > 00:00 add NAME {patch}           ADDED: another one of that name
 *     > 00:00 delete NAME                DELETED
 *     > 00:00 relist NAMESPACE/NAME…     the list's end: what there is
 */
#include "tests/unit/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/redact.h"
#include "collector/sources/source.h"
#include "lib/base/cleanup.h"
#include "lib/base/time.h"
#include "tests/unit/support/fake_app.h"
#include "tests/unit/support/transcript.h"

static void observe(struct transcript *t, enum klx_origin origin, enum klx_change change,
                    const struct klx_json *object) {
    struct klx_observation o = transcript_observation(t, "");
    o.origin = origin;
    o.change = change;
    o.object = object;
    o.kind = klx_source_applications.observed;
    assert_int_equal(klx_source_applications.observe(object, &o), 0);
    t->ops->observe(t->detector, &o, t->now_us, &t->out);
}

static void run_line(struct transcript *t, const char *line, struct klx_sv verb,
                     struct klx_sv rest) {
    struct klx_sv patch = rest, name = klx_sv_cut(&patch, ' ');
    if (klx_sv_eq(verb, KLX_SV("relist"))) {
        t->ops->relisted(t->detector, KLX_OBSERVED_APPLICATION, transcript_is_listed,
                         (void *)(uintptr_t)line, t->now_us, &t->out);
        return;
    }
    bool add = klx_sv_eq(verb, KLX_SV("add"));
    const struct klx_json *object = fake_app(t->arg, t, name, patch, add);
    if (klx_sv_eq(verb, KLX_SV("app"))) {
        observe(t, KLX_ORIGIN_LIVE, KLX_CHANGE_MODIFIED, object);
    } else if (klx_sv_eq(verb, KLX_SV("list"))) {
        observe(t, KLX_ORIGIN_BASELINE, KLX_CHANGE_ADDED, object);
    } else if (klx_sv_eq(verb, KLX_SV("relisted"))) {
        observe(t, KLX_ORIGIN_RESYNC, KLX_CHANGE_ADDED, object);
    } else if (add) {
        observe(t, KLX_ORIGIN_LIVE, KLX_CHANGE_ADDED, object);
    } else if (klx_sv_eq(verb, KLX_SV("delete"))) {
        observe(t, KLX_ORIGIN_LIVE, KLX_CHANGE_DELETED, object);
    } else {
        fail_msg("no verb %.*s", KLX_SV_FMT(verb));
    }
}

static void run(const char *name, bool restarting) {
    struct fake_apps apps = { 0 };
    char file[200];
    snprintf(file, sizeof(file), "gitops/%s.txt", name);
    transcript_run(&klx_detector_gitops, file, restarting, run_line, &apps);
    fake_apps_release(&apps);
}

static void transcript(void **state) {
    run(*state, false);
}

static void transcript_with_restarts(void **state) {
    run(*state, true);
}

static void a_broken_state_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = { "",
                                       "{",
                                       "[]",
                                       "{\"version\":2}",
                                       "{\"version\":1}",
                                       "{\"version\":1,\"labels\":{},\"about\":{}}" };
    void *d = klx_detector_gitops.create(KLX_SV("prod"), NULL);
    for (size_t i = 0; i < KLX_COUNT(bad); i++) {
        assert_int_equal(klx_detector_gitops.restore(d, KLX_SV("ns/name"), klx_sv(bad[i])),
                         -EBADMSG);
    }
    assert_int_equal(klx_detector_gitops.restore(d, KLX_SV("name"), KLX_SV("{}")), -EBADMSG);
    klx_detector_gitops.destroy(d);
}

static void what_is_not_an_application_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = { "{}", "[]", "{\"metadata\":{\"name\":\"x\"}}" };
    struct klx_arena arena KLX_CLEANUP(klx_arena_release);
    klx_arena_init(&arena, 4096, 1 << 20);
    for (size_t i = 0; i < KLX_COUNT(bad); i++) {
        const struct klx_json *object = NULL;
        struct klx_observation o = { 0 };
        assert_int_equal(klx_json_parse(&arena, klx_sv(bad[i]), NULL, &object, NULL), 0);
        o.kind = klx_source_applications.observed;
        assert_int_equal(klx_source_applications.observe(object, &o), -EBADMSG);
    }
}

/* Everything that the detector writes, of every kind of trouble at once. */
struct listener {
    struct klx_outbox out;
    size_t events, states;
};

static void assert_no_secret(struct klx_sv text) {
    if (klx_sv_find_sv(text, KLX_SV("SECRET")) < text.n) {
        fail_msg("a secret leaves: %.*s", KLX_SV_FMT(text));
    }
}

static void on_event(struct klx_outbox *o, const struct klx_event *e) {
    assert_no_secret(e->data);
    ((struct listener *)o)->events++;
}

static void on_state(struct klx_outbox *o, struct klx_sv key, struct klx_sv value) {
    (void)key;
    assert_no_secret(value);
    ((struct listener *)o)->states++;
}

static const char *const leaky[] = {
    "{\"operation\":{\"sync\":{\"manifests\":[\"SECRET-6\"]}},\"status\":{\"sync\":{\"status\":"
    "\"OutOfSync\"},\"operationState\":null}}",
    "{\"status\":{\"operationState\":{\"phase\":\"Failed\",\"startedAt\":\"2026-03-11T07:00:01Z\","
    "\"message\":\"git fetch https://bot:SECRET-7@git.example.com/x: Authorization: Bearer "
    "SECRET-8\",\"operation\":{\"sync\":{\"manifests\":[\"SECRET-6\"],\"source\":{\"helm\":{"
    "\"values\":\"SECRET-9\"}}}},\"syncResult\":{\"resources\":[{\"kind\":\"Secret\",\"name\":"
    "\"s\","
    "\"status\":\"SyncFailed\",\"message\":\"invalid: password=SECRET-10\"}]}}}}",
    "{\"status\":{\"health\":{\"status\":\"Degraded\",\"message\":\"token: SECRET-11\"},"
    "\"conditions\":[{\"type\":\"ComparisonError\",\"message\":\"https://x:SECRET-12@h/p "
    "--token=SECRET-13\"},{\"type\":\"SyncError\",\"message\":\"password: \\\"SECRET-14\\\"\"},{"
    "\"type\":\"SharedResourceWarning\",\"message\":\"api-key=SECRET-15\"}]}}",
};

static void no_secret_leaves(void **state) {
    (void)state;
    struct fake_apps apps = { 0 };
    struct transcript t = { .version = 1 };
    struct listener l = { .out = { .event = on_event, .state = on_state, .arena = &t.arena } };
    void *d = klx_detector_gitops.create(KLX_SV("prod"), NULL);
    klx_arena_init(&t.arena, 65536, 4 << 20);
    for (size_t i = 0; i <= KLX_COUNT(leaky); i++) {
        struct klx_sv patch = i == 0 ? klx_sv("") : klx_sv(leaky[i - 1]);
        struct klx_observation o = transcript_observation(&t, "");
        o.object = fake_app(&apps, &t, KLX_SV("leaky"), patch, false);
        o.kind = klx_source_applications.observed;
        assert_int_equal(klx_source_applications.observe(o.object, &o), 0);
        klx_detector_gitops.observe(d, &o, TRANSCRIPT_BASE_US, &l.out);
    }
    klx_detector_gitops.tick(d, TRANSCRIPT_BASE_US + 3600 * KLX_US_PER_S, &l.out);
    assert_true(l.events >= 5 && l.states >= 3);
    klx_detector_gitops.destroy(d);
    klx_arena_release(&t.arena);
    fake_apps_release(&apps);
}

static void text_is_redacted(void **state) {
    (void)state;
    static const struct {
        const char *text, *wanted;
    } cases[] = {
        { "nothing to hide", "nothing to hide" },
        { "https://u:p@h/x and git://h/y@z", "https://***@h/x and git://h/y@z" },
        { "password=abc, next", "password=***, next" },
        { "Authorization: Bearer abc def", "Authorization: Bearer *** def" },
        { "a token is missing", "a token is missing" },
        { "secret \"db\" not found", "secret \"db\" not found" },
        { "{\"password\":\"x\"}", "{\"password\":\"***\"}" },
        { "two\nlines\x1b[0m", "two lines [0m" },
        { "password:", "password:***" },
        { "", "" },
    };
    struct klx_arena arena KLX_CLEANUP(klx_arena_release);
    klx_arena_init(&arena, 4096, 1 << 20);
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        struct klx_sv shown = klx_redact(&arena, klx_sv(cases[i].text), 100);
        if (!klx_sv_eq(shown, klx_sv(cases[i].wanted))) {
            fail_msg("\"%s\" became \"%.*s\"", cases[i].text, KLX_SV_FMT(shown));
        }
    }
    assert_true(klx_redact(&arena, KLX_SV("aaaaaaaaaaaaaaaaaaaaaaaa"), 10).n <= 10);
    assert_sv(klx_redact_lines(&arena, KLX_SV("a\n b=c ://x")), "a\n b=c ://x");
    assert_sv(klx_redact_lines(&arena, KLX_SV("a\ntoken: b\n c://d@e")),
              "a\ntoken: ***\n c://***@e");
}

static const char *const names[] = {
    "deploy",        "drift-healed", "drift-by-hand", "drift-loop", "change-waits",
    "sync-failed",   "gave-up",      "bad-manifest",  "rollback",   "pruning",
    "project-error", "repository",   "auto-sync",     "deleted",    "deletion-stuck",
    "degraded",      "missing",      "vanishing",     "relist",     "baseline",
    "monorepo",      "idle",         "sync-waits",    "partial",    "created",
    "no-history",    "terminated",   "multi-source",  "warnings",   "out-of-sync-long",
    "spec-edited",   "suspended",
};

#define FIXED 4

int main(void) {
    struct CMUnitTest tests[2 * KLX_COUNT(names) + FIXED] = {
        cmocka_unit_test(a_broken_state_is_refused),
        cmocka_unit_test(what_is_not_an_application_is_refused),
        cmocka_unit_test(no_secret_leaves),
        cmocka_unit_test(text_is_redacted),
    };
    for (size_t i = 0; i < KLX_COUNT(names); i++) {
        void *name = (void *)(uintptr_t)names[i];
        tests[2 * i + FIXED] = (struct CMUnitTest){ names[i], transcript, NULL, NULL, name };
        tests[2 * i + FIXED + 1] =
            (struct CMUnitTest){ names[i], transcript_with_restarts, NULL, NULL, name };
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
