/*
 * `klaxon subscription list` and `klaxon subscription who`: who is told of what, as the configuration says it.
 */
#include <stdio.h>
#include <string.h>

#include "cli/channels.h"
#include "cli/command.h"
#include "cli/event_file.h"
#include "cli/table.h"
#include "lib/base/cleanup.h"
#include "lib/base/time.h"
#include "sinks/core/route.h"

#define OUTPUT_BYTES_MAX (16u << 20)
#define WHO "klaxon subscription who"

struct options {
    const char *config, *output, *event, *team;
};

static void add_place(struct klx_buf *b, const struct klx_subscription_settings *s) {
    klx_buf_printf(b, "%s:%u", s->file, s->line);
}

static void add_topics(struct klx_buf *b, const struct klx_subscription_settings *s) {
    const char *before = "";
    for (size_t t = 0; t < KLX_TOPICS_N; t++) {
        if (s->topics[t]) {
            klx_buf_printf(b, "%s%s", before, klx_topic_specs[t].short_name);
            before = ",";
        }
    }
}

static void add_channels(struct klx_buf *b, const struct klx_cli_channels *c,
                         const struct klx_subscription_settings *s) {
    for (size_t i = 0; i < s->channels_n; i++) {
        klx_buf_printf(b, "%s%s", i > 0 ? "," : "", c->sinks.channels[s->channels[i]].name);
    }
}

static void add_escalation(struct klx_buf *b, const struct klx_cli_channels *c,
                           const struct klx_subscription_settings *s) {
    char after[KLX_TIME_TEXT_BYTES];
    for (size_t i = 0; i < s->escalate_to_n; i++) {
        klx_buf_printf(b, "%s%s", i > 0 ? "," : "", c->sinks.channels[s->escalate_to[i]].name);
    }
    if (s->escalate_to_n > 0) {
        klx_duration_words(s->escalate_after_ms, after);
        klx_buf_printf(b, " after %s", after);
    }
}

static bool is_wanted(const struct klx_subscription_settings *s, const char *team) {
    return team == NULL || klx_sv_eq(s->team, klx_sv(team));
}

static void write_list_table(const struct klx_cli_channels *c, const char *team,
                             struct klx_buf *out) {
    static const char *const columns[] = { "TEAM", "TOPICS", "CHANNELS", "ESCALATES-TO", "FILE" };
    struct klx_table table;
    klx_table_init(&table, columns, KLX_COUNT(columns));
    for (size_t i = 0; i < c->sinks.subscriptions_n; i++) {
        const struct klx_subscription_settings *s = &c->sinks.subscriptions[i];
        struct klx_buf topics KLX_CLEANUP(klx_buf_release);
        struct klx_buf channels KLX_CLEANUP(klx_buf_release);
        struct klx_buf escalation KLX_CLEANUP(klx_buf_release);
        struct klx_buf place KLX_CLEANUP(klx_buf_release);
        klx_buf_init(&escalation, 65536);
        klx_buf_init(&topics, 4096);
        klx_buf_init(&channels, 65536);
        klx_buf_init(&place, 8192);
        if (!is_wanted(s, team)) {
            continue;
        }
        add_topics(&topics, s);
        add_channels(&channels, c, s);
        add_escalation(&escalation, c, s);
        add_place(&place, s);
        klx_table_add(&table, s->team);
        klx_table_add(&table, klx_buf_sv(&topics));
        klx_table_add(&table, klx_buf_sv(&channels));
        klx_table_add(&table, klx_buf_sv(&escalation));
        klx_table_add(&table, klx_buf_sv(&place));
    }
    klx_table_write(&table, out);
    klx_table_release(&table);
}

static void write_place(struct klx_jw *w, const struct klx_subscription_settings *s) {
    klx_jw_member_sv(w, "team", s->team);
    klx_jw_member_str(w, "file", s->file);
    klx_jw_member_int(w, "line", s->line);
}

static void write_escalation(struct klx_jw *w, const struct klx_cli_channels *c,
                             const struct klx_subscription_settings *s) {
    klx_jw_key(w, "escalate");
    if (s->escalate_to_n == 0) {
        klx_jw_null(w);
        return;
    }
    klx_jw_begin_object(w);
    klx_jw_member_int(w, "afterMs", s->escalate_after_ms);
    klx_jw_key(w, "channels");
    klx_jw_begin_array(w);
    for (size_t i = 0; i < s->escalate_to_n; i++) {
        klx_jw_str(w, c->sinks.channels[s->escalate_to[i]].name);
    }
    klx_jw_end_array(w);
    klx_jw_end_object(w);
}

