/* Files in a folder of its own: each way of changing them is told once, and what changes nothing is not. */
#include "tests/unit/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/io/watch_files.h"

#define PATIENCE_MS 20000
#define QUIET_MS 900 /* longer than two looks */

static char folder[] = "/tmp/klaxon-watch-XXXXXX";

static struct {
    struct klx_loop *loop;
    struct klx_watch_files *watch;
    struct klx_timer *timer;
    int changes;
    bool late;
} w;

static const char *path_of(const char *name) {
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

static void on_change(void *arg) {
    (void)arg;
    w.changes++;
    klx_loop_stop(w.loop);
}

static void on_timer(void *arg) {
    (void)arg;
    w.late = true;
    klx_loop_stop(w.loop);
}

static void write_file(const char *name, const char *text) {
    test_write_file(path_of(name), text);
}

static void run_for(int64_t ms) {
    w.late = false;
    klx_timer_start(w.timer, ms);
    klx_loop_run(w.loop);
    klx_timer_stop(w.timer);
}

static void expect_one(void) {
    int before = w.changes;
    run_for(PATIENCE_MS);
    assert_int_equal(w.changes, before + 1);
}

static void expect_none(void) {
    int before = w.changes;
    run_for(QUIET_MS);
    assert_true(w.late);
    assert_int_equal(w.changes, before);
}

static int setup(void **state) {
    (void)state;
    memset(&w, 0, sizeof(w));
    snprintf(folder, sizeof(folder), "/tmp/klaxon-watch-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    write_file("main.yaml", "one");
    const char *folders[] = { path_of("a.d"), path_of("b.d") };
    w.loop = klx_loop_new();
    w.timer = klx_timer_new(w.loop, on_timer, NULL);
    w.watch = klx_watch_files_new(w.loop, path_of("main.yaml"), folders, 2, on_change, NULL);
    expect_one(); /* what was read before may have been older */
    return 0;
}

static int teardown(void **state) {
    (void)state;
    char command[64];
    klx_watch_files_free(w.watch);
    klx_timer_free(w.timer);
    klx_loop_run(w.loop);
    klx_loop_free(w.loop);
    snprintf(command, sizeof(command), "rm -r %s", folder);
    FILE *p = popen(command, "r");
    return p != NULL ? pclose(p) : -1;
}

static void the_main_file_is_written_or_replaced(void **state) {
    (void)state;
    write_file("main.yaml", "two, longer");
    expect_one();
    write_file("other", "three"); /* as editors do */
    assert_int_equal(rename(path_of("other"), path_of("main.yaml")), 0);
    expect_one();
    assert_int_equal(unlink(path_of("main.yaml")), 0);
    expect_one();
    expect_none();
}

static void folders_come_and_go(void **state) {
    (void)state;
    assert_int_equal(mkdir(path_of("a.d"), 0700), 0);
    write_file("a.d/x.yaml", "x");
    expect_one();
    write_file("a.d/y.yaml", "y");
    write_file("a.d/z.yaml", "z");
    expect_one(); /* both at once */
    assert_int_equal(unlink(path_of("a.d/x.yaml")), 0);
    assert_int_equal(unlink(path_of("a.d/y.yaml")), 0);
    assert_int_equal(unlink(path_of("a.d/z.yaml")), 0);
    assert_int_equal(rmdir(path_of("a.d")), 0);
    expect_one();
    assert_int_equal(mkdir(path_of("a.d"), 0700), 0); /* another folder of that name */
    expect_none();
    write_file("a.d/x.yaml", "x");
    expect_one();
}

static void make_volume(const char *version, const char *text) {
    char name[64];
    assert_int_equal(mkdir(path_of(version), 0700), 0);
    snprintf(name, sizeof(name), "%s/x.yaml", version);
    write_file(name, text);
    (void)unlink(path_of("b.d/..data_tmp"));
    assert_int_equal(symlink(strchr(version, '/') + 1, path_of("b.d/..data_tmp")), 0);
    assert_int_equal(rename(path_of("b.d/..data_tmp"), path_of("b.d/..data")), 0);
}

/* As the kubelet does it: x.yaml → ..data/x.yaml, and ..data is exchanged. */
static void a_config_map_is_exchanged(void **state) {
    (void)state;
    assert_int_equal(mkdir(path_of("b.d"), 0700), 0);
    make_volume("b.d/..2026_01", "one");
    assert_int_equal(symlink("..data/x.yaml", path_of("b.d/x.yaml")), 0);
    expect_one();
    make_volume("b.d/..2026_02", "two");
    expect_one();
    expect_none();
}

static void what_changes_nothing_is_not_told(void **state) {
    (void)state;
    write_file("klaxon.log", "lines");
    write_file(".main.yaml.swp", "an editor's");
    expect_none();
    write_file("main.yaml", "read already");
    klx_watch_files_seen(w.watch);
    expect_none();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_main_file_is_written_or_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(folders_come_and_go, setup, teardown),
        cmocka_unit_test_setup_teardown(a_config_map_is_exchanged, setup, teardown),
        cmocka_unit_test_setup_teardown(what_changes_nothing_is_not_told, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
