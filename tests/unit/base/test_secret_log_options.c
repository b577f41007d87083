/* What a process shows and hides: secrets, the log, the command line. */
#include "tests/unit/support/support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/options.h"
#include "lib/base/secret.h"

static void a_secret_follows_its_file(void **state) {
    (void)state;
    char path[] = "/tmp/klaxon-secret-XXXXXX";
    close(mkstemp(path));
    struct klx_secret *s = klx_secret_from_file(klx_sv(path));
    struct klx_sv value;
    struct klx_error e = { 0 };
    assert_int_equal(klx_secret_get(s, &value, &e), -ENODATA);
    test_write_file(path, "first\n");
    assert_int_equal(klx_secret_get(s, &value, &e), 0);
    assert_sv(value, "first");
    test_write_file(path, "second one");
    assert_int_equal(klx_secret_get(s, &value, &e), 0);
    assert_sv(value, "second one");
    unlink(path);
    assert_int_equal(klx_secret_get(s, &value, &e), 0); /* the old value stays */
    assert_sv(value, "second one");
    klx_secret_free(s);

    s = klx_secret_from_file(KLX_SV("/nonexistent/secret"));
    assert_int_equal(klx_secret_get(s, &value, &e), -ENOENT);
    assert_string_equal(e.text, "cannot read file /nonexistent/secret: No such file or directory");
    klx_secret_free(s);
}

static void a_pipe_holds_nobody(void **state) {
    (void)state;
    char path[] = "/tmp/klaxon-pipe-XXXXXX";
    close(mkstemp(path));
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    struct klx_secret *s = klx_secret_from_file(klx_sv(path));
    struct klx_sv value;
    struct klx_error e = { 0 };
    assert_int_equal(klx_secret_get(s, &value, &e), -EINVAL);
    assert_non_null(strstr(e.text, "is no file but a pipe"));
    klx_secret_free(s);
    unlink(path);
}

static void a_secret_comes_from_a_named_variable(void **state) {
    (void)state;
    struct klx_secret *s = klx_secret_from_env(KLX_SV("KLAXON_TEST_SECRET"));
    struct klx_sv value;
    struct klx_error e = { 0 };
    unsetenv("KLAXON_TEST_SECRET");
    assert_int_equal(klx_secret_get(s, &value, &e), -ENOENT);
    assert_string_equal(e.text, "environment variable KLAXON_TEST_SECRET is not set");
    setenv("KLAXON_TEST_SECRET", "v", 1);
    assert_int_equal(klx_secret_get(s, &value, &e), 0);
    assert_sv(value, "v");
    klx_secret_free(s);
}

static void read_log(int fd, char *out, size_t n) {
    lseek(fd, 0, SEEK_SET);
    ssize_t got = read(fd, out, n - 1);
    assert_true(got >= 0);
    out[got] = '\0';
}

static void log_lines_are_json_and_escaped(void **state) {
    (void)state;
    FILE *f = tmpfile();
    char text[40000];
    klx_log_to_fd(fileno(f));
    klx_log_init("test", KLX_LOG_AUTO, KLX_LOG_INFO);
    klx_log_debug("not said");
    klx_log_warn("watch ended", KLX_F_STR("cluster", "a\"b\n\033[31m"),
                 KLX_F_INT("retry_ms", 4000));
    read_log(fileno(f), text, sizeof(text));
    assert_null(strstr(text, "not said"));
    assert_int_equal(text[strlen(text) - 1], '\n');
    struct klx_arena a;
    klx_arena_init(&a, 4096, 1 << 16);
    const struct klx_json *line = NULL;
    assert_int_equal(klx_json_parse(&a, klx_sv(text), NULL, &line, NULL), 0);
    assert_sv(klx_json_str(line, "level"), "warn");
    assert_sv(klx_json_str(line, "component"), "test");
    assert_sv(klx_json_str(line, "cluster"), "a\"b\n\033[31m");
    assert_int_equal(klx_json_int(line, "retry_ms", 0), 4000);
    klx_arena_release(&a);
    klx_log_init("test", KLX_LOG_TEXT, KLX_LOG_INFO);
    klx_log_info("plain", KLX_F_STR("evil", "\033[2J"));
    read_log(fileno(f), text, sizeof(text));
    assert_null(strchr(text, '\033'));
    klx_log_to_fd(-1);
    fclose(f);
}

struct target {
    bool quiet;
    const char *since;
    struct klx_option_strings topics;
    int64_t n;
    const char *output;
};

static const struct klx_option options[] = {
    { .name = "quiet",
      .letter = 'q',
      .kind = KLX_OPT_FLAG,
      .offset = offsetof(struct target, quiet),
      .help = "say less" },
    { .name = "since",
      .kind = KLX_OPT_STR,
      .offset = offsetof(struct target, since),
      .value = "TIME",
      .help = "begin there" },
    { .name = "topic",
      .kind = KLX_OPT_STRS,
      .offset = offsetof(struct target, topics),
      .value = "TOPIC",
      .help = "only this" },
    { .name = "count",
      .letter = 'n',
      .kind = KLX_OPT_INT,
      .offset = offsetof(struct target, n),
      .value = "N",
      .help = "stop after N" },
    { .name = "output",
      .letter = 'o',
      .kind = KLX_OPT_CHOICE,
      .offset = offsetof(struct target, output),
      .choices = "table|json",
      .help = "how to print" },
    { .name = NULL },
};

static const struct klx_command_help help = {
    .name = "klaxon tail",
    .operands = "[TOPIC...]",
    .summary = "Follows events.",
    .examples = "  klaxon tail --since 1h\n",
};

