/*
 * Advice for programs: docs/advice.md has the members.
 */
#include "advice/report.h"
#include "lib/base/cleanup.h"
#include "lib/base/json.h"

#define US_PER_MINUTE 60e6
#define US_PER_HOUR 3600e6

static void member_double(struct klx_jw *w, const char *key, double value) {
    klx_jw_key(w, key);
    klx_jw_double(w, value);
}

static void member_bytes(struct klx_jw *w, const char *key, double bytes) {
    klx_jw_key(w, key);
    if (bytes > 0) {
        klx_jw_int(w, (int64_t)bytes);
    } else {
        klx_jw_null(w);
    }
}

static void add_subject(const struct klx_report *r, struct klx_jw *w) {
    const struct klx_autoscaler *s = r->options->subject;
    klx_jw_key(w, "hpa");
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "cluster", s->cluster);
    klx_jw_member_str(w, "namespace", s->namespace);
    klx_jw_member_str(w, "name", s->name);
    klx_jw_key(w, "target");
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "kind", s->workload_kind);
    klx_jw_member_str(w, "name", s->workload);
    klx_jw_end_object(w);
    klx_jw_key(w, "container");
    if (s->container[0] != '\0') {
        klx_jw_str(w, s->container);
    } else {
        klx_jw_null(w);
    }
    klx_jw_member_bool(w, "managed", s->managed);
    klx_jw_member_bool(w, "behaviorKnown", s->behavior_known);
    klx_jw_member_str(w, "notPlayed", s->left_out);
    klx_jw_end_object(w);
}

static void add_data(const struct klx_report *r, struct klx_jw *w) {
    const struct klx_evidence *h = r->history;
    const struct klx_load *l = r->load;
    klx_jw_key(w, "recorded");
    klx_jw_begin_object(w);
    klx_jw_member_time(w, "since", l->items[0].at_us);
    klx_jw_member_time(w, "until", l->items[l->n - 1].at_us);
    klx_jw_member_int(w, "samples", (int64_t)h->samples_n);
    klx_jw_member_int(w, "pods", (int64_t)klx_evidence_pods_n(h));
    member_double(w, "sampleSeconds", (double)l->scrape_us / 1e6);
    member_double(w, "coveredHours", (double)l->covered_us / US_PER_HOUR);
    klx_jw_member_int(w, "oomKills", (int64_t)h->kills);
    member_double(w, "atMaxMinutes", (double)h->at_max_us / US_PER_MINUTE);
    member_double(w, "blindMinutes", (double)h->blind_us / US_PER_MINUTE);
    klx_jw_key(w, "changes");
    klx_jw_begin_array(w);
    for (size_t i = 0; i < h->changes_n; i++) {
        klx_jw_begin_object(w);
        klx_jw_member_time(w, "time", h->changes[i].at_us);
        klx_jw_member_int(w, "from", h->changes[i].from);
        klx_jw_member_int(w, "to", h->changes[i].to);
        klx_jw_end_object(w);
    }
    klx_jw_end_array(w);
    klx_jw_end_object(w);
}

static void add_model(const struct klx_load *l, struct klx_jw *w) {
    klx_jw_key(w, "model");
    klx_jw_begin_object(w);
    klx_jw_member_int(w, "baseBytes", (int64_t)l->base);
    klx_jw_member_str(w, "base",
                      l->base_given      ? "given"
                      : l->base_measured ? "measured"
                                         : "assumed");
    member_double(w, "relief", l->relief);
    klx_jw_member_int(w, "changesUsed", (int64_t)l->changes_used);
    member_bytes(w, "limitBytes", l->limit);
    member_double(w, "startSeconds", (double)l->start_us / 1e6);
    klx_jw_end_object(w);
}

static void add_result(const char *name, const struct klx_play_result *p, struct klx_jw *w) {
    klx_jw_key(w, name);
    klx_jw_begin_object(w);
    member_double(w, "atMaxMinutes", (double)p->at_max_us / US_PER_MINUTE);
    member_double(w, "oomMinutes", (double)p->oom_us / US_PER_MINUTE);
    klx_jw_member_int(w, "oomKills", (int64_t)p->oom_kills);
    member_double(w, "replicaHours", p->replica_us / US_PER_HOUR);
    klx_jw_member_int(w, "changes", (int64_t)p->changes);
    klx_jw_member_int(w, "flaps", (int64_t)p->flaps);
    klx_jw_member_int(w, "lowest", p->lowest);
    klx_jw_member_int(w, "highest", p->highest);
    klx_jw_member_int(w, "wanted", p->wanted);
    member_double(w, "worstShareOfLimit", p->worst);
    klx_jw_end_object(w);
}