static void write_list_json(const struct klx_cli_channels *c, const char *team,
                            struct klx_buf *out) {
    struct klx_jw w;
    klx_cli_list_begin(&w, out, "SubscriptionList");
    for (size_t i = 0; i < c->sinks.subscriptions_n; i++) {
        const struct klx_subscription_settings *s = &c->sinks.subscriptions[i];
        if (!is_wanted(s, team)) {
            continue;
        }
        klx_jw_begin_object(&w);
        write_place(&w, s);
        klx_jw_key(&w, "topics");
        klx_jw_begin_array(&w);
        for (size_t t = 0; t < KLX_TOPICS_N; t++) {
            if (s->topics[t]) {
                klx_jw_str(&w, klx_topic_specs[t].short_name);
            }
        }
        klx_jw_end_array(&w);
        klx_jw_key(&w, "channels");
        klx_jw_begin_array(&w);
        for (size_t k = 0; k < s->channels_n; k++) {
            klx_jw_str(&w, c->sinks.channels[s->channels[k]].name);
        }
        klx_jw_end_array(&w);
        write_escalation(&w, c, s);
        klx_jw_end_object(&w);
    }
    klx_cli_list_end(&w);
}

static int list(const struct klx_cli_channels *c, const struct options *o, struct klx_buf *out) {
    if (klx_cli_is_json(o->output)) {
        write_list_json(c, o->team, out);
    } else {
        write_list_table(c, o->team, out);
    }
    return KLX_EXIT_OK;
}

/* Of every kind of sink, as its process would decide. */
struct told {
    const struct klx_cli_channels *channels;
    struct klx_table *table;
    struct klx_jw *json;
    bool ends; /* the event ends its incident */
    size_t n;
};

/* When the channel is told, if it is. An end escalates nothing: it is told where the incident was. */
static void add_when(struct klx_buf *b, const struct klx_target *target, bool ends) {
    char after[KLX_TIME_TEXT_BYTES];
    if (target->escalation && !ends) {
        klx_duration_words(target->subscription->escalate_after_ms, after);
        klx_buf_printf(b, "after %s, unless acknowledged", after);
    } else {
        klx_buf_add_str(b, target->end_only || target->escalation ? "if told before" : "at once");
    }
}

static void write_target(struct klx_jw *w, const struct klx_target *target,
                         const struct klx_channel_settings *channel) {
    klx_jw_begin_object(w);
    write_place(w, target->subscription);
    klx_jw_member_str(w, "channel", channel->name);
    klx_jw_member_str(w, "sink", channel->sink);
    klx_jw_member_str(w, "severity", klx_severity_name(target->severity));
    klx_jw_member_bool(w, "onlyIfToldBefore", target->end_only);
    klx_jw_key(w, "escalatesAfterMs");
    if (target->escalation) {
        klx_jw_int(w, target->subscription->escalate_after_ms);
    } else {
        klx_jw_null(w);
    }
    klx_jw_end_object(w);
}

static void add_target(struct told *t, const struct klx_target *target) {
    const struct klx_subscription_settings *s = target->subscription;
    const struct klx_channel_settings *channel = &t->channels->sinks.channels[target->channel];
    struct klx_buf when KLX_CLEANUP(klx_buf_release);
    struct klx_buf place KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&when, 256);
    klx_buf_init(&place, 8192);
    t->n++;
    if (t->json != NULL) {
        write_target(t->json, target, channel);
        return;
    }
    add_when(&when, target, t->ends);
    add_place(&place, s);
    klx_table_add(t->table, s->team);
    klx_table_add(t->table, klx_sv(channel->name));
    klx_table_add(t->table, klx_sv(channel->sink));
    klx_table_add(t->table, klx_sv(klx_severity_name(target->severity)));
    klx_table_add(t->table, klx_buf_sv(&when));
    klx_table_add(t->table, klx_buf_sv(&place));
}

static void find_told(struct told *t, const struct klx_event_file *f) {
    t->ends = f->event.phase == KLX_PHASE_RESOLVED;
    const struct klx_sink_ops *all[KLX_SINKS_MAX];
    size_t all_n = klx_cli_sinks(all);
    for (size_t i = 0; i < all_n; i++) {
        const struct klx_target *targets = NULL;
        struct klx_route *route = klx_route_new(&t->channels->sinks, all[i]);
        size_t n = klx_route_match(route, f->topic, &f->event, f->data, &targets);
        for (size_t k = 0; k < n; k++) {
            add_target(t, &targets[k]);
        }
        klx_route_free(route);
    }
}

