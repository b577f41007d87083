/* Credentials that are kept fresh: files that change, and plugins, real programs under a clock that is driven. */
#include "tests/unit/support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/kube/credential.h"
#include "collector/kube/exec_plugin.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"

#define START_US INT64_C(1750000000000000) /* 2025-06-15T15:06:40Z */
#define V1 "client.authentication.k8s.io/v1"

struct world {
    char dir[64];
    struct klx_loop *loop;
    struct klx_clock_driven clock;
    struct klx_kube_access *access;
    struct klx_credential *credential;
    struct klx_credential_waiter waiter;
    unsigned woken;
};

static void on_woken(void *arg) {
    ((struct world *)arg)->woken++;
}

static char *path_in(struct world *w, const char *name) {
    return klx_asprintf("%s/%s", w->dir, name);
}

static void write_file(struct world *w, const char *name, const char *text) {
    char *path = path_in(w, name);
    test_write_file(path, text);
    chmod(path, 0700);
    free(path);
}

/* As a file system does that tells of changes late. */
static void write_unnoticed(struct world *w, const char *name, const char *text) {
    struct stat before;
    char *path = path_in(w, name);
    assert_int_equal(stat(path, &before), 0);
    write_file(w, name, text);
    const struct timespec times[] = { before.st_atim, before.st_mtim };
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    free(path);
}

static struct klx_secret *file_of(struct world *w, const char *name) {
    char *path = path_in(w, name);
    struct klx_secret *s = klx_secret_from_file(klx_sv(path));
    free(path);
    return s;
}

static void begin(struct world *w) {
    *w = (struct world){ .dir = "/tmp/klaxon-credential-XXXXXX" };
    assert_non_null(mkdtemp(w->dir));
    w->loop = klx_loop_new();
    w->access = klx_alloc(struct klx_kube_access);
    w->access->server = klx_strdup("https://k.example");
    w->waiter = (struct klx_credential_waiter){ .fn = on_woken, .arg = w };
    klx_clock_driven_init(&w->clock, START_US, 1);
    w->credential = klx_credential_new(w->loop, NULL, &w->clock.clock, w->access);
}

static void end(struct world *w) {
    klx_credential_free(w->credential);
    klx_kube_access_free(w->access);
    klx_loop_run(w->loop);
    klx_loop_free(w->loop);
    char *command = klx_asprintf("rm -r %s", w->dir);
    assert_int_equal(system(command), 0);
    free(command);
}

static void expect_token(struct world *w, const char *token) {
    struct klx_identity i;
    struct klx_error e = { 0 };
    if (klx_credential_get(w->credential, &i, &e) != 0) {
        fail_msg("%s", e.text);
    }
    assert_sv(i.token, token);
}

static uint64_t generation(struct world *w) {
    struct klx_identity i;
    assert_int_equal(klx_credential_get(w->credential, &i, NULL), 0);
    return i.generation;
}

static void a_token_file_is_followed(void **state) {
    (void)state;
    struct world w;
    begin(&w);
    write_file(&w, "token", "one\n");
    w.access->token = file_of(&w, "token");
    assert_true(klx_credential_ready(w.credential, &w.waiter));
    expect_token(&w, "one");
    uint64_t first = generation(&w);
    assert_int_equal(generation(&w), first);
    write_file(&w, "token", "other\n"); /* another size: noticed at once */
    expect_token(&w, "other");
    assert_int_not_equal(generation(&w), first);

    write_unnoticed(&w, "token", "OTHER\n");
    expect_token(&w, "other");
    klx_clock_driven_advance(&w.clock, 49 * KLX_US_PER_S);
    expect_token(&w, "other");
    klx_clock_driven_advance(&w.clock, 1 * KLX_US_PER_S);
    expect_token(&w, "OTHER");

    write_unnoticed(&w, "token", "third\n");
    klx_credential_refused(w.credential, generation(&w));
    expect_token(&w, "third");

    char *path = path_in(&w, "token");
    unlink(path);
    free(path);
    klx_credential_refused(w.credential, generation(&w));
    expect_token(&w, "third");
    end(&w);
}

static void certificates_are_followed(void **state) {
    (void)state;
    struct world w;
    struct klx_identity i;
    begin(&w);
    write_file(&w, "ca", "ca 1");
    write_file(&w, "cert", "cert 1");
    write_file(&w, "key", "key 1");
    w.access->ca.file = file_of(&w, "ca");
    w.access->cert.file = file_of(&w, "cert");
    w.access->key.file = file_of(&w, "key");
    uint64_t first = generation(&w);
    write_file(&w, "ca", "ca number 2");
    assert_int_equal(generation(&w), first);
    write_file(&w, "cert", "cert number 2");
    write_file(&w, "key", "key number 2");
    assert_int_equal(klx_credential_get(w.credential, &i, NULL), 0);
    assert_sv(i.ca_pem, "ca number 2");
    assert_sv(i.cert_pem, "cert number 2");
    assert_sv(i.key_pem, "key number 2");
    assert_int_not_equal(i.generation, first);
    end(&w);
}

