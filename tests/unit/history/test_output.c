/* Where an export goes. */
#include "history/output.h"
#include "tests/unit/support/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/mem.h"

static char folder[] = "/tmp/klx-output-XXXXXX";

static char *path_of(const char *name) {
    return klx_asprintf("%s/%s", folder, name);
}

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    return rmdir(folder);
}

static void write_text(const char *file, bool commit) {
    struct klx_output *o = NULL;
    struct klx_error e = { .text = "" };
    assert_int_equal(klx_output_open(file, false, &o, &e), 0);
    assert_int_equal(klx_output_write(o, KLX_SV("new\n"), &e), 0);
    assert_int_equal(commit ? klx_output_commit(o, &e) : 0, 0);
    klx_output_free(o);
}

static void check_text(const char *file, const char *expected) {
    char text[16] = "";
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_true(read(fd, text, sizeof(text) - 1) >= 0);
    close(fd);
    assert_string_equal(text, expected);
}

static void a_file_is_there_whole_or_not_at_all(void **state) {
    (void)state;
    char *file = path_of("a");
    write_text(file, false);
    assert_int_equal(access(file, F_OK), -1);
    write_text(file, true);
    check_text(file, "new\n");
    assert_int_equal(truncate(file, 1), 0);
    write_text(file, false);
    check_text(file, "n");
    write_text(file, true);
    check_text(file, "new\n");
    unlink(file);
    free(file);
}

/* Whoever writes to /dev/null wants it to stay one. */
static void what_is_no_file_stays_what_it_is(void **state) {
    (void)state;
    char *file = path_of("pipe");
    struct stat found;
    assert_int_equal(mkfifo(file, 0600), 0);
    int fd = open(file, O_RDWR | O_CLOEXEC); /* there is a reader */
    assert_true(fd >= 0);
    write_text(file, true);
    char text[16] = "";
    assert_int_equal(read(fd, text, sizeof(text) - 1), 4);
    assert_string_equal(text, "new\n");
    assert_int_equal(stat(file, &found), 0);
    assert_true(S_ISFIFO(found.st_mode));
    close(fd);
    unlink(file);
    free(file);
}

static void a_folder_is_refused_at_once(void **state) {
    (void)state;
    struct klx_output *o = NULL;
    struct klx_error e = { .text = "" };
    assert_int_equal(klx_output_open(folder, false, &o, &e), -EISDIR);
    assert_non_null(strstr(e.text, ": Is a directory"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_there_whole_or_not_at_all),
        cmocka_unit_test(what_is_no_file_stays_what_it_is),
        cmocka_unit_test(a_folder_is_refused_at_once),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
