/*
 * The recommendation in words, and what an operator applies.
 */
#include <string.h>

#include "advice/report.h"
#include "lib/base/cleanup.h"
#include "lib/base/quantity.h"
#include "lib/base/time.h"

#define PERCENT 100.0

static const char *words(int64_t us, char out[static KLX_TIME_TEXT_BYTES]) {
    klx_duration_words(us / KLX_US_PER_MS, out);
    return us > 0 ? out : "none";
}

static int percent_more(const struct klx_report *r) {
    return (int)(r->options->growth * PERCENT - PERCENT + 0.5);
}

static void say_settings(const struct klx_report *r, struct klx_buf *out) {
    const struct klx_scaler_spec *now = &r->advice->now.spec, *then = &r->advice->proposed.spec;
    klx_buf_add_str(out, "Set ");
    const char *comma = "";
    if (now->min != then->min) {
        klx_buf_printf(out, "minReplicas to %d (now %d)", then->min, now->min);
        comma = ", ";
    }
    if (now->max != then->max) {
        klx_buf_printf(out, "%smaxReplicas to %d (now %d)", comma, then->max, now->max);
        comma = ", ";
    }
    if (now->metrics[0].value != then->metrics[0].value) {
        klx_buf_printf(out, "%sthe target to ", comma);
        klx_autoscaler_target_words(then, out);
        klx_buf_add_str(out, " (now ");
        klx_autoscaler_target_words(now, out);
        klx_buf_add_char(out, ')');
    }
    klx_buf_add_str(out, ".\n");
}

static void say_what_comes_of_it(const struct klx_report *r, struct klx_buf *out) {
    const struct klx_play_result *a = &r->advice->now.result, *b = &r->advice->proposed.result;
    const struct klx_play_result *x = &r->advice->now.grown, *y = &r->advice->proposed.grown;
    char from[KLX_TIME_TEXT_BYTES], to[KLX_TIME_TEXT_BYTES];
    if (a->oom_us > b->oom_us) {
        klx_buf_printf(out, "The time over the memory limit goes from %s to %s.\n",
                       words(a->oom_us, from), words(b->oom_us, to));
    } else if (x->oom_us > y->oom_us) {
        klx_buf_printf(out,
                       "With %d %% more load the time over the memory limit goes from %s to %s.\n",
                       percent_more(r), words(x->oom_us, from), words(y->oom_us, to));
    }
    if (a->at_max_us > b->at_max_us) {
        klx_buf_printf(out, "The time at the maximum under pressure goes from %s to %s.\n",
                       words(a->at_max_us, from), words(b->at_max_us, to));
    } else if (x->at_max_us > y->at_max_us) {
        klx_buf_printf(out, "It leaves room for %d %% more load, which today's maximum does not.\n",
                       percent_more(r));
    }
    double change = a->replica_us > 0 ? (b->replica_us / a->replica_us - 1) * PERCENT : 0;
    if (change >= 0.5 || change <= -0.5) {
        klx_buf_printf(out, "It takes %.0f %% %s replica-hours.\n", change < 0 ? -change : change,
                       change < 0 ? "fewer" : "more");
    }
}

static void say_what_is_left(const struct klx_report *r, struct klx_buf *out) {
    const struct klx_advice *a = r->advice;
    char left[KLX_TIME_TEXT_BYTES];
    if (a->no_relief) {
        klx_buf_printf(
            out,
            "More replicas do not make the pods smaller: those that were added came to hold "
            "%.0f %% of what the old ones do. Look for a leak, or a target "
            "that is too large for one pod; raise the memory limit meanwhile.\n",
            r->load->relief * PERCENT);
    }
    if (r->load->kills_hidden > 0) {
        klx_buf_printf(
            out,
            "%zu OOM kills hid what their containers were about to hold: it is taken for "
            "the limit, and was more. Ask again when it has run with more replicas.\n",
            r->load->kills_hidden);
    }
    if (a->bounds_cannot) {
        klx_buf_printf(out,
                       "No %s prevent the %s over the memory limit that are left: the largest pod "
                       "meets it however many there are, or before new ones run. Raise the limit, "
                       "or scrape less.\n",
                       r->options->subject->managed ? "bounds" : "settings",
                       words(a->proposed.result.oom_us, left));
    }
    if (a->capped) {
        klx_buf_printf(out,
                       "The load with %d %% growth asks for more than the %d replicas that may "
                       "be proposed.\n",
                       percent_more(r), r->options->max_cap);
    }
    if (a->target_would) {
        klx_buf_add_str(out, "A target of ");
        klx_autoscaler_target_words(&a->with_target.spec, out);
        klx_buf_printf(out, " would take it to %s, and cannot be set on the add-on.\n",
                       words(a->with_target.result.oom_us, left));
    }
}

