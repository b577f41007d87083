#include "collector/kube/kubeconfig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/kube/pem.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/config.h"
#include "lib/base/mem.h"

#define NO_USER INT64_MIN /* in place of the time: only the cluster is taken */
#define FILE_BYTES_MAX (1u << 20)
#define EXEC_GROUP "client.authentication.k8s.io/"
#define EXEC_STRINGS_MAX 256

/* The item of a list whose `name` it is. */
static const struct klx_config_node *named(const struct klx_config_node *root, const char *list,
                                           struct klx_sv name) {
    const struct klx_config_node *items = klx_config_get(root, list);
    const struct klx_config_node *item =
        items != NULL && klx_config_type(items) == KLX_CONFIG_LIST ? klx_config_first(items) : NULL;
    for (; item != NULL; item = klx_config_next(item)) {
        const struct klx_config_node *its = klx_config_get(item, "name");
        if (its != NULL && klx_sv_eq(klx_config_scalar(its), name)) {
            return item;
        }
    }
    return NULL;
}

static struct klx_sv text_of(const struct klx_config_node *map, const char *key) {
    const struct klx_config_node *n = map != NULL ? klx_config_get(map, key) : NULL;
    return n != NULL ? klx_config_scalar(n) : klx_sv(NULL);
}

static char *dup_opt(struct klx_sv text) {
    return text.n > 0 ? klx_sv_dup(text) : NULL;
}

/* Relative paths are relative to the kubeconfig. */
static char *path_beside(const char *kubeconfig, struct klx_sv path) {
    const char *slash = strrchr(kubeconfig, '/');
    if (path.p[0] == '/' || slash == NULL) {
        return klx_sv_dup(path);
    }
    return klx_asprintf("%.*s/%.*s", (int)(slash - kubeconfig), kubeconfig, KLX_SV_FMT(path));
}

static int read_file(const char *path, struct klx_sv *ret, struct klx_error *e) {
    FILE *f = fopen(path, "rbe");
    if (f == NULL) {
        return klx_fail(e, -errno, "cannot read %s: %s", path, strerror(errno));
    }
    char *bytes = klx_new_bytes(FILE_BYTES_MAX + 1);
    size_t n = fread(bytes, 1, FILE_BYTES_MAX, f);
    fclose(f);
    *ret = klx_sv_n(klx_sv_dup(klx_sv_n(bytes, n)), n);
    explicit_bzero(bytes, n);
    free(bytes);
    return 0;
}

/* `key`-data in base64, or the file that `key` names, which must be readable now; neither leaves *ret empty. */
static int take_pem(const struct klx_config_node *map, const char *file, const char *key,
                    struct klx_kube_pem *ret, struct klx_error *e) {
    char data_key[64];
    snprintf(data_key, sizeof(data_key), "%s-data", key);
    struct klx_sv data = text_of(map, data_key), path = text_of(map, key), unused;
    if (data.n > 0) {
        return klx_pem_from_base64(data, &ret->data) == 0
                   ? 0
                   : klx_config_fail(klx_config_get(map, data_key), e, "not base64");
    }
    if (path.n == 0) {
        return 0;
    }
    char *full = path_beside(file, path);
    ret->file = klx_secret_from_file(klx_sv(full));
    free(full);
    int rc = klx_kube_pem_get(ret, &unused, e);
    return rc != 0 ? klx_fail_in(e, rc, "%s: %s", file, key) : 0;
}

static int take_cluster(const struct klx_config_node *cluster, const char *file,
                        struct klx_kube_access *a, struct klx_error *e) {
    struct klx_sv server = text_of(cluster, "server");
    while (klx_sv_ends(server, KLX_SV("/"))) {
        server.n--;
    }
    if (!klx_sv_starts(server, KLX_SV("https://")) && !klx_sv_starts(server, KLX_SV("http://"))) {
        return klx_config_fail(cluster, e,
                               "\"server\" must be a URL that begins with https:// or http://");
    }
    a->server = klx_sv_dup(server);
    a->proxy = dup_opt(text_of(cluster, "proxy-url"));
    a->tls_server_name = dup_opt(text_of(cluster, "tls-server-name"));
    a->insecure = klx_sv_eq(text_of(cluster, "insecure-skip-tls-verify"), KLX_SV("true"));
    return take_pem(cluster, file, "certificate-authority", &a->ca, e);
}

