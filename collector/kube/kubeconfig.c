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

#define PEM_BYTES_MAX (1u << 20)

void klx_kube_access_free(struct klx_kube_access *a) {
    if (a == NULL) {
        return;
    }
    if (a->key_pem.n > 0) {
        explicit_bzero((char *)(uintptr_t)a->key_pem.p, a->key_pem.n);
    }
    if (a->static_token != NULL) {
        explicit_bzero(a->static_token, strlen(a->static_token));
    }
    free((char *)(uintptr_t)a->ca_pem.p);
    free((char *)(uintptr_t)a->cert_pem.p);
    free((char *)(uintptr_t)a->key_pem.p);
    klx_secret_free(a->token);
    free(a->static_token);
    free(a->server);
    free(a->proxy);
    free(a->tls_server_name);
    free(a->context);
    free(a);
}

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

static int read_pem(const char *path, struct klx_sv *ret, struct klx_error *e) {
    FILE *f = fopen(path, "rbe");
    if (f == NULL) {
        return klx_fail(e, -errno, "cannot read %s: %s", path, strerror(errno));
    }
    char *bytes = klx_new_bytes(PEM_BYTES_MAX + 1);
    size_t n = fread(bytes, 1, PEM_BYTES_MAX, f);
    fclose(f);
    *ret = klx_sv_n(klx_sv_dup(klx_sv_n(bytes, n)), n);
    explicit_bzero(bytes, n);
    free(bytes);
    return 0;
}

/* `key`-data in base64, or the file that `key` names; neither leaves *ret empty. */
static int take_pem(const struct klx_config_node *map, const char *file, const char *key,
                    struct klx_sv *ret, struct klx_error *e) {
    char data_key[64];
    snprintf(data_key, sizeof(data_key), "%s-data", key);
    struct klx_sv data = text_of(map, data_key), path = text_of(map, key);
    if (data.n > 0) {
        return klx_pem_from_base64(data, ret) == 0
                   ? 0
                   : klx_config_fail(klx_config_get(map, data_key), e, "not base64");
    }
    if (path.n == 0) {
        return 0;
    }
    char *full = path_beside(file, path);
    int rc = read_pem(full, ret, e);
    free(full);
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
    return take_pem(cluster, file, "certificate-authority", &a->ca_pem, e);
}

static int refuse_unsupported(const struct klx_config_node *user, struct klx_error *e) {
    static const char *const keys[] = { "exec", "auth-provider", "username",  "password",
                                        "as",   "as-uid",        "as-groups", "as-user-extra" };
    for (size_t i = 0; i < KLX_COUNT(keys); i++) {
        const struct klx_config_node *n = klx_config_get(user, keys[i]);
        if (n != NULL) {
            return klx_config_fail(
                n, e, "\"%s\" is not supported yet: use a token, tokenFile or client certificate",
                keys[i]);
        }
    }
    return 0;
}

static int take_user(const struct klx_config_node *user, const char *file, int64_t now_us,
                     struct klx_kube_access *a, struct klx_error *e) {
    int rc = refuse_unsupported(user, e);
    rc = rc == 0 ? take_pem(user, file, "client-certificate", &a->cert_pem, e) : rc;
    rc = rc == 0 ? take_pem(user, file, "client-key", &a->key_pem, e) : rc;
    if (rc != 0) {
        return rc;
    }
    if ((a->cert_pem.n > 0) != (a->key_pem.n > 0)) {
        return klx_config_fail(user, e,
                               "a client certificate needs both client-certificate and client-key");
    }
    if (a->cert_pem.n > 0) {
        rc = klx_pem_check_certificate(a->cert_pem, now_us, e);
        if (rc != 0) {
            return klx_fail_in(e, rc, "%s", file);
        }
    }
    struct klx_sv token_file = text_of(user, "tokenFile");
    if (token_file.n > 0) {
        char *path = path_beside(file, token_file);
        a->token = klx_secret_from_file(klx_sv(path));
        free(path);
    } else {
        a->static_token = dup_opt(text_of(user, "token"));
    }
    return 0;
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
    a->context = klx_sv_dup(name);
    int rc = referred(root, context, "cluster", "clusters", &cluster, e);
    rc = rc == 0 ? referred(root, context, "user", "users", &user, e) : rc;
    rc = rc == 0 ? take_cluster(cluster, file, a, e) : rc;
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
    int rc = read_pem(file, &text, e);
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
