/*
 * `klaxon silence import` and `klaxon silence export`: silences as Alertmanager's API v2 has them, which is what amtool reads and writes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/input.h"
#include "cli/silence.h"
#include "cli/terminal.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"

#define IMPORT "klaxon silence import"
#define EXPORT "klaxon silence export"
#define INPUT_BYTES_MAX (16u << 20)
#define ARENA_BYTES_MAX (128u << 20)

struct options {
    const char *config;
    bool all, dry_run, quiet, new_ids;
};

/* The silences of a file. */
struct taken {
    struct klx_silence *items;
    size_t n, room, ended, wrong;
};

static void release(struct taken *t) {
    for (size_t i = 0; i < t->n; i++) {
        klx_silence_release(&t->items[i]);
    }
    free(t->items);
}

static void complain(struct taken *t, size_t at, const char *why) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&text, 65536);
    klx_terminal_text_plain(&text, klx_sv(why));
    fprintf(stderr, IMPORT ": silence %zu: %s\n", at + 1, klx_buf_str(&text));
    t->wrong++;
}

/* The id in the file stays, so importing twice is importing once. */
static void make_key(const struct klx_json *one, const struct options *o, struct klx_buf *key) {
    struct klx_sv id = klx_json_str(one, "id");
    if (id.n > 0 && !o->new_ids) {
        klx_buf_add_str(key, KLX_SILENCE_KEY_PREFIX);
        klx_buf_add_sv(key, id);
        return;
    }
    struct klx_silence fresh;
    klx_silence_init(&fresh, klx_clock_real());
    klx_silence_key(&fresh, key);
    klx_silence_release(&fresh);
}

static void take(struct taken *t, const struct klx_json *one, size_t at, const struct options *o) {
    struct klx_buf key KLX_CLEANUP(klx_buf_release), value KLX_CLEANUP(klx_buf_release);
    struct klx_silence s;
    struct klx_error e = { 0 };
    struct klx_jw w;
    klx_buf_init(&key, 4096);
    klx_buf_init(&value, KLX_SILENCE_BYTES_MAX);
    make_key(one, o, &key);
    klx_jw_init(&w, &value);
    klx_jw_node(&w, one);
    if (klx_buf_check(&key) != 0 || klx_buf_check(&value) != 0) {
        complain(t, at, "it is larger than klaxon keeps");
        return;
    }
    if (klx_silence_decode(klx_buf_sv(&key), klx_buf_sv(&value), &s, &e) != 0) {
        complain(t, at, e.text);
        return;
    }
    if (klx_silence_state(&s, klx_cli_now_us()) == KLX_SILENCE_EXPIRED) {
        t->ended++;
        klx_silence_release(&s);
    } else if (klx_silence_check(&s, &e) != 0) {
        complain(t, at, e.text);
        klx_silence_release(&s);
    } else {
        if (t->n == t->room) {
            t->items = klx_grow_array(t->items, t->room, t->room + 64, sizeof(*t->items));
            t->room += 64;
        }
        t->items[t->n++] = s;
    }
}

/* A list of them, or one; or what `klaxon silence query -o json` prints. */
static int take_document(struct taken *t, const struct klx_json *doc, const struct options *o,
                         struct klx_error *e) {
    const struct klx_json *items = klx_json_get(doc, "items");
    const struct klx_json *one = klx_json_first(items != NULL ? items : doc);
    if (klx_json_get(doc, "matchers") != NULL) {
        take(t, doc, 0, o);
        return 0;
    }
    if (!klx_json_is_array(items != NULL ? items : doc)) {
        return klx_fail(e, -EBADMSG,
                        "it is no list of silences, as `amtool silence query -o json` and `" EXPORT
                        "` print it");
    }
    for (size_t i = 0; one != NULL; one = klx_json_next(one), i++) {
        const struct klx_json *inner = klx_json_get(one, "silence");
        take(t, inner != NULL ? inner : one, i, o);
    }
    return 0;
}

static int read_file(const char *path, struct taken *t, const struct options *o) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    struct klx_arena arena;
    struct klx_error e = { 0 };
    const struct klx_json_limits limits = { .bytes_max = INPUT_BYTES_MAX, .depth_max = 16 };
    const struct klx_json *doc = NULL;
    klx_buf_init(&text, INPUT_BYTES_MAX);
    klx_arena_init(&arena, 65536, ARENA_BYTES_MAX);
    int rc = klx_input_read(path, &text, &e);
    if (rc == 0) {
        rc = klx_json_parse(&arena, klx_buf_sv(&text), &limits, &doc, &e);
        rc = rc == 0 ? take_document(t, doc, o, &e) : rc;
        rc = rc == 0 ? 0 : klx_fail_in(&e, rc, "%s", klx_input_name(path));
    }
    klx_arena_release(&arena);
    if (rc != 0) {
        fprintf(stderr, IMPORT ": %s\n", e.text);
        return KLX_EXIT_FAILED;
    }
    if (t->wrong > 0) {
        fprintf(stderr, IMPORT ": %zu of %zu are wrong: nothing is imported\n", t->wrong,
                t->wrong + t->ended + t->n);
        return KLX_EXIT_FAILED;
    }
    return KLX_EXIT_OK;
}

