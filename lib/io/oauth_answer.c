#include "lib/io/oauth_answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/arena.h"
#include "lib/base/cleanup.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/url.h"
#include "lib/base/utf8.h"

#define TREE_BYTES_MAX (8 * KLX_OAUTH_ANSWER_BYTES_MAX)
#define LIFE_S_DEFAULT 300 /* an answer need not say how long its token is good */
#define LIFE_S_MAX (7 * 24 * 3600)
#define WORDS_BYTES_MAX 300

/* What Entra ID's codes mean here, and what to do. The codes are only for these words: they may change, so nothing else depends on them
   (learn.microsoft.com/entra/identity-platform/reference-error-codes). */
static const struct {
    const char *code, *words;
} entra[] = {
    { "AADSTS7000222:", "the client secret has expired: make a new one for the application" },
    { "AADSTS7000215:", "the client secret is wrong: it is the secret's value, not its id" },
    { "AADSTS7000112:", "the application is disabled in this tenant" },
    { "AADSTS700016:", "there is no such client_id in this tenant: look at both" },
    { "AADSTS90002:", "there is no such tenant: look at tenant and authority" },
    { "AADSTS900023:", "there is no such tenant: look at tenant and authority" },
    { "AADSTS700211:", "no federated credential of the identity has this issuer: it must be the "
                       "cluster's OIDC issuer URL, with its slash at the end" },
    { "AADSTS700212:",
      "the federated token has an audience that Entra ID does not take: it must be "
      "api://AzureADTokenExchange (a pod with identity bindings has another one)" },
    { "AADSTS700213:", "no federated credential of the identity has this subject: it must be "
                       "system:serviceaccount:<namespace>:<service account>" },
    { "AADSTS70021:", "no federated credential of the identity fits the federated token: issuer, "
                      "subject and audience must be the same to the letter; a new one takes "
                      "some seconds" },
    { "AADSTS700024:", "the federated token has expired or is not valid yet: whoever writes the "
                       "file has stopped, or the clocks differ" },
    { "AADSTS1002012:", "the scope must end in /.default" },
    { "AADSTS70011:", "the scope must be one resource and end in /.default" },
    { "AADSTS500011:", "nobody in this tenant has that scope: look at scope and tenant" },
    { "AADSTS53003:", "conditional access of the tenant forbids it from here" },
};

static struct klx_sv host_of(const char *url) {
    struct klx_sv rest = klx_sv(url);
    klx_sv_cut(&rest, '/');
    klx_sv_cut(&rest, '/');
    return klx_sv_cut(&rest, '/');
}

static const char *meaning(struct klx_sv description) {
    for (size_t i = 0; i < KLX_COUNT(entra); i++) {
        if (klx_sv_find_sv(description, klx_sv(entra[i].code)) < description.n) {
            return entra[i].words;
        }
    }
    return NULL;
}

/* Words of the other side that could hold what we sent are not passed on. */
static bool may_hold_secret(const struct klx_oauth_settings *s, struct klx_sv text) {
    struct klx_sv secret;
    if (klx_sv_find_sv(text, KLX_SV("eyJ")) < text.n) {
        return true; /* the beginning of every signed token */
    }
    return s->client_secret != NULL && klx_secret_get(s->client_secret, &secret, NULL) == 0 &&
           klx_sv_find_sv(text, secret) < text.n;
}

/* "invalid_client: AADSTS7000222: The provided client secret keys …" without the lines that follow (trace ids, times). */
static void add_words(const struct klx_oauth_settings *s, const struct klx_json *root,
                      struct klx_buf *out) {
    struct klx_sv error = klx_json_str(root, "error"),
                  rest = klx_json_str(root, "error_description");
    struct klx_sv line = klx_sv_trim(klx_sv_cut(&rest, '\n'));
    line = klx_sv_n(line.p, klx_sv_find_sv(line, KLX_SV(" Trace ID:")));
    if (error.n > 0 && !may_hold_secret(s, error)) {
        klx_utf8_line(out, error, 80);
    }
    if (line.n > 0 && !may_hold_secret(s, line)) {
        klx_buf_add_str(out, out->len > 0 ? ": " : "");
        klx_utf8_line(out, line, WORDS_BYTES_MAX);
    }
}