static int refuse_unsupported(const struct klx_config_node *user, struct klx_error *e) {
    static const struct {
        const char *key, *instead;
    } refused[] = {
        { "auth-provider", "Kubernetes has removed it: use exec (for Entra ID: kubelogin)" },
        { "username",
          "API servers accept no passwords any more: use a token, certificate or exec" },
        { "password",
          "API servers accept no passwords any more: use a token, certificate or exec" },
        { "as", "impersonation is not supported: give klaxon an account of its own" },
        { "as-uid", "impersonation is not supported: give klaxon an account of its own" },
        { "as-groups", "impersonation is not supported: give klaxon an account of its own" },
        { "as-user-extra", "impersonation is not supported: give klaxon an account of its own" },
    };
    for (size_t i = 0; i < KLX_COUNT(refused); i++) {
        const struct klx_config_node *n = klx_config_get(user, refused[i].key);
        if (n != NULL) {
            return klx_config_fail_key(n, e, "\"%s\" cannot be used: %s", refused[i].key,
                                       refused[i].instead);
        }
    }
    return 0;
}

static int take_certificate(const struct klx_config_node *user, const char *file, int64_t now_us,
                            struct klx_kube_access *a, struct klx_error *e) {
    struct klx_sv cert = klx_sv(NULL), key = klx_sv(NULL);
    int rc = take_pem(user, file, "client-certificate", &a->cert, e);
    rc = rc == 0 ? take_pem(user, file, "client-key", &a->key, e) : rc;
    rc = rc == 0 ? klx_kube_pem_get(&a->cert, &cert, e) : rc;
    rc = rc == 0 ? klx_kube_pem_get(&a->key, &key, e) : rc;
    if (rc != 0) {
        return rc;
    }
    if ((cert.n > 0) != (key.n > 0)) {
        return klx_config_fail(user, e,
                               "a client certificate needs both client-certificate and client-key");
    }
    rc = cert.n > 0 ? klx_pem_check_certificate(cert, now_us, e) : 0;
    return rc != 0 ? klx_fail_in(e, rc, "%s", file) : 0;
}

static size_t length_of(const struct klx_config_node *list) {
    size_t n = 0;
    const struct klx_config_node *item = list != NULL ? klx_config_first(list) : NULL;
    for (; item != NULL; item = klx_config_next(item)) {
        n++;
    }
    return n;
}

/* The list under `key`; what other tools write for "none" (`args: null`) is none. */
static int list_of(const struct klx_config_node *map, const char *key,
                   const struct klx_config_node **ret, struct klx_error *e) {
    const struct klx_config_node *n = klx_config_get(map, key);
    struct klx_sv text = n != NULL ? klx_config_scalar(n) : klx_sv(NULL);
    bool none = n == NULL ||
                (klx_config_type(n) == KLX_CONFIG_SCALAR &&
                 (text.n == 0 || klx_sv_eq(text, KLX_SV("null")) || klx_sv_eq(text, KLX_SV("~"))));
    *ret = none ? NULL : n;
    if (!none && (klx_config_type(n) != KLX_CONFIG_LIST || length_of(n) > EXEC_STRINGS_MAX)) {
        return klx_config_fail(n, e, "expected a list of at most %d", EXEC_STRINGS_MAX);
    }
    return 0;
}

static int take_argv(const struct klx_config_node *exec, const char *file, struct klx_kube_exec *x,
                     struct klx_error *e) {
    const struct klx_config_node *args = NULL;
    struct klx_sv command = text_of(exec, "command");
    int rc = list_of(exec, "args", &args, e);
    if (rc != 0) {
        return rc;
    }
    if (command.n == 0) {
        return klx_config_fail(exec, e, "\"command\" is missing");
    }
    size_t n = 0;
    x->argv = klx_alloc_n(char *, length_of(args) + 2);
    bool path = klx_sv_find(command, '/') < command.n; /* else it is looked for in $PATH */
    x->argv[n++] = path ? path_beside(file, command) : klx_sv_dup(command);
    const struct klx_config_node *item = args != NULL ? klx_config_first(args) : NULL;
    for (; item != NULL; item = klx_config_next(item)) {
        x->argv[n++] = klx_sv_dup(klx_config_scalar(item));
    }
    return 0;
}