static void print_imported(const struct taken *t, const struct options *o) {
    for (size_t i = 0; i < t->n; i++) {
        klx_cli_silence_doubt(IMPORT, &t->items[i]);
        if (o->quiet) {
            printf("%s\n", t->items[i].id);
        } else {
            printf("silence/%s imported%s\n", t->items[i].id, o->dry_run ? " (dry run)" : "");
        }
    }
    if (t->ended > 0) {
        fprintf(stderr, IMPORT ": %zu have ended, and are passed over\n", t->ended);
    }
    if (t->n == 0) {
        fprintf(stderr, IMPORT ": nothing to do\n");
    }
}

static int import(const char *path, const struct options *o) {
    struct klx_cli_config c = { 0 };
    struct taken t = { .items = NULL };
    int code = read_file(path, &t, o);
    if (code == KLX_EXIT_OK && !o->dry_run && t.n > 0) {
        code = klx_cli_config_load(IMPORT, o->config, &c);
        code = code == KLX_EXIT_OK ? klx_cli_silences_write(IMPORT, &c, t.items, t.n) : code;
        klx_cli_config_release(&c);
    }
    if (code == KLX_EXIT_OK) {
        print_imported(&t, o);
    }
    release(&t);
    return klx_cli_print(IMPORT, KLX_SV(""), code);
}

static const struct klx_option import_options[] = {
    { "new-ids", 0, KLX_OPT_FLAG, offsetof(struct options, new_ids), NULL,
      "give each an id of its own (default: the id in the file, so that one of that id is "
      "replaced)",
      NULL },
    { "dry-run", 0, KLX_OPT_FLAG, offsetof(struct options, dry_run), NULL,
      "check them, and write nothing", NULL },
    { "quiet", 'q', KLX_OPT_FLAG, offsetof(struct options, quiet), NULL, "print the ids only",
      NULL },
    KLX_CLI_OPTION_CONFIG,
    { .name = NULL },
};

int klx_cli_silence_import(int argc, char **argv) {
    static const struct klx_command_help help = {
        .name = IMPORT,
        .operands = "FILE",
        .summary = "Add the silences of a file in Alertmanager's JSON; - is stdin. All or none.",
        .examples = "  klaxon silence export | klaxon silence import - --dry-run\n",
    };
    struct options o = { 0 };
    int code = 0, first = klx_options_parse(argc, argv, &help, import_options, &o, &code);
    code = first < 0 ? code : klx_cli_operand(IMPORT, argc, argv, first, "FILE");
    return first < 0 || code != KLX_EXIT_OK ? code : import(argv[first], &o);
}

/* As Alertmanager answers GET /api/v2/silences: the members of the record behind the id and the state. */
static void write_one(struct klx_jw *w, const struct klx_silence *s) {
    struct klx_buf value KLX_CLEANUP(klx_buf_release);
    struct klx_arena arena;
    const struct klx_json *members = NULL;
    klx_buf_init(&value, KLX_SILENCE_BYTES_MAX);
    klx_arena_init(&arena, 4096, ARENA_BYTES_MAX);
    klx_silence_encode(s, &value);
    (void)!klx_json_parse(&arena, klx_buf_sv(&value), NULL, &members, NULL);
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "id", s->id);
    klx_jw_key(w, "status");
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "state", klx_silence_state_name(klx_silence_state(s, klx_cli_now_us())));
    klx_jw_end_object(w);
    for (const struct klx_json *m = klx_json_first(members); m != NULL; m = klx_json_next(m)) {
        klx_jw_key_sv(w, klx_json_key(m));
        klx_jw_node(w, m);
    }
    klx_jw_end_object(w);
    klx_arena_release(&arena);
}

static void write_all(const struct klx_silences *all, const struct options *o,
                      struct klx_buf *out) {
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_array(&w);
    for (size_t i = 0; i < klx_silences_n(all); i++) {
        const struct klx_silence *s = klx_silences_at(all, i);
        if (o->all || klx_silence_state(s, klx_cli_now_us()) != KLX_SILENCE_EXPIRED) {
            write_one(&w, s);
        }
    }
    klx_jw_end_array(&w);
    klx_buf_add_char(out, '\n');
}

static const struct klx_option export_options[] = {
    { "all", 0, KLX_OPT_FLAG, offsetof(struct options, all), NULL, "those that have ended, too",
      NULL },
    KLX_CLI_OPTION_CONFIG,
    { .name = NULL },
};

int klx_cli_silence_export(int argc, char **argv) {
    static const struct klx_command_help help = {
        .name = EXPORT,
        .operands = "",
        .summary = "Print the silences in Alertmanager's JSON, for `klaxon silence import` and "
                   "`amtool silence import`.",
        .examples = "  klaxon silence export > silences.json\n",
    };
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    struct options o = { 0 };
    struct klx_cli_config c = { 0 };
    klx_buf_init(&out, INPUT_BYTES_MAX);
    int code = 0, first = klx_options_parse(argc, argv, &help, export_options, &o, &code);
    code = first < 0 ? code : klx_cli_no_operands(EXPORT, argc, argv, first);
    code = first >= 0 && code == KLX_EXIT_OK ? klx_cli_config_load(EXPORT, o.config, &c) : code;
    if (first < 0 || code != KLX_EXIT_OK) {
        return code;
    }
    struct klx_silences *all = klx_silences_new();
    code = klx_cli_silences_read(EXPORT, &c, all);
    if (code == KLX_EXIT_OK) {
        write_all(all, &o, &out);
    }
    klx_silences_free(all);
    klx_cli_config_release(&c);
    return klx_cli_print(EXPORT, klx_buf_sv(&out), code);
}
