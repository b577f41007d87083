/*
 * The node detector, by transcripts (tests/unit/support/transcript.h) in tests/golden/node_repair/<name>.txt. What it sees are Nodes and
 * Events as the API server has them, read by their sources.
 *
 *     > 00:00 node N ready|notready|unknown [REASON] [new] [cordoned] [upgrading] [baseline|resync] [taint=KEY] [pool=POOL] [uid=U]
 *                  [cond=TYPE:STATUS:REASON[:MESSAGE][,…]]        '_' in them stands for a blank
 *     > 00:00 nodes PREFIX FROM TO …             the same for many: PREFIX01 …
 *     > 00:00 delete N          > 00:00 relist N…
 *     > 00:00 play FILE         what tests/record/nodes.py wrote: frames of a real cluster, each at its time
 *     > 00:00 event REASON N [component=C] [at=MM:SS] [count=N] [baseline|resync] [legacy] [message=TEXT]
 */
#include "tests/unit/support/support.h"

#include <stdio.h>
#include <string.h>

#include "collector/sources/source.h"
#include "lib/base/cleanup.h"
#include "lib/base/time.h"
#include "tests/unit/support/transcript.h"

static void time_text(int64_t us, enum klx_time_digits digits, char out[KLX_TIME_TEXT_BYTES]) {
    klx_time_format(us, digits, out);
}

/* The option with blanks in place of '_', in the arena. */
static struct klx_sv spaced(struct transcript *t, struct klx_sv text) {
    struct klx_sv copy = klx_arena_dup(&t->arena, text);
    for (size_t i = 0; i < copy.n; i++) {
        char *c = (char *)(uintptr_t)&copy.p[i];
        *c = *c == '_' ? ' ' : *c;
    }
    return copy;
}

static void write_condition(struct klx_jw *w, struct klx_sv type, struct klx_sv status,
                            struct klx_sv reason, struct klx_sv message, int64_t at_us) {
    klx_jw_begin_object(w);
    klx_jw_member_sv(w, "type", type);
    klx_jw_member_sv(w, "status", status);
    klx_jw_member_sv(w, "reason", reason);
    klx_jw_member_sv(w, "message", message);
    klx_jw_member_time(w, "lastTransitionTime", at_us);
    klx_jw_member_time(w, "lastHeartbeatTime", at_us);
    klx_jw_end_object(w);
}

static void write_status(struct transcript *t, struct klx_jw *w, const char *line,
                         struct klx_sv status, struct klx_sv reason) {
    struct klx_sv more = transcript_option(line, "cond");
    klx_jw_key(w, "status");
    klx_jw_begin_object(w);
    klx_jw_key(w, "conditions");
    klx_jw_begin_array(w);
    while (more.n > 0) {
        struct klx_sv one = klx_sv_cut(&more, ','), type = klx_sv_cut(&one, ':'),
                      is = klx_sv_cut(&one, ':'), why = klx_sv_cut(&one, ':');
        write_condition(w, type, is, spaced(t, why), spaced(t, one), t->now_us);
    }
    write_condition(w, KLX_SV("Ready"),
                    klx_sv_eq(status, KLX_SV("ready"))      ? KLX_SV("True")
                    : klx_sv_eq(status, KLX_SV("notready")) ? KLX_SV("False")
                                                            : KLX_SV("Unknown"),
                    reason, KLX_SV("its message"), t->now_us);
    klx_jw_end_array(w);
    klx_jw_end_object(w);
}

static void write_spec(struct klx_jw *w, const char *line) {
    struct klx_sv taint = transcript_option(line, "taint");
    klx_jw_key(w, "spec");
    klx_jw_begin_object(w);
    klx_jw_member_bool(w, "unschedulable", transcript_has_word(line, "cordoned"));
    klx_jw_key(w, "taints");
    klx_jw_begin_array(w);
    if (taint.n > 0) {
        klx_jw_begin_object(w);
        klx_jw_member_sv(w, "key", taint);
        klx_jw_member_str(w, "effect", "NoSchedule");
        klx_jw_end_object(w);
    }
    klx_jw_end_array(w);
    klx_jw_end_object(w);
}

