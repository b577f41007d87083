/*
 * `klaxon dlq list|show|redrive|discard`: what could not be delivered.
 */
#include "cli/dlq.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/table.h"
#include "cli/terminal.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"

#define LIST "klaxon dlq list"
#define OUTPUT_BYTES_MAX (64u << 20)

struct options {
    const char *config, *output;
    struct klx_dlq_selection selection;
    bool all, handled, quiet;
};

/* Letters of one channel and reason. */
struct group {
    struct klx_sv channel, sink, reason;
    size_t count;
    int64_t first_us, last_us;
};

struct groups {
    struct group *items;
    size_t n, room;
};

int klx_dlq_selection_begin(struct klx_dlq_selection *s, int64_t now_us, struct klx_error *e) {
    s->since_us = INT64_MIN;
    if (s->since != NULL && klx_time_parse_human(klx_sv(s->since), now_us, &s->since_us, e) != 0) {
        return klx_fail_in(e, e->code, "--since");
    }
    for (size_t i = 0; i < s->filters.n; i++) {
        int rc = klx_matchers_parse(&s->matchers, klx_sv(s->filters.items[i]), e);
        if (rc != 0) {
            return klx_fail_in(e, rc, "--filter");
        }
    }
    return 0;
}

void klx_dlq_selection_release(struct klx_dlq_selection *s) {
    klx_matchers_release(&s->matchers);
}

bool klx_dlq_selection_is_empty(const struct klx_dlq_selection *s) {
    return s->channel == NULL && s->reason == NULL && s->since == NULL && s->ids.n == 0 &&
           s->filters.n == 0 && s->operands_n == 0;
}

static bool is_named(const struct klx_dlq_selection *s, struct klx_sv id) {
    for (size_t i = 0; i < s->ids.n; i++) {
        if (klx_sv_eq(id, klx_sv(s->ids.items[i]))) {
            return true;
        }
    }
    for (size_t i = 0; i < s->operands_n; i++) {
        if (klx_sv_eq(id, klx_sv(s->operands[i]))) {
            return true;
        }
    }
    return s->ids.n == 0 && s->operands_n == 0;
}

bool klx_dlq_selects(const struct klx_dlq_selection *s, const struct klx_letter *l) {
    return (s->channel == NULL || klx_sv_eq(l->channel, klx_sv(s->channel))) &&
           (s->reason == NULL || klx_sv_eq(l->reason, klx_sv(s->reason))) &&
           l->time_us >= s->since_us && is_named(s, l->id);
}

bool klx_dlq_is_filtered(const void *arg, const struct klx_letter *l) {
    const struct klx_dlq_selection *s = arg;
    return s->matchers.n > 0 && klx_dlq_selects(s, l);
}

struct filter {
    const struct klx_dlq_selection *selection;
    struct klx_arena *arena;
    size_t *unseen;
};

/* As a silence would have matched it: the event, told to this team on this channel. */
static bool matches(struct klx_arena *a, const struct klx_matchers *m, const struct klx_letter *l) {
    struct klx_parked p;
    struct klx_event event;
    const struct klx_json *data = NULL;
    if (klx_letter_parked(a, l->record, 0, &p, NULL) != 0 ||
        klx_event_decode(a, &p.original, &event, NULL) != 0 ||
        klx_json_parse(a, event.data, NULL, &data, NULL) != 0) {
        return false;
    }
    const struct klx_matched what = {
        .event = &event,
        .data = data,
        .severity = p.severity,
        .topic = event.kind != KLX_KIND_UNKNOWN
                     ? klx_sv(klx_topic_specs[klx_kind_specs[event.kind].topic].short_name)
                     : klx_sv(""),
        .team = l->team,
        .channel = l->channel,
    };
    return klx_matchers_test(m, &what);
}

