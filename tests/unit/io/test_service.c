/* A socket as a service manager has it, and what arrives there. */
#include "tests/unit/support/support.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/io/service.h"

#define WATCHDOG_US "100000"

static struct {
    struct klx_loop *loop;
    struct klx_timer *timer;
    int manager;
    char said[256]; /* the datagrams, each with a line's end */
} w;

static void on_timer(void *arg) {
    klx_loop_stop(arg);
}

static int setup(void **state) {
    (void)state;
    memset(&w, 0, sizeof(w));
    w.loop = klx_loop_new();
    w.timer = klx_timer_new(w.loop, on_timer, w.loop);
    w.manager = -1;
    return 0;
}

static int teardown(void **state) {
    (void)state;
    klx_timer_free(w.timer);
    klx_loop_run(w.loop);
    klx_loop_free(w.loop);
    if (w.manager >= 0) {
        close(w.manager);
    }
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return 0;
}

/* name: "@…" of the abstract namespace, else a path. */
static void listen_at(const char *name) {
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", name);
    a.sun_path[0] = name[0] == '@' ? '\0' : name[0];
    w.manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(w.manager, (const struct sockaddr *)&a,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
                     0);
    setenv("NOTIFY_SOCKET", name, 1);
}

static const char *hear(void) {
    char word[64];
    ssize_t n = recv(w.manager, word, sizeof(word) - 1, 0);
    w.said[0] = '\0';
    while (n > 0) {
        word[n] = '\0';
        strncat(w.said, word, sizeof(w.said) - strlen(w.said) - 1);
        strncat(w.said, "\n", sizeof(w.said) - strlen(w.said) - 1);
        n = recv(w.manager, word, sizeof(word) - 1, 0);
    }
    return w.said;
}

static void run_for(int64_t ms) {
    klx_timer_start(w.timer, ms);
    klx_loop_run(w.loop);
}

static void ready_and_stopping_are_said(void **state) {
    (void)state;
    char name[64];
    snprintf(name, sizeof(name), "@klaxon-test-%d", (int)getpid());
    listen_at(name);
    struct klx_service *s = klx_service_new(w.loop);
    assert_string_equal(hear(), "READY=1\n");
    klx_service_stopping(s);
    assert_string_equal(hear(), "STOPPING=1\n");
    klx_service_free(s);
}

static void a_path_is_a_name_too(void **state) {
    (void)state;
    char folder[] = "/tmp/klaxon-service-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/notify", folder);
    listen_at(path);
    klx_service_free(klx_service_new(w.loop));
    assert_string_equal(hear(), "READY=1\n");
    unlink(path);
    rmdir(folder);
}

static void the_watchdog_hears_that_the_loop_turns(void **state) {
    (void)state;
    char pid[16];
    listen_at("@klaxon-test-watchdog");
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    setenv("WATCHDOG_USEC", WATCHDOG_US, 1);
    setenv("WATCHDOG_PID", pid, 1);
    struct klx_service *s = klx_service_new(w.loop);
    hear();
    run_for(120); /* twice 50 ms and a little */
    assert_non_null(strstr(hear(), "WATCHDOG=1\n"));
    klx_service_free(s);
}

static void the_watchdog_of_another_process_is_not_ours(void **state) {
    (void)state;
    listen_at("@klaxon-test-other");
    setenv("WATCHDOG_USEC", WATCHDOG_US, 1);
    setenv("WATCHDOG_PID", "1", 1);
    struct klx_service *s = klx_service_new(w.loop);
    hear();
    run_for(120);
    assert_string_equal(hear(), "");
    klx_service_free(s);
}

static void programs_that_are_started_do_not_speak_for_it(void **state) {
    (void)state;
    listen_at("@klaxon-test-environment");
    setenv("WATCHDOG_USEC", WATCHDOG_US, 1);
    klx_service_free(klx_service_new(w.loop));
    assert_null(getenv("NOTIFY_SOCKET"));
    assert_null(getenv("WATCHDOG_USEC"));
}

/* What is there to be seen is that nothing happens. */
static void without_a_manager_nobody_is_told(void **state) {
    (void)state;
    static const char *const nowhere[] = { NULL, "", "@", "relative", "/nowhere/at/all" };
    for (size_t i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
        if (nowhere[i] != NULL) {
            setenv("NOTIFY_SOCKET", nowhere[i], 1);
        }
        struct klx_service *s = klx_service_new(w.loop);
        klx_service_stopping(s);
        klx_service_free(s);
        assert_null(getenv("NOTIFY_SOCKET"));
    }
    klx_service_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ready_and_stopping_are_said, setup, teardown),
        cmocka_unit_test_setup_teardown(a_path_is_a_name_too, setup, teardown),
        cmocka_unit_test_setup_teardown(the_watchdog_hears_that_the_loop_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(the_watchdog_of_another_process_is_not_ours, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(programs_that_are_started_do_not_speak_for_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(without_a_manager_nobody_is_told, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
