#include "cli/channel_status.h"

#include <stdio.h>
#include <string.h>

#include "cli/channels.h"
#include "cli/command.h"
#include "cli/log.h"
#include "cli/standing.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "lib/base/cleanup.h"
#include "lib/base/config.h"
#include "lib/base/time.h"

#define STATUS "klaxon channel status"
#define OUTPUT_BYTES_MAX (16u << 20)
#define CELL_BYTES_MAX 65536
#define LETTERS_US (24 * 3600 * KLX_US_PER_S)

struct options {
    const char *config, *output, *since;
    int64_t since_us;
    const char *channel; /* NULL: all */
};

static void on_control(void *arg, const struct klx_record *r) {
    klx_standings_control(arg, r);
}

static void on_retry(void *arg, const struct klx_record *r) {
    klx_standings_retry(arg, r);
}

static void on_receipt(void *arg, const struct klx_record *r) {
    klx_standings_receipt(arg, r);
}

/* klaxon.retry is read after klaxon.control: what is delivered meanwhile may still be counted as waiting, and nothing that waits is left out. */
static int read_all(const struct options *o, const struct klx_cli_config *c,
                    struct klx_standings *all) {
    int64_t letters_ms = (klx_cli_now_us() - LETTERS_US) / KLX_US_PER_MS;
    struct klx_letters *letters = klx_letters_new(NULL, NULL);
    int code = klx_cli_read(STATUS, c, KLX_TOPIC_CONTROL, -1, on_control, all);
    code = code == KLX_EXIT_OK ? klx_cli_read(STATUS, c, KLX_TOPIC_RETRY, -1, on_retry, all) : code;
    code = code == KLX_EXIT_OK ? klx_cli_read(STATUS, c, KLX_TOPIC_DELIVERIES,
                                              o->since_us / KLX_US_PER_MS, on_receipt, all)
                               : code;
    code = code == KLX_EXIT_OK ? klx_letters_read(STATUS, c, letters_ms, letters) : code;
    for (const struct klx_letter *l = klx_letters_next(letters, NULL); l != NULL;
         l = klx_letters_next(letters, l)) {
        klx_standings_letter(all, l);
    }
    klx_letters_free(letters);
    return code;
}

static void add_configured(const struct klx_cli_config *c, struct klx_standings *all) {
    for (size_t i = 0; i < c->settings.channels_n; i++) {
        klx_standings_get(all, klx_config_key(c->settings.channels[i]))->configured = true;
    }
}

static void add_time(struct klx_buf *out, int64_t us) {
    char text[KLX_TIME_TEXT_BYTES];
    klx_time_format(us, KLX_TIME_SECONDS, text);
    klx_buf_add_str(out, text);
}

static const char *circuit_of(const struct klx_standing *s) {
    return !s->has_circuit ? "" : s->circuit.closed ? "closed" : "open";
}

static void add_last_cell(struct klx_table *table, const struct klx_standing_last *last, bool why) {
    struct klx_buf cell KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&cell, CELL_BYTES_MAX);
    if (last->at_us != KLX_TIME_NONE) {
        add_time(&cell, last->at_us);
        if (why) {
            klx_buf_add_char(&cell, ' ');
            klx_terminal_text_plain(&cell,
                                    klx_sv(last->code[0] != '\0' ? last->code : last->reason));
        }
    }
    klx_table_add(table, klx_buf_sv(&cell));
}

static bool is_shown(const struct options *o, const struct klx_standing *s) {
    return o->channel == NULL || strcmp(o->channel, s->name) == 0;
}

static void write_table(const struct klx_standings *all, struct klx_buf *out) {
    static const char *const columns[] = { "CHANNEL",        "KIND",        "CIRCUIT",
                                           "PARKED",         "DELIVERED",   "REFUSED",
                                           "GAVE-UP",        "SUPPRESSED",  "DEAD-LETTERS",
                                           "LAST-DELIVERED", "LAST-REFUSED" };
    struct klx_table table;
    klx_table_init(&table, columns, KLX_COUNT(columns));
    for (const struct klx_standing *s = all->first; s != NULL; s = s->next) {
        klx_table_add_text(&table, klx_sv(s->name));
        klx_table_add_text(&table, klx_sv(s->sink));
        klx_table_add(&table, klx_sv(circuit_of(s)));
        klx_table_add_count(&table, s->parked);
        for (size_t i = 0; i < KLX_STANDING_CLASSES_N; i++) {
            klx_table_add_count(&table, s->receipts[i]);
        }
        klx_table_add_count(&table, s->letters_open);
        add_last_cell(&table, &s->delivered, false);
        add_last_cell(&table, &s->refused, true);
    }
    klx_table_write(&table, out);
    klx_table_release(&table);
}

