/*
 * `klaxon silence add|query|expire`: what nobody wants to hear of for a while (sinks/core/noise/silence.h); import and export are in
 * silence_exchange.c.
 */
#include "cli/silence.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/log.h"
#include "cli/table.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"

#define ADD "klaxon silence add"
#define QUERY "klaxon silence query"
#define EXPIRE "klaxon silence expire"
#define OUTPUT_BYTES_MAX (16u << 20)
#define ARENA_BYTES_MAX (256u << 20) /* of 2,000 silences */

struct options {
    const char *config, *output, *author, *comment, *start, *until, *duration;
    bool dry_run, all, quiet;
};

static int read_end(const struct options *o, int64_t from_us, int64_t *ret_us,
                    struct klx_error *e) {
    int64_t ms = 0;
    if (o->until != NULL && o->duration != NULL) {
        return klx_fail(e, -EINVAL, "--until and --for exclude each other");
    }
    if (o->until != NULL) {
        return klx_time_parse_human(klx_sv(o->until), from_us, ret_us, e);
    }
    if (klx_duration_parse(klx_sv(o->duration != NULL ? o->duration : "1h"), &ms) != 0 || ms <= 0) {
        return klx_fail(e, -EINVAL, "--for: \"%s\" is not a duration, such as 30m, 2h or 1d",
                        o->duration);
    }
    *ret_us = from_us + ms * KLX_US_PER_MS;
    return 0;
}

static int read_times(const struct options *o, struct klx_silence *s, struct klx_error *e) {
    int64_t now = s->starts_us;
    if (o->start != NULL && klx_time_parse_human(klx_sv(o->start), now, &s->starts_us, e) != 0) {
        return klx_fail_in(e, e->code, "--start");
    }
    return read_end(o, s->starts_us, &s->ends_us, e);
}

static int make(const struct options *o, int operands, char **argv, struct klx_silence *s,
                struct klx_error *e) {
    const char *author = klx_cli_author(o->author);
    if (author == NULL) {
        return klx_fail(e, -EINVAL, "who wants it? Give --author NAME: there is no $USER");
    }
    if (o->comment == NULL) {
        return klx_fail(e, -EINVAL, "why? Give -m TEXT");
    }
    klx_silence_init(s, klx_clock_real());
    klx_silence_set_texts(s, author, o->comment);
    for (int i = 0; i < operands; i++) {
        int rc = klx_matchers_parse(&s->matchers, klx_sv(argv[i]), e);
        if (rc != 0) {
            return rc;
        }
    }
    int rc = read_times(o, s, e);
    return rc == 0 ? klx_silence_check(s, e) : rc;
}

static int encode(const char *command, const struct klx_silence *s, struct klx_arena *a,
                  struct klx_record *ret) {
    struct klx_buf key KLX_CLEANUP(klx_buf_release), value KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&key, 256);
    klx_buf_init(&value, KLX_SILENCE_BYTES_MAX);
    klx_silence_key(s, &key);
    klx_silence_encode(s, &value);
    *ret = (struct klx_record){ .partition = -1,
                                .timestamp_ms = klx_cli_now_us() / KLX_US_PER_MS,
                                .key = klx_arena_dup(a, klx_buf_sv(&key)),
                                .value = klx_arena_dup(a, klx_buf_sv(&value)) };
    if (klx_buf_check(&value) != 0 || ret->value.p == NULL) {
        fprintf(stderr, "%s: silence %s is larger than %d bytes\n", command, s->id,
                (int)KLX_SILENCE_BYTES_MAX);
        return KLX_EXIT_FAILED;
    }
    return KLX_EXIT_OK;
}

int klx_cli_silences_write(const char *command, const struct klx_cli_config *c,
                           const struct klx_silence *silences, size_t n) {
    struct klx_arena arena;
    struct klx_record *records = klx_alloc_n(struct klx_record, n + 1);
    int code = KLX_EXIT_OK;
    klx_arena_init(&arena, 65536, ARENA_BYTES_MAX);
    for (size_t i = 0; i < n && code == KLX_EXIT_OK; i++) {
        code = encode(command, &silences[i], &arena, &records[i]);
    }
    if (code == KLX_EXIT_OK) {
        code = klx_cli_write(command, c, KLX_TOPIC_CONTROL, records, n);
    }
    klx_arena_release(&arena);
    free(records);
    return code;
}

