#include "lib/base/options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/config.h"
#include "lib/base/mem.h"

#define OPTIONS_MAX 48
#define HELP_VALUE                                                                                 \
    1000 /* getopt's value of --help; options have 0 … OPTIONS_MAX-1 plus OPTION_VALUE */
#define OPTION_VALUE 2000
#define HELP_COLUMN 28

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
    fprintf(out, "%s\n\nUsage: %s [OPTIONS]%s%s\n\nOptions:\n", help->summary, help->name,
            help->operands[0] != '\0' ? " " : "", help->operands);
    for (const struct klx_option *o = options; o->name != NULL; o++) {
        const char *value = o->kind == KLX_OPT_FLAG     ? NULL
                            : o->kind == KLX_OPT_CHOICE ? o->choices
                                                        : o->value;
        print_option(out, o->letter, o->name, value, o->help);
    }
    print_option(out, 'h', "help", NULL, "show this help");
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
    struct option longs[OPTIONS_MAX + 2];
    char shorts[2 * OPTIONS_MAX + 4];
};

static void prepare(struct parser *p, const struct klx_option *options, size_t n) {
    size_t s = 0;
    p->shorts[s++] =
        ':'; /* A missing value is reported as such, and getopt prints nothing itself. */
    p->shorts[s++] = 'h';
    for (size_t i = 0; i < n; i++) {
        bool has_value = options[i].kind != KLX_OPT_FLAG;
        p->longs[i] = (struct option){ options[i].name, has_value ? required_argument : no_argument,
                                       NULL, OPTION_VALUE + (int)i };
        if (options[i].letter != 0) {
            p->shorts[s++] = options[i].letter;
            if (has_value) {
                p->shorts[s++] = ':';
            }
        }
    }
    p->longs[n] = (struct option){ "help", no_argument, NULL, HELP_VALUE };
    p->shorts[s] = '\0';
}

static const char *nearest_option(const char *word, const struct klx_option *options, size_t n) {
    const char *names[OPTIONS_MAX];
    for (size_t i = 0; i < n; i++) {
        names[i] = options[i].name;
    }
    struct klx_sv name = klx_sv(word + strspn(word, "-"));
    size_t equals = klx_sv_find(name, '=');
    return klx_config_nearest(klx_sv_n(name.p, equals), names, n);
}

static int usage_error(const struct klx_command_help *help, const char *what) {
    fprintf(stderr, "%s: %s\nTry '%s --help'.\n", help->name, what, help->name);
    return -1;
}

static int bad_option(int c, char **argv, const struct klx_command_help *help,
                      const struct klx_option *options, size_t n) {
    const char *word = argv[optind - 1];
    char what[256];
    const char *near = c == '?' && optopt == 0 ? nearest_option(word, options, n) : NULL;
    if (c == ':') {
        snprintf(what, sizeof(what), "%.80s wants a value", word);
    } else if (near != NULL) {
        snprintf(what, sizeof(what), "unknown option %.80s, did you mean --%s?", word, near);
    } else {
        snprintf(what, sizeof(what), "unknown option %.80s", word);
    }
    return usage_error(help, what);
}

static const struct klx_option *option_of(int c, const struct klx_option *options, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (c == OPTION_VALUE + (int)i || (options[i].letter != 0 && c == options[i].letter)) {
            return &options[i];
        }
    }
    return NULL;
}

int klx_options_parse(int argc, char **argv, const struct klx_command_help *help,
                      const struct klx_option *options, void *target, int *ret_exit) {
    size_t n = option_count(options);
    struct parser p = { 0 };
    prepare(&p, options, n);
    *ret_exit = KLX_EXIT_USAGE;
    optind = 0; /* glibc: start again from the beginning */
    opterr = 0;
    for (int c = getopt_long(argc, argv, p.shorts, p.longs, NULL); c != -1;
         c = getopt_long(argc, argv, p.shorts, p.longs, NULL)) {
        if (c == 'h' || c == HELP_VALUE) {
            klx_options_help(stdout, help, options);
            *ret_exit = KLX_EXIT_OK;
            return -1;
        }
        const struct klx_option *o = option_of(c, options, n);
        if (o == NULL) {
            return bad_option(c, argv, help, options, n);
        }
        const char *problem = store(o, optarg, target);
        if (problem != NULL) {
            char what[256];
            snprintf(what, sizeof(what), "--%s %s%s%s, found \"%.80s\"", o->name, problem,
                     o->choices != NULL ? " " : "", o->choices != NULL ? o->choices : "", optarg);
            return usage_error(help, what);
        }
    }
    return optind;
}
