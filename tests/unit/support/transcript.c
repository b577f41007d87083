#include "tests/unit/support/transcript.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/sources/source.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "tests/unit/support/event_check.h"
#include "tests/unit/support/support.h"

static char incident_letter(struct transcript *t, struct klx_sv id) {
    for (size_t i = 0; i < t->incidents_n; i++) {
        if (klx_sv_eq(id, klx_sv(t->incidents[i]))) {
            return (char)('A' + i);
        }
    }
    assert_true(t->incidents_n < KLX_COUNT(t->incidents));
    snprintf(t->incidents[t->incidents_n], sizeof(t->incidents[0]), "%.*s", KLX_SV_FMT(id));
    return (char)('A' + t->incidents_n++);
}

static void on_event(struct klx_outbox *o, const struct klx_event *e) {
    struct transcript *t = (struct transcript *)o;
    struct klx_arena arena KLX_CLEANUP(klx_arena_release);
    const struct klx_json *data = NULL;
    klx_arena_init(&arena, 4096, 1 << 20);
    assert_int_equal(klx_json_parse(&arena, e->data, NULL, &data, NULL), 0);
    test_check_event(e);
    assert_true(e->id.n == 32 && e->key.n > 0 && e->subject.n > 0 && e->source.n > 0);
    if (klx_kind_specs[e->kind].topic == KLX_TOPIC_METRICS && !t->shows_samples) {
        return;
    }
    int64_t s = (e->time_us - TRANSCRIPT_BASE_US) / KLX_US_PER_S;
    klx_buf_printf(&t->text, "    %02d:%02d %-8s %-28s", (int)(s / 60), (int)(s % 60),
                   klx_severity_name(e->severity),
                   klx_kind_specs[e->kind].type + strlen("io.klaxon."));
    if (e->phase != KLX_PHASE_NONE) {
        klx_buf_printf(&t->text, " %c%u %-8s", incident_letter(t, e->incident), e->incident_seq,
                       klx_phase_name(e->phase));
    } else {
        klx_buf_add_str(&t->text, " --         ");
    }
    struct klx_sv worst = klx_json_str(data, "incident.severity");
    if (e->phase == KLX_PHASE_RESOLVED) {
        klx_buf_printf(&t->text, " [%.*s]", KLX_SV_FMT(worst));
    }
    klx_buf_printf(&t->text, "%s %.*s\n", e->resync ? " resync" : "",
                   KLX_SV_FMT(klx_json_str(data, "summary")));
}

static struct transcript_state *find_or_add(struct transcript *t, struct klx_sv key) {
    for (size_t i = 0; i < t->states_n; i++) {
        if (klx_sv_eq(key, klx_sv(t->states[i].key))) {
            return &t->states[i];
        }
    }
    assert_true(key.n < sizeof(t->states[0].key));
    t->states = klx_grow_array(t->states, t->states_n, t->states_n + 1, sizeof(t->states[0]));
    struct transcript_state *s = &t->states[t->states_n++];
    memcpy(s->key, key.p, key.n);
    klx_buf_init(&s->value, 65536);
    return s;
}

static void on_state(struct klx_outbox *o, struct klx_sv key, struct klx_sv value) {
    struct transcript_state *s = find_or_add((struct transcript *)o, key);
    s->writes++;
    klx_buf_reset(&s->value);
    klx_buf_add_sv(&s->value, value);
    assert_false(s->value.failed);
}

/* "prod/node_repair/aks-1" → "aks-1" */
static struct klx_sv object_of(const struct transcript_state *s) {
    struct klx_sv rest = klx_sv(s->key);
    klx_sv_cut(&rest, '/');
    klx_sv_cut(&rest, '/');
    return rest;
}

/* What a klaxon of another version has written is not taken for ours. */
static void check_other_version(struct transcript *t, const struct transcript_state *s) {
    static const char ours[] = "\"version\":1";
    char *other = klx_strdup(klx_buf_str(&s->value));
    char *at = strstr(other, ours);
    if (at == NULL) {
        fail_msg("%s was written without a version: %s", s->key, other);
    }
    at[sizeof(ours) - 2] = '2';
    if (t->ops->restore(t->detector, object_of(s), klx_sv(other)) != -EBADMSG) {
        fail_msg("%s was read, although its version is another: %s", s->key, other);
    }
    free(other);
}

static void restart(struct transcript *t) {
    t->ops->destroy(t->detector);
    t->detector = t->ops->create(KLX_SV("prod"), t->settings);
    for (size_t i = 0; i < t->states_n; i++) {
        struct transcript_state *s = &t->states[i];
        if (s->value.len == 0) {
            continue;
        }
        check_other_version(t, s);
        if (t->ops->restore(t->detector, object_of(s), klx_buf_sv(&s->value)) != 0) {
            fail_msg("%s was written and cannot be read: %s", s->key, klx_buf_str(&s->value));
        }
    }
}