static void print_added(const struct klx_silence *s, const struct options *o) {
    struct klx_buf matchers KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&matchers, KLX_SILENCE_BYTES_MAX);
    char end[KLX_TIME_TEXT_BYTES];
    if (o->quiet) {
        printf("%s\n", s->id);
        return;
    }
    klx_matchers_write(&s->matchers, &matchers);
    klx_time_format(s->ends_us, KLX_TIME_SECONDS, end);
    printf("silence/%s added%s: %s until %s\n", s->id, o->dry_run ? " (dry run)" : "",
           klx_buf_str(&matchers), end);
}

static const struct klx_option add_options[] = {
    { "comment", 'm', KLX_OPT_STR, offsetof(struct options, comment), "TEXT", "why (required)",
      NULL },
    { "author", 'a', KLX_OPT_STR, offsetof(struct options, author), "NAME", "who (default: $USER)",
      NULL },
    { "for", 'f', KLX_OPT_STR, offsetof(struct options, duration), "DURATION",
      "for how long (default: 1h)", NULL },
    { "start", 0, KLX_OPT_STR, offsetof(struct options, start), "TIME",
      "from when on (default: now)", NULL },
    { "until", 0, KLX_OPT_STR, offsetof(struct options, until), "TIME", "instead of --for", NULL },
    { "dry-run", 0, KLX_OPT_FLAG, offsetof(struct options, dry_run), NULL,
      "check it, and write nothing", NULL },
    { "quiet", 'q', KLX_OPT_FLAG, offsetof(struct options, quiet), NULL, "print the id only",
      NULL },
    KLX_CLI_OPTION_CONFIG,
    { .name = NULL },
};

static int add(int argc, char **argv) {
    static const struct klx_command_help help = {
        .name = ADD,
        .operands = "MATCHER…",
        .summary =
            "Silence what all matchers match: name=value, !=, =~ or !~ (a whole match), of an "
            "event's members or a label.",
        .examples = "  klaxon silence add cluster=prod-weu kind=Node --for 2h -m 'planned upgrade' "
                    "--dry-run\n"
                    "  klaxon silence add 'namespace=~\"team-.*\"' 'severity!=critical' -m 'load "
                    "test' --dry-run\n",
    };
    struct options o = { 0 };
    struct klx_cli_config c = { 0 };
    struct klx_silence s = { 0 };
    struct klx_error e = { 0 };
    int code = 0, first = klx_options_parse(argc, argv, &help, add_options, &o, &code);
    if (first < 0) {
        return code;
    }
    if (make(&o, argc - first, argv + first, &s, &e) != 0) {
        klx_silence_release(&s);
        return klx_cli_usage(ADD, e.text);
    }
    code = o.dry_run ? KLX_EXIT_OK : klx_cli_config_load(ADD, o.config, &c);
    if (code == KLX_EXIT_OK && !o.dry_run) {
        code = klx_cli_silences_write(ADD, &c, &s, 1);
        klx_cli_config_release(&c);
    }
    if (code == KLX_EXIT_OK) {
        klx_cli_silence_doubt(ADD, &s);
        print_added(&s, &o);
    }
    klx_silence_release(&s);
    return klx_cli_print(ADD, KLX_SV(""), code);
}

/* What klaxon.control holds; what is no silence, or no good one, is left out. */
static void take(void *arg, const struct klx_record *r) {
    struct klx_error e = { 0 };
    int rc = klx_silences_put(arg, r->key, r->value, klx_cli_now_us(), &e);
    if (rc == -EBADMSG) {
        fprintf(stderr, "%.*s: %s\n", KLX_SV_FMT(r->key), e.text);
    }
}

int klx_cli_silences_read(const char *command, const struct klx_cli_config *c,
                          struct klx_silences *ret) {
    return klx_cli_read(command, c, KLX_TOPIC_CONTROL, -1, take, ret);
}

static bool is_shown(const struct klx_silence *s, const struct options *o) {
    return o->all || klx_silence_state(s, klx_cli_now_us()) != KLX_SILENCE_EXPIRED;
}

