#include "lib/base/options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "klx_version.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/config.h"
#include "lib/base/mem.h"

#define OPTIONS_MAX 48
#define HELP_COLUMN 28
/* getopt's values of long options: past every letter. */
#define HELP_VALUE 1000
#define VERSION_VALUE 1001
#define OPTION_VALUE 2000 /* the first of the table */

static size_t option_count(const struct klx_option *options) {
    size_t n = 0;
    while (options[n].name != NULL) {
        n++;
    }
    return n;
}

static void print_option(FILE *out, char letter, const char *name, const char *value,
                         const char *help) {
    char left[96];
    char short_form[8] = "    ";
    if (letter != 0) {
        snprintf(short_form, sizeof(short_form), "-%c, ", letter);
    }
    int n = snprintf(left, sizeof(left), "  %s--%s%s%s", short_form, name, value != NULL ? " " : "",
                     value != NULL ? value : "");
    if (n >= HELP_COLUMN) {
        fprintf(out, "%s\n%*s%s\n", left, HELP_COLUMN, "", help);
    } else {
        fprintf(out, "%-*s%s\n", HELP_COLUMN, left, help);
    }
}

void klx_options_help(FILE *out, const struct klx_command_help *help,
                      const struct klx_option *options) {
    fprintf(out, "%s\n\nUsage: %s [OPTIONS]%s%s\n", help->summary, help->name,
            help->operands[0] != '\0' ? " " : "", help->operands);
    if (help->commands != NULL) {
        fprintf(out, "\nCommands:\n%s", help->commands);
    }
    fputs("\nOptions:\n", out);
    for (const struct klx_option *o = options; o->name != NULL; o++) {
        const char *value = o->kind == KLX_OPT_FLAG     ? NULL
                            : o->kind == KLX_OPT_CHOICE ? o->choices
                                                        : o->value;
        print_option(out, o->letter, o->name, value, o->help);
    }
    print_option(out, 'h', "help", NULL, "show this help");
    if (strchr(help->name, ' ') == NULL) {
        print_option(out, 0, "version", NULL, "show the version");
    }
    if (help->examples != NULL) {
        fprintf(out, "\nExamples:\n%s", help->examples);
    }
}

static bool is_choice(const char *choices, const char *value) {
    struct klx_sv rest = klx_sv(choices);
    while (rest.n > 0) {
        if (klx_sv_eq(klx_sv_cut(&rest, '|'), klx_sv(value))) {
            return true;
        }
    }
    return false;
}

/* Stores the value; returns what is wrong with it, or NULL. */
static const char *store(const struct klx_option *o, const char *value, void *target) {
    void *at = (char *)target + o->offset;
    struct klx_option_strings *list = at;
    switch (o->kind) {
    case KLX_OPT_FLAG:
        *(bool *)at = true;
        return NULL;
    case KLX_OPT_STR:
        *(const char **)at = value;
        return NULL;
    case KLX_OPT_STRS:
        if (list->n == KLX_OPTION_STRINGS_MAX) {
            return "is given too often";
        }
        list->items[list->n++] = value;
        return NULL;
    case KLX_OPT_INT:
        return klx_sv_int(klx_sv(value), (int64_t *)at) == 0 ? NULL : "wants a whole number";
    case KLX_OPT_CHOICE:
        *(const char **)at = value;
        return is_choice(o->choices, value) ? NULL : "wants one of";
    }
    return NULL;
}

struct parser {
    const struct klx_command_help *help;
    const struct klx_option *options;
    size_t n;
    struct option longs[OPTIONS_MAX + 3];
    char shorts[2 * OPTIONS_MAX + 4];
};

static void prepare(struct parser *p) {
    size_t s = 0;
    p->shorts[s++] =
        ':'; /* A missing value is reported as such, and getopt prints nothing itself. */
    p->shorts[s++] = 'h';
    for (size_t i = 0; i < p->n; i++) {
        const struct klx_option *o = &p->options[i];
        bool has_value = o->kind != KLX_OPT_FLAG;
        p->longs[i] = (struct option){ o->name, has_value ? required_argument : no_argument, NULL,
                                       OPTION_VALUE + (int)i };
        if (o->letter != 0) {
            p->shorts[s++] = o->letter;
            if (has_value) {
                p->shorts[s++] = ':';
            }
        }
    }
    p->longs[p->n] = (struct option){ "help", no_argument, NULL, HELP_VALUE };
    p->longs[p->n + 1] = (struct option){ "version", no_argument, NULL, VERSION_VALUE };
    p->shorts[s] = '\0';
}