static int fail_refused(const struct klx_oauth_settings *s, struct klx_sv host, int status,
                        const struct klx_json *root, struct klx_error *e) {
    struct klx_buf words;
    klx_buf_init(&words, 2 * WORDS_BYTES_MAX);
    add_words(s, root, &words);
    const char *means = meaning(klx_json_str(root, "error_description"));
    if (means == NULL && s->way == KLX_OAUTH_MANAGED) {
        means = "has the machine the managed identity, and is client_id its client id?";
    }
    int rc =
        klx_fail(e, -EACCES, "%.*s gives no token for %s%s%s (answer %d%s%s)", KLX_SV_FMT(host),
                 s->scope, means != NULL ? ": " : "", means != NULL ? means : "", status,
                 words.len > 0 ? ": " : "", klx_buf_str(&words));
    klx_buf_release(&words);
    return rc;
}

static int fail_without_answer(struct klx_sv host, const struct klx_http_result *r,
                               struct klx_error *e) {
    switch (r->failure) {
    case KLX_HTTP_TLS:
        return klx_fail(e, -EHOSTUNREACH,
                        "the certificate of %.*s is not accepted: %s. token_ca names the "
                        "certificates to trust",
                        KLX_SV_FMT(host), r->error);
    case KLX_HTTP_TOO_LARGE:
        return klx_fail(e, -EPROTO, "%.*s answered with more than %d bytes, which is no token",
                        KLX_SV_FMT(host), KLX_OAUTH_ANSWER_BYTES_MAX);
    case KLX_HTTP_TIMEOUT:
        return klx_fail(e, -ETIMEDOUT, "%.*s did not answer in time", KLX_SV_FMT(host));
    default:
        return klx_fail(e, -EHOSTUNREACH,
                        "cannot ask %.*s for a token: %s; look at network, firewall and proxy",
                        KLX_SV_FMT(host), r->error);
    }
}

/* Numbers may be texts (the metadata service). */
static int64_t life_s(const struct klx_json *root) {
    int64_t seconds = klx_json_int(root, "expires_in", -1);
    struct klx_sv text = klx_json_str(root, "expires_in");
    if (seconds < 0 && (text.n == 0 || klx_sv_int(text, &seconds) != 0)) {
        return LIFE_S_DEFAULT;
    }
    return seconds < 1 ? 1 : seconds > LIFE_S_MAX ? LIFE_S_MAX : seconds;
}

/* It goes into a header. */
static bool is_token(struct klx_sv s) {
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= 0x20 || s.p[i] >= 0x7f) {
            return false;
        }
    }
    return s.n > 0;
}

static int take_token(struct klx_sv host, const struct klx_json *root, struct klx_oauth_answer *ret,
                      struct klx_error *e) {
    struct klx_sv token = klx_json_str(root, "access_token"),
                  type = klx_json_str(root, "token_type");
    if (!is_token(token)) {
        return klx_fail(e, -EPROTO,
                        "%.*s answered 200 without an access_token; is it the token "
                        "endpoint?",
                        KLX_SV_FMT(host));
    }
    if (type.n > 0 && !klx_sv_eq_nocase(type, KLX_SV("Bearer"))) {
        return klx_fail(e, -EPROTO, "%.*s gave a token that is not of the type Bearer",
                        KLX_SV_FMT(host));
    }
    ret->token = klx_sv_dup(token);
    ret->life_ms = life_s(root) * 1000;
    return 0;
}

/* The metadata service says 404 and 410 while it is being updated. */
static bool comes_again(const struct klx_oauth_settings *s, int status) {
    return status == 429 || status >= 500 ||
           (s->way == KLX_OAUTH_MANAGED && (status == 404 || status == 410));
}

int klx_oauth_answer_read(const struct klx_oauth_settings *s, const char *url,
                          const struct klx_http_result *r, struct klx_oauth_answer *ret,
                          struct klx_error *e) {
    struct klx_sv host = host_of(url);
    if (r->failure != KLX_HTTP_OK) {
        return fail_without_answer(host, r, e);
    }
    if (comes_again(s, r->status)) {
        return klx_fail(e, -EBUSY, "%.*s answers %d to who asks for a token", KLX_SV_FMT(host),
                        r->status);
    }
    struct klx_arena arena;
    const struct klx_json *root = NULL;
    const struct klx_json_limits limits = { .bytes_max = KLX_OAUTH_ANSWER_BYTES_MAX,
                                            .depth_max = 8 };
    klx_arena_init(&arena, 16384, TREE_BYTES_MAX);
    if (klx_json_parse(&arena, r->body, &limits, &root, NULL) != 0) {
        root = NULL;
    }
    int rc = r->status == 200 ? take_token(host, root, ret, e)
                              : fail_refused(s, host, r->status, root, e);
    klx_arena_release(&arena);
    return rc;
}