static void begin_row(struct klx_buf *out, const char *name) {
    klx_buf_printf(out, "%-16s", name);
}

static void add_why(struct klx_buf *out, struct klx_sv reason, struct klx_sv answer) {
    if (reason.n > 0) {
        klx_buf_add_str(out, ": ");
        klx_terminal_text_plain(out, reason);
    }
    if (answer.n > 0 && !klx_sv_eq(answer, reason)) {
        klx_buf_add_str(out, " (");
        klx_terminal_text_plain(out, answer);
        klx_buf_add_char(out, ')');
    }
}

static void write_circuit(const struct klx_standing *s, struct klx_buf *out) {
    begin_row(out, "circuit");
    if (!s->has_circuit) {
        klx_buf_add_str(out, "none: nothing of it was ever parked, or it is not known any more\n");
        return;
    }
    klx_buf_add_str(out, circuit_of(s));
    if (s->circuit.since_us != KLX_TIME_NONE) {
        klx_buf_add_str(out, " since ");
        add_time(out, s->circuit.since_us);
    }
    add_why(out, s->circuit.reason, s->circuit.answer);
    klx_buf_add_char(out, '\n');
}

static void write_parked(const struct klx_standing *s, struct klx_buf *out) {
    begin_row(out, "parked");
    klx_buf_printf(out, "%zu", s->parked);
    if (s->parked > 0) {
        klx_buf_add_str(out, ", the oldest since ");
        add_time(out, s->parked_since_us);
    }
    klx_buf_add_char(out, '\n');
}

static void write_last(const char *name, const struct klx_standing_last *last, int64_t since_us,
                       bool why, struct klx_buf *out) {
    begin_row(out, name);
    if (last->at_us == KLX_TIME_NONE) {
        klx_buf_add_str(out, "none since ");
        add_time(out, since_us);
        klx_buf_add_str(out, "; --since looks further back");
    } else {
        add_time(out, last->at_us);
        if (why) {
            bool has_code = last->code[0] != '\0';
            klx_buf_printf(out, ": %s", last->reason[0] != '\0' ? "" : "no reason");
            klx_terminal_text_plain(out, klx_sv(last->reason));
            add_why(out, klx_sv(has_code ? last->code : ""), klx_sv(last->answer));
        }
    }
    klx_buf_add_char(out, '\n');
}

static void write_one(const struct options *o, const struct klx_standing *s, struct klx_buf *out) {
    begin_row(out, "channel");
    klx_terminal_text_plain(out, klx_sv(s->name));
    klx_buf_add_str(out, s->configured ? "\n" : ", which is not in this configuration\n");
    begin_row(out, "kind");
    klx_terminal_text_plain(out, klx_sv(s->sink != NULL ? s->sink : "not known"));
    klx_buf_add_char(out, '\n');
    write_circuit(s, out);
    write_parked(s, out);
    begin_row(out, "receipts");
    klx_buf_printf(out, "%zu delivered, %zu refused, %zu given up, %zu suppressed, since ",
                   s->receipts[KLX_STANDING_DELIVERED], s->receipts[KLX_STANDING_REFUSED],
                   s->receipts[KLX_STANDING_GAVE_UP], s->receipts[KLX_STANDING_SUPPRESSED]);
    add_time(out, o->since_us);
    klx_buf_add_char(out, '\n');
    write_last("last delivered", &s->delivered, o->since_us, false, out);
    write_last("last refused", &s->refused, o->since_us, true, out);
    begin_row(out, "dead letters");
    klx_buf_printf(out, "%zu in 24 h, %zu of them not handled\n", s->letters, s->letters_open);
}

static void write_last_json(struct klx_jw *w, const char *name,
                            const struct klx_standing_last *last) {
    klx_jw_key(w, name);
    if (last->at_us == KLX_TIME_NONE) {
        klx_jw_null(w);
        return;
    }
    klx_jw_begin_object(w);
    klx_jw_member_time(w, "at", last->at_us);
    klx_jw_member_str(w, "reason", last->reason);
    klx_jw_member_sv_null(w, "code", klx_sv(last->code));
    klx_jw_member_sv_null(w, "answer", klx_sv(last->answer));
    klx_jw_end_object(w);
}

static void write_circuit_json(struct klx_jw *w, const struct klx_standing *s) {
    klx_jw_key(w, "circuit");
    if (!s->has_circuit) {
        klx_jw_null(w);
        return;
    }
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "state", circuit_of(s));
    klx_jw_member_time(w, "since", s->circuit.since_us);
    klx_jw_member_sv_null(w, "reason", s->circuit.reason);
    klx_jw_member_sv_null(w, "answer", s->circuit.answer);
    klx_jw_end_object(w);
}