static void write_table(const struct klx_silences *all, const struct options *o,
                        struct klx_buf *out) {
    static const char *const columns[] = { "ID",     "STATE",   "STARTS",  "ENDS",
                                           "AUTHOR", "COMMENT", "MATCHERS" };
    struct klx_table table;
    klx_table_init(&table, columns, KLX_COUNT(columns));
    for (size_t i = 0; i < klx_silences_n(all); i++) {
        const struct klx_silence *s = klx_silences_at(all, i);
        struct klx_buf matchers KLX_CLEANUP(klx_buf_release);
        klx_buf_init(&matchers, KLX_SILENCE_BYTES_MAX);
        if (!is_shown(s, o)) {
            continue;
        }
        klx_matchers_write(&s->matchers, &matchers);
        klx_table_add(&table, klx_sv(s->id));
        klx_table_add(&table,
                      klx_sv(klx_silence_state_name(klx_silence_state(s, klx_cli_now_us()))));
        klx_table_add_time(&table, s->starts_us);
        klx_table_add_time(&table, s->ends_us);
        klx_table_add_text(&table, klx_sv(s->author));
        klx_table_add_text(&table, klx_sv(s->comment));
        klx_table_add_text(&table, klx_sv(klx_buf_str(&matchers)));
    }
    klx_table_write(&table, out);
    klx_table_release(&table);
}

/* Each as it is in the topic, which is Alertmanager's form, with its id and state. */
static void write_json(const struct klx_silences *all, const struct options *o,
                       struct klx_buf *out) {
    struct klx_jw w;
    klx_cli_list_begin(&w, out, "SilenceList");
    for (size_t i = 0; i < klx_silences_n(all); i++) {
        const struct klx_silence *s = klx_silences_at(all, i);
        struct klx_buf value KLX_CLEANUP(klx_buf_release);
        klx_buf_init(&value, KLX_SILENCE_BYTES_MAX);
        if (!is_shown(s, o)) {
            continue;
        }
        klx_silence_encode(s, &value);
        klx_jw_begin_object(&w);
        klx_jw_member_str(&w, "id", s->id);
        klx_jw_member_str(&w, "state",
                          klx_silence_state_name(klx_silence_state(s, klx_cli_now_us())));
        klx_jw_key(&w, "silence");
        klx_jw_raw(&w, klx_buf_sv(&value));
        klx_jw_end_object(&w);
    }
    klx_cli_list_end(&w);
}

static void write_ids(const struct klx_silences *all, const struct options *o,
                      struct klx_buf *out) {
    for (size_t i = 0; i < klx_silences_n(all); i++) {
        if (is_shown(klx_silences_at(all, i), o)) {
            klx_buf_printf(out, "%s\n", klx_silences_at(all, i)->id);
        }
    }
}

static const struct klx_option query_options[] = {
    { "all", 0, KLX_OPT_FLAG, offsetof(struct options, all), NULL, "those that have ended, too",
      NULL },
    KLX_CLI_OPTION_TABLE,
    { "quiet", 'q', KLX_OPT_FLAG, offsetof(struct options, quiet), NULL, "print the ids only",
      NULL },
    KLX_CLI_OPTION_CONFIG,
    { .name = NULL },
};

static int query(int argc, char **argv) {
    static const struct klx_command_help help = {
        .name = QUERY,
        .operands = "",
        .summary = "Show the silences that are in force or to come.",
        .examples = "  klaxon silence query\n  klaxon silence query --all -o json\n",
    };
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, OUTPUT_BYTES_MAX);
    struct options o = { 0 };
    struct klx_cli_config c = { 0 };
    int code = 0, first = klx_options_parse(argc, argv, &help, query_options, &o, &code);
    code = first < 0 ? code : klx_cli_no_operands(QUERY, argc, argv, first);
    code = first >= 0 && code == KLX_EXIT_OK ? klx_cli_config_load(QUERY, o.config, &c) : code;
    if (first < 0 || code != KLX_EXIT_OK) {
        return code;
    }
    struct klx_silences *all = klx_silences_new();
    code = klx_cli_silences_read(QUERY, &c, all);
    if (code == KLX_EXIT_OK && o.quiet) {
        write_ids(all, &o, &out);
    } else if (code == KLX_EXIT_OK && klx_cli_is_json(o.output)) {
        write_json(all, &o, &out);
    } else if (code == KLX_EXIT_OK) {
        write_table(all, &o, &out);
    }
    klx_silences_free(all);
    klx_cli_config_release(&c);
    return klx_cli_print(QUERY, klx_buf_sv(&out), code);
}

static const struct klx_silence *find(const struct klx_silences *all, const char *id) {
    for (size_t i = 0; i < klx_silences_n(all); i++) {
        if (strcmp(klx_silences_at(all, i)->id, id) == 0) {
            return klx_silences_at(all, i);
        }
    }
    return NULL;
}

