#include "tests/unit/support/support.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void path_of(char *out, size_t n, const char *dir, const char *name) {
    snprintf(out, n, "%s/%s%s", KLX_TESTS_DIR, dir, name);
}

static char *read_path(const char *path) {
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        return NULL;
    }
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    rewind(f);
    char *text = malloc((size_t)size + 1);
    size_t n = fread(text, 1, (size_t)size, f);
    text[n] = '\0';
    fclose(f);
    return text;
}

char *test_read_file(const char *name) {
    char path[1024];
    path_of(path, sizeof(path), "", name);
    char *text = read_path(path);
    if (text == NULL) {
        fail_msg("cannot read %s", path);
    }
    return text;
}

void test_write_file(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    if (f == NULL) {
        fail_msg("cannot write %s", path);
    }
    fputs(text, f);
    fclose(f);
}

size_t golden_each(const char *folder, void (*check)(const char *text)) {
    char path[1024];
    size_t n = 0;
    path_of(path, sizeof(path), "golden/", folder);
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *entry = readdir(d); entry != NULL; entry = readdir(d)) {
        char name[512];
        if (entry->d_name[0] == '.') {
            continue;
        }
        snprintf(name, sizeof(name), "golden/%s/%s", folder, entry->d_name);
        char *text = test_read_file(name);
        if (check != NULL) {
            check(text);
        }
        free(text);
        n++;
    }
    closedir(d);
    return n;
}

/* Prints the first line that differs: enough to find it, and git shows the rest after an update. */
static void print_difference(const char *name, const char *want, const char *got) {
    unsigned line = 1;
    while (*want != '\0' && *want == *got) {
        line += *want == '\n';
        want++;
        got++;
    }
    print_message("golden/%s, line %u:\n  expected …%.120s\n  found    …%.120s\n", name, line, want,
                  got);
}

void golden_check(const char *name, struct klx_sv text) {
    char path[1024];
    path_of(path, sizeof(path), "golden/", name);
    char *want = read_path(path);
    char *got = strndup(text.n > 0 ? text.p : "", text.n);
    bool same = want != NULL && strcmp(want, got) == 0;
    const char *update = getenv("KLX_GOLDEN_UPDATE");
    if (!same) {
        print_difference(name, want != NULL ? want : "", got);
    }
    if (!same && update != NULL && strcmp(update, "1") == 0) {
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        fwrite(got, 1, text.n, f);
        fclose(f);
        same = true;
    }
    free(want);
    free(got);
    assert_true(same);
}

void assert_sv_(struct klx_sv view, const char *expected, const char *file, int line) {
    if (!klx_sv_eq(view, klx_sv(expected))) {
        print_error("expected \"%s\", found \"%.*s\"\n", expected, KLX_SV_FMT(view));
        _fail(file, line);
    }
}
