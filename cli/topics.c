/*
 * `klaxon topics apply` and `klaxon topics list`.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/table.h"
#include "cli/topic_plan.h"
#include "lib/base/cleanup.h"
#include "lib/base/json.h"
#include "lib/base/options.h"

#define ANSWER_MS 10000
#define OUTPUT_BYTES_MAX (1u << 20)

struct options {
    const char *config, *output;
    bool dry_run;
};

/* One run of either verb. */
struct topics {
    const char *command;
    struct klx_cli_config config;
    struct klx_admin *admin;
    struct klx_topic_plan plan[KLX_TOPICS_N];
};

static int complain(const struct topics *t, const struct klx_error *e) {
    fprintf(stderr, "%s: %s\n", t->command, e->text);
    return klx_cli_exit_code(e->code);
}

static int look(struct topics *t) {
    struct klx_admin_topic found[KLX_TOPICS_N];
    struct klx_error e = { 0 };
    klx_topic_plan_init(t->plan, &t->config.settings);
    for (size_t i = 0; i < KLX_TOPICS_N; i++) {
        found[i] = klx_topic_plan_wanted(&t->plan[i]);
    }
    int rc = klx_admin_new(t->config.kafka, ANSWER_MS, &t->admin, &e);
    rc = rc == 0 ? klx_admin_describe(t->admin, found, KLX_TOPICS_N, &e) : rc;
    if (rc != 0) {
        return complain(t, &e);
    }
    for (size_t i = 0; i < KLX_TOPICS_N; i++) {
        klx_topic_plan_found(&t->plan[i], &found[i]);
    }
    return KLX_EXIT_OK;
}

static void print_existing(const struct klx_topic_plan *p) {
    struct klx_buf drift KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&drift, 1024);
    klx_topic_plan_drift(p, &drift);
    if (drift.len == 0) {
        printf("topic/%s unchanged\n", p->name);
    } else {
        printf("topic/%s differs, left as it is: %s\n", p->name, klx_buf_str(&drift));
    }
}

static void print_missing(FILE *out, const char *before, const struct klx_topic_plan *p,
                          const char *after) {
    struct klx_buf words KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&words, 1024);
    klx_topic_plan_words(p, &words);
    fprintf(out, "%s%s%s: %s\n", before, p->name, after, klx_buf_str(&words));
}

/* Returns 0, or what klx_admin_create said; -EEXIST is somebody who was faster. */
static int create(struct topics *t, const struct klx_topic_plan *p, struct klx_error *e) {
    const struct klx_admin_topic wanted = klx_topic_plan_wanted(p);
    int rc = klx_admin_create(t->admin, &wanted, e);
    if (rc == 0 || rc == -EEXIST) {
        printf("topic/%s %s\n", p->name, rc == 0 ? "created" : "unchanged");
        return 0;
    }
    return rc;
}

static int list_what_to_create(const struct topics *t, const bool refused[static KLX_TOPICS_N],
                               const struct klx_error *e) {
    int code = complain(t, e);
    fprintf(stderr,
            "Create these topics where this broker's topics are created, then run this again:\n");
    for (size_t i = 0; i < KLX_TOPICS_N; i++) {
        if (refused[i]) {
            print_missing(stderr, "  ", &t->plan[i], "");
        }
    }
    return code;
}

static int apply(struct topics *t, const struct options *o) {
    bool refused[KLX_TOPICS_N] = { false };
    struct klx_error first = { 0 };
    for (size_t i = 0; i < KLX_TOPICS_N; i++) {
        struct klx_error e = { 0 };
        if (t->plan[i].exists) {
            print_existing(&t->plan[i]);
        } else if (o->dry_run) {
            print_missing(stdout, "topic/", &t->plan[i], " created (dry run)");
        } else if (create(t, &t->plan[i], &e) != 0) {
            refused[i] = true;
            first = first.code == 0 ? e : first;
        }
    }
    int code = klx_cli_print(t->command, KLX_SV(""), KLX_EXIT_OK);
    return first.code == 0 ? code : list_what_to_create(t, refused, &first);
}

static int64_t retention_of(const struct klx_topic_plan *p) {
    int64_t ms = p->retention_ms;
    return p->found_retention[0] != '\0' && klx_sv_int(klx_sv(p->found_retention), &ms) != 0
               ? p->retention_ms
               : ms;
}

static const char *cleanup_of(const struct klx_topic_plan *p) {
    return p->found_cleanup[0] != '\0' ? p->found_cleanup
                                       : klx_topic_specs[p->topic].cleanup_policy;
}

static void add_row(struct klx_table *table, const struct klx_topic_plan *p) {
    struct klx_buf cell KLX_CLEANUP(klx_buf_release);
    int replication = p->exists ? p->found_replication : p->replication;
    klx_buf_init(&cell, 256);
    klx_table_add(table, klx_sv(p->name));
    klx_buf_printf(&cell, "%d", (int)(p->exists ? p->found_partitions : p->partitions));
    klx_table_add(table, klx_buf_sv(&cell));
    klx_buf_reset(&cell);
    klx_buf_printf(&cell, "%d", replication);
    klx_table_add(table, replication > 0 ? klx_buf_sv(&cell) : KLX_SV("default"));
    klx_table_add(table, klx_sv(cleanup_of(p)));
    klx_buf_reset(&cell);
    klx_topic_retention_words(retention_of(p), &cell);
    klx_table_add(table, klx_buf_sv(&cell));
    klx_buf_reset(&cell);
    klx_topic_plan_drift(p, &cell);
    klx_table_add(table, p->exists ? klx_buf_sv(&cell) : KLX_SV("missing"));
}