static void write_told(const struct klx_cli_channels *c, const struct options *o,
                       const struct klx_event_file *f, struct klx_buf *out, size_t *ret_n) {
    static const char *const columns[] = { "TEAM", "CHANNEL", "KIND", "SEVERITY", "WHEN", "FILE" };
    struct klx_table table;
    struct klx_jw w;
    struct told t = { .channels = c,
                      .table = &table,
                      .json = klx_cli_is_json(o->output) ? &w : NULL };
    klx_table_init(&table, columns, KLX_COUNT(columns));
    if (t.json != NULL) {
        klx_cli_list_begin(&w, out, "TargetList");
    }
    find_told(&t, f);
    if (t.json != NULL) {
        klx_cli_list_end(&w);
    } else {
        klx_table_write(&table, out);
    }
    klx_table_release(&table);
    *ret_n = t.n;
}

static int who(const struct klx_cli_channels *c, const struct options *o, struct klx_buf *out) {
    struct klx_event_file f;
    struct klx_error e = { 0 };
    size_t n = 0;
    int rc = klx_event_file_read(o->event, &f, &e);
    if (rc == 0) {
        write_told(c, o, &f, out, &n);
    } else {
        fprintf(stderr, WHO ": %s\n", e.text);
    }
    klx_event_file_release(&f);
    if (rc == 0 && n == 0) {
        fprintf(stderr, WHO ": nobody is told of it\n");
    }
    return rc == 0 && n > 0 ? KLX_EXIT_OK : KLX_EXIT_FAILED;
}

struct verb {
    struct klx_command_help help;
    const struct klx_option *options;
    int (*run)(const struct klx_cli_channels *c, const struct options *o, struct klx_buf *out);
    bool needs_event;
};

static int run_verb(const struct verb *v, int argc, char **argv) {
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, OUTPUT_BYTES_MAX);
    struct options o = { 0 };
    struct klx_cli_channels channels = { 0 };
    const char *command = v->help.name;
    int code = 0, first = klx_options_parse(argc, argv, &v->help, v->options, &o, &code);
    code = first < 0 ? code : klx_cli_no_operands(command, argc, argv, first);
    if (first < 0 || code != KLX_EXIT_OK) {
        return code;
    }
    if (v->needs_event && o.event == NULL) {
        return klx_cli_usage(command, "--event FILE is missing");
    }
    code = klx_cli_channels_load(command, o.config, &channels);
    if (code != KLX_EXIT_OK) {
        return code;
    }
    code = v->run(&channels, &o, &out);
    klx_cli_channels_release(&channels);
    return klx_cli_print(command, klx_buf_sv(&out), code);
}

static const struct klx_option list_options[] = {
    KLX_CLI_OPTION_CONFIG,
    { "team", 't', KLX_OPT_STR, offsetof(struct options, team), "TEAM", "only those of a team",
      NULL },
    KLX_CLI_OPTION_TABLE,
    { .name = NULL },
};

static const struct klx_option who_options[] = {
    KLX_CLI_OPTION_CONFIG,
    { "event", 'e', KLX_OPT_STR, offsetof(struct options, event), "FILE",
      "the event, as `klaxon tail -o json` prints it; - is stdin", NULL },
    KLX_CLI_OPTION_TABLE,
    { .name = NULL },
};

static int run_list(int argc, char **argv) {
    static const struct verb verb = {
        .help = { .name = "klaxon subscription list",
                  .operands = "",
                  .summary = "List the subscriptions in the order in which they are asked.",
                  .examples = "  klaxon subscription list\n"
                              "  klaxon subscription list --team operations\n" },
        .options = list_options,
        .run = list,
    };
    return run_verb(&verb, argc, argv);
}

static int run_who(int argc, char **argv) {
    static const struct verb verb = {
        .help = { .name = WHO,
                  .operands = "",
                  .summary = "Say who would be told of an event, on which channel. Exit code 1: "
                             "nobody.",
                  .examples = "  klaxon tail --since 7d -n 1 -o json | klaxon subscription who "
                              "--event -\n" },
        .options = who_options,
        .run = who,
        .needs_event = true,
    };
    return run_verb(&verb, argc, argv);
}

int klx_cli_subscription(int argc, char **argv) {
    static const struct klx_cli_command verbs[] = {
        { "list", "Show the subscriptions, their channels and files", run_list },
        { "who", "Show who would be told of an event", run_who },
    };
    static const struct klx_command_help help = {
        .name = "klaxon subscription",
        .operands = "list|who",
        .summary = "List who is told of what, and who would be told of an event.",
        .examples = "  klaxon subscription list\n",
    };
    return klx_cli_noun(&help, verbs, KLX_COUNT(verbs), argc, argv);
}