static void write_item(struct klx_jw *w, const struct klx_standing *s) {
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "name", s->name);
    klx_jw_member_sv_null(w, "sink", klx_sv(s->sink));
    klx_jw_member_bool(w, "configured", s->configured);
    write_circuit_json(w, s);
    klx_jw_member_int(w, "parked", (int64_t)s->parked);
    klx_jw_member_time(w, "parkedSince", s->parked_since_us);
    klx_jw_key(w, "receipts");
    klx_jw_begin_object(w);
    for (int i = 0; i < KLX_STANDING_CLASSES_N; i++) {
        klx_jw_member_int(w, klx_standing_class_name((enum klx_standing_class)i),
                          (int64_t)s->receipts[i]);
    }
    klx_jw_end_object(w);
    write_last_json(w, "lastDelivered", &s->delivered);
    write_last_json(w, "lastRefused", &s->refused);
    klx_jw_member_int(w, "deadLetters", (int64_t)s->letters);
    klx_jw_member_int(w, "deadLettersOpen", (int64_t)s->letters_open);
    klx_jw_end_object(w);
}

static void write_json(const struct options *o, const struct klx_standings *all,
                       struct klx_buf *out) {
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "apiVersion", "klaxon.io/v1");
    klx_jw_member_str(&w, "kind", "ChannelStatusList");
    klx_jw_member_time(&w, "since", o->since_us);
    klx_jw_key(&w, "items");
    klx_jw_begin_array(&w);
    for (const struct klx_standing *s = all->first; s != NULL; s = s->next) {
        if (is_shown(o, s)) {
            write_item(&w, s);
        }
    }
    klx_jw_end_array(&w);
    klx_jw_end_object(&w);
    klx_buf_add_char(out, '\n');
}

static int write_status(const struct options *o, const struct klx_standings *all,
                        struct klx_buf *out) {
    const struct klx_standing *one = all->first;
    while (one != NULL && !is_shown(o, one)) {
        one = one->next;
    }
    if (one == NULL && o->channel != NULL) {
        fprintf(stderr, STATUS ": there is no channel \"%.80s\" in the configuration or in Kafka\n",
                o->channel);
        return KLX_EXIT_FAILED;
    }
    if (klx_cli_is_json(o->output)) {
        write_json(o, all, out);
    } else if (o->channel != NULL) {
        write_one(o, one, out);
    } else {
        write_table(all, out);
    }
    return KLX_EXIT_OK;
}

static const struct klx_option options[] = {
    { "since", 0, KLX_OPT_STR, offsetof(struct options, since), "TIME",
      "count receipts since then (default: 1h)", NULL },
    { "output", 'o', KLX_OPT_CHOICE, offsetof(struct options, output), NULL,
      "a table (lines for one channel), or one JSON document", "table|json" },
    KLX_CLI_OPTION_CONFIG,
    { .name = NULL },
};

/* KLX_EXIT_OK and *ret_first >= 0, or how the command ends. */
static int begin(int argc, char **argv, struct options *o, int *ret_first) {
    static const struct klx_command_help help = {
        .name = STATUS,
        .operands = "[CHANNEL]",
        .summary = "Show what Kafka says of the channels: circuit, parked deliveries, receipts, "
                   "dead letters.",
        .examples = "  klaxon channel status\n  klaxon channel status ops-slack --since 1d\n",
    };
    struct klx_error e = { 0 };
    int code = 0;
    *ret_first = klx_options_parse(argc, argv, &help, options, o, &code);
    if (*ret_first < 0) {
        return code;
    }
    if (argc - *ret_first > 1) {
        return klx_cli_operand(STATUS, argc, argv, *ret_first, "CHANNEL");
    }
    o->channel = *ret_first < argc ? argv[*ret_first] : NULL;
    if (klx_time_parse_human(klx_sv(o->since != NULL ? o->since : "1h"), klx_cli_now_us(),
                             &o->since_us, &e) != 0) {
        (void)!klx_fail_in(&e, e.code, "--since");
        return klx_cli_usage(STATUS, e.text);
    }
    return KLX_EXIT_OK;
}

int klx_cli_channel_status(int argc, char **argv) {
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, OUTPUT_BYTES_MAX);
    struct options o = { 0 };
    struct klx_cli_config c = { 0 };
    struct klx_standings all;
    int first = 0, code = begin(argc, argv, &o, &first);
    code = first >= 0 && code == KLX_EXIT_OK ? klx_cli_config_load(STATUS, o.config, &c) : code;
    if (first < 0 || code != KLX_EXIT_OK) {
        return code;
    }
    klx_standings_init(&all);
    add_configured(&c, &all);
    code = read_all(&o, &c, &all);
    if (code == KLX_EXIT_OK) {
        code = write_status(&o, &all, &out);
    }
    klx_standings_release(&all);
    klx_cli_config_release(&c);
    return klx_cli_print(STATUS, klx_buf_sv(&out), code);
}
