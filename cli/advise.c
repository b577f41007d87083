/*
 * `klaxon advise hpa NAME`: which bounds the recorded load asks for (advice/).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "advice/report.h"
#include "cli/advise_read.h"
#include "cli/input.h"
#include "cli/terminal.h"
#include "lib/base/cleanup.h"
#include "lib/base/quantity.h"
#include "lib/base/time.h"

#define COMMAND "klaxon advise hpa"
#define PLOT_WIDTH 100 /* where no terminal says how wide it is */
#define PLOT_WIDTH_MAX 160
#define MAX_CAP 100 /* replicas, unless --max-replicas says more */
#define OBJECT_BYTES_MAX (4u << 20)
#define BOLD "\x1b[1m"
#define DIM "\x1b[2m"
#define PLAIN "\x1b[0m"

struct options {
    const char *config, *output, *cluster, *namespace, *since, *until, *hpa, *limit, *base, *sync,
        *svg, *color;
    int64_t growth, max_replicas, min_replicas;
    bool bounds_only;
};

/* What was asked for. */
struct question {
    int64_t since_us, until_us;
    struct klx_load_options load;
    struct klx_search_options search;
};

static int read_quantity(const char *option, const char *text, double *ret, struct klx_error *e) {
    if (text != NULL && (klx_quantity_parse(klx_sv(text), ret) != 0 || *ret < 0)) {
        return klx_fail(e, -EINVAL, "%s: \"%s\" is no quantity, such as 14Gi or 512Mi", option,
                        text);
    }
    return 0;
}

static int read_numbers(const struct options *o, struct question *q, struct klx_error *e) {
    int64_t ms = 0;
    if (klx_duration_parse(klx_sv(o->sync), &ms) != 0 || ms < 1000 || ms > 3600000) {
        return klx_fail(e, -EINVAL, "--sync-period: \"%s\" is not between 1s and 1h", o->sync);
    }
    if (o->growth < 0 || o->growth > 1000) {
        return klx_fail(e, -EINVAL, "--growth: %lld is not between 0 and 1000 percent",
                        (long long)o->growth);
    }
    if (o->max_replicas < 0 || o->max_replicas > 1000 || o->min_replicas < 0 ||
        o->min_replicas > 1000) {
        return klx_fail(e, -EINVAL, "--max-replicas, --min-replicas: from 1 to 1000");
    }
    q->search.flags = klx_scaler_flags_default;
    q->search.flags.sync_us = ms * KLX_US_PER_MS;
    q->search.growth = 1 + (double)o->growth / 100;
    q->search.bounds_only = o->bounds_only;
    q->load.base = -1;
    int rc = read_quantity("--limit", o->limit, &q->load.limit, e);
    return rc == 0 ? read_quantity("--base", o->base, &q->load.base, e) : rc;
}

static int read_question(const struct options *o, struct question *q, struct klx_error *e) {
    int64_t now_us = klx_cli_now_us();
    *q = (struct question){ .until_us = now_us };
    if (klx_time_parse_human(klx_sv(o->since), now_us, &q->since_us, e) != 0) {
        return klx_fail_in(e, e->code, "--since");
    }
    if (o->until != NULL && klx_time_parse_human(klx_sv(o->until), now_us, &q->until_us, e) != 0) {
        return klx_fail_in(e, e->code, "--until");
    }
    if (q->until_us <= q->since_us) {
        return klx_fail(e, -EINVAL, "--until is not after --since");
    }
    return read_numbers(o, q, e);
}

static int read_object(const char *file, struct klx_evidence *h, struct klx_error *e) {
    struct klx_arena arena;
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    const struct klx_json *hpa = NULL;
    klx_buf_init(&text, OBJECT_BYTES_MAX);
    int rc = klx_input_read(file, &text, e);
    if (rc != 0) {
        return rc;
    }
    klx_arena_init(&arena, 65536, OBJECT_BYTES_MAX * 16);
    rc = klx_json_parse(&arena, klx_buf_sv(&text), NULL, &hpa, e);
    rc = rc == 0 ? klx_evidence_object(h, hpa, e) : rc;
    klx_arena_release(&arena);
    return rc == 0 ? 0 : klx_fail_in(e, rc, "--hpa %s", file);
}