static void write_drift(struct klx_jw *w, const struct klx_topic_plan *p) {
    struct klx_topic_difference differences[KLX_TOPIC_DIFFERENCES_MAX];
    size_t n = p->exists ? klx_topic_plan_differences(p, differences) : 0;
    klx_jw_key(w, "drift");
    klx_jw_begin_array(w);
    for (size_t i = 0; i < n; i++) {
        klx_jw_begin_object(w);
        klx_jw_member_str(w, "setting", differences[i].setting);
        klx_jw_member_str(w, "found", differences[i].found);
        klx_jw_member_str(w, "expected", differences[i].expected);
        klx_jw_end_object(w);
    }
    klx_jw_end_array(w);
}

static void write_item(struct klx_jw *w, const struct klx_topic_plan *p) {
    int replication = p->exists ? p->found_replication : p->replication;
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "name", p->name);
    klx_jw_member_int(w, "partitions", p->exists ? p->found_partitions : p->partitions);
    klx_jw_key(w, "replication");
    if (replication > 0) {
        klx_jw_int(w, replication);
    } else {
        klx_jw_null(w);
    }
    klx_jw_member_str(w, "cleanup", cleanup_of(p));
    klx_jw_member_int(w, "retentionMs", retention_of(p));
    klx_jw_member_str(w, "key", klx_topic_specs[p->topic].key);
    klx_jw_member_bool(w, "exists", p->exists);
    write_drift(w, p);
    klx_jw_end_object(w);
}

static void write_json(const struct topics *t, struct klx_buf *out) {
    struct klx_jw w;
    klx_cli_list_begin(&w, out, "TopicList");
    for (size_t i = 0; i < KLX_TOPICS_N; i++) {
        write_item(&w, &t->plan[i]);
    }
    klx_cli_list_end(&w);
}

static void write_table(const struct topics *t, struct klx_buf *out) {
    static const char *const columns[] = { "NAME",    "PARTITIONS", "REPLICATION",
                                           "CLEANUP", "RETENTION",  "DRIFT" };
    struct klx_table table;
    klx_table_init(&table, columns, KLX_COUNT(columns));
    for (size_t i = 0; i < KLX_TOPICS_N; i++) {
        add_row(&table, &t->plan[i]);
    }
    klx_table_write(&table, out);
    klx_table_release(&table);
}

static int list(struct topics *t, const struct options *o) {
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, OUTPUT_BYTES_MAX);
    if (klx_cli_is_json(o->output)) {
        write_json(t, &out);
    } else {
        write_table(t, &out);
    }
    int code = klx_cli_print(t->command, klx_buf_sv(&out), KLX_EXIT_OK);
    size_t missing = 0;
    for (size_t i = 0; i < KLX_TOPICS_N; i++) {
        missing += !t->plan[i].exists;
    }
    if (missing > 0) {
        fprintf(stderr, "%zu of %d topics are missing: run `klaxon topics apply`\n", missing,
                KLX_TOPICS_N);
    }
    return code;
}

static const struct klx_option apply_options[] = {
    KLX_CLI_OPTION_CONFIG,
    { "dry-run", 0, KLX_OPT_FLAG, offsetof(struct options, dry_run), NULL,
      "show what would happen, change nothing", NULL },
    { .name = NULL },
};

static const struct klx_option list_options[] = {
    KLX_CLI_OPTION_CONFIG,
    KLX_CLI_OPTION_TABLE,
    { .name = NULL },
};

struct verb {
    struct klx_command_help help;
    const struct klx_option *options;
    int (*run)(struct topics *t, const struct options *o);
};

static const struct verb apply_verb = {
    .help = { .name = "klaxon topics apply",
              .operands = "",
              .summary = "Create the topics that are missing, and say which differ from the "
                         "configuration.",
              .examples = "  klaxon topics apply --dry-run\n  klaxon topics apply\n" },
    .options = apply_options,
    .run = apply,
};

static const struct verb list_verb = {
    .help = { .name = "klaxon topics list",
              .operands = "",
              .summary = "List the topics: what they are, or would be created as, and what differs "
                         "from the configuration.",
              .examples = "  klaxon topics list\n  klaxon topics list -o json\n" },
    .options = list_options,
    .run = list,
};

static int run_verb(const struct verb *verb, int argc, char **argv) {
    struct options o = { 0 };
    int code = KLX_EXIT_OK;
    struct topics t = { .command = verb->help.name };
    int first = klx_options_parse(argc, argv, &verb->help, verb->options, &o, &code);
    code = first < 0 ? code : klx_cli_no_operands(t.command, argc, argv, first);
    if (first < 0 || code != KLX_EXIT_OK) {
        return code;
    }
    code = klx_cli_config_load(t.command, o.config, &t.config);
    if (code != KLX_EXIT_OK) {
        return code;
    }
    code = look(&t);
    code = code == KLX_EXIT_OK ? verb->run(&t, &o) : code;
    klx_admin_free(t.admin);
    klx_cli_config_release(&t.config);
    return code;
}

static int run_apply(int argc, char **argv) {
    return run_verb(&apply_verb, argc, argv);
}

static int run_list(int argc, char **argv) {
    return run_verb(&list_verb, argc, argv);
}

int klx_cli_topics(int argc, char **argv) {
    static const struct klx_cli_command verbs[] = {
        { "apply", "Create those that are missing, and say which differ", run_apply },
        { "list", "Show what they are and what differs", run_list },
    };
    static const struct klx_command_help help = {
        .name = "klaxon topics",
        .operands = "apply|list",
        .summary = "Create and list the topics.",
        .examples = "  klaxon topics apply --dry-run\n  klaxon topics list\n",
    };
    return klx_cli_noun(&help, verbs, KLX_COUNT(verbs), argc, argv);
}