static void what_cannot_be_read_is_said(void **state) {
    (void)state;
    struct world w;
    struct klx_identity i;
    struct klx_error e = { 0 };
    begin(&w);
    w.access->token = file_of(&w, "nothing");
    assert_int_equal(klx_credential_get(w.credential, &i, &e), -ENOENT);
    assert_non_null(strstr(e.text, "nothing: No such file or directory"));
    end(&w);
}

/* A plugin is a shell script; each run leaves a letter in `runs`. */
static void give_plugin(struct world *w, const char *script) {
    struct klx_kube_exec *x = w->access->exec;
    if (x == NULL) {
        x = w->access->exec = klx_alloc(struct klx_kube_exec);
        x->argv = klx_alloc_n(char *, 4);
        x->argv[0] = path_in(w, "plugin");
        x->argv[1] = klx_strdup("--client-secret=hunter22");
        x->env = klx_alloc_n(char *, 3);
        x->env[0] = klx_asprintf("DIR=%s", w->dir);
        x->env[1] = klx_strdup("PASSWORD=correct horse");
        x->api_version = klx_strdup(V1);
    }
    char *text = klx_asprintf("#!/bin/sh\nprintf x >>\"$DIR/runs\"\n%s\n", script);
    write_file(w, "plugin", text);
    free(text);
}

static void give_token_until(struct world *w, const char *token, const char *expires) {
    char *script = klx_asprintf("echo '{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1
                                "\",\"status\":{\"token\":\"%s\"%s%s%s}}'",
                                token, expires != NULL ? ",\"expirationTimestamp\":\"" : "",
                                expires != NULL ? expires : "", expires != NULL ? "\"" : "");
    give_plugin(w, script);
    free(script);
}

static size_t runs(struct world *w) {
    struct stat s;
    char *path = path_in(w, "runs");
    size_t n = stat(path, &s) == 0 ? (size_t)s.st_size : 0;
    free(path);
    return n;
}

/* The plugin is started, somebody waits, and it ends. */
static void run_plugin(struct world *w) {
    size_t before = runs(w);
    unsigned woken = w->woken;
    assert_false(klx_credential_ready(w->credential, &w->waiter));
    assert_false(klx_credential_ready(w->credential, &w->waiter)); /* it is not started twice */
    assert_int_equal(w->woken, woken);
    klx_loop_run(w->loop);
    assert_int_equal(w->woken, woken + 1);
    assert_int_equal(runs(w), before + 1);
    assert_true(klx_credential_ready(w->credential, &w->waiter));
}

static void a_plugin_is_run_until_it_expires(void **state) {
    (void)state;
    struct world w;
    struct klx_identity i;
    begin(&w);
    give_token_until(&w, "first", "2025-06-15T15:10:00Z"); /* in 200 s */
    assert_false(klx_credential_ready(w.credential, NULL));
    assert_int_equal(klx_credential_get(w.credential, &i, NULL), -EAGAIN);
    klx_loop_run(w.loop);
    expect_token(&w, "first");
    klx_clock_driven_advance(&w.clock, 199 * KLX_US_PER_S);
    assert_true(klx_credential_ready(w.credential, &w.waiter));
    assert_int_equal(runs(&w), 1);
    klx_clock_driven_advance(&w.clock, 1 * KLX_US_PER_S);
    give_token_until(&w, "second", NULL);
    run_plugin(&w);
    expect_token(&w, "second");
    klx_clock_driven_advance(&w.clock, 100000 * KLX_US_PER_S); /* no expiry: for ever */
    assert_true(klx_credential_ready(w.credential, &w.waiter));
    assert_int_equal(runs(&w), 2);
    end(&w);
}

static void one_that_comes_expired_is_used_for_a_moment(void **state) {
    (void)state;
    struct world w;
    begin(&w);
    give_token_until(&w, "old", "2025-06-15T15:00:00Z");
    run_plugin(&w);
    expect_token(&w, "old");
    klx_clock_driven_advance(&w.clock, 9 * KLX_US_PER_S);
    assert_true(klx_credential_ready(w.credential, &w.waiter));
    klx_clock_driven_advance(&w.clock, 1 * KLX_US_PER_S);
    run_plugin(&w);
    end(&w);
}

