#include "collector/kube/exec_plugin.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/arena.h"
#include "lib/base/base64.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "lib/base/utf8.h"

#define TIMEOUT_MS 60000
#define ANSWER_BYTES_MAX 65536
#define INFO_BYTES_MAX (2u << 20) /* a bundle of CAs in base64 */
#define WORDS_BYTES_MAX 300
#define SECRET_BYTES_MIN 8 /* of a value that was given to the plugin: shorter ones are words */
#define TOKEN_BYTES_MIN 40 /* of a run of letters that can only be a token: a UUID has 36 */
#define HIDDEN KLX_SV("[hidden]")

void klx_exec_credential_release(struct klx_exec_credential *c) {
    klx_wipe(c->token);
    if (c->key_pem.n > 0) {
        explicit_bzero((char *)(uintptr_t)c->key_pem.p, c->key_pem.n);
    }
    free((char *)(uintptr_t)c->cert_pem.p);
    free((char *)(uintptr_t)c->key_pem.p);
    *c = (struct klx_exec_credential){ .expires_us = KLX_TIME_NONE };
}

static int add_cluster(struct klx_kube_access *a, struct klx_jw *w, struct klx_error *e) {
    struct klx_sv ca;
    int rc = klx_kube_pem_get(&a->ca, &ca, e);
    if (rc != 0) {
        return rc;
    }
    klx_jw_key(w, "cluster");
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "server", a->server);
    klx_jw_member_sv_opt(w, "tls-server-name", klx_sv(a->tls_server_name));
    klx_jw_member_sv_opt(w, "proxy-url", klx_sv(a->proxy));
    if (a->insecure) {
        klx_jw_member_bool(w, "insecure-skip-tls-verify", true);
    }
    if (ca.n > 0) {
        struct klx_buf text;
        klx_buf_init(&text, INFO_BYTES_MAX);
        klx_base64_add(&text, ca);
        klx_jw_member_sv(w, "certificate-authority-data", klx_buf_sv(&text));
        klx_buf_release(&text);
    }
    klx_jw_end_object(w);
    return 0;
}

int klx_exec_plugin_info(struct klx_kube_access *a, struct klx_buf *out, struct klx_error *e) {
    struct klx_jw w;
    int rc = 0;
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "kind", "ExecCredential");
    klx_jw_member_str(&w, "apiVersion", a->exec->api_version);
    klx_jw_key(&w, "spec");
    klx_jw_begin_object(&w);
    klx_jw_member_bool(&w, "interactive", false);
    if (a->exec->provide_cluster_info) {
        rc = add_cluster(a, &w, e);
    }
    klx_jw_end_object(&w);
    klx_jw_end_object(&w);
    return rc;
}

/* The kubeconfig's variables, and KUBERNETES_EXEC_INFO. Borrows the strings. */
static const char **environment(const struct klx_kube_exec *x, const char *info) {
    size_t n = 0;
    while (x->env[n] != NULL) {
        n++;
    }
    const char **env = klx_alloc_n(const char *, n + 2);
    for (size_t i = 0; i < n; i++) {
        env[i] = x->env[i];
    }
    env[n] = info;
    return env;
}

int klx_exec_plugin_start(struct klx_loop *l, struct klx_kube_access *a,
                          void (*on_done)(void *arg, const struct klx_process_result *r), void *arg,
                          struct klx_process **ret, struct klx_error *e) {
    struct klx_buf info;
    klx_buf_init(&info, INFO_BYTES_MAX + 4096);
    klx_buf_add_str(&info, "KUBERNETES_EXEC_INFO=");
    int rc = klx_exec_plugin_info(a, &info, e);
    if (rc == 0) {
        const char **env = environment(a->exec, klx_buf_str(&info));
        const struct klx_process_request r = {
            .argv = (const char *const *)a->exec->argv,
            .env = env,
            .timeout_ms = TIMEOUT_MS,
            .out_bytes_max = ANSWER_BYTES_MAX,
            .on_done = on_done,
            .arg = arg,
        };
        rc = klx_process_start(l, &r, ret, e);
        free(env);
    }
    klx_buf_release(&info);
    const char *hint = a->exec->install_hint;
    if (rc == -ENOENT && hint != NULL && e != NULL) {
        char *words = klx_strdup(e->text);
        klx_fail(e, rc, "%s. The kubeconfig says: %.300s", words, hint);
        free(words);
    }
    return rc;
}

static bool is_secret_option(const char *option) {
    return option[0] == '-' &&
           (strcasestr(option, "secret") != NULL || strcasestr(option, "password") != NULL);
}

/* The length of the secret that was given to the plugin and stands at the beginning of `text`; 0: none does. */
static size_t given_secret(const struct klx_kube_exec *x, struct klx_sv text) {
    for (size_t i = 0; x->env[i] != NULL; i++) {
        struct klx_sv value = klx_sv(x->env[i]);
        klx_sv_cut(&value, '=');
        if (value.n >= SECRET_BYTES_MIN && klx_sv_starts(text, value)) {
            return value.n;
        }
    }
    for (size_t i = 1; x->argv[0] != NULL && x->argv[i] != NULL; i++) {
        struct klx_sv value = klx_sv(x->argv[i]);
        if (is_secret_option(x->argv[i])) {
            klx_sv_cut(&value, '='); /* empty when the value is the next argument */
        } else if (!is_secret_option(x->argv[i - 1])) {
            continue;
        }
        if (value.n > 0 && klx_sv_starts(text, value)) {
            return value.n;
        }
    }
    return 0;
}

