/*
 * Advice for a person: a table, a plot, sentences, and the commands.
 */
#include <string.h>

#include "advice/report.h"
#include "lib/base/cleanup.h"
#include "lib/base/quantity.h"
#include "lib/base/time.h"

#define TABLE_FIRST 26
#define TABLE_COLUMN 26
#define HOUR_US 3600e6

static void add_bytes(struct klx_buf *out, double bytes) {
    char text[KLX_QUANTITY_TEXT_BYTES];
    klx_quantity_bytes(bytes, text);
    klx_buf_add_str(out, text);
}

static void add_words(struct klx_buf *out, int64_t us) {
    char text[KLX_TIME_TEXT_BYTES];
    klx_duration_words(us / KLX_US_PER_MS, text);
    klx_buf_add_str(out, us > 0 ? text : "none");
}

static void add_time(struct klx_buf *out, int64_t us) {
    char text[KLX_TIME_TEXT_BYTES];
    klx_time_format(us, KLX_TIME_SECONDS, text);
    klx_buf_add_str(out, text);
}

static void add_head(const struct klx_report *r, const struct klx_report_style *style,
                     struct klx_buf *out) {
    const struct klx_autoscaler *s = r->options->subject;
    klx_buf_printf(out, "%sHPA %s/%s%s in %s scales %s %s by the memory of %s against ",
                   style->strong, s->namespace, s->name, style->plain, s->cluster, s->workload_kind,
                   s->workload, s->container[0] != '\0' ? s->container : "its pods");
    klx_autoscaler_target_words(&s->spec, out);
    klx_buf_add_char(out, '\n');
}

static void add_data(const struct klx_report *r, struct klx_buf *out) {
    const struct klx_evidence *h = r->history;
    const struct klx_load *l = r->load;
    int64_t from_us = l->items[0].at_us, to_us = l->items[l->n - 1].at_us;
    add_time(out, from_us);
    klx_buf_add_str(out, " to ");
    add_time(out, to_us);
    klx_buf_printf(out, ": %zu samples of %zu pods, every ", h->samples_n, klx_evidence_pods_n(h));
    add_words(out, l->scrape_us);
    klx_buf_printf(out, ", %.0f %% of the time\n",
                   to_us > from_us ? 100.0 * (double)l->covered_us / (double)(to_us - from_us)
                                   : 100.0);
    klx_buf_printf(out, "Recorded: scaled %zu times, %zu OOM kills", h->changes_n, h->kills);
    if (h->at_max_us > 0) {
        klx_buf_add_str(out, ", at the maximum under pressure for ");
        add_words(out, h->at_max_us);
    }
    if (h->blind_us > 0) {
        klx_buf_add_str(out, ", without metrics for ");
        add_words(out, h->blind_us);
    }
    klx_buf_add_char(out, '\n');
}

static void add_model(const struct klx_report *r, struct klx_buf *out) {
    const struct klx_load *l = r->load;
    klx_buf_add_str(out, "Model: a pod holds ");
    add_bytes(out, l->base);
    klx_buf_printf(out, " and its share of the load (%s); limit ",
                   l->base_given      ? "given"
                   : l->base_measured ? "measured"
                                      : "assumed");
    if (l->limit > 0) {
        add_bytes(out, l->limit);
    } else {
        klx_buf_add_str(out, "not known");
    }
    klx_buf_printf(out, "; %.0f %% of the load is shared anew with new pods, which run after ",
                   l->relief * 100);
    add_words(out, l->start_us);
    klx_buf_add_char(out, '\n');
    if (!r->options->subject->behavior_known) {
        klx_buf_printf(out, "`behavior` is not recorded: taken for %s. --hpa FILE gives it.\n",
                       r->options->subject->managed ? "the add-on's" : "none");
    }
    if (r->options->subject->left_out[0] != '\0') {
        klx_buf_printf(out, "Not played: the metrics %s, which can only ask for more replicas.\n",
                       r->options->subject->left_out);
    }
}

/* One row: what it is, now, proposed. */
struct row {
    const char *name;
    struct klx_buf now, proposed;
};

static void row_begin(struct row *row, const char *name) {
    row->name = name;
    klx_buf_init(&row->now, 128);
    klx_buf_init(&row->proposed, 128);
}

static void row_end(struct row *row, struct klx_buf *out) {
    klx_buf_printf(out, "%-*s%-*s%s\n", TABLE_FIRST, row->name, TABLE_COLUMN,
                   klx_buf_str(&row->now), klx_buf_str(&row->proposed));
    klx_buf_release(&row->now);
    klx_buf_release(&row->proposed);
}

static void add_oom(struct klx_buf *out, const struct klx_play_result *p,
                    const struct klx_load *l) {
    if (l->limit <= 0) {
        klx_buf_add_str(out, "not known");
        return;
    }
    add_words(out, p->oom_us);
    if (p->oom_kills > 0) {
        klx_buf_printf(out, " (%zu kill%s)", p->oom_kills, p->oom_kills == 1 ? "" : "s");
    }
}