static void a_refusal_runs_it_once(void **state) {
    (void)state;
    struct world w;
    begin(&w);
    give_token_until(&w, "revoked", NULL);
    run_plugin(&w);
    uint64_t old = generation(&w);
    klx_credential_refused(w.credential, old);
    run_plugin(&w);
    assert_int_not_equal(generation(&w), old);
    klx_credential_refused(w.credential, old); /* the answer to another watch comes late */
    assert_true(klx_credential_ready(w.credential, &w.waiter));

    klx_credential_refused(w.credential, generation(&w));
    assert_true(klx_credential_ready(w.credential, &w.waiter)); /* not at once again */
    expect_token(&w, "revoked");
    assert_int_equal(runs(&w), 2);
    klx_clock_driven_advance(&w.clock, 60 * KLX_US_PER_S);
    run_plugin(&w);

    klx_clock_driven_advance(&w.clock, 60 * KLX_US_PER_S); /* long enough to have been accepted */
    klx_credential_refused(w.credential, generation(&w));
    run_plugin(&w);
    end(&w);
}

static void a_plugin_that_fails_is_said_and_waited_for(void **state) {
    (void)state;
    struct world w;
    struct klx_identity i;
    struct klx_error e = { 0 };
    begin(&w);
    give_plugin(&w, "echo \"AADSTS7000215: wrong secret $PASSWORD for $1 "
                    "(eyJhbGciOiJIUzI1NiJ9.e30.x, trace 6dae42f8-4368-4678-94ff-3960e28e3630 "
                    "0123456789abcdefghijklmnopqrstuvwxyzABCDE)\" >&2; echo a secret; exit 7");
    run_plugin(&w);
    assert_int_equal(klx_credential_get(w.credential, &i, &e), -EACCES);
    char *words = klx_asprintf(
        "%s/plugin ended with exit code 7: AADSTS7000215: wrong secret [hidden] for "
        "--client-secret=[hidden] ([hidden], trace 6dae42f8-4368-4678-94ff-3960e28e3630 [hidden])",
        w.dir);
    assert_string_equal(e.text, words);
    free(words);
    assert_true(klx_credential_ready(w.credential, &w.waiter));
    assert_int_equal(runs(&w), 1);
    klx_clock_driven_advance(&w.clock, 60 * KLX_US_PER_S);
    give_token_until(&w, "good", NULL);
    run_plugin(&w);
    expect_token(&w, "good");
    end(&w);
}

static void a_refused_one_goes_when_no_other_comes(void **state) {
    (void)state;
    struct world w;
    struct klx_identity i;
    begin(&w);
    give_token_until(&w, "good", "2025-06-15T15:10:00Z");
    run_plugin(&w);
    klx_credential_refused(w.credential, generation(&w));
    give_plugin(&w, "exit 1");
    run_plugin(&w); /* refused, and nothing better: it is gone */
    assert_int_equal(klx_credential_get(w.credential, &i, NULL), -EACCES);
    end(&w);
}

static void one_that_is_not_there_is_said_with_the_hint(void **state) {
    (void)state;
    struct world w;
    struct klx_identity i;
    struct klx_error e = { 0 };
    begin(&w);
    give_plugin(&w, "");
    free(w.access->exec->argv[0]);
    w.access->exec->argv[0] = klx_strdup("klaxon-no-such-plugin");
    w.access->exec->install_hint = klx_strdup("install it");
    assert_true(klx_credential_ready(w.credential, &w.waiter));
    assert_int_equal(klx_credential_get(w.credential, &i, &e), -ENOENT);
    assert_string_equal(e.text, "cannot start klaxon-no-such-plugin: No such file or directory. "
                                "The kubeconfig says: install it");
    end(&w);
}

static void nobody_is_called_after_the_end(void **state) {
    (void)state;
    struct world w;
    begin(&w);
    give_plugin(&w, "sleep 3600");
    assert_false(klx_credential_ready(w.credential, &w.waiter));
    end(&w); /* returns: the plugin is killed */
    assert_int_equal(w.woken, 0);

    begin(&w);
    give_token_until(&w, "t", NULL);
    assert_false(klx_credential_ready(w.credential, &w.waiter));
    klx_credential_forget(&w.waiter);
    klx_loop_run(w.loop);
    assert_int_equal(w.woken, 0);
    expect_token(&w, "t");
    end(&w);
}

