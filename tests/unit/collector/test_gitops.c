/*
 * The detector of Argo CD's Applications, by transcripts (tests/unit/support/transcript.h) in tests/golden/gitops/<name>.txt. Every object
 * is JSON, made by merge patches (tests/unit/support/fake_app.h, which has the lines; the verb is `app`), and goes through its source. Those
 * whose name begins with "recorded-" are what a real Argo CD wrote (tests/record/argo.py), played with the settings of that recording.
 */
#include "tests/unit/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/detectors/gitops/app_rules.h"
#include "collector/redact.h"
#include "collector/sources/source.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "tests/unit/support/fake_app.h"
#include "tests/unit/support/transcript.h"

/* SETTINGS of tests/prove/argocd.py */
static const struct klx_app_settings recorded = {
    .drift_after_ms = 5000,
    .change_waits_after_ms = 5000,
    .degraded_after_ms = 3000,
    .error_after_ms = 3000,
    .settled_after_ms = 3000,
};

static void run(const char *name, bool restarting) {
    struct fake_apps apps = { .verb = "app", .source = &klx_source_applications };
    const void *settings = strncmp(name, "recorded-", 9) == 0 ? &recorded : NULL;
    char file[200];
    snprintf(file, sizeof(file), "gitops/%s.txt", name);
    transcript_run_with(&klx_detector_gitops, settings, file, restarting, fake_apps_run_line,
                        &apps);
    fake_apps_release(&apps);
}

/* When an Application was refreshed last is in no record, so with a restart after every line it is told later. */
static void stalled(void **state) {
    (void)state;
    run("stalled", false);
}

static void a_broken_state_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = { "{\"version\":1}",
                                       "{\"version\":1,\"labels\":{},\"about\":{}}" };
    transcript_check_bad_states(&klx_detector_gitops, "ns/name", bad, KLX_COUNT(bad));
    transcript_check_bad_states(&klx_detector_gitops, "name", NULL, 0);
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

static struct klx_sv link_of_last;

static void keep_link(struct klx_outbox *o, const struct klx_event *e) {
    const struct klx_json *data = NULL;
    assert_int_equal(klx_json_parse(o->arena, e->data, NULL, &data, NULL), 0);
    link_of_last = klx_json_str(klx_json_first(klx_json_get(data, "links")), "url");
}

/* A name has only what Kubernetes permits; should it ever have more, it cannot leave its place in the path. */
static void an_event_links_to_its_application(void **state) {
    (void)state;
    struct fake_apps apps = { 0 };
    struct transcript t = { .version = 1 };
    struct listener l = { .out = { .event = keep_link, .state = on_state, .arena = &t.arena } };
    struct klx_app_settings settings = { .argocd_url = klx_strdup("https://cd.example.com/ui/") };
    void *d = klx_detector_gitops.create(KLX_SV("prod"), &settings);
    free(settings.argocd_url);
    klx_arena_init(&t.arena, 65536, 4 << 20);
    struct klx_observation o = transcript_observation(&t, "");
    o.object = fake_app(&apps, &t, KLX_SV("a?b/../c"), klx_sv(""), true);
    o.kind = klx_source_applications.observed;
    o.change = KLX_CHANGE_ADDED;
    assert_int_equal(klx_source_applications.observe(o.object, &o), 0);
    klx_detector_gitops.observe(d, &o, TRANSCRIPT_BASE_US, &l.out);
    assert_true(klx_sv_eq(link_of_last,
                          KLX_SV("https://cd.example.com/ui/applications/argocd/a%3Fb%2F..%2Fc")));
    o.change = KLX_CHANGE_DELETED;
    klx_detector_gitops.observe(d, &o, TRANSCRIPT_BASE_US, &l.out);
    assert_true(link_of_last.n == 0);
    klx_detector_gitops.destroy(d);
    klx_arena_release(&t.arena);
    fake_apps_release(&apps);
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
    "deploy",
    "drift-healed",
    "drift-by-hand",
    "drift-loop",
    "change-waits",
    "sync-failed",
    "gave-up",
    "bad-manifest",
    "rollback",
    "pruning",
    "project-error",
    "repository",
    "auto-sync",
    "deleted",
    "deletion-stuck",
    "degraded",
    "clock-ahead",
    "missing",
    "vanishing",
    "relist",
    "baseline",
    "monorepo",
    "idle",
    "sync-waits",
    "partial",
    "created",
    "no-history",
    "terminated",
    "multi-source",
    "warnings",
    "out-of-sync-long",
    "spec-edited",
    "suspended",
    "healed-at-once",
    "fix-called-heal",
    "stalled-skipped",
    "recorded-deploy",
    "recorded-drift-healed",
    "recorded-drift-by-hand",
    "recorded-sync-failed",
    "recorded-terminated",
    "recorded-partial",
    "recorded-bad-manifest",
    "recorded-roll-back",
    "recorded-pruning",
    "recorded-project",
    "recorded-project-forbids",
    "recorded-repository",
    "recorded-auto-sync",
    "recorded-degraded",
    "recorded-deleted",
    "recorded-canary",
};

int main(void) {
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(a_broken_state_is_refused),
        cmocka_unit_test(what_is_not_an_application_is_refused),
        cmocka_unit_test(no_secret_leaves),
        cmocka_unit_test(an_event_links_to_its_application),
        cmocka_unit_test(text_is_redacted),
        cmocka_unit_test(stalled),
    };
    return transcript_main(others, KLX_COUNT(others), names, KLX_COUNT(names), run);
}