static void say_expired(const struct klx_silence *s, const char *what, const struct options *o) {
    if (o->quiet) {
        printf("%s\n", s->id);
    } else {
        printf("silence/%s %s%s\n", s->id, what, o->dry_run ? " (dry run)" : "");
    }
}

/* Written again with an end that is now: who silenced what stays readable. */
static int expire_one(const struct klx_cli_config *c, const struct klx_silences *all,
                      const struct options *o, const char *id) {
    const struct klx_silence *s = find(all, id);
    if (s == NULL) {
        fprintf(stderr, EXPIRE ": there is no silence %.80s: `klaxon silence query` shows them\n",
                id);
        return KLX_EXIT_FAILED;
    }
    int64_t now = klx_cli_now_us();
    if (klx_silence_state(s, now) == KLX_SILENCE_EXPIRED) {
        say_expired(s, "has ended already", o);
        return KLX_EXIT_OK;
    }
    struct klx_silence ended = *s;
    ended.ends_us = now;
    ended.starts_us = ended.starts_us < now ? ended.starts_us : now - 1;
    ended.updated_us = now;
    int code = o->dry_run ? KLX_EXIT_OK : klx_cli_silences_write(EXPIRE, c, &ended, 1);
    if (code == KLX_EXIT_OK) {
        say_expired(s, "expired", o);
    }
    return code;
}

static int expire_all(const struct klx_cli_config *c, const struct options *o, char **ids,
                      size_t n) {
    struct klx_silences *all = klx_silences_new();
    int code = klx_cli_silences_read(EXPIRE, c, all), failed = KLX_EXIT_OK;
    size_t done = 0;
    for (size_t i = 0; code == KLX_EXIT_OK && i < n; i++) {
        int one = expire_one(c, all, o, ids[i]);
        failed = one != KLX_EXIT_OK ? one : failed;
        done += one == KLX_EXIT_OK;
    }
    klx_silences_free(all);
    if (done > 0 && done < n) {
        fprintf(stderr, EXPIRE ": %zu of %zu are ended\n", done, n);
        return KLX_EXIT_PARTLY;
    }
    return code != KLX_EXIT_OK ? code : failed;
}

static int expire(int argc, char **argv) {
    static const struct klx_option options[] = {
        { "dry-run", 0, KLX_OPT_FLAG, offsetof(struct options, dry_run), NULL,
          "say what would be done, and write nothing", NULL },
        { "quiet", 'q', KLX_OPT_FLAG, offsetof(struct options, quiet), NULL, "print the ids only",
          NULL },
        KLX_CLI_OPTION_CONFIG,
        { .name = NULL },
    };
    static const struct klx_command_help help = {
        .name = EXPIRE,
        .operands = "ID…",
        .summary = "End silences now.",
        .examples = "  klaxon silence query -q | xargs -r klaxon silence expire --dry-run\n",
    };
    struct options o = { 0 };
    struct klx_cli_config c = { 0 };
    int code = 0, first = klx_options_parse(argc, argv, &help, options, &o, &code);
    if (first < 0) {
        return code;
    }
    if (first == argc) {
        return klx_cli_usage(EXPIRE, "ID is missing");
    }
    code = klx_cli_config_load(EXPIRE, o.config, &c);
    if (code != KLX_EXIT_OK) {
        return code;
    }
    code = expire_all(&c, &o, argv + first, (size_t)(argc - first));
    klx_cli_config_release(&c);
    return klx_cli_print(EXPIRE, KLX_SV(""), code);
}

int klx_cli_silence(int argc, char **argv) {
    static const struct klx_cli_command verbs[] = {
        { "add", "Silence what matches, for a while", add },
        { "query", "Show the silences", query },
        { "expire", "End silences now", expire },
        { "import", "Add those of a file in Alertmanager's JSON", klx_cli_silence_import },
        { "export", "Print them in Alertmanager's JSON", klx_cli_silence_export },
    };
    static const struct klx_command_help help = {
        .name = "klaxon silence",
        .operands = "add|query|expire|import|export",
        .summary = "Silence what nobody wants to hear of for a while; the history keeps it.",
        .examples = "  klaxon silence query\n",
    };
    return klx_cli_noun(&help, verbs, KLX_COUNT(verbs), argc, argv);
}