/* The length of the run of characters at the beginning of `text` that tokens are made of. */
static size_t token_run(struct klx_sv text) {
    size_t n = 0;
    for (; n < text.n; n++) {
        char c = text.p[n];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
              strchr("._~+=-", c) != NULL) ||
            c == '\0') {
            break;
        }
    }
    return n;
}

static void add_without_secrets(const struct klx_kube_exec *x, struct klx_sv text,
                                struct klx_buf *out) {
    bool in_run = false;
    while (text.n > 0) {
        size_t run = token_run(text), given = given_secret(x, text), n = 1;
        bool token = !in_run && (run >= TOKEN_BYTES_MIN || klx_sv_starts(text, KLX_SV("eyJ")));
        if (given > 0 || token) {
            n = token && run > given ? run : given;
            klx_buf_add_sv(out, HIDDEN);
        } else {
            klx_buf_add_char(out, text.p[0]);
        }
        in_run = run > 0;
        text = klx_sv_n(text.p + n, text.n - n);
    }
}

static int fail_with_words(const struct klx_kube_exec *x, const struct klx_process_result *r,
                           struct klx_error *e) {
    struct klx_buf shown, line;
    klx_buf_init(&shown, 4 * KLX_PROCESS_ERR_BYTES_MAX);
    klx_buf_init(&line, WORDS_BYTES_MAX + 8);
    add_without_secrets(x, r->err, &shown);
    klx_utf8_line(&line, klx_buf_sv(&shown), WORDS_BYTES_MAX);
    int rc = klx_fail(e, -EACCES, "%s ended with %s %d: %s", x->argv[0],
                      r->end == KLX_PROCESS_EXITED ? "exit code" : "signal", r->code,
                      line.len > 0 ? klx_buf_str(&line) : "it said nothing on stderr");
    klx_buf_release(&shown);
    klx_buf_release(&line);
    return rc;
}

static int take_status(const struct klx_kube_exec *x, const struct klx_json *status,
                       struct klx_exec_credential *c, struct klx_error *e) {
    struct klx_sv token = klx_json_str(status, "token"),
                  expires = klx_json_str(status, "expirationTimestamp"),
                  cert = klx_json_str(status, "clientCertificateData"),
                  key = klx_json_str(status, "clientKeyData");
    if ((cert.n > 0) != (key.n > 0)) {
        return klx_fail(e, -EINVAL, "%s gave a certificate without its key, or a key alone",
                        x->argv[0]);
    }
    if (token.n == 0 && cert.n == 0) {
        return klx_fail(e, -EINVAL, "%s gave neither a token nor a certificate", x->argv[0]);
    }
    if (expires.n > 0 && klx_time_parse(expires, &c->expires_us) != 0) {
        return klx_fail(e, -EINVAL, "%s gave an expirationTimestamp that is no time", x->argv[0]);
    }
    c->token = token.n > 0 ? klx_sv_dup(token) : NULL;
    if (cert.n > 0) {
        c->cert_pem = klx_sv_n(klx_sv_dup(cert), cert.n);
        c->key_pem = klx_sv_n(klx_sv_dup(key), key.n);
    }
    return 0;
}

static int read_answer(const struct klx_kube_exec *x, struct klx_sv answer, struct klx_arena *a,
                       struct klx_exec_credential *ret, struct klx_error *e) {
    const struct klx_json *root = NULL;
    const struct klx_json_limits limits = { .bytes_max = ANSWER_BYTES_MAX, .depth_max = 16 };
    if (klx_json_parse(a, answer, &limits, &root, NULL) != 0 ||
        !klx_sv_eq(klx_json_str(root, "kind"), KLX_SV("ExecCredential"))) {
        return klx_fail(e, -EINVAL, "%s did not print an ExecCredential in JSON", x->argv[0]);
    }
    struct klx_sv version = klx_json_str(root, "apiVersion");
    if (!klx_sv_eq(version, klx_sv(x->api_version))) {
        return klx_fail(e, -EINVAL, "%s answered with apiVersion %.*s, the kubeconfig asks for %s",
                        x->argv[0], (int)(version.n < 80 ? version.n : 80), version.p,
                        x->api_version);
    }
    struct klx_exec_credential c = { .expires_us = KLX_TIME_NONE };
    int rc = take_status(x, klx_json_get(root, "status"), &c, e);
    if (rc == 0) {
        *ret = c;
    }
    return rc;
}

int klx_exec_plugin_result(const struct klx_kube_exec *x, const struct klx_process_result *r,
                           struct klx_exec_credential *ret, struct klx_error *e) {
    if (r->end == KLX_PROCESS_TIMEOUT) {
        return klx_fail(e, -ETIMEDOUT,
                        "%s did not end within %d s and was killed; does it wait for a person?",
                        x->argv[0], TIMEOUT_MS / 1000);
    }
    if (r->end == KLX_PROCESS_TOO_LARGE) {
        return klx_fail(e, -EMSGSIZE, "%s printed more than %d bytes and was killed", x->argv[0],
                        ANSWER_BYTES_MAX);
    }
    if (r->end == KLX_PROCESS_SIGNALLED || r->code != 0) {
        return fail_with_words(x, r, e);
    }
    struct klx_arena arena;
    klx_arena_init(&arena, 16384, 8 * ANSWER_BYTES_MAX);
    int rc = read_answer(x, r->out, &arena, ret, e);
    klx_arena_release(&arena);
    return rc;
}