void klx_report_recommendation(const struct klx_report *r, struct klx_buf *out) {
    const struct klx_advice *a = r->advice;
    if (a->differs) {
        say_settings(r, out);
        say_what_comes_of_it(r, out);
    } else {
        klx_buf_printf(out, "Keep minReplicas %d and maxReplicas %d%s.\n", a->now.spec.min,
                       a->now.spec.max,
                       a->now.result.oom_us + a->now.result.at_max_us == 0
                           ? ": with them no pod meets its limit and the maximum is not pressed"
                           : "");
    }
    int32_t least = a->max_needed > a->proposed.spec.min ? a->max_needed : a->proposed.spec.min;
    if (!a->no_relief && least < a->proposed.spec.max) {
        klx_buf_printf(out,
                       "A maximum of %d would do for this load with %d %% growth; a higher one "
                       "costs nothing until it is needed.\n",
                       least, percent_more(r));
    }
    say_what_is_left(r, out);
    if (a->proposed.result.flaps > 0) {
        klx_buf_printf(out,
                       "It flaps %zu time%s: a longer scaleDown.stabilizationWindowSeconds would "
                       "calm it.\n",
                       a->proposed.result.flaps, a->proposed.result.flaps == 1 ? "" : "s");
    }
}

void klx_report_fixed(const struct klx_report *r, struct klx_buf *out) {
    const struct klx_autoscaler *s = r->options->subject;
    if (!s->managed) {
        return;
    }
    klx_buf_printf(
        out,
        "The add-on's reconciliation keeps a minReplicas from %d and a maxReplicas up to "
        "%d, but not %d, which it takes for an old default.\n"
        "The memory target (5Gi a pod) and `behavior` are written anew by it: neither can "
        "be set, and no ConfigMap has a key for them.\n"
        "The memory limit of the pods is the add-on's, too.\n",
        KLX_MANAGED_MIN, KLX_MANAGED_MAX, KLX_MANAGED_MAX_RESET);
}

/* "6656Mi": as a person would write it, and exactly. */
static void target_amount(const struct klx_replicas_target *t, struct klx_buf *out) {
    int64_t bytes = t->value / 1000;
    int shift = bytes % (1 << 30) == 0 ? 30 : bytes % (1 << 20) == 0 ? 20 : 0;
    klx_buf_printf(out, "%lld%s", (long long)(bytes >> shift),
                   shift == 30   ? "Gi"
                   : shift == 20 ? "Mi"
                                 : "");
}

static void target_value(const struct klx_scaler_spec *spec, struct klx_buf *out) {
    const struct klx_replicas_target *t = &spec->metrics[0];
    if (t->utilization) {
        klx_buf_printf(out, "averageUtilization: %lld", (long long)t->value);
    } else {
        klx_buf_add_str(out, "averageValue: \"");
        target_amount(t, out);
        klx_buf_add_char(out, '"');
    }
}

static void add_target_patch(const struct klx_report *r, struct klx_buf *out) {
    const struct klx_autoscaler *s = r->options->subject;
    const struct klx_replicas_target *t = &r->advice->proposed.spec.metrics[0];
    klx_buf_printf(out,
                   ",{\"op\":\"replace\",\"path\":\"/spec/metrics/%zu/%s/target/%s\",\"value\":",
                   s->metric_index, s->container[0] != '\0' ? "containerResource" : "resource",
                   t->utilization ? "averageUtilization" : "averageValue");
    if (t->utilization) {
        klx_buf_printf(out, "%lld}", (long long)t->value);
    } else {
        klx_buf_add_char(out, '"');
        target_amount(t, out);
        klx_buf_add_str(out, "\"}");
    }
}

