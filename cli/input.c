#include "cli/input.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool is_stdin(const char *path) {
    return strcmp(path, "-") == 0;
}

const char *klx_input_name(const char *path) {
    return is_stdin(path) ? "stdin" : path;
}

static int read_all(FILE *in, struct klx_buf *out) {
    char chunk[16384];
    size_t n = 0;
    while ((n = fread(chunk, 1, sizeof(chunk), in)) > 0) {
        klx_buf_add_sv(out, klx_sv_n(chunk, n));
    }
    return ferror(in) ? -errno : klx_buf_check(out);
}

int klx_input_read(const char *path, struct klx_buf *out, struct klx_error *e) {
    FILE *in = is_stdin(path) ? stdin : fopen(path, "re");
    if (in == NULL) {
        return klx_fail(e, -errno, "cannot read %s: %s", path, strerror(errno));
    }
    int rc = read_all(in, out);
    if (in != stdin) {
        fclose(in);
    }
    if (rc == -EMSGSIZE) {
        return klx_fail(e, rc, "cannot read %s: it is larger than %zu MiB", klx_input_name(path),
                        out->max >> 20);
    }
    return rc == 0 ? 0 : klx_fail(e, rc, "cannot read %s: %s", klx_input_name(path), strerror(-rc));
}
