/*
 * The node detector, by transcripts: tests/golden/node_repair/<name>.txt holds what is observed ("> MM:SS …") and, below each line, the
 * events that it makes. Every transcript is run twice: as it is, and with a restart of the collector after every line.
 *
 *     > 00:00 node N ready|notready|unknown [REASON] [new] [cordoned] [upgrading] [baseline|resync]
 *     > 00:00 delete N          > 00:00 relist N…          > 00:00 tick
 *     > 00:00 event REASON N [component=C] [baseline|resync]
 */
#include "tests/unit/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/detectors/detector.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/time.h"

#define BASE_US INT64_C(1773212400000000) /* 2026-03-11T07:00:00Z */
#define OBJECTS_MAX 16

struct kept_state {
    char key[300];
    struct klx_buf value;
};

struct world {
    struct klx_outbox out; /* first: the callbacks find the world by it */
    struct klx_arena arena;
    struct klx_buf transcript;
    void *detector;
    struct kept_state states[OBJECTS_MAX];
    size_t states_n;
    char incidents[OBJECTS_MAX][40];
    size_t incidents_n;
    unsigned version; /* the next resourceVersion */
    int64_t now_us;
};

static char incident_letter(struct world *w, struct klx_sv id) {
    for (size_t i = 0; i < w->incidents_n; i++) {
        if (klx_sv_eq(id, klx_sv(w->incidents[i]))) {
            return (char)('A' + i);
        }
    }
    assert_true(w->incidents_n < OBJECTS_MAX);
    snprintf(w->incidents[w->incidents_n], sizeof(w->incidents[0]), "%.*s", KLX_SV_FMT(id));
    return (char)('A' + w->incidents_n++);
}

static void on_event(struct klx_outbox *o, const struct klx_event *e) {
    struct world *w = (struct world *)o;
    struct klx_arena arena KLX_CLEANUP(klx_arena_release);
    const struct klx_json *data = NULL;
    klx_arena_init(&arena, 4096, 1 << 20);
    assert_int_equal(klx_json_parse(&arena, e->data, NULL, &data, NULL), 0);
    assert_true(e->id.n == 32);
    int64_t s = (e->time_us - BASE_US) / KLX_US_PER_S;
    klx_buf_printf(&w->transcript, "    %02d:%02d %-8s %-28s", (int)(s / 60), (int)(s % 60),
                   klx_severity_name(e->severity),
                   klx_kind_specs[e->kind].type + strlen("io.klaxon."));
    if (e->phase != KLX_PHASE_NONE) {
        klx_buf_printf(&w->transcript, " %c%u %-8s", incident_letter(w, e->incident),
                       e->incident_seq, klx_phase_name(e->phase));
    } else {
        klx_buf_add_str(&w->transcript, " --         ");
    }
    struct klx_sv worst = klx_json_str(data, "incident.severity");
    if (e->phase == KLX_PHASE_RESOLVED) {
        klx_buf_printf(&w->transcript, " [%.*s]", KLX_SV_FMT(worst));
    }
    klx_buf_printf(&w->transcript, "%s %.*s\n", e->resync ? " resync" : "",
                   KLX_SV_FMT(klx_json_str(data, "summary")));
}

static void on_state(struct klx_outbox *o, struct klx_sv key, struct klx_sv value) {
    struct world *w = (struct world *)o;
    size_t i = 0;
    while (i < w->states_n && !klx_sv_eq(key, klx_sv(w->states[i].key))) {
        i++;
    }
    if (i == w->states_n) {
        assert_true(i < OBJECTS_MAX);
        snprintf(w->states[i].key, sizeof(w->states[i].key), "%.*s", KLX_SV_FMT(key));
        klx_buf_init(&w->states[i].value, 65536);
        w->states_n++;
    }
    klx_buf_reset(&w->states[i].value);
    klx_buf_add_sv(&w->states[i].value, value);
}