/* The name in "--name", "--name=value". */
static struct klx_sv name_in(const char *word) {
    struct klx_sv name = klx_sv(word + strspn(word, "-"));
    return klx_sv_n(name.p, klx_sv_find(name, '='));
}

static struct klx_config_hint nearest_option(const struct parser *p, const char *word) {
    const char *names[OPTIONS_MAX + 2];
    for (size_t i = 0; i < p->n + 2; i++) {
        names[i] = p->longs[i].name;
    }
    struct klx_config_hint hint = { "" };
    const char *near = klx_config_nearest(name_in(word), names, p->n + 2);
    if (near != NULL) {
        snprintf(hint.text, sizeof(hint.text), ", did you mean --%s?", near);
    }
    return hint;
}

static int usage_error(const struct klx_command_help *help, const char *what) {
    fprintf(stderr, "%s: %s\nTry '%s --help'.\n", help->name, what, help->name);
    return -1;
}

/* A letter is in optopt; of a long option optopt holds its value, or 0 when it is not known. */
static int bad_option(const struct parser *p, int c, char **argv) {
    const char *word = argv[optind - 1];
    char what[256];
    if (optopt > 0 && optopt < HELP_VALUE) {
        snprintf(what, sizeof(what), c == ':' ? "-%c wants a value" : "unknown option -%c", optopt);
    } else if (optopt >= HELP_VALUE) {
        snprintf(what, sizeof(what), "--%.*s %s", KLX_SV_FMT(name_in(word)),
                 c == ':' ? "wants a value" : "takes no value");
    } else {
        snprintf(what, sizeof(what), "unknown option %.80s%s", word, nearest_option(p, word).text);
    }
    return usage_error(p->help, what);
}

static const struct klx_option *option_of(const struct parser *p, int c) {
    for (size_t i = 0; i < p->n; i++) {
        const struct klx_option *o = &p->options[i];
        if (c == OPTION_VALUE + (int)i || (o->letter != 0 && c == o->letter)) {
            return o;
        }
    }
    return NULL;
}

/* getopt takes a unique beginning of a name for the name. `index` is that of `longs`, or -1 of a letter. */
static bool is_abbreviated(const struct parser *p, int index, char **argv) {
    if (index < 0) {
        return false;
    }
    bool value_apart = optarg != NULL && optarg == argv[optind - 1];
    struct klx_sv written = name_in(argv[optind - (value_apart ? 2 : 1)]);
    return !klx_sv_eq(written, klx_sv(p->longs[index].name));
}

static int refuse_abbreviation(const struct parser *p, int index) {
    char what[256];
    snprintf(what, sizeof(what), "options are written out: --%s", p->longs[index].name);
    return usage_error(p->help, what);
}

static int take(const struct parser *p, int c, char **argv, void *target) {
    const struct klx_option *o = option_of(p, c);
    if (o == NULL) {
        return bad_option(p, c, argv);
    }
    const char *problem = store(o, optarg, target);
    if (problem == NULL) {
        return 0;
    }
    char what[256];
    snprintf(what, sizeof(what), "--%s %s%s%s, found \"%.80s\"", o->name, problem,
             o->choices != NULL ? " " : "", o->choices != NULL ? o->choices : "", optarg);
    return usage_error(p->help, what);
}

static void print_version(const struct klx_command_help *help) {
    struct klx_sv name = klx_sv(help->name);
    printf("%.*s %s (%s)\n", (int)klx_sv_find(name, ' '), name.p, KLX_VERSION, KLX_REVISION);
}

int klx_options_parse(int argc, char **argv, const struct klx_command_help *help,
                      const struct klx_option *options, void *target, int *ret_exit) {
    struct parser p = { .help = help, .options = options, .n = option_count(options) };
    prepare(&p);
    *ret_exit = KLX_EXIT_USAGE;
    optind = 0; /* glibc: start again from the beginning */
    opterr = 0;
    int index = -1;
    for (int c = getopt_long(argc, argv, p.shorts, p.longs, &index); c != -1;
         c = getopt_long(argc, argv, p.shorts, p.longs, &index)) {
        if (is_abbreviated(&p, index, argv)) {
            return refuse_abbreviation(&p, index);
        }
        index = -1;
        if (c == 'h' || c == HELP_VALUE || c == VERSION_VALUE) {
            if (c == VERSION_VALUE) {
                print_version(help);
            } else {
                klx_options_help(stdout, help, options);
            }
            *ret_exit = KLX_EXIT_OK;
            return -1;
        }
        if (take(&p, c, argv, target) != 0) {
            return -1;
        }
    }
    return optind;
}
