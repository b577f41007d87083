/*
 * `klaxon incident list`: what is open and who has it in hand; `ack` and `unack` are in incident_ack.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/incidents.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#define LIST "klaxon incident list"
#define OUTPUT_BYTES_MAX (64u << 20)
#define CELL_BYTES_MAX 65536

struct options {
    const char *config, *output;
    struct klx_option_strings filters;
    struct klx_matchers matchers;
    bool unacknowledged, quiet;
};

struct list {
    struct klx_cli_incidents *all;
    const struct options *o;
    const struct klx_cli_incident **items;
    size_t n, room;
};

static void take(struct list *l, const struct klx_cli_incident *i) {
    if (l->n == l->room) {
        l->items = klx_grow_array(l->items, l->room, l->room + 256, sizeof(*l->items));
        l->room += 256;
    }
    l->items[l->n++] = i;
}

static void select_all(struct list *l) {
    size_t unseen_n = 0;
    const struct klx_cli_incident *i = klx_cli_incidents_next(l->all, NULL);
    for (; i != NULL; i = klx_cli_incidents_next(l->all, i)) {
        bool unseen = false;
        if (i->open && !(l->o->unacknowledged && i->ack != NULL) &&
            (l->o->matchers.n == 0 ||
             klx_cli_incident_matches(l->all, i, &l->o->matchers, &unseen))) {
            take(l, i);
        }
        unseen_n += unseen;
    }
    if (unseen_n > 0) {
        fprintf(stderr, LIST ": %zu are not looked at: Kafka does not have their events any more\n",
                unseen_n);
    }
}

static int by_id(const void *a, const void *b) {
    const struct klx_cli_incident *const *x = a, *const *y = b;
    return klx_sv_cmp((*x)->id, (*y)->id);
}

static size_t common(struct klx_sv a, struct klx_sv b) {
    size_t n = 0;
    while (n < a.n && n < b.n && a.p[n] == b.p[n]) {
        n++;
    }
    return n;
}

/* So many letters that each id of the table is told from the others. */
static size_t letters_of(const struct list *l) {
    const struct klx_cli_incident **sorted = klx_alloc_n(const struct klx_cli_incident *, l->n + 1);
    size_t letters = KLX_CLI_INCIDENT_SHORT;
    for (size_t i = 0; i < l->n; i++) {
        sorted[i] = l->items[i];
    }
    qsort(sorted, l->n, sizeof(*sorted), by_id);
    for (size_t i = 1; i < l->n; i++) {
        size_t needed = common(sorted[i - 1]->id, sorted[i]->id) + 1;
        letters = needed > letters ? needed : letters;
    }
    free(sorted);
    return letters;
}

/* Why a channel has not heard of it; "" when it has. An acknowledgement ends the waiting for an escalation. */
static const char *why_not_told(const struct klx_cli_incident *i, const struct klx_incident *c) {
    if (c->was_told) {
        return "";
    }
    bool ended = c->waits == KLX_WAITS_TO_ESCALATE && i->ack != NULL;
    const char *waits = klx_incident_wait_name(c->waits);
    return ended || waits[0] == '\0' ? "not told" : waits;
}

static void add_channels(struct klx_table *t, const struct klx_cli_incident *i) {
    struct klx_buf cell KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&cell, CELL_BYTES_MAX);
    for (size_t c = 0; c < i->channels_n; c++) {
        const char *why = why_not_told(i, i->channels[c]);
        klx_buf_printf(&cell, "%s%s", c > 0 ? ", " : "", i->channels[c]->channel);
        if (why[0] != '\0') {
            klx_buf_printf(&cell, " (%s)", why);
        }
    }
    klx_table_add_text(t, klx_buf_sv(&cell));
}

static void add_row(struct klx_table *t, const struct klx_cli_incident *i, size_t letters) {
    bool nobody = i->ack != NULL && i->ack->by.n == 0;
    klx_table_add_text(t, klx_sv_utf8_prefix(i->id, letters));
    klx_table_add(t, klx_sv(klx_severity_name(i->severity)));
    klx_table_add_text(t, i->cluster);
    if (i->since_us != KLX_TIME_NONE) {
        klx_table_add_time(t, i->since_us);
    } else {
        klx_table_add(t, klx_sv(""));
    }
    klx_table_add_count(t, i->number);
    klx_table_add_text(t, nobody ? KLX_SV("<unknown>") : i->ack != NULL ? i->ack->by : klx_sv(""));
    add_channels(t, i);
    klx_table_add_text(t, i->summary);
}

static void write_table(const struct list *l, struct klx_buf *out) {
    static const char *const columns[] = { "ID",     "SEVERITY",     "CLUSTER",  "SINCE",
                                           "NUMBER", "ACKNOWLEDGED", "CHANNELS", "SUMMARY" };
    struct klx_table table;
    size_t letters = letters_of(l);
    klx_table_init(&table, columns, KLX_COUNT(columns));
    for (size_t i = 0; i < l->n; i++) {
        add_row(&table, l->items[i], letters);
    }
    klx_table_write(&table, out);
    klx_table_release(&table);
}

static void write_ack(struct klx_jw *w, const struct klx_cli_ack *a) {
    klx_jw_key(w, "acknowledged");
    if (a == NULL) {
        klx_jw_null(w);
        return;
    }
    klx_jw_begin_object(w);
    klx_jw_member_sv_null(w, "by", a->by);
    klx_jw_member_time(w, "at", a->at_us);
    klx_jw_member_sv_null(w, "comment", a->comment);
    klx_jw_end_object(w);
}