static void restart(struct world *w) {
    klx_detector_node_repair.destroy(w->detector);
    w->detector = klx_detector_node_repair.create(KLX_SV("prod"));
    for (size_t i = 0; i < w->states_n; i++) {
        struct klx_sv value = klx_buf_sv(&w->states[i].value);
        const char *object = strrchr(w->states[i].key, '/') + 1;
        if (value.n > 0) {
            assert_int_equal(klx_detector_node_repair.restore(w->detector, klx_sv(object), value),
                             0);
        }
    }
}

static bool has_word(const char *line, const char *word) {
    const char *at = strstr(line, word);
    size_t n = strlen(word);
    return at != NULL && at[-1] == ' ' && (at[n] == ' ' || at[n] == '\0');
}

static struct klx_observation observation(struct world *w, const char *line) {
    char *version = klx_arena_alloc(&w->arena, 16);
    snprintf(version, 16, "%u", ++w->version);
    return (struct klx_observation){
        .change = KLX_CHANGE_MODIFIED,
        .origin = has_word(line, "baseline") ? KLX_ORIGIN_BASELINE
                  : has_word(line, "resync") ? KLX_ORIGIN_RESYNC
                                             : KLX_ORIGIN_LIVE,
        .cluster = KLX_SV("prod"),
        .uid = KLX_SV("uid"),
        .resource_version = klx_sv(version),
    };
}

static bool is_listed(void *arg, struct klx_sv name) {
    char padded[300];
    snprintf(padded, sizeof(padded), "%.*s", KLX_SV_FMT(name));
    return has_word(arg, padded);
}

static void observe_node(struct world *w, const char *line, struct klx_sv rest) {
    struct klx_observation o = observation(w, line);
    o.kind = KLX_OBSERVED_NODE;
    o.name = klx_sv_cut(&rest, ' ');
    struct klx_sv status = klx_sv_cut(&rest, ' ');
    o.node = (struct klx_observed_node){
        .ready = klx_sv_eq(status, KLX_SV("ready"))     ? KLX_NODE_READY_TRUE
                 : klx_sv_eq(status, KLX_SV("unknown")) ? KLX_NODE_READY_UNKNOWN
                                                        : KLX_NODE_READY_FALSE,
        .ready_reason = klx_sv_cut(&rest, ' '),
        .ready_since_us = w->now_us,
        .unschedulable = has_word(line, "cordoned"),
        .upgrading = has_word(line, "upgrading"),
        .created_us = has_word(line, "new") ? w->now_us : BASE_US - 86400 * KLX_US_PER_S,
    };
    klx_detector_node_repair.observe(w->detector, &o, w->now_us, &w->out);
}

static void observe_event(struct world *w, const char *line, struct klx_sv rest) {
    struct klx_observation o = observation(w, line);
    o.kind = KLX_OBSERVED_EVENT;
    o.event = (struct klx_observed_event){
        .reason = klx_sv_cut(&rest, ' '),
        .about_kind = KLX_SV("Node"),
        .about_name = klx_sv_cut(&rest, ' '),
        .message = KLX_SV("the text of the Event"),
        .component =
            has_word(line, "component=upgrader") ? KLX_SV("upgrader") : KLX_SV("aks-auto-repair"),
        .time_us = w->now_us,
        .count = 1,
    };
    const char *late = strstr(line, "at=");
    if (late != NULL) {
        o.event.time_us =
            BASE_US +
            (strtoll(late + 3, NULL, 10) * 60 + strtoll(late + 6, NULL, 10)) * KLX_US_PER_S;
    }
    klx_detector_node_repair.observe(w->detector, &o, w->now_us, &w->out);
}

