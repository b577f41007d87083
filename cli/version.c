#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "klx_version.h"
#include "lib/base/json.h"
#include "lib/base/options.h"
#include "lib/io/versions.h"

struct options {
    const char *output;
};

static const struct klx_option table[] = {
    { "output", 'o', KLX_OPT_CHOICE, offsetof(struct options, output), NULL,
      "text, or one JSON document", "text|json" },
    { .name = NULL },
};

static const struct klx_command_help help = {
    "klaxon version",
    "",
    "Show the version of klaxon and of the libraries it runs with.",
    "  klaxon version -o json\n",
};

static void print_json(void) {
    struct klx_buf out;
    struct klx_jw w;
    klx_buf_init(&out, 4096);
    klx_jw_init(&w, &out);
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "version", KLX_VERSION);
    klx_jw_member_str(&w, "revision", KLX_REVISION);
    klx_jw_member_str(&w, "librdkafka", klx_version_librdkafka());
    klx_jw_member_str(&w, "libcurl", klx_version_libcurl());
    klx_jw_end_object(&w);
    puts(klx_buf_str(&out));
    klx_buf_release(&out);
}

int klx_cli_version(int argc, char **argv) {
    struct options o = { .output = "text" };
    int code = KLX_EXIT_OK;
    int first = klx_options_parse(argc, argv, &help, table, &o, &code);
    code = first < 0 ? code : klx_cli_no_operands(help.name, argc, argv, first);
    if (first < 0 || code != KLX_EXIT_OK) {
        return code;
    }
    if (strcmp(o.output, "json") == 0) {
        print_json();
    } else {
        printf("klaxon %s (%s)\nlibrdkafka %s\nlibcurl %s\n", KLX_VERSION, KLX_REVISION,
               klx_version_librdkafka(), klx_version_libcurl());
    }
    return KLX_EXIT_OK;
}