bool transcript_has_word(const char *line, const char *word) {
    size_t n = strlen(word);
    for (const char *at = strstr(line, word); at != NULL; at = strstr(at + 1, word)) {
        if (at > line && at[-1] == ' ' && (at[n] == ' ' || at[n] == '\0')) {
            return true;
        }
    }
    return false;
}

struct klx_sv transcript_option(const char *line, const char *name) {
    char wanted[64];
    snprintf(wanted, sizeof(wanted), " %s=", name);
    const char *at = strstr(line, wanted);
    struct klx_sv rest = klx_sv(at != NULL ? at + strlen(wanted) : NULL);
    return klx_sv_cut(&rest, ' ');
}

int64_t transcript_time(struct klx_sv text) {
    int64_t minutes = 0, seconds = 0;
    struct klx_sv rest = text;
    if (klx_sv_int(klx_sv_cut(&rest, ':'), &minutes) != 0 || klx_sv_int(rest, &seconds) != 0) {
        fail_msg("\"%.*s\" is not MM:SS", KLX_SV_FMT(text));
    }
    return TRANSCRIPT_BASE_US + (minutes * 60 + seconds) * KLX_US_PER_S;
}

struct klx_observation transcript_observation(struct transcript *t, const char *line) {
    struct klx_sv version = klx_arena_printf(&t->arena, "%u", ++t->version);
    return (struct klx_observation){
        .change = KLX_CHANGE_MODIFIED,
        .origin = transcript_has_word(line, "baseline") ? KLX_ORIGIN_BASELINE
                  : transcript_has_word(line, "resync") ? KLX_ORIGIN_RESYNC
                                                        : KLX_ORIGIN_LIVE,
        .cluster = KLX_SV("prod"),
        .uid = KLX_SV("uid"),
        .resource_version = version,
    };
}

void transcript_observe(struct transcript *t, const char *line, const struct klx_source_ops *source,
                        enum klx_change change, const struct klx_json *object) {
    struct klx_observation o = transcript_observation(t, line);
    o.change = change;
    o.object = object;
    o.kind = source->observed;
    assert_int_equal(source->observe(object, &o), 0);
    t->ops->observe(t->detector, &o, t->now_us, &t->out);
}

bool transcript_is_listed(void *line, struct klx_sv name) {
    char word[600];
    snprintf(word, sizeof(word), "%.*s", KLX_SV_FMT(name));
    return transcript_has_word(line, word);
}

static void write_states(struct transcript *t) {
    for (size_t i = 0; i < t->states_n; i++) {
        const struct transcript_state *s = &t->states[i];
        if (s->value.len > 0) {
            klx_buf_printf(&t->text, "    state %.*s (written %u times)\n",
                           KLX_SV_FMT(object_of(s)), s->writes);
        }
    }
}

void transcript_end_step(struct transcript *t) {
    if (t->restarting) {
        restart(t);
    }
}

/* Timers fire when they are due, one after the other, as the loop would have it. */
void transcript_begin_step(struct transcript *t, int64_t now_us) {
    int64_t due_us = t->ops->tick(t->detector, t->now_us, &t->out);
    while (due_us != KLX_TIME_NONE && due_us <= now_us) {
        t->now_us = due_us > t->now_us ? due_us : t->now_us;
        klx_arena_reset(&t->arena);
        due_us = t->ops->tick(t->detector, t->now_us, &t->out);
        transcript_end_step(t);
    }
    t->now_us = now_us;
    klx_arena_reset(&t->arena);
    t->ops->tick(t->detector, now_us, &t->out);
}

static const struct klx_source_ops *source_named(struct klx_sv name) {
    static const struct klx_source_ops *const all[] = {
#define KLX_SOURCE(name) &klx_source_##name,
#include "collector/sources/list.def"
#undef KLX_SOURCE
    };
    for (size_t i = 0; i < KLX_COUNT(all); i++) {
        if (klx_sv_eq(name, klx_sv(all[i]->name))) {
            return all[i];
        }
    }
    fail_msg("no source %.*s", KLX_SV_FMT(name));
    return NULL;
}

static void observe_frame(struct transcript *t, const struct klx_json *line) {
    const struct klx_source_ops *source = source_named(klx_json_str(line, "source"));
    bool deleted = klx_sv_eq(klx_json_str(line, "frame.type"), KLX_SV("DELETED"));
    struct klx_observation o =
        transcript_observation(t, klx_json_bool(line, "baseline", false) ? " baseline" : "");
    o.kind = source->observed;
    o.change = deleted ? KLX_CHANGE_DELETED : KLX_CHANGE_MODIFIED;
    o.object = klx_json_get(line, "frame.object");
    if (source->observe(o.object, &o) == 0) {
        t->ops->observe(t->detector, &o, t->now_us, &t->out);
    }
}