static void it_is_told_what_it_is_for(void **state) {
    (void)state;
    struct world w;
    struct klx_error e;
    begin(&w);
    give_plugin(&w, "");
    struct klx_buf info;
    klx_buf_init(&info, 65536);
    assert_int_equal(klx_exec_plugin_info(w.access, &info, &e), 0);
    assert_string_equal(klx_buf_str(&info), "{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1
                                            "\",\"spec\":{\"interactive\":false}}");
    klx_buf_reset(&info);
    w.access->exec->provide_cluster_info = true;
    w.access->ca.data = klx_sv_n(klx_strdup("ca"), 2);
    w.access->tls_server_name = klx_strdup("inner");
    assert_int_equal(klx_exec_plugin_info(w.access, &info, &e), 0);
    assert_string_equal(klx_buf_str(&info),
                        "{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1
                        "\",\"spec\":{\"interactive\":false,\"cluster\":{\"server\":\"https://k."
                        "example\",\"tls-server-name\":\"inner\","
                        "\"certificate-authority-data\":\"Y2E=\"}}}");
    klx_buf_release(&info);
    /* And so it comes to the program. */
    give_plugin(&w,
                "printf %s \"$KUBERNETES_EXEC_INFO\" | grep -q '\"server\":\"https://k.example\"' "
                "&& exit 42");
    run_plugin(&w);
    struct klx_identity i;
    assert_int_equal(klx_credential_get(w.credential, &i, &e), -EACCES);
    assert_non_null(strstr(e.text, "exit code 42: it said nothing on stderr"));
    end(&w);
}

#define ANSWER(version, status)                                                                    \
    "{\"kind\":\"ExecCredential\",\"apiVersion\":\"" version "\",\"status\":{" status "}}"

static void answers_are_read_strictly(void **state) {
    (void)state;
    static const struct {
        struct klx_process_result r;
        const char *out, *words;
    } rows[] = {
        { { .end = KLX_PROCESS_TIMEOUT }, "", "did not end within 60 s and was killed" },
        { { .end = KLX_PROCESS_TOO_LARGE }, "", "printed more than 65536 bytes" },
        { { .end = KLX_PROCESS_SIGNALLED, .code = 11 }, "", "ended with signal 11" },
        { { 0 }, "not json s3cret", "did not print an ExecCredential" },
        { { 0 }, "{}", "did not print an ExecCredential" },
        { { 0 },
          ANSWER("client.authentication.k8s.io/v1beta1", "\"token\":\"s3cret\""),
          "answered with apiVersion client.authentication.k8s.io/v1beta1, the kubeconfig asks" },
        { { 0 }, ANSWER(V1, "\"expirationTimestamp\":null"), "neither a token nor a certificate" },
        { { 0 }, ANSWER(V1, "\"clientCertificateData\":\"s3cret\""), "without its key" },
        { { 0 }, ANSWER(V1, "\"token\":\"s3cret\",\"expirationTimestamp\":\"soon\""), "no time" },
    };
    char *argv[] = { (char *)(uintptr_t) "plugin", NULL }, *env[] = { NULL };
    struct klx_kube_exec x = { .argv = argv, .env = env, .api_version = (char *)(uintptr_t)V1 };
    struct klx_exec_credential c;
    struct klx_error e;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct klx_process_result r = rows[i].r;
        r.out = klx_sv(rows[i].out);
        assert_int_not_equal(klx_exec_plugin_result(&x, &r, &c, &e), 0);
        if (strstr(e.text, rows[i].words) == NULL || strstr(e.text, "s3cret") != NULL) {
            fail_msg("row %zu: %s", i, e.text);
        }
    }
    const struct klx_process_result good = {
        .out = KLX_SV(ANSWER(V1, "\"token\":\"t\",\"clientCertificateData\":\"c\","
                                 "\"clientKeyData\":\"k\","
                                 "\"expirationTimestamp\":\"2025-06-15T15:06:40Z\"")),
    };
    assert_int_equal(klx_exec_plugin_result(&x, &good, &c, &e), 0);
    assert_string_equal(c.token, "t");
    assert_sv(c.cert_pem, "c");
    assert_sv(c.key_pem, "k");
    assert_int_equal(c.expires_us, START_US);
    klx_exec_credential_release(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_file_is_followed),
        cmocka_unit_test(certificates_are_followed),
        cmocka_unit_test(what_cannot_be_read_is_said),
        cmocka_unit_test(a_plugin_is_run_until_it_expires),
        cmocka_unit_test(one_that_comes_expired_is_used_for_a_moment),
        cmocka_unit_test(a_refusal_runs_it_once),
        cmocka_unit_test(a_plugin_that_fails_is_said_and_waited_for),
        cmocka_unit_test(a_refused_one_goes_when_no_other_comes),
        cmocka_unit_test(one_that_is_not_there_is_said_with_the_hint),
        cmocka_unit_test(nobody_is_called_after_the_end),
        cmocka_unit_test(it_is_told_what_it_is_for),
        cmocka_unit_test(answers_are_read_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