static void run_line(struct world *w, char *line) {
    struct klx_sv rest = klx_sv(line + 2);
    struct klx_sv time = klx_sv_cut(&rest, ' ');
    struct klx_sv verb = klx_sv_cut(&rest, ' ');
    w->now_us =
        BASE_US + (strtoll(time.p, NULL, 10) * 60 + strtoll(time.p + 3, NULL, 10)) * KLX_US_PER_S;
    klx_buf_printf(&w->transcript, "%s\n", line);
    klx_arena_reset(&w->arena);
    klx_detector_node_repair.tick(w->detector, w->now_us, &w->out);
    if (klx_sv_eq(verb, KLX_SV("node"))) {
        observe_node(w, line, rest);
    } else if (klx_sv_eq(verb, KLX_SV("event"))) {
        observe_event(w, line, rest);
    } else if (klx_sv_eq(verb, KLX_SV("delete"))) {
        struct klx_observation o = observation(w, line);
        o.kind = KLX_OBSERVED_NODE;
        o.change = KLX_CHANGE_DELETED;
        o.name = klx_sv_cut(&rest, ' ');
        klx_detector_node_repair.observe(w->detector, &o, w->now_us, &w->out);
    } else if (klx_sv_eq(verb, KLX_SV("relist"))) {
        klx_detector_node_repair.relisted(w->detector, KLX_OBSERVED_NODE, is_listed, line,
                                          w->now_us, &w->out);
    } else {
        assert_true(klx_sv_eq(verb, KLX_SV("tick")));
    }
}

static void run(const char *name, bool restarting) {
    struct world w = { .out = { .event = on_event, .state = on_state } };
    char file[200], path[256];
    snprintf(file, sizeof(file), "node_repair/%s.txt", name);
    snprintf(path, sizeof(path), "golden/%s", file);
    klx_arena_init(&w.arena, 65536, 1 << 20);
    w.out.arena = &w.arena;
    klx_buf_init(&w.transcript, 1 << 20);
    w.detector = klx_detector_node_repair.create(KLX_SV("prod"));
    char *text = test_read_file(path), *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        if (line[0] == '#') {
            klx_buf_printf(&w.transcript, "%s\n", line);
        } else if (line[0] == '>') {
            run_line(&w, line);
            if (restarting) {
                restart(&w);
            }
        }
    }
    golden_check(file, klx_buf_sv(&w.transcript));
    free(text);
    klx_detector_node_repair.destroy(w.detector);
    for (size_t i = 0; i < w.states_n; i++) {
        klx_buf_release(&w.states[i].value);
    }
    klx_buf_release(&w.transcript);
    klx_arena_release(&w.arena);
}

static void transcript(void **state) {
    run(*state, false);
}

static void transcript_with_restarts(void **state) {
    run(*state, true);
}

static void a_broken_state_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = { "", "{", "[]", "{\"version\":2}",
                                       "{\"version\":1,\"labels\":3}" };
    void *d = klx_detector_node_repair.create(KLX_SV("prod"));
    for (size_t i = 0; i < KLX_COUNT(bad); i++) {
        assert_int_equal(klx_detector_node_repair.restore(d, KLX_SV("n"), klx_sv(bad[i])),
                         -EBADMSG);
    }
    klx_detector_node_repair.destroy(d);
}

#define TRANSCRIPT(name)                                                                           \
    { name, transcript, NULL, NULL, (void *)(uintptr_t)name }, {                                   \
        name " (restarting)", transcript_with_restarts, NULL, NULL, (void *)(uintptr_t)name        \
    }

int main(void) {
    const struct CMUnitTest tests[] = {
        TRANSCRIPT("reboot"),
        TRANSCRIPT("ladder"),
        TRANSCRIPT("error"),
        TRANSCRIPT("end-then-error"),
        TRANSCRIPT("deleted"),
        TRANSCRIPT("stuck"),
        TRANSCRIPT("flapping"),
        TRANSCRIPT("upgrade"),
        TRANSCRIPT("out-of-order"),
        TRANSCRIPT("start-unseen"),
        TRANSCRIPT("baseline"),
        TRANSCRIPT("relist"),
        TRANSCRIPT("joining"),
        TRANSCRIPT("cordon"),
        cmocka_unit_test(a_broken_state_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