static int run(struct target *t, int argc, const char **argv, int *ret_exit) {
    memset(t, 0, sizeof(*t));
    return klx_options_parse(argc, (char **)argv, &help, options, t, ret_exit);
}

static void options_are_parsed_wherever_they_stand(void **state) {
    (void)state;
    struct target t;
    int code = 0;
    const char *argv[] = { "klaxon",  "nodes", "-qn5", "--topic=a", "--since", "1h",
                           "--topic", "b",     "-o",   "json",      NULL };
    int first = run(&t, 10, argv, &code);
    assert_int_equal(first, 9);
    assert_true(t.quiet);
    assert_int_equal(t.n, 5);
    assert_string_equal(t.since, "1h");
    assert_int_equal(t.topics.n, 2);
    assert_string_equal(t.output, "json");
}

/* What goes to the descriptor while the options are parsed. */
static int run_saying(int fd, int argc, const char **argv, char *said, size_t n, int *ret_exit) {
    struct target t;
    FILE *kept = tmpfile();
    assert_non_null(kept);
    fflush(NULL);
    int before = dup(fd);
    dup2(fileno(kept), fd);
    int first = run(&t, argc, argv, ret_exit);
    fflush(NULL);
    dup2(before, fd);
    close(before);
    rewind(kept);
    said[fread(said, 1, n - 1, kept)] = '\0';
    fclose(kept);
    return first;
}

static void mistakes_end_with_a_usage_error(void **state) {
    (void)state;
    static const struct {
        const char *argv[4];
        const char *said;
    } cases[] = {
        { { "klaxon", "--sicne", "1h" },
          "klaxon tail: unknown option --sicne, did you mean --since?\nTry 'klaxon tail "
          "--help'.\n" },
        { { "klaxon", "--xyzzy" }, "klaxon tail: unknown option --xyzzy\n" },
        { { "klaxon", "--hlep" }, "unknown option --hlep, did you mean --help?" },
        { { "klaxon", "--since" }, "klaxon tail: --since wants a value\n" },
        { { "klaxon", "-n" }, "klaxon tail: -n wants a value\n" },
        { { "klaxon", "-xq" }, "klaxon tail: unknown option -x\n" },
        { { "klaxon", "--quiet=yes" }, "klaxon tail: --quiet takes no value\n" },
        { { "klaxon", "-o", "xml" }, "--output wants one of table|json, found \"xml\"" },
        { { "klaxon", "-n", "many" }, "--count wants a whole number, found \"many\"" },
        { { "klaxon", "--sin", "1h" }, "klaxon tail: options are written out: --since\n" },
        { { "klaxon", "--sin=1h" }, "options are written out: --since" },
        { { "klaxon", "--qui" }, "options are written out: --quiet" },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        const char *argv[5] = { 0 };
        char said[512];
        int argc = 0, code = 0;
        for (; argc < 4 && cases[i].argv[argc] != NULL; argc++) {
            argv[argc] = cases[i].argv[argc];
        }
        assert_int_equal(run_saying(STDERR_FILENO, argc, argv, said, sizeof(said), &code), -1);
        assert_int_equal(code, KLX_EXIT_USAGE);
        if (strstr(said, cases[i].said) == NULL) {
            fail_msg("expected: %s\nfound:    %s", cases[i].said, said);
        }
    }
}

static void the_version_is_that_of_the_program(void **state) {
    (void)state;
    const char *argv[] = { "klaxon", "--version", NULL };
    char said[512];
    int code = -1;
    assert_int_equal(run_saying(STDOUT_FILENO, 2, argv, said, sizeof(said), &code), -1);
    assert_int_equal(code, KLX_EXIT_OK);
    assert_int_equal(strncmp(said, "klaxon 0.", 9), 0);
}

static void the_help_is_made_from_the_table(void **state) {
    (void)state;
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    klx_options_help(f, &help, options);
    fclose(f);
    golden_check("options/help.txt", klx_sv(text));
    free(text);
}

static void what_lasts_is_logged_ever_more_rarely(void **state) {
    (void)state;
    struct klx_log_lasting l = { 0 };
    int64_t s = 1000000, begin = 1000 * s, due[16];
    size_t n = 0;
    for (int64_t t = 0; t <= 300; t += 5) { /* two that take turns do not hide each other */
        if (klx_log_lasting_due(&l, "down", begin + t * s)) {
            due[n++] = t;
        }
        assert_int_equal(klx_log_lasting_due(&l, "denied", begin + t * s),
                         n > 0 && due[n - 1] == t);
    }
    const int64_t wanted[] = { 0, 5, 15, 35, 75, 135, 195, 255 };
    assert_int_equal(n, KLX_COUNT(wanted));
    assert_memory_equal(due, wanted, sizeof(wanted));
    assert_true(klx_log_lasting_due(&l, "new", begin + 301 * s));
    assert_true(klx_log_lasting_due(&l, "down", begin + 421 * s)); /* it was over */
    assert_false(klx_log_lasting_due(&l, "down", begin + 425 * s));
    assert_true(klx_log_lasting_due(&l, "down", begin + 426 * s));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_follows_its_file),
        cmocka_unit_test(a_pipe_holds_nobody),
        cmocka_unit_test(a_secret_comes_from_a_named_variable),
        cmocka_unit_test(log_lines_are_json_and_escaped),
        cmocka_unit_test(what_lasts_is_logged_ever_more_rarely),
        cmocka_unit_test(options_are_parsed_wherever_they_stand),
        cmocka_unit_test(mistakes_end_with_a_usage_error),
        cmocka_unit_test(the_version_is_that_of_the_program),
        cmocka_unit_test(the_help_is_made_from_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