struct writer {
    struct klx_jw *w;
    int32_t replicas;
};

static void on_point(void *arg, const struct klx_play_point *p) {
    struct writer *x = arg;
    if (p->replicas == x->replicas) {
        return;
    }
    x->replicas = p->replicas;
    klx_jw_begin_object(x->w);
    klx_jw_member_time(x->w, "time", p->at_us);
    klx_jw_member_int(x->w, "replicas", p->replicas);
    klx_jw_end_object(x->w);
}

/* The replicas, where they change. */
static void add_sequence(const struct klx_report *r, const struct klx_scaler_spec *spec,
                         struct klx_jw *w) {
    struct writer x = { .w = w, .replicas = -1 };
    struct klx_play_result unused;
    const struct klx_play_options options = { .load = r->load,
                                              .flags = r->options->flags,
                                              .growth = 1 };
    klx_jw_key(w, "sequence");
    klx_jw_begin_array(w);
    klx_play(&options, spec, on_point, &x, &unused);
    klx_jw_end_array(w);
}

static void add_outcome(const struct klx_report *r, const char *name, const struct klx_outcome *o,
                        struct klx_jw *w) {
    struct klx_buf target KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&target, 64);
    klx_autoscaler_target_words(&o->spec, &target);
    klx_jw_key(w, name);
    klx_jw_begin_object(w);
    klx_jw_member_int(w, "minReplicas", o->spec.min);
    klx_jw_member_int(w, "maxReplicas", o->spec.max);
    klx_jw_member_sv(w, "target", klx_buf_sv(&target));
    add_result("result", &o->result, w);
    add_result("grown", &o->grown, w);
    add_sequence(r, &o->spec, w);
    klx_jw_end_object(w);
}

static void add_lines(const struct klx_report *r, const char *name,
                      void (*lines)(const struct klx_report *r, struct klx_buf *out),
                      struct klx_jw *w) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&text, KLX_REPORT_BYTES_MAX);
    lines(r, &text);
    struct klx_sv rest = klx_buf_sv(&text);
    klx_jw_key(w, name);
    klx_jw_begin_array(w);
    while (rest.n > 0) {
        klx_jw_sv(w, klx_sv_cut(&rest, '\n'));
    }
    klx_jw_end_array(w);
}

static void add_text(const struct klx_report *r, const char *name,
                     void (*write)(const struct klx_report *r, struct klx_buf *out),
                     struct klx_jw *w) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&text, KLX_REPORT_BYTES_MAX);
    write(r, &text);
    klx_jw_member_sv(w, name, klx_buf_sv(&text));
}

static void add_confidence(const struct klx_advice *a, struct klx_jw *w) {
    klx_jw_key(w, "confidence");
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "level", klx_confidence_name(a->confidence));
    klx_jw_key(w, "doubts");
    klx_jw_begin_array(w);
    for (size_t i = 0; a->doubts[i] != NULL; i++) {
        klx_jw_str(w, a->doubts[i]);
    }
    klx_jw_end_array(w);
    klx_jw_end_object(w);
}

void klx_report_json(const struct klx_report *r, struct klx_buf *out) {
    const struct klx_advice *a = r->advice;
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "apiVersion", "klaxon.io/v1");
    klx_jw_member_str(&w, "kind", "HpaAdvice");
    add_subject(r, &w);
    add_data(r, &w);
    add_model(r->load, &w);
    member_double(&w, "growth", r->options->growth);
    add_outcome(r, "now", &a->now, &w);
    add_outcome(r, "proposed", &a->proposed, &w);
    klx_jw_member_bool(&w, "differs", a->differs);
    klx_jw_member_int(&w, "maxNeeded", a->max_needed);
    klx_jw_member_bool(&w, "capped", a->capped);
    klx_jw_member_bool(&w, "noRelief", a->no_relief);
    klx_jw_member_bool(&w, "boundsCannot", a->bounds_cannot);
    add_lines(r, "recommendation", klx_report_recommendation, &w);
    add_lines(r, "cannotChange", klx_report_fixed, &w);
    add_confidence(a, &w);
    add_text(r, "patch", klx_report_patch, &w);
    add_text(r, "manifest", klx_report_manifest, &w);
    add_text(r, "values", klx_report_values, &w);
    klx_jw_end_object(&w);
    klx_buf_add_char(out, '\n');
}