static void write_metadata(struct transcript *t, struct klx_jw *w, const char *line,
                           struct klx_sv name, struct klx_sv version) {
    struct klx_sv uid = transcript_option(line, "uid");
    klx_jw_key(w, "metadata");
    klx_jw_begin_object(w);
    klx_jw_member_sv(w, "name", name);
    klx_jw_member_sv(w, "uid", uid.n > 0 ? uid : KLX_SV("uid"));
    klx_jw_member_sv(w, "resourceVersion", version);
    klx_jw_member_time(
        w, "creationTimestamp",
        transcript_has_word(line, "new") ? t->now_us : TRANSCRIPT_BASE_US - 86400 * KLX_US_PER_S);
    klx_jw_key(w, "labels");
    klx_jw_begin_object(w);
    klx_jw_member_sv_opt(w, "kubernetes.azure.com/agentpool", transcript_option(line, "pool"));
    klx_jw_end_object(w);
    if (transcript_has_word(line, "upgrading")) {
        klx_jw_key(w, "annotations");
        klx_jw_begin_object(w);
        klx_jw_member_str(w, "cluster-autoscaler.kubernetes.io/scale-down-disabled", "true");
        klx_jw_member_str(
            w, "kubernetes.azure.com/azure-cluster-autoscaler-scale-down-disabled-reason",
            "upgrade");
        klx_jw_end_object(w);
    }
    klx_jw_end_object(w);
}

static void observe(struct transcript *t, struct klx_observation *o,
                    const struct klx_source_ops *source, struct klx_sv text) {
    assert_int_equal(klx_json_parse(&t->arena, text, NULL, &o->object, NULL), 0);
    o->kind = source->observed;
    assert_int_equal(source->observe(o->object, o), 0);
    t->ops->observe(t->detector, o, t->now_us, &t->out);
}

static void observe_node(struct transcript *t, const char *line, struct klx_sv name,
                         struct klx_sv rest, enum klx_change change) {
    struct klx_observation o = transcript_observation(t, line);
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    struct klx_sv status = klx_sv_cut(&rest, ' '), reason = klx_sv_cut(&rest, ' ');
    struct klx_jw w;
    o.change = change;
    klx_buf_init(&text, 65536);
    klx_jw_init(&w, &text);
    klx_jw_begin_object(&w);
    write_metadata(t, &w, line, name, o.resource_version);
    write_spec(&w, line);
    write_status(t, &w, line, status, reason);
    klx_jw_end_object(&w);
    observe(t, &o, &klx_source_nodes, klx_buf_sv(&text));
}

static void observe_nodes(struct transcript *t, const char *line, struct klx_sv rest) {
    struct klx_sv prefix = klx_sv_cut(&rest, ' ');
    int64_t from = 0, to = 0;
    assert_int_equal(klx_sv_int(klx_sv_cut(&rest, ' '), &from), 0);
    assert_int_equal(klx_sv_int(klx_sv_cut(&rest, ' '), &to), 0);
    for (int64_t i = from; i <= to; i++) {
        struct klx_sv name = klx_arena_printf(&t->arena, "%.*s%02d", KLX_SV_FMT(prefix), (int)i);
        observe_node(t, line, name, rest, KLX_CHANGE_MODIFIED);
        if (i < to) {
            transcript_end_step(t);
        }
    }
}

/* Both recorders' shapes (facts: azure.md 1.7). */
static void write_event(struct klx_jw *w, const char *line, int64_t at_us) {
    struct klx_sv component = transcript_option(line, "component"),
                  count = transcript_option(line, "count");
    char seconds[KLX_TIME_TEXT_BYTES];
    int64_t n = 1;
    component = component.n > 0 ? component : KLX_SV("aks-auto-repair");
    time_text(at_us, KLX_TIME_SECONDS, seconds);
    if (count.n == 0 && !transcript_has_word(line, "legacy")) {
        klx_jw_member_time(w, "eventTime", at_us);
        klx_jw_member_sv(w, "reportingComponent", component);
        return;
    }
    assert_true(count.n == 0 || klx_sv_int(count, &n) == 0);
    klx_jw_member_str(w, "lastTimestamp", seconds);
    klx_jw_member_int(w, "count", n);
    klx_jw_key(w, "source");
    klx_jw_begin_object(w);
    klx_jw_member_sv(w, "component", component);
    klx_jw_end_object(w);
}

