#include <string.h>

#include "cli/command.h"
#include "klx_version.h"
#include "lib/base/cleanup.h"
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
    .name = "klaxon version",
    .operands = "",
    .summary = "Show the version of klaxon and of the libraries it runs with.",
    .examples = "  klaxon version\n  klaxon version -o json\n",
};

static void write_json(struct klx_buf *out) {
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "version", KLX_VERSION);
    klx_jw_member_str(&w, "revision", KLX_REVISION);
    klx_jw_member_str(&w, "librdkafka", klx_version_librdkafka());
    klx_jw_member_str(&w, "libcurl", klx_version_libcurl());
    klx_jw_end_object(&w);
    klx_buf_add_char(out, '\n');
}

int klx_cli_version(int argc, char **argv) {
    struct options o = { .output = "text" };
    int code = KLX_EXIT_OK;
    int first = klx_options_parse(argc, argv, &help, table, &o, &code);
    code = first < 0 ? code : klx_cli_no_operands(help.name, argc, argv, first);
    if (first < 0 || code != KLX_EXIT_OK) {
        return code;
    }
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, 4096);
    if (strcmp(o.output, "json") == 0) {
        write_json(&out);
    } else {
        klx_buf_printf(&out, "klaxon %s (%s)\nlibrdkafka %s\nlibcurl %s\n", KLX_VERSION,
                       KLX_REVISION, klx_version_librdkafka(), klx_version_libcurl());
    }
    return klx_cli_print(help.name, klx_buf_sv(&out), KLX_EXIT_OK);
}