static int take_env(const struct klx_config_node *exec, struct klx_kube_exec *x,
                    struct klx_error *e) {
    const struct klx_config_node *env = NULL;
    int rc = list_of(exec, "env", &env, e);
    if (rc != 0) {
        return rc;
    }
    size_t n = 0;
    x->env = klx_alloc_n(char *, length_of(env) + 1);
    const struct klx_config_node *item = env != NULL ? klx_config_first(env) : NULL;
    for (; item != NULL; item = klx_config_next(item)) {
        struct klx_sv name = text_of(item, "name");
        if (name.n == 0 || klx_sv_find(name, '=') < name.n) {
            return klx_config_fail(item, e, "expected {name: NAME, value: text}");
        }
        x->env[n++] =
            klx_asprintf("%.*s=%.*s", KLX_SV_FMT(name), KLX_SV_FMT(text_of(item, "value")));
    }
    return 0;
}

static int check_exec(const struct klx_config_node *exec, struct klx_error *e) {
    struct klx_sv version = text_of(exec, "apiVersion"), mode = text_of(exec, "interactiveMode");
    bool v1 = klx_sv_eq(version, KLX_SV(EXEC_GROUP "v1"));
    if (!v1 && !klx_sv_eq(version, KLX_SV(EXEC_GROUP "v1beta1"))) {
        return klx_config_fail(exec, e,
                               "\"apiVersion\" must be " EXEC_GROUP "v1 or " EXEC_GROUP
                               "v1beta1, found \"%.*s\"",
                               KLX_SV_FMT(version));
    }
    if (klx_sv_eq(mode, KLX_SV("Always"))) {
        return klx_config_fail(klx_config_get(exec, "interactiveMode"), e,
                               "the plugin wants to ask a person, and here is none: use a login "
                               "that needs nobody (kubelogin: --login spn, workloadidentity or "
                               "msi) and interactiveMode: Never");
    }
    if ((mode.n == 0 && v1) || (mode.n > 0 && !klx_sv_eq(mode, KLX_SV("Never")) &&
                                !klx_sv_eq(mode, KLX_SV("IfAvailable")))) {
        return klx_config_fail(exec, e,
                               "\"interactiveMode\" must be Never or IfAvailable, found "
                               "\"%.*s\"",
                               KLX_SV_FMT(mode));
    }
    return 0;
}

static int take_exec(const struct klx_config_node *user, const char *file,
                     struct klx_kube_access *a, struct klx_error *e) {
    const struct klx_config_node *exec = klx_config_get(user, "exec");
    if (exec == NULL || klx_config_type(exec) != KLX_CONFIG_MAP) {
        return exec == NULL || klx_config_scalar(exec).n == 0 ||
                       klx_sv_eq(klx_config_scalar(exec), KLX_SV("null"))
                   ? 0
                   : klx_config_fail(exec, e, "expected a map");
    }
    if (a->static_token != NULL || a->token != NULL || a->cert.file != NULL || a->cert.data.n > 0) {
        return klx_config_fail(user, e, "exec beside a token or certificate: keep one of them");
    }
    struct klx_kube_exec *x = klx_alloc(struct klx_kube_exec);
    a->exec = x;
    x->api_version = klx_sv_dup(text_of(exec, "apiVersion"));
    x->install_hint = dup_opt(klx_sv_trim(text_of(exec, "installHint")));
    x->provide_cluster_info = klx_sv_eq(text_of(exec, "provideClusterInfo"), KLX_SV("true"));
    int rc = check_exec(exec, e);
    rc = rc == 0 ? take_argv(exec, file, x, e) : rc;
    return rc == 0 ? take_env(exec, x, e) : rc;
}

static int take_user(const struct klx_config_node *user, const char *file, int64_t now_us,
                     struct klx_kube_access *a, struct klx_error *e) {
    int rc = refuse_unsupported(user, e);
    rc = rc == 0 ? take_certificate(user, file, now_us, a, e) : rc;
    if (rc != 0) {
        return rc;
    }
    struct klx_sv token_file = text_of(user, "tokenFile");
    if (token_file.n > 0) {
        char *path = path_beside(file, token_file);
        a->token = klx_secret_from_file(klx_sv(path));
        free(path);
    } else {
        a->static_token = dup_opt(text_of(user, "token"));
    }
    return take_exec(user, file, a, e);
}