static void add_setting_rows(const struct klx_report *r, struct klx_buf *out) {
    const struct klx_scaler_spec *a = &r->advice->now.spec, *b = &r->advice->proposed.spec;
    struct row row;
    row_begin(&row, "minReplicas");
    klx_buf_add_int(&row.now, a->min);
    klx_buf_add_int(&row.proposed, b->min);
    row_end(&row, out);
    row_begin(&row, "maxReplicas");
    klx_buf_add_int(&row.now, a->max);
    klx_buf_add_int(&row.proposed, b->max);
    row_end(&row, out);
    row_begin(&row, "target");
    klx_autoscaler_target_words(a, &row.now);
    klx_autoscaler_target_words(b, &row.proposed);
    if (r->options->subject->managed) {
        klx_buf_add_str(&row.proposed, " (cannot be changed)");
    }
    row_end(&row, out);
}

static void add_result_rows(const struct klx_report *r, struct klx_buf *out) {
    const struct klx_play_result *a = &r->advice->now.result, *b = &r->advice->proposed.result;
    struct row row;
    row_begin(&row, "time at maximum");
    add_words(&row.now, a->at_max_us);
    add_words(&row.proposed, b->at_max_us);
    row_end(&row, out);
    row_begin(&row, "over the memory limit");
    add_oom(&row.now, a, r->load);
    add_oom(&row.proposed, b, r->load);
    row_end(&row, out);
    row_begin(&row, "replicas");
    klx_buf_printf(&row.now, "%d-%d", a->lowest, a->highest);
    klx_buf_printf(&row.proposed, "%d-%d", b->lowest, b->highest);
    row_end(&row, out);
    row_begin(&row, "replica-hours");
    klx_buf_printf(&row.now, "%.1f", a->replica_us / HOUR_US);
    klx_buf_printf(&row.proposed, "%.1f", b->replica_us / HOUR_US);
    row_end(&row, out);
    row_begin(&row, "scalings");
    klx_buf_printf(&row.now, "%zu", a->changes);
    klx_buf_printf(&row.proposed, "%zu", b->changes);
    row_end(&row, out);
    row_begin(&row, "flaps");
    klx_buf_printf(&row.now, "%zu", a->flaps);
    klx_buf_printf(&row.proposed, "%zu", b->flaps);
    row_end(&row, out);
}

static void add_grown_rows(const struct klx_report *r, struct klx_buf *out) {
    const struct klx_play_result *a = &r->advice->now.grown, *b = &r->advice->proposed.grown;
    struct row row;
    klx_buf_printf(out, "with %.0f %% more load\n", r->options->growth * 100 - 100);
    row_begin(&row, "  time at maximum");
    add_words(&row.now, a->at_max_us);
    add_words(&row.proposed, b->at_max_us);
    row_end(&row, out);
    row_begin(&row, "  over the memory limit");
    add_oom(&row.now, a, r->load);
    add_oom(&row.proposed, b, r->load);
    row_end(&row, out);
}

static void add_lines(const char *title, const struct klx_buf *lines,
                      const struct klx_report_style *style, struct klx_buf *out) {
    struct klx_sv rest = klx_buf_sv(lines);
    if (rest.n == 0) {
        return;
    }
    klx_buf_printf(out, "\n%s%s%s\n", style->strong, title, style->plain);
    while (rest.n > 0) {
        struct klx_sv line = klx_sv_cut(&rest, '\n');
        klx_buf_printf(out, "  %.*s\n", KLX_SV_FMT(line));
    }
}

static void add_confidence(const struct klx_report *r, const struct klx_report_style *style,
                           struct klx_buf *out) {
    const struct klx_advice *a = r->advice;
    klx_buf_printf(out, "\n%sConfidence: %s%s", style->strong, klx_confidence_name(a->confidence),
                   style->plain);
    for (size_t i = 0; a->doubts[i] != NULL; i++) {
        klx_buf_printf(out, "%s%s", i == 0 ? ": " : "; ", a->doubts[i]);
    }
    klx_buf_add_char(out, '\n');
}

void klx_report_text(const struct klx_report *r, const struct klx_report_style *style,
                     struct klx_buf *out) {
    struct klx_buf lines KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&lines, KLX_REPORT_BYTES_MAX);
    add_head(r, style, out);
    add_data(r, out);
    add_model(r, out);
    klx_buf_printf(out, "\n%s%-*s%-*s%s%s\n", style->weak, TABLE_FIRST, "", TABLE_COLUMN, "NOW",
                   "PROPOSED", style->plain);
    add_setting_rows(r, out);
    add_result_rows(r, out);
    add_grown_rows(r, out);
    klx_buf_add_char(out, '\n');
    klx_report_plot(r, style, out);
    klx_report_recommendation(r, &lines);
    add_lines("Recommendation", &lines, style, out);
    add_confidence(r, style, out);
    klx_buf_reset(&lines);
    klx_report_fixed(r, &lines);
    add_lines("What cannot be changed", &lines, style, out);
    if (r->advice->differs) {
        klx_buf_reset(&lines);
        klx_report_patch(r, &lines);
        add_lines("To apply it", &lines, style, out);
    }
}