static bool passes(const void *arg, const struct klx_letter *l) {
    const struct filter *f = arg;
    if (!klx_dlq_selects(f->selection, l)) {
        return true; /* not asked for, so not looked at */
    }
    if (l->record == NULL) {
        ++*f->unseen;
        return false;
    }
    klx_arena_reset(f->arena);
    return matches(f->arena, &f->selection->matchers, l);
}

void klx_dlq_filter(const char *command, const struct klx_dlq_selection *s,
                    struct klx_letters *all) {
    struct klx_arena arena;
    size_t unseen = 0;
    const struct filter f = { s, &arena, &unseen };
    if (s->matchers.n == 0) {
        return;
    }
    klx_arena_init(&arena, 65536, OUTPUT_BYTES_MAX);
    klx_letters_filter(all, passes, &f);
    klx_arena_release(&arena);
    if (unseen > 0) {
        fprintf(stderr,
                "%s: %zu are not looked at, there are too many: ask for less with --since "
                "or --channel\n",
                command, unseen);
    }
}

int64_t klx_dlq_start_ms(const struct klx_dlq_selection *s) {
    return s->since_us > 0 ? s->since_us / KLX_US_PER_MS : -1;
}

static bool is_shown(const struct options *o, const struct klx_letter *l) {
    return klx_dlq_selects(&o->selection, l) && (o->handled || l->state == KLX_LETTER_OPEN);
}

static struct group *find_group(struct groups *g, const struct klx_letter *l) {
    for (size_t i = 0; i < g->n; i++) {
        if (klx_sv_eq(g->items[i].channel, l->channel) && klx_sv_eq(g->items[i].sink, l->sink) &&
            klx_sv_eq(g->items[i].reason, l->reason)) {
            return &g->items[i];
        }
    }
    if (g->n == g->room) {
        g->items = klx_grow_array(g->items, g->room, g->room + 16, sizeof(*g->items));
        g->room += 16;
    }
    struct group *one = &g->items[g->n++];
    *one = (struct group){ .channel = l->channel,
                           .sink = l->sink,
                           .reason = l->reason,
                           .first_us = l->time_us,
                           .last_us = l->time_us };
    return one;
}

static int compare_groups(const void *a, const void *b) {
    const struct group *x = a, *y = b;
    int by_channel = klx_sv_cmp(x->channel, y->channel);
    return by_channel != 0 ? by_channel : klx_sv_cmp(x->reason, y->reason);
}

static void make_groups(const struct klx_letters *all, const struct options *o, struct groups *g) {
    for (const struct klx_letter *l = klx_letters_next(all, NULL); l != NULL;
         l = klx_letters_next(all, l)) {
        if (is_shown(o, l)) {
            struct group *one = find_group(g, l);
            one->count++;
            one->first_us = l->time_us < one->first_us ? l->time_us : one->first_us;
            one->last_us = l->time_us > one->last_us ? l->time_us : one->last_us;
        }
    }
    if (g->n > 0) {
        qsort(g->items, g->n, sizeof(*g->items), compare_groups);
    }
}

static void write_group_table(const struct groups *g, struct klx_buf *out) {
    static const char *const columns[] = { "CHANNEL", "SINK", "REASON", "COUNT", "FIRST", "LAST" };
    struct klx_table table;
    klx_table_init(&table, columns, KLX_COUNT(columns));
    for (size_t i = 0; i < g->n; i++) {
        klx_table_add_text(&table, g->items[i].channel);
        klx_table_add_text(&table, g->items[i].sink);
        klx_table_add_text(&table, g->items[i].reason);
        klx_table_add_count(&table, g->items[i].count);
        klx_table_add_time(&table, g->items[i].first_us);
        klx_table_add_time(&table, g->items[i].last_us);
    }
    klx_table_write(&table, out);
    klx_table_release(&table);
}