/* The entry that `key` of the context names. */
static int referred(const struct klx_config_node *root, const struct klx_config_node *context,
                    const char *key, const char *list, const struct klx_config_node **ret,
                    struct klx_error *e) {
    const struct klx_config_node *body = klx_config_get(context, "context");
    struct klx_sv name = text_of(body, key);
    const struct klx_config_node *entry = named(root, list, name);
    const struct klx_config_node *its = entry != NULL ? klx_config_get(entry, key) : NULL;
    if (its == NULL) {
        return klx_config_fail(context, e, "the context's %s \"%.*s\" is not among %s", key,
                               KLX_SV_FMT(name), list);
    }
    *ret = its;
    return 0;
}

static int take_all(const struct klx_config_node *root, const char *file, const char *context_name,
                    int64_t now_us, struct klx_kube_access *a, struct klx_error *e) {
    struct klx_sv name =
        context_name != NULL ? klx_sv(context_name) : text_of(root, "current-context");
    const struct klx_config_node *context = named(root, "contexts", name), *cluster = NULL,
                                 *user = NULL;
    if (context == NULL) {
        return name.n > 0
                   ? klx_config_fail(root, e, "there is no context \"%.*s\"", KLX_SV_FMT(name))
                   : klx_config_fail(root, e, "no current-context: name one with `context:`");
    }
    struct klx_sv namespace = text_of(klx_config_get(context, "context"), "namespace");
    a->context = klx_sv_dup(name);
    a->from = klx_strdup(file);
    a->namespace = klx_sv_dup(namespace.n > 0 ? namespace : KLX_SV("default"));
    int rc = referred(root, context, "cluster", "clusters", &cluster, e);
    rc = rc == 0 ? take_cluster(cluster, file, a, e) : rc;
    if (rc != 0 || now_us == NO_USER) {
        return rc;
    }
    rc = referred(root, context, "user", "users", &user, e);
    return rc == 0 ? take_user(user, file, now_us, a, e) : rc;
}

int klx_kubeconfig_parse(struct klx_sv text, const char *file, const char *context, int64_t now_us,
                         struct klx_kube_access **ret, struct klx_error *e) {
    struct klx_config *c = NULL;
    int rc = klx_config_parse(text, file, &c, e);
    if (rc != 0) {
        return rc;
    }
    struct klx_kube_access *a = klx_alloc(struct klx_kube_access);
    rc = take_all(klx_config_root(c), file, context, now_us, a, e);
    klx_config_free(c);
    if (rc != 0) {
        klx_kube_access_free(a);
        return rc;
    }
    *ret = a;
    return 0;
}

/* The path itself, the first of $KUBECONFIG that exists, or ~/.kube/config. */
static char *resolve_path(const char *path) {
    const char *home = getenv("HOME");
    if (path != NULL && path[0] == '~' && path[1] == '/' && home != NULL) {
        return klx_asprintf("%s%s", home, path + 1);
    }
    if (path != NULL) {
        return klx_strdup(path);
    }
    const char *listed = getenv("KUBECONFIG");
    struct klx_sv rest = klx_sv(listed), first = klx_sv(NULL);
    while (rest.n > 0) {
        struct klx_sv item = klx_sv_cut(&rest, ':');
        char *candidate = klx_sv_dup(item);
        bool exists = access(candidate, R_OK) == 0;
        if (exists) {
            return candidate;
        }
        free(candidate);
        first = first.n == 0 ? item : first;
    }
    return first.n > 0 ? klx_sv_dup(first)
                       : klx_asprintf("%s/.kube/config", home != NULL ? home : "");
}

int klx_kubeconfig_load(const char *path, const char *context, int64_t now_us,
                        struct klx_kube_access **ret, struct klx_error *e) {
    char *file = resolve_path(path);
    struct klx_sv text = { NULL, 0 };
    int rc = read_file(file, &text, e);
    if (rc == 0) {
        rc = klx_kubeconfig_parse(text, file, context, now_us, ret, e);
        explicit_bzero((char *)(uintptr_t)text.p, text.n);
        free((char *)(uintptr_t)text.p);
    } else {
        klx_fail_in(e, rc, "kubeconfig");
    }
    free(file);
    return rc;
}

int klx_kubeconfig_load_cluster(const char *path, const char *context, struct klx_kube_access **ret,
                                struct klx_error *e) {
    return klx_kubeconfig_load(path, context, NO_USER, ret, e);
}