static void observe_event(struct transcript *t, const char *line, struct klx_sv rest) {
    struct klx_observation o = transcript_observation(t, line);
    struct klx_sv at = transcript_option(line, "at"), message = transcript_option(line, "message"),
                  reason = klx_sv_cut(&rest, ' '), name = klx_sv_cut(&rest, ' ');
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&text, 65536);
    klx_jw_init(&w, &text);
    klx_jw_begin_object(&w);
    klx_jw_key(&w, "metadata");
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "name", "an-event");
    klx_jw_member_str(&w, "namespace", "default");
    klx_jw_member_str(&w, "uid", "uid");
    klx_jw_member_sv(&w, "resourceVersion", o.resource_version);
    klx_jw_end_object(&w);
    klx_jw_key(&w, "involvedObject");
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "kind", "Node");
    klx_jw_member_sv(&w, "name", name);
    klx_jw_end_object(&w);
    klx_jw_member_sv(&w, "reason", reason);
    klx_jw_member_sv(&w, "message",
                     message.n > 0 ? spaced(t, message) : KLX_SV("the text of the Event"));
    write_event(&w, line, at.n > 0 ? transcript_time(at) : t->now_us);
    klx_jw_end_object(&w);
    observe(t, &o, &klx_source_events, klx_buf_sv(&text));
}

static void run_line(struct transcript *t, const char *line, struct klx_sv verb,
                     struct klx_sv rest) {
    if (klx_sv_eq(verb, KLX_SV("node"))) {
        struct klx_sv name = klx_sv_cut(&rest, ' ');
        observe_node(t, line, name, rest, KLX_CHANGE_MODIFIED);
    } else if (klx_sv_eq(verb, KLX_SV("nodes"))) {
        observe_nodes(t, line, rest);
    } else if (klx_sv_eq(verb, KLX_SV("event"))) {
        observe_event(t, line, rest);
    } else if (klx_sv_eq(verb, KLX_SV("play"))) {
        char file[256];
        snprintf(file, sizeof(file), "golden/node_repair/%.*s", KLX_SV_FMT(rest));
        transcript_play(t, file);
    } else if (klx_sv_eq(verb, KLX_SV("delete"))) {
        observe_node(t, line, klx_sv_cut(&rest, ' '), KLX_SV("unknown"), KLX_CHANGE_DELETED);
    } else {
        assert_true(klx_sv_eq(verb, KLX_SV("relist")));
        t->ops->relisted(t->detector, KLX_OBSERVED_NODE, transcript_is_listed,
                         (void *)(uintptr_t)line, t->now_us, &t->out);
    }
}

static void *create_without_nodes(struct klx_sv cluster, const void *settings) {
    void *d = klx_detector_node_repair.create(cluster, settings);
    klx_detector_node_repair.expect(d, 1u << KLX_OBSERVED_EVENT);
    return d;
}

static void run(const char *name, bool restarting) {
    struct klx_detector_ops ops = klx_detector_node_repair;
    char file[200];
    ops.create = strcmp(name, "events-only") == 0 ? create_without_nodes : ops.create;
    snprintf(file, sizeof(file), "node_repair/%s.txt", name);
    transcript_run(&ops, file, restarting, run_line, NULL);
}

static void a_broken_state_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = { "{\"version\":1,\"labels\":3}" };
    transcript_check_bad_states(&klx_detector_node_repair, "n", bad, KLX_COUNT(bad));
    transcript_check_bad_states(&klx_detector_node_repair, "cluster/burst", NULL, 0);
}

static const char *const names[] = {
    "reboot",
    "events-only",
    "problem-spread",
    "ladder",
    "error",
    "end-then-error",
    "deleted",
    "stuck",
    "clock-ahead",
    "flapping",
    "upgrade",
    "out-of-order",
    "start-unseen",
    "baseline",
    "relist",
    "joining",
    "cordon",
    "never-ready",
    "problem-events",
    "short",
    "idle",
    "scheduled",
    "auto-drain",
    "preempted",
    "problems",
    "problems-flap",
    "upgrade-steps",
    "scale-down",
    "vanished",
    "burst",
    "burst-control-plane",
    "burst-baseline",
    "burst-grows",
    "recorded-nodes",
};

int main(void) {
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(a_broken_state_is_refused),
    };
    return transcript_main(others, KLX_COUNT(others), names, KLX_COUNT(names), run);
}