static void write_group_json(const struct groups *g, struct klx_buf *out) {
    struct klx_jw w;
    klx_cli_list_begin(&w, out, "DeadLetterGroupList");
    for (size_t i = 0; i < g->n; i++) {
        klx_jw_begin_object(&w);
        klx_jw_member_sv_null(&w, "channel", g->items[i].channel);
        klx_jw_member_sv_null(&w, "sink", g->items[i].sink);
        klx_jw_member_sv_null(&w, "reason", g->items[i].reason);
        klx_jw_member_int(&w, "count", (int64_t)g->items[i].count);
        klx_jw_member_time(&w, "first", g->items[i].first_us);
        klx_jw_member_time(&w, "last", g->items[i].last_us);
        klx_jw_end_object(&w);
    }
    klx_cli_list_end(&w);
}

static void write_groups(const struct klx_letters *all, const struct options *o, bool json,
                         struct klx_buf *out) {
    struct groups g = { .items = NULL };
    make_groups(all, o, &g);
    if (json) {
        write_group_json(&g, out);
    } else {
        write_group_table(&g, out);
    }
    free(g.items);
}

static void write_letter_table(const struct klx_letters *all, const struct options *o,
                               struct klx_buf *out) {
    static const char *const columns[] = { "ID",   "TIME", "CHANNEL", "REASON",
                                           "CODE", "TEAM", "STATE",   "SUMMARY" };
    struct klx_table table;
    klx_table_init(&table, columns, KLX_COUNT(columns));
    for (const struct klx_letter *l = klx_letters_next(all, NULL); l != NULL;
         l = klx_letters_next(all, l)) {
        if (!is_shown(o, l)) {
            continue;
        }
        klx_table_add_text(&table, l->id);
        klx_table_add_time(&table, l->time_us);
        klx_table_add_text(&table, l->channel);
        klx_table_add_text(&table, l->reason);
        klx_table_add_text(&table, l->code);
        klx_table_add_text(&table, l->team);
        klx_table_add(&table, klx_sv(klx_letter_state_name(l->state)));
        klx_table_add_text(&table, l->summary);
    }
    klx_table_write(&table, out);
    klx_table_release(&table);
}

void klx_dlq_write_state(struct klx_jw *w, const struct klx_letter *l) {
    klx_jw_member_str(w, "state", klx_letter_state_name(l->state));
    if (l->state != KLX_LETTER_OPEN) {
        klx_jw_key(w, "handled");
        klx_jw_begin_object(w);
        klx_jw_member_time(w, "at", l->mark.at_us);
        klx_jw_member_sv(w, "by", l->mark.by);
        klx_jw_member_sv_opt(w, "reason", l->mark.reason);
        klx_jw_end_object(w);
    }
}

static void write_letter_json(const struct klx_letters *all, const struct options *o,
                              struct klx_buf *out) {
    struct klx_jw w;
    klx_cli_list_begin(&w, out, "DeadLetterList");
    for (const struct klx_letter *l = klx_letters_next(all, NULL); l != NULL;
         l = klx_letters_next(all, l)) {
        if (!is_shown(o, l)) {
            continue;
        }
        klx_jw_begin_object(&w);
        klx_jw_member_sv(&w, "id", l->id);
        klx_jw_member_time(&w, "time", l->time_us);
        klx_jw_member_sv_null(&w, "channel", l->channel);
        klx_jw_member_sv_null(&w, "sink", l->sink);
        klx_jw_member_sv_null(&w, "team", l->team);
        klx_jw_member_sv_null(&w, "recipient", l->recipient);
        klx_jw_member_sv_null(&w, "reason", l->reason);
        klx_jw_member_sv_null(&w, "code", l->code);
        klx_jw_member_sv_null(&w, "event", l->event);
        klx_jw_member_sv_null(&w, "eventType", l->event_type);
        klx_jw_member_sv_null(&w, "summary", l->summary);
        klx_dlq_write_state(&w, l);
        klx_jw_end_object(&w);
    }
    klx_cli_list_end(&w);
}

static void write_ids(const struct klx_letters *all, const struct options *o, struct klx_buf *out) {
    for (const struct klx_letter *l = klx_letters_next(all, NULL); l != NULL;
         l = klx_letters_next(all, l)) {
        if (is_shown(o, l)) {
            klx_terminal_text_plain(out, l->id);
            klx_buf_add_char(out, '\n');
        }
    }
}