void transcript_play(struct transcript *t, const char *file) {
    char *text = test_read_file(file);
    struct klx_sv rest = klx_sv(text);
    while (rest.n > 0) {
        struct klx_sv line = klx_sv_cut(&rest, '\n');
        struct klx_arena arena KLX_CLEANUP(klx_arena_release);
        const struct klx_json *at = NULL;
        klx_arena_init(&arena, 65536, 4 << 20);
        assert_int_equal(klx_json_parse(&arena, line, NULL, &at, NULL), 0);
        transcript_begin_step(t, TRANSCRIPT_BASE_US +
                                     (int64_t)(klx_json_double(at, "at", 0) * KLX_US_PER_S));
        observe_frame(t, at);
        transcript_end_step(t);
    }
    free(text);
}

static void run_one(struct transcript *t, const char *line, transcript_line_fn run_line) {
    struct klx_sv rest = klx_sv(line + 2);
    int64_t now_us = transcript_time(klx_sv_cut(&rest, ' '));
    struct klx_sv verb = klx_sv_cut(&rest, ' ');
    klx_buf_printf(&t->text, "%s\n", line);
    transcript_begin_step(t, now_us);
    if (klx_sv_eq(verb, KLX_SV("states"))) {
        write_states(t);
    } else if (!klx_sv_eq(verb, KLX_SV("tick"))) {
        run_line(t, line, verb, rest);
    }
    transcript_end_step(t);
}

static void release(struct transcript *t) {
    t->ops->destroy(t->detector);
    for (size_t i = 0; i < t->states_n; i++) {
        klx_buf_release(&t->states[i].value);
    }
    free(t->states);
    klx_buf_release(&t->text);
    klx_arena_release(&t->arena);
}

void transcript_run(const struct klx_detector_ops *ops, const char *file, bool restarting,
                    transcript_line_fn run_line, void *arg) {
    transcript_run_with(ops, NULL, file, restarting, run_line, arg);
}

void transcript_run_with(const struct klx_detector_ops *ops, const void *settings, const char *file,
                         bool restarting, transcript_line_fn run_line, void *arg) {
    struct transcript t = { .out = { .event = on_event, .state = on_state },
                            .ops = ops,
                            .restarting = restarting,
                            .settings = settings,
                            .arg = arg };
    char path[256];
    snprintf(path, sizeof(path), "golden/%s", file);
    klx_arena_init(&t.arena, 65536, 4 << 20);
    t.out.arena = &t.arena;
    klx_buf_init(&t.text, 4 << 20);
    t.detector = ops->create(KLX_SV("prod"), settings);
    char *text = test_read_file(path), *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        if (line[0] == '#') {
            klx_buf_printf(&t.text, "%s\n", line);
        } else if (line[0] == '>') {
            run_one(&t, line, run_line);
        }
    }
    golden_check(file, klx_buf_sv(&t.text));
    free(text);
    release(&t);
}

struct planned {
    transcript_run_fn run;
    const char *name;
    bool restarting;
    char *title;
};

static void run_planned(void **state) {
    const struct planned *p = *state;
    p->run(p->name, p->restarting);
}

int transcript_main(const struct CMUnitTest *others, size_t others_n, const char *const *names,
                    size_t names_n, transcript_run_fn run) {
    size_t planned_n = 2 * names_n;
    struct planned *planned = klx_alloc_n(struct planned, planned_n);
    struct CMUnitTest *tests = klx_alloc_n(struct CMUnitTest, others_n + planned_n);
    memcpy(tests, others, others_n * sizeof(*tests));
    for (size_t i = 0; i < planned_n; i++) {
        bool restarting = i % 2 == 1;
        char *title = klx_asprintf("%s%s", names[i / 2], restarting ? " (restarting)" : "");
        planned[i] = (struct planned){ run, names[i / 2], restarting, title };
        tests[others_n + i] = (struct CMUnitTest){ title, run_planned, NULL, NULL, &planned[i] };
    }
    int failed = _cmocka_run_group_tests("transcripts", tests, others_n + planned_n, NULL, NULL);
    for (size_t i = 0; i < planned_n; i++) {
        free(planned[i].title);
    }
    free(planned);
    free(tests);
    return failed;
}

static void check_refused(const struct klx_detector_ops *ops, void *detector, const char *key,
                          const char *record) {
    if (ops->restore(detector, klx_sv(key), klx_sv(record)) != -EBADMSG) {
        fail_msg("a state of %s was not refused: %s", key, record);
    }
}

void transcript_check_bad_states(const struct klx_detector_ops *ops, const char *key,
                                 const char *const *bad, size_t n) {
    static const char *const always[] = { "", "{", "[]" };
    void *detector = ops->create(KLX_SV("prod"), NULL);
    for (size_t i = 0; i < KLX_COUNT(always); i++) {
        check_refused(ops, detector, key, always[i]);
    }
    for (size_t i = 0; i < n; i++) {
        check_refused(ops, detector, key, bad[i]);
    }
    ops->destroy(detector);
}