/* Of the add-on within what its reconciliation keeps; else as asked. */
static void set_caps(const struct options *o, const struct klx_autoscaler *s,
                     struct klx_search_options *search) {
    int32_t max = s->managed ? KLX_MANAGED_MAX : MAX_CAP;
    int32_t min = s->managed ? KLX_MANAGED_MIN : 1;
    max = o->max_replicas > 0 ? (int32_t)o->max_replicas : max;
    search->max_cap = max > s->spec.max ? max : s->spec.max;
    search->min_cap = o->min_replicas > 0 ? (int32_t)o->min_replicas : min;
}

static size_t plot_width(void) {
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
        return PLOT_WIDTH;
    }
    return size.ws_col < PLOT_WIDTH_MAX ? size.ws_col : PLOT_WIDTH_MAX;
}

static void write_text(const struct options *o, const struct klx_report *r, struct klx_buf *out) {
    struct klx_terminal t;
    struct klx_terminal_env env;
    klx_terminal_env_read(&env, STDOUT_FILENO);
    klx_terminal_init(&t, o->color, &env);
    const struct klx_report_style style = {
        .utf8 = t.utf8,
        .strong = t.color ? BOLD : "",
        .weak = t.color ? DIM : "",
        .plain = t.color ? PLAIN : "",
        .width = plot_width(),
    };
    klx_report_text(r, &style, out);
}

static void write_report(const struct options *o, const struct klx_report *r, struct klx_buf *out) {
    static const struct {
        const char *name;
        void (*write)(const struct klx_report *r, struct klx_buf *out);
    } forms[] = {
        { "json", klx_report_json },
        { "patch", klx_report_patch },
        { "manifest", klx_report_manifest },
        { "values", klx_report_values },
    };
    for (size_t i = 0; i < KLX_COUNT(forms); i++) {
        if (o->output != NULL && strcmp(o->output, forms[i].name) == 0) {
            forms[i].write(r, out);
            return;
        }
    }
    write_text(o, r, out);
}

static int write_svg(const char *file, const struct klx_report *r) {
    struct klx_buf svg KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&svg, KLX_REPORT_BYTES_MAX);
    klx_report_svg(r, &svg);
    FILE *out = fopen(file, "we");
    bool written = out != NULL && fwrite(svg.data, 1, svg.len, out) == svg.len;
    bool closed = out != NULL && fclose(out) == 0;
    if (!written || !closed) {
        fprintf(stderr, "%s: cannot write %s: %s\n", COMMAND, file, strerror(errno));
        return KLX_EXIT_FAILED;
    }
    return KLX_EXIT_OK;
}

static int report(const struct options *o, const struct klx_report *r) {
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, KLX_REPORT_BYTES_MAX);
    write_report(o, r, &out);
    if (klx_buf_check(&out) != 0) {
        fprintf(stderr, "%s: the report is larger than %u bytes: give a later --since\n", COMMAND,
                KLX_REPORT_BYTES_MAX);
        return KLX_EXIT_FAILED;
    }
    int code = o->svg != NULL ? write_svg(o->svg, r) : KLX_EXIT_OK;
    return klx_cli_print(COMMAND, klx_buf_sv(&out), code);
}

static int advise(const struct options *o, struct question *q, const struct klx_evidence *h) {
    struct klx_load load;
    struct klx_advice advice;
    struct klx_error e = { 0 };
    if (klx_load_init(&load, h, &q->load, &e) != 0) {
        fprintf(stderr, "%s: %s\n", COMMAND, e.text);
        return KLX_EXIT_FAILED;
    }
    q->search.load = &load;
    q->search.subject = &h->subject;
    set_caps(o, &h->subject, &q->search);
    klx_search(&q->search, &advice);
    const struct klx_report r = {
        .history = h, .load = &load, .options = &q->search, .advice = &advice
    };
    int code = report(o, &r);
    klx_load_release(&load);
    return code;
}

static int run(const struct options *o, struct question *q, const char *name) {
    struct klx_cli_config config;
    struct klx_evidence h;
    struct klx_error e = { 0 };
    int code = klx_cli_config_load(COMMAND, o->config, &config);
    if (code != KLX_EXIT_OK) {
        return code;
    }
    klx_evidence_init(&h, o->cluster, o->namespace, name);
    h.since_us = q->since_us;
    h.until_us = q->until_us;
    if (o->hpa != NULL && read_object(o->hpa, &h, &e) != 0) {
        fprintf(stderr, "%s: %s\n", COMMAND, e.text);
        code = KLX_EXIT_FAILED;
    }
    code = code == KLX_EXIT_OK ? klx_advise_read(COMMAND, &config, &h) : code;
    code = code == KLX_EXIT_OK ? advise(o, q, &h) : code;
    klx_evidence_release(&h);
    klx_cli_config_release(&config);
    return code;
}

