#include "schema/startup.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>

#include "lib/base/log.h"

struct arguments {
    const char *config;
    bool check;
};

static const struct klx_option options[] = {
    { .name = "config",
      .letter = 'c',
      .kind = KLX_OPT_STR,
      .offset = offsetof(struct arguments, config),
      .value = "FILE",
      .help = "the configuration (default: $KLAXON_CONFIG, /etc/klaxon/klaxon.yaml)" },
    { .name = "check",
      .kind = KLX_OPT_FLAG,
      .offset = offsetof(struct arguments, check),
      .help = "check the configuration and end" },
    { .name = NULL },
};

bool klx_startup(int argc, char **argv, const struct klx_command_help *help, const char *component,
                 struct klx_startup *ret, int *ret_exit) {
    struct arguments a = { 0 };
    struct klx_startup s = { 0 };
    struct klx_error e = { 0 };
    int first = klx_options_parse(argc, argv, help, options, &a, ret_exit);
    if (first < 0) {
        return false;
    }
    if (first < argc) {
        fprintf(stderr, "%s: takes no operands, found \"%s\"\nTry '%s --help'.\n", help->name,
                argv[first], help->name);
        *ret_exit = KLX_EXIT_USAGE;
        return false;
    }
    klx_log_init(component, KLX_LOG_AUTO, KLX_LOG_INFO);
    s.config = a.config;
    s.check = a.check;
    if (klx_settings_load(a.config, &s.settings, &e) != 0) {
        fprintf(stderr, "%s%s\n", e.text,
                e.code == -ENOENT ? "; name the configuration with --config FILE or KLAXON_CONFIG"
                                  : "");
        *ret_exit = KLX_EXIT_CONFIG;
        return false;
    }
    klx_log_init(component, s.settings.log_format, s.settings.log_level);
    *ret = s;
    return true;
}

const char *klx_startup_path(const struct klx_startup *s) {
    return klx_settings_path(s->config);
}