static const struct klx_option list_options[] = {
    { "channel", 0, KLX_OPT_STR, offsetof(struct options, selection.channel), "NAME",
      "of this channel", NULL },
    { "reason", 0, KLX_OPT_STR, offsetof(struct options, selection.reason), "NAME",
      "gave_up, reject_message, reject_recipient or not_cloudevent", NULL },
    { "since", 0, KLX_OPT_STR, offsetof(struct options, selection.since), "TIME",
      "written since then", NULL },
    KLX_DLQ_OPTION_FILTER,
    { "all", 0, KLX_OPT_FLAG, offsetof(struct options, all), NULL, "a line for each", NULL },
    { "handled", 0, KLX_OPT_FLAG, offsetof(struct options, handled), NULL,
      "also those that were redriven or discarded", NULL },
    KLX_CLI_OPTION_TABLE,
    { "quiet", 'q', KLX_OPT_FLAG, offsetof(struct options, quiet), NULL, "print the ids only",
      NULL },
    KLX_CLI_OPTION_CONFIG,
    { .name = NULL },
};

static void write_list(const struct klx_letters *all, const struct options *o,
                       struct klx_buf *out) {
    bool json = klx_cli_is_json(o->output);
    if (o->quiet) {
        write_ids(all, o, out);
    } else if (!o->all) {
        write_groups(all, o, json, out);
    } else if (json) {
        write_letter_json(all, o, out);
    } else {
        write_letter_table(all, o, out);
    }
}

static int list(int argc, char **argv) {
    static const struct klx_command_help help = {
        .name = LIST,
        .operands = "",
        .summary = "Count the dead letters that nobody has handled, by channel and reason.",
        .examples = "  klaxon dlq list\n"
                    "  klaxon dlq list --all --channel ops-slack --since 1d\n",
    };
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, OUTPUT_BYTES_MAX);
    struct options o = { 0 };
    struct klx_cli_config c = { 0 };
    struct klx_error e = { 0 };
    int code = 0, first = klx_options_parse(argc, argv, &help, list_options, &o, &code);
    code = first < 0 ? code : klx_cli_no_operands(LIST, argc, argv, first);
    if (first < 0 || code != KLX_EXIT_OK) {
        return code;
    }
    code = klx_dlq_selection_begin(&o.selection, klx_cli_now_us(), &e) == 0
               ? klx_cli_config_load(LIST, o.config, &c)
               : klx_cli_usage(LIST, e.text);
    if (code == KLX_EXIT_OK) {
        struct klx_letters *all = klx_letters_new(klx_dlq_is_filtered, &o.selection);
        code = klx_letters_read(LIST, &c, klx_dlq_start_ms(&o.selection), all);
        if (code == KLX_EXIT_OK) {
            klx_dlq_filter(LIST, &o.selection, all);
            write_list(all, &o, &out);
        }
        klx_letters_free(all);
        klx_cli_config_release(&c);
    }
    klx_dlq_selection_release(&o.selection);
    return klx_cli_print(LIST, klx_buf_sv(&out), code);
}

int klx_cli_dlq(int argc, char **argv) {
    static const struct klx_cli_command verbs[] = {
        { "list", "Count the dead letters, or show a line for each", list },
        { "show", "Show one, with its event", klx_dlq_show },
        { "redrive", "Have them tried again", klx_dlq_redrive },
        { "discard", "Leave them at that", klx_dlq_discard },
    };
    static const struct klx_command_help help = {
        .name = "klaxon dlq",
        .operands = "list|show|redrive|discard",
        .summary = "Dead letters: what a channel refused for good, or what was given up.",
        .examples = "  klaxon dlq list\n"
                    "  klaxon dlq redrive --channel ops-slack --dry-run\n",
    };
    return klx_cli_noun(&help, verbs, KLX_COUNT(verbs), argc, argv);
}