#define AT(field) offsetof(struct options, field)
static const struct klx_option table[] = {
    { "since", 0, KLX_OPT_STR, AT(since), "TIME", "from when on (default: 14d)", NULL },
    { "until", 0, KLX_OPT_STR, AT(until), "TIME", "until when (default: now)", NULL },
    { "cluster", 0, KLX_OPT_STR, AT(cluster), "NAME", "where several have an HPA of that name",
      NULL },
    { "namespace", 'n', KLX_OPT_STR, AT(namespace), "NAME", "the same", NULL },
    { "hpa", 0, KLX_OPT_STR, AT(hpa), "FILE",
      "the HPA as `kubectl get hpa NAME -o json` prints it, or -: its behavior is not recorded",
      NULL },
    { "growth", 0, KLX_OPT_INT, AT(growth), "PERCENT", "that the load may grow by (default: 20)",
      NULL },
    { "max-replicas", 0, KLX_OPT_INT, AT(max_replicas), "N", "the most that may be proposed",
      NULL },
    { "min-replicas", 0, KLX_OPT_INT, AT(min_replicas), "N", "the least that may be proposed",
      NULL },
    { "bounds-only", 0, KLX_OPT_FLAG, AT(bounds_only), NULL, "leave the target as it is", NULL },
    { "limit", 0, KLX_OPT_STR, AT(limit), "BYTES",
      "a memory limit instead of the recorded one, 14Gi", NULL },
    { "base", 0, KLX_OPT_STR, AT(base), "BYTES",
      "what a pod holds without load, instead of measuring it", NULL },
    { "sync-period", 0, KLX_OPT_STR, AT(sync), "DURATION",
      "of the HPA controller (default: 15s, as on AKS)", NULL },
    { "output", 'o', KLX_OPT_CHOICE, AT(output), NULL,
      "a report, one JSON document, or what is to be applied", "text|json|patch|manifest|values" },
    { "svg", 0, KLX_OPT_STR, AT(svg), "FILE", "write a picture of it as well", NULL },
    { "color", 0, KLX_OPT_CHOICE, AT(color), NULL, "when to colour", "auto|always|never" },
    KLX_CLI_OPTION_CONFIG,
    { .name = NULL },
};

static int hpa(int argc, char **argv) {
    static const struct klx_command_help help = {
        .name = COMMAND,
        .operands = "NAME",
        .summary = "Play the HPA over the recorded load, with today's bounds and with better ones.",
        .examples = "  klaxon advise hpa ama-metrics-hpa\n"
                    "  klaxon advise hpa ama-metrics-hpa --since 14d --svg hpa.svg\n"
                    "  klaxon advise hpa ama-metrics-hpa --hpa hpa.json --growth 50\n"
                    "  klaxon advise hpa ama-metrics-hpa -o manifest > hpa.yaml\n",
    };
    struct options o = { .since = "14d", .sync = "15s", .color = "auto", .growth = 20 };
    struct question q;
    struct klx_error e = { 0 };
    int code = KLX_EXIT_OK;
    int first = klx_options_parse(argc, argv, &help, table, &o, &code);
    code = first < 0 ? code : klx_cli_operand(COMMAND, argc, argv, first, "NAME");
    if (first < 0 || code != KLX_EXIT_OK) {
        return code;
    }
    if (!klx_autoscaler_is_name(klx_sv(argv[first]))) {
        return klx_cli_usage(COMMAND, "that is no name of an HPA");
    }
    if (read_question(&o, &q, &e) != 0) {
        return klx_cli_usage(COMMAND, e.text);
    }
    return run(&o, &q, argv[first]);
}

int klx_cli_advise(int argc, char **argv) {
    static const struct klx_cli_command verbs[] = {
        { "hpa", "Which bounds the recorded load of an HPA asks for", hpa },
    };
    static const struct klx_command_help help = {
        .name = "klaxon advise",
        .operands = "COMMAND",
        .summary = "Advise on settings, from what was recorded.",
        .examples = "  klaxon advise hpa ama-metrics-hpa --since 14d\n",
    };
    return klx_cli_noun(&help, verbs, KLX_COUNT(verbs), argc, argv);
}