static void write_channel(struct klx_jw *w, const struct klx_incident *c) {
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "name", c->channel);
    klx_jw_member_sv_null(w, "team", klx_sv(c->team));
    klx_jw_member_str(w, "severity", klx_severity_name(c->severity));
    klx_jw_member_bool(w, "told", c->was_told);
    klx_jw_member_time(w, "toldAt", c->told_us);
    klx_jw_member_int(w, "number", c->told);
    klx_jw_member_int(w, "reminders", c->reminders);
    klx_jw_member_sv_null(w, "waits", klx_sv(klx_incident_wait_name(c->waits)));
    klx_jw_end_object(w);
}

static void write_object(struct klx_jw *w, const struct klx_cli_incident *i) {
    klx_jw_key(w, "object");
    klx_jw_begin_object(w);
    klx_jw_member_sv_null(w, "kind", i->kind);
    klx_jw_member_sv_null(w, "namespace", i->namespace);
    klx_jw_member_sv_null(w, "name", i->name);
    klx_jw_end_object(w);
}

static void write_item(struct klx_jw *w, const struct klx_cli_incident *i) {
    klx_jw_begin_object(w);
    klx_jw_member_sv(w, "id", i->id);
    klx_jw_member_sv_null(w, "cluster", i->cluster);
    klx_jw_member_str(w, "topic", klx_topic_specs[i->topic].short_name);
    klx_jw_member_str(w, "severity", klx_severity_name(i->severity));
    klx_jw_member_time(w, "since", i->since_us);
    klx_jw_member_int(w, "number", i->number);
    klx_jw_member_sv_null(w, "eventType", i->type);
    write_object(w, i);
    klx_jw_member_sv_null(w, "summary", i->summary);
    write_ack(w, i->ack);
    klx_jw_key(w, "channels");
    klx_jw_begin_array(w);
    for (size_t c = 0; c < i->channels_n; c++) {
        write_channel(w, i->channels[c]);
    }
    klx_jw_end_array(w);
    klx_jw_end_object(w);
}

static void write_list(const struct list *l, struct klx_buf *out) {
    struct klx_jw w;
    if (l->o->quiet) {
        for (size_t i = 0; i < l->n; i++) {
            klx_terminal_text_plain(out, l->items[i]->id);
            klx_buf_add_char(out, '\n');
        }
    } else if (klx_cli_is_json(l->o->output)) {
        klx_cli_list_begin(&w, out, "IncidentList");
        for (size_t i = 0; i < l->n; i++) {
            write_item(&w, l->items[i]);
        }
        klx_cli_list_end(&w);
    } else {
        write_table(l, out);
    }
}

static int show(const struct options *o, const struct klx_cli_config *c, struct klx_buf *out) {
    struct list l = { .all = klx_cli_incidents_new(klx_cli_now_us()), .o = o };
    int code = klx_cli_incidents_read(LIST, c, l.all);
    if (code == KLX_EXIT_OK) {
        code = klx_cli_incidents_read_events(LIST, c, l.all);
    }
    if (code == KLX_EXIT_OK) {
        select_all(&l);
        write_list(&l, out);
    }
    free(l.items);
    klx_cli_incidents_free(l.all);
    return code;
}

static const struct klx_option list_options[] = {
    { "unacknowledged", 0, KLX_OPT_FLAG, offsetof(struct options, unacknowledged), NULL,
      "those that nobody has taken in hand", NULL },
    KLX_CLI_INCIDENT_OPTION_FILTER,
    KLX_CLI_OPTION_TABLE,
    { "quiet", 'q', KLX_OPT_FLAG, offsetof(struct options, quiet), NULL, "print the ids only",
      NULL },
    KLX_CLI_OPTION_CONFIG,
    { .name = NULL },
};

static int list(int argc, char **argv) {
    static const struct klx_command_help help = {
        .name = LIST,
        .operands = "",
        .summary = "Show the incidents that are open: who was told, and who has them in hand.",
        .examples = "  klaxon incident list\n"
                    "  klaxon incident list --unacknowledged --filter severity=critical\n"
                    "  klaxon incident list -o json\n",
    };
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    struct klx_cli_config c = { 0 };
    struct options o = { 0 };
    struct klx_error e = { 0 };
    klx_buf_init(&out, OUTPUT_BYTES_MAX);
    int code = 0, first = klx_options_parse(argc, argv, &help, list_options, &o, &code);
    if (first < 0) {
        return code;
    }
    code = klx_cli_no_operands(LIST, argc, argv, first);
    if (code == KLX_EXIT_OK && klx_cli_filters_parse(&o.filters, &o.matchers, &e) != 0) {
        code = klx_cli_usage(LIST, e.text);
    }
    code = code == KLX_EXIT_OK ? klx_cli_config_load(LIST, o.config, &c) : code;
    if (code == KLX_EXIT_OK) {
        code = show(&o, &c, &out);
        klx_cli_config_release(&c);
        code = klx_cli_print(LIST, klx_buf_sv(&out), code);
    }
    klx_matchers_release(&o.matchers);
    return code;
}

int klx_cli_incident(int argc, char **argv) {
    static const struct klx_cli_command verbs[] = {
        { "list", "Show the incidents that are open", list },
        { "ack", "Take incidents in hand: no reminder and no escalation any more",
          klx_cli_incident_ack },
        { "unack", "Give them back", klx_cli_incident_unack },
    };
    static const struct klx_command_help help = {
        .name = "klaxon incident",
        .operands = "list|ack|unack",
        .summary = "Show what is open, and take it in hand.",
        .examples = "  klaxon incident list\n",
    };
    return klx_cli_noun(&help, verbs, KLX_COUNT(verbs), argc, argv);
}
