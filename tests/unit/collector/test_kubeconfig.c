/* kubeconfigs and pods: what is understood of them, and the words for what is not. */
#include "tests/unit/support/support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/kube/in_cluster.h"
#include "collector/kube/kubeconfig.h"
#include "lib/base/mem.h"

#define WHOLE(cluster, user)                                                                       \
    "current-context: c\n"                                                                         \
    "contexts: [{name: c, context: {cluster: k, user: u}}]\n"                                      \
    "clusters: [{name: k, cluster: {server: 'https://k.example/'" cluster "}}]\n"                  \
    "users: [{name: u, user: {" user "}}]\n"
#define EXEC(rest) WHOLE("", "exec: {" rest "}")
#define V1 "apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, "

static int parse(const char *text, struct klx_kube_access **ret, struct klx_error *e) {
    return klx_kubeconfig_parse(klx_sv(text), "/etc/k/config", NULL, 0, ret, e);
}

static void what_cannot_be_used_is_said(void **state) {
    (void)state;
    static const struct {
        const char *text, *words;
    } rows[] = {
        { WHOLE("", "auth-provider: {name: azure}"), "use exec (for Entra ID: kubelogin)" },
        { WHOLE("", "username: a, password: b"), "API servers accept no passwords any more" },
        { WHOLE("", "token: t, as: somebody"), "impersonation is not supported" },
        { WHOLE("", "token: t, as-groups: [a]"), "impersonation is not supported" },
        { WHOLE("", "client-certificate-data: bm8="),
          "needs both client-certificate and client-key" },
        { WHOLE(", certificate-authority: /nowhere/ca", "token: t"),
          "certificate-authority: cannot read file /nowhere/ca" },
        { WHOLE(", certificate-authority-data: '!'", "token: t"), "not base64" },
        { EXEC("command: x"), "\"apiVersion\" must be client.authentication.k8s.io/v1 or" },
        { EXEC("apiVersion: client.authentication.k8s.io/v1alpha1, command: x"), "v1alpha1\"" },
        { EXEC("apiVersion: client.authentication.k8s.io/v1, command: x"),
          "\"interactiveMode\" must be Never or IfAvailable" },
        { EXEC("apiVersion: client.authentication.k8s.io/v1, interactiveMode: Always, command: x"),
          "the plugin wants to ask a person" },
        { EXEC("apiVersion: client.authentication.k8s.io/v1, interactiveMode: never, command: x"),
          "found \"never\"" },
        { EXEC(V1 "args: [a]"), "\"command\" is missing" },
        { EXEC(V1 "command: x, args: 7"), "expected a list" },
        { EXEC(V1 "command: x, env: [{value: 7}]"), "expected {name: NAME, value: text}" },
        { EXEC(V1 "command: x, env: [{name: 'A=B', value: 7}]"), "expected {name: NAME" },
        { WHOLE("", "exec: 7"), "expected a map" },
        { WHOLE("", "token: t, exec: {" V1 "command: x}"), "keep one of them" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct klx_kube_access *access = NULL;
        struct klx_error e = { 0 };
        assert_int_not_equal(parse(rows[i].text, &access, &e), 0);
        if (strstr(e.text, rows[i].words) == NULL) {
            fail_msg("row %zu: %s", i, e.text);
        }
        assert_non_null(strstr(e.text, "/etc/k/config"));
    }
}

static void the_namespace_is_the_contexts(void **state) {
    (void)state;
    static const char *const rows[][2] = { { ", namespace: klaxon", "klaxon" }, { "", "default" } };
    for (size_t i = 0; i < 2; i++) {
        struct klx_kube_access *a = NULL;
        struct klx_error e = { 0 };
        char *text = klx_asprintf(
            "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u%s}}]\n"
            "clusters: [{name: k, cluster: {server: 'https://h'}}]\n"
            "users: [{name: u, user: {token: t}}]\n",
            rows[i][0]);
        assert_int_equal(parse(text, &a, &e), 0);
        assert_string_equal(a->namespace, rows[i][1]);
        klx_kube_access_free(a);
        free(text);
    }
}

static void a_plugin_is_understood(void **state) {
    (void)state;
    struct klx_kube_access *a = NULL;
    struct klx_error e = { 0 };
    assert_int_equal(
        parse(EXEC("apiVersion: client.authentication.k8s.io/v1beta1, command: kubelogin,\n"
                   "  args: [get-token, --login, spn], installHint: 'see docs',\n"
                   "  env: [{name: A, value: 'b c'}], provideClusterInfo: true"),
              &a, &e),
        0);
    assert_string_equal(a->server, "https://k.example");
    assert_string_equal(a->exec->argv[0], "kubelogin");
    assert_string_equal(a->exec->argv[3], "spn");
    assert_null(a->exec->argv[4]);
    assert_string_equal(a->exec->env[0], "A=b c");
    assert_null(a->exec->env[1]);
    assert_string_equal(a->exec->api_version, "client.authentication.k8s.io/v1beta1");
    assert_string_equal(a->exec->install_hint, "see docs");
    assert_true(a->exec->provide_cluster_info);
    klx_kube_access_free(a);
    /* As az aks get-credentials and others write it. */
    assert_int_equal(parse(EXEC(V1 "command: bin/plugin, args: null, env: null"), &a, &e), 0);
    assert_string_equal(a->exec->argv[0], "/etc/k/bin/plugin");
    assert_null(a->exec->argv[1]);
    assert_null(a->exec->env[0]);
    assert_false(a->exec->provide_cluster_info);
    klx_kube_access_free(a);
}

static void what_a_cluster_says_of_itself_is_taken(void **state) {
    (void)state;
    struct klx_kube_access *a = NULL;
    struct klx_error e = { 0 };
    assert_int_equal(parse(WHOLE(", tls-server-name: inner, proxy-url: 'http://p:1', "
                                 "certificate-authority-data: Y2E=",
                                 "token: t"),
                           &a, &e),
                     0);
    assert_string_equal(a->tls_server_name, "inner");
    assert_string_equal(a->proxy, "http://p:1");
    assert_sv(a->ca.data, "ca");
    assert_string_equal(a->static_token, "t");
    assert_false(a->insecure);
    klx_kube_access_free(a);
}

static void write_file(const char *dir, const char *name, const char *text) {
    char *path = klx_asprintf("%s/%s", dir, name);
    test_write_file(path, text);
    free(path);
}

static void a_pod_finds_its_api_server(void **state) {
    (void)state;
    char dir[] = "/tmp/klaxon-account-XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct klx_kube_access *a = NULL;
    struct klx_error e = { 0 };
    struct klx_sv ca;
    unsetenv("KUBERNETES_SERVICE_HOST");
    setenv("KUBERNETES_SERVICE_PORT", "443", 1);
    setenv("KLAXON_SERVICEACCOUNT", dir, 1);
    assert_int_equal(klx_in_cluster_load(&a, &e), -ENOENT);
    assert_non_null(strstr(e.text, "this is not a pod"));
    setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
    assert_int_equal(klx_in_cluster_load(&a, &e), -ENOENT);
    assert_non_null(strstr(e.text, "ca.crt: No such file"));
    write_file(dir, "ca.crt", "the ca\n");
    assert_int_equal(klx_in_cluster_load(&a, &e), -ENOENT);
    assert_non_null(strstr(e.text, "token: No such file"));
    write_file(dir, "token", "t\n");
    assert_int_equal(klx_in_cluster_load(&a, &e), 0);
    assert_string_equal(a->server, "https://[fd00::1]:443");
    assert_int_equal(klx_kube_pem_get(&a->ca, &ca, &e), 0);
    assert_sv(ca, "the ca");
    klx_kube_access_free(a);
    setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1);
    assert_int_equal(klx_in_cluster_load(&a, &e), 0);
    assert_string_equal(a->server, "https://10.0.0.1:443");
    klx_kube_access_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_used_is_said),
        cmocka_unit_test(the_namespace_is_the_contexts),
        cmocka_unit_test(a_plugin_is_understood),
        cmocka_unit_test(what_a_cluster_says_of_itself_is_taken),
        cmocka_unit_test(a_pod_finds_its_api_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
