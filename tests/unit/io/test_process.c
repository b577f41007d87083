/* Helper programs: what they say, and that each limit makes an end of them. */
#include "tests/unit/support/support.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/io/process.h"

struct run {
    struct klx_loop *loop;
    struct klx_process *process;
    unsigned done;
    enum klx_process_end end;
    int code;
    size_t out_bytes;
    char out[256], err[KLX_PROCESS_ERR_BYTES_MAX + 1];
};

static void on_done(void *arg, const struct klx_process_result *r) {
    struct run *run = arg;
    run->done++;
    run->end = r->end;
    run->code = r->code;
    run->out_bytes = r->out.n;
    snprintf(run->out, sizeof(run->out), "%.*s", KLX_SV_FMT(r->out));
    snprintf(run->err, sizeof(run->err), "%.*s", KLX_SV_FMT(r->err));
}

static void shell(struct run *run, const char *script, int64_t timeout_ms) {
    const char *argv[] = { "sh", "-c", script, NULL };
    const char *env[] = { "GIVEN=value of its own", "HOME=/elsewhere", NULL };
    const struct klx_process_request r = { .argv = argv,
                                           .env = env,
                                           .timeout_ms = timeout_ms,
                                           .out_bytes_max = 65536,
                                           .on_done = on_done,
                                           .arg = run };
    struct klx_error e;
    run->loop = klx_loop_new();
    assert_int_equal(klx_process_start(run->loop, &r, &run->process, &e), 0);
    assert_int_equal(run->done, 0);
}

static void finish(struct run *run) {
    klx_loop_run(run->loop); /* returns when no handle is alive any more */
    klx_loop_free(run->loop);
}

static void it_says_what_the_program_said(void **state) {
    (void)state;
    struct run run = { 0 };
    setenv("KLAXON_TEST_INHERITED", "inherited", 1);
    shell(&run, "cat; echo \"$GIVEN,$HOME,$KLAXON_TEST_INHERITED\"; echo to stderr >&2; exit 3",
          20000);
    finish(&run);
    assert_int_equal(run.done, 1);
    assert_int_equal(run.end, KLX_PROCESS_EXITED);
    assert_int_equal(run.code, 3);
    assert_string_equal(run.out, "value of its own,/elsewhere,inherited\n");
    assert_string_equal(run.err, "to stderr\n");
}

static void a_signal_is_told(void **state) {
    (void)state;
    struct run run = { 0 };
    shell(&run, "kill -TERM $$", 20000);
    finish(&run);
    assert_int_equal(run.end, KLX_PROCESS_SIGNALLED);
    assert_int_equal(run.code, SIGTERM);
}

static bool has_text(const char *path) {
    char text[64];
    FILE *f = fopen(path, "r");
    size_t n = f != NULL ? fread(text, 1, sizeof(text), f) : 0;
    if (f != NULL) {
        fclose(f);
    }
    return n > 0;
}

static void who_takes_too_long_is_killed_with_its_children(void **state) {
    (void)state;
    struct run run = { 0 };
    shell(&run, "sleep 3600 & echo $!; wait", 300);
    finish(&run);
    assert_int_equal(run.done, 1);
    assert_int_equal(run.end, KLX_PROCESS_TIMEOUT);
    /* Gone, or a zombie that nobody of ours has to wait for. The signal reaches it in its own time. */
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)strtol(run.out, NULL, 10));
    for (int tries = 0; has_text(path); tries++) {
        assert_true(tries < 500);
        poll(NULL, 0, 10);
    }
}

static void who_says_too_much_is_killed(void **state) {
    (void)state;
    struct run run = { 0 };
    shell(&run, "yes", 20000);
    finish(&run);
    assert_int_equal(run.end, KLX_PROCESS_TOO_LARGE);
    assert_int_equal(run.out_bytes, 65536);
}

static void the_rest_of_stderr_is_dropped(void **state) {
    (void)state;
    struct run run = { 0 };
    shell(&run, "yes | head -c 1000000 >&2; echo fine", 20000);
    finish(&run);
    assert_int_equal(run.end, KLX_PROCESS_EXITED);
    assert_string_equal(run.out, "fine\n");
    assert_int_equal(strlen(run.err), KLX_PROCESS_ERR_BYTES_MAX);
}

static void the_background_does_not_hold_it_up(void **state) {
    (void)state;
    struct run run = { 0 };
    shell(&run, "sleep 3600 & echo done", 600000);
    finish(&run);
    assert_int_equal(run.end, KLX_PROCESS_EXITED);
    assert_string_equal(run.out, "done\n");
}

static void cancelled_it_calls_nobody(void **state) {
    (void)state;
    struct run run = { 0 };
    shell(&run, "sleep 3600", 600000);
    klx_process_cancel(run.process);
    finish(&run);
    assert_int_equal(run.done, 0);
}

static void what_is_not_there_is_said(void **state) {
    (void)state;
    struct klx_loop *loop = klx_loop_new();
    const char *argv[] = { "klaxon-no-such-program", NULL };
    const struct klx_process_request r = { .argv = argv, .timeout_ms = 1000, .out_bytes_max = 10 };
    struct klx_process *p = NULL;
    struct klx_error e;
    assert_int_equal(klx_process_start(loop, &r, &p, &e), -ENOENT);
    assert_string_equal(e.text, "cannot start klaxon-no-such-program: No such file or directory");
    klx_loop_run(loop);
    klx_loop_free(loop);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_says_what_the_program_said),
        cmocka_unit_test(a_signal_is_told),
        cmocka_unit_test(who_takes_too_long_is_killed_with_its_children),
        cmocka_unit_test(who_says_too_much_is_killed),
        cmocka_unit_test(the_rest_of_stderr_is_dropped),
        cmocka_unit_test(the_background_does_not_hold_it_up),
        cmocka_unit_test(cancelled_it_calls_nobody),
        cmocka_unit_test(what_is_not_there_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