void klx_report_patch(const struct klx_report *r, struct klx_buf *out) {
    const struct klx_autoscaler *s = r->options->subject;
    const struct klx_scaler_spec *now = &r->advice->now.spec, *then = &r->advice->proposed.spec;
    klx_buf_printf(out, "kubectl patch hpa %s -n %s ", s->name, s->namespace);
    if (now->metrics[0].value == then->metrics[0].value) {
        klx_buf_printf(
            out, "--type merge --patch '{\"spec\":{\"minReplicas\":%d,\"maxReplicas\":%d}}'\n",
            then->min, then->max);
        return;
    }
    klx_buf_printf(
        out,
        "--type json --patch '[{\"op\":\"add\",\"path\":\"/spec/minReplicas\",\"value\":%d},"
        "{\"op\":\"replace\",\"path\":\"/spec/maxReplicas\",\"value\":%d}",
        then->min, then->max);
    add_target_patch(r, out);
    klx_buf_add_str(out, "]'\n");
}

static void add_rules(const char *name, const struct klx_scaler_rules *rules, struct klx_buf *out) {
    static const char *const selects[] = { "Max", "Min", "Disabled" };
    klx_buf_printf(out, "    %s:\n", name);
    if (rules->window_s != KLX_SCALER_UNSET) {
        klx_buf_printf(out, "      stabilizationWindowSeconds: %d\n", rules->window_s);
    }
    klx_buf_printf(out, "      selectPolicy: %s\n      policies:\n", selects[rules->select]);
    for (size_t i = 0; i < rules->policies_n; i++) {
        const struct klx_scaler_policy *p = &rules->policies[i];
        klx_buf_printf(out, "      - { type: %s, value: %d, periodSeconds: %d }\n",
                       p->percent ? "Percent" : "Pods", p->value, p->period_s);
    }
    if (rules->tolerance >= 0) {
        klx_buf_printf(out, "      tolerance: %.0fm\n", rules->tolerance * 1000);
    }
}

static void add_metric(const struct klx_report *r, struct klx_buf *out) {
    const struct klx_autoscaler *s = r->options->subject;
    const struct klx_scaler_spec *then = &r->advice->proposed.spec;
    bool container = s->container[0] != '\0';
    klx_buf_printf(out, "  - type: %s\n    %s:\n      name: memory\n",
                   container ? "ContainerResource" : "Resource",
                   container ? "containerResource" : "resource");
    if (container) {
        klx_buf_printf(out, "      container: %s\n", s->container);
    }
    klx_buf_printf(out, "      target: { type: %s, ",
                   then->metrics[0].utilization ? "Utilization" : "AverageValue");
    target_value(then, out);
    klx_buf_add_str(out, " }\n");
}

void klx_report_manifest(const struct klx_report *r, struct klx_buf *out) {
    const struct klx_autoscaler *s = r->options->subject;
    const struct klx_scaler_spec *then = &r->advice->proposed.spec;
    if (s->managed) {
        klx_buf_add_str(out,
                        "# Of the add-on: minReplicas and maxReplicas alone are kept. Apply it "
                        "with server-side apply, which owns only those:\n"
                        "#   kubectl apply --server-side --force-conflicts -f FILE\n");
    }
    if (!s->managed && s->left_out[0] != '\0') {
        klx_buf_printf(out, "# The HPA has other metrics as well, which are not in here: %s\n",
                       s->left_out);
    }
    if (!s->managed && !s->behavior_known) {
        klx_buf_add_str(out, "# Whether it has a behavior is not known: --hpa FILE says it.\n");
    }
    klx_buf_printf(out,
                   "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata:\n"
                   "  name: %s\n  namespace: %s\nspec:\n"
                   "  minReplicas: %d\n  maxReplicas: %d\n",
                   s->name, s->namespace, then->min, then->max);
    if (s->managed) {
        return;
    }
    klx_buf_printf(out, "  scaleTargetRef: { apiVersion: %s, kind: %s, name: %s }\n",
                   s->workload_api, s->workload_kind, s->workload);
    klx_buf_add_str(out, "  metrics:\n");
    add_metric(r, out);
    if (then->has_behavior) {
        klx_buf_add_str(out, "  behavior:\n");
        add_rules("scaleUp", &then->up, out);
        add_rules("scaleDown", &then->down, out);
    }
}

void klx_report_values(const struct klx_report *r, struct klx_buf *out) {
    const struct klx_scaler_spec *then = &r->advice->proposed.spec;
    klx_buf_printf(out, "autoscaling:\n  enabled: true\n  minReplicas: %d\n  maxReplicas: %d\n",
                   then->min, then->max);
    if (!r->options->subject->managed) {
        klx_buf_add_str(out, "  target:\n    ");
        target_value(then, out);
        klx_buf_add_char(out, '\n');
    }
}
